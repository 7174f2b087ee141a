//! An extra step: smartctl itself, where it is installed, asked about what is no drive.

use std::path::Path;

use smartctl_parser::{Answer, FailureKind, Question, Smartctl, SmartctlProgram};

/// Where distributions put it.
const PLACES: [&str; 2] = ["/usr/sbin/smartctl", "/usr/local/sbin/smartctl"];

#[test]
fn what_is_no_drive_has_no_data_and_the_reason_is_smartctls_own() {
    let Some(path) = PLACES.into_iter().find(|path| Path::new(path).exists()) else {
        println!("skipped: smartctl is not installed");
        return;
    };
    let smartctl = SmartctlProgram::new(Path::new(path));
    for device in ["/dev/null", "/dev/imbrex-has-no-such-drive"] {
        for question in [Question::Light, Question::Heavy] {
            let answer = smartctl.ask(device, question);
            let Answer::Failed(failure) = &answer else { panic!("{device}: {answer:?}") };
            assert_eq!(failure.kind, FailureKind::NoData, "{device}: {failure}");
            assert!(failure.sentence.contains(device), "{failure}");
            println!("{question:?}: {failure}");
        }
    }
}
