//! A drive of which some sectors cannot be read: each block comes back byte for byte or is answered as unreadable, what
//! is unreadable is listed as damage and nothing else is, and a put of the same bytes mends it.

use std::collections::BTreeSet;

use imbrex_engine::{DamageKind, EngineError, RangeRequest};

use crate::client::{Answer, Client, Request};
use crate::drives::Drive;
use crate::model::{Content, key};
use crate::random::Random;
use crate::run::options;

/// How much of the drive is written, in percent: enough that some of the sectors are.
const WRITTEN_PERCENT: u64 = 60;

/// The longest block in bytes.
const BLOCK_BYTES_MAX: u64 = 200_000;

/// Puts blocks, reads all of them, and looks at the damage; and once more after a restart.
pub(crate) fn check(drive: &mut dyn Drive, seed: u64) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let device = drive.open()?;
    let (client, contents) = runtime.block_on(fill(device, seed))?;
    let lost = runtime.block_on(read_all(&client, &contents))?;
    if lost.is_empty() {
        return Err("no block is unreadable: the drive has no sector that cannot be read".to_owned());
    }
    runtime.block_on(client.stop());
    let client = runtime.block_on(Client::start(drive.open()?, &options()))?;
    let again = runtime.block_on(read_all(&client, &contents))?;
    if again != lost {
        return Err(format!("{lost:?} were unreadable, and after a restart {again:?} are"));
    }
    for &number in &lost {
        let (content, whole) = (contents[place(number)], RangeRequest::Whole);
        let answers = runtime.block_on(async {
            [client.ask(Request::Put(number, content)).await, client.ask(Request::Get(number, whole)).await]
        });
        if answers != [Answer::Stored, Answer::Bytes(content.bytes())] {
            return Err(format!("block {number}, put again, is not mended"));
        }
    }
    let left = runtime.block_on(client.damage())?;
    runtime.block_on(client.stop());
    Ok(format!(
        "{} operations: {} blocks, {} unreadable and listed as damage, the same after a restart; put again and read, \
         {} of them still listed",
        contents.len() * 3 + lost.len() * 2,
        contents.len(),
        lost.len(),
        left.len()
    ))
}

async fn fill(device: Box<dyn imbrex_zoned::Device>, seed: u64) -> Result<(Client, Vec<Content>), String> {
    let client = Client::start(device, &options()).await?;
    client.format().await?;
    let bytes_max = client.capacity_bytes().await? / 100 * WRITTEN_PERCENT;
    let mut random = Random::new(seed);
    let (mut contents, mut bytes) = (Vec::new(), 0);
    while bytes < bytes_max {
        let length = 1 + random.below(BLOCK_BYTES_MAX);
        let content = Content { seed: random.next(), length: place(length) };
        let answer = client.ask(Request::Put(contents.len() as u64, content)).await;
        if answer != Answer::Stored {
            return Err(format!("put {} is answered {answer:?}", contents.len()));
        }
        contents.push(content);
        bytes += length;
    }
    Ok((client, contents))
}

/// Reads every block, and returns the numbers of those that are unreadable.
async fn read_all(client: &Client, contents: &[Content]) -> Result<BTreeSet<u64>, String> {
    let mut lost = BTreeSet::new();
    for (number, content) in (0_u64..).zip(contents) {
        match client.ask(Request::Get(number, RangeRequest::Whole)).await {
            Answer::Bytes(bytes) if bytes == content.bytes() => {}
            Answer::Refused(EngineError::Medium { .. }) => _ = lost.insert(number),
            Answer::Bytes(_) => return Err(format!("block {number} came back with other bytes")),
            other => return Err(format!("block {number} is answered {other:?}")),
        }
    }
    let damage = client.damage().await?;
    let listed: BTreeSet<_> = damage.iter().map(|damage| damage.key).collect();
    let wanted: BTreeSet<_> = lost.iter().map(|&number| key(number)).collect();
    if listed != wanted || damage.iter().any(|damage| damage.kind != DamageKind::Medium) {
        return Err(format!("{} blocks are unreadable, and the list of damage has {damage:?}", lost.len()));
    }
    Ok(lost)
}

fn place(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
