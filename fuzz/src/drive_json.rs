//! The bodies that a drive or a node sends: whoever reads them may be talking to something else. Each input is given to
//! each of their decoders.

use imbrex_api::Problem;
use imbrex_api::drive::{DamagePage, DriveStats, DriveStatus, FormatOrder, ListPage, ZoneList};
use imbrex_api::node::{Drives, Node, Services};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The input is a body; or, where it has several lines, they are the texts of a problem.
pub fn run(input: &[u8]) {
    if let Some(problem) = there_and_back::<Problem>(input) {
        assert!(problem.problem_type.ends_with(problem.kind()));
    }
    if let Ok(text) = std::str::from_utf8(input)
        && text.contains('\n')
    {
        problem_of(text);
    }
    there_and_back::<ListPage>(input);
    there_and_back::<DriveStatus>(input);
    there_and_back::<DriveStats>(input);
    there_and_back::<ZoneList>(input);
    there_and_back::<DamagePage>(input);
    there_and_back::<FormatOrder>(input);
    there_and_back::<Node>(input);
    there_and_back::<Drives>(input);
    there_and_back::<Services>(input);
}

/// Whatever its texts are, a problem comes back as it was.
fn problem_of(text: &str) {
    let mut lines = text.lines();
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let status = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut problem = Problem::new(&next(), status, next(), next()).with_state(next());
    assert!(problem.kind().len() < problem.problem_type.len());
    problem.problem_type = next();
    let written = serde_json::to_vec(&problem).expect("a problem can be written");
    assert_eq!(there_and_back::<Problem>(&written).as_ref(), Some(&problem));
    assert!(problem.problem_type.ends_with(problem.kind()));
}

/// What was read can be written, and says the same when it is read again.
fn there_and_back<T: Serialize + DeserializeOwned>(input: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(input).ok()?;
    let written: Value = serde_json::to_value(&read).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    assert_eq!(serde_json::to_value(&again).expect("it was written once"), written);
    Some(read)
}
