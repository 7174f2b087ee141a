//! What was asked of the drives and what they answered: from that, what every block must be.
//!
//! A request that was not answered may have happened or not. A block that was acknowledged must be there, byte
//! for byte; one whose deletion was acknowledged must not; and whatever is there must have the right bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use xtask::http_client::{Connection, Response};

/// How long one block may take to come.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// One block, known by its number: key and content follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number; no two blocks of a run have the same.
    pub number: u64,
    /// Its length.
    pub length: usize,
}

impl Block {
    /// Its key, as in a path.
    #[must_use]
    pub fn key(self) -> String {
        let mut words = Words(self.number ^ 0x6b65_7973);
        (0..4).map(|_| format!("{:016x}", words.next())).collect()
    }

    /// Its bytes.
    #[must_use]
    pub fn content(self) -> Vec<u8> {
        let mut words = Words(self.number);
        let mut bytes = Vec::with_capacity(self.length + 8);
        while bytes.len() < self.length {
            bytes.extend_from_slice(&words.next().to_le_bytes());
        }
        bytes.truncate(self.length);
        bytes
    }
}

/// Pseudo-random words: the generator "splitmix64", which is good enough to tell blocks apart.
#[derive(Clone, Debug)]
pub struct Words(
    /// The state: any number is a seed.
    pub u64,
);

impl Words {
    /// The next word.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so that an iterator's Option says nothing"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Storing it was acknowledged.
    Stored,
    /// Storing it was asked for, and not answered.
    Storing,
    /// Deleting it was acknowledged.
    Deleted,
    /// It was stored, deleting it was asked for, and not answered.
    Deleting,
}

/// What is known of every block, by the drive's ID.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    drives: BTreeMap<String, Vec<(Block, Fate)>>,
}

/// How many blocks were found as they must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Acknowledged blocks that came back byte for byte.
    pub stored: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Acknowledged deletions that held.
    pub deleted: u64,
    /// Requests that were not answered, whose block is whole or absent.
    pub unanswered: u64,
}

impl fmt::Display for Verified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, bytes, deleted, unanswered } = self;
        write!(
            formatter,
            "{stored} acknowledged blocks ({} MB) came back byte for byte, {deleted} acknowledged deletions held, \
             {unanswered} unanswered requests left a whole block or none",
            bytes / 1_000_000
        )
    }
}

impl Ledger {
    /// Adds what one writer knows of one drive.
    pub fn add(&mut self, drive: &str, blocks: Vec<(Block, Fate)>) {
        self.drives.entry(drive.to_owned()).or_default().extend(blocks);
    }

    /// Adds all that another ledger knows.
    pub fn merge(&mut self, other: Self) {
        for (drive, blocks) in other.drives {
            self.add(&drive, blocks);
        }
    }

    /// How many blocks of a drive have that fate.
    #[must_use]
    pub fn count(&self, fate: Fate) -> usize {
        self.drives.values().flatten().filter(|(_, known)| *known == fate).count()
    }

    /// Reads every block of the drives in `addresses`, and holds it against what is known.
    ///
    /// # Errors
    /// At the first block that is not as it must be, and where a drive that is known has no address.
    pub fn verify(&self, addresses: &BTreeMap<String, SocketAddr>) -> Result<Verified> {
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            for (drive, blocks) in &self.drives {
                let address = *addresses.get(drive).with_context(|| format!("drive {drive} is gone"))?;
                threads.push((drive, scope.spawn(move || verify_drive(address, blocks))));
            }
            let mut sum = Verified::default();
            for (drive, thread) in threads {
                let verified = thread.join().map_err(|_| anyhow::anyhow!("the check of {drive} broke"))?;
                let verified = verified.with_context(|| format!("drive {drive}"))?;
                sum.stored += verified.stored;
                sum.bytes += verified.bytes;
                sum.deleted += verified.deleted;
                sum.unanswered += verified.unanswered;
            }
            Ok(sum)
        })
    }

    /// The same ledger without a drive.
    #[must_use]
    pub fn without(mut self, drive: &str) -> Self {
        self.drives.remove(drive);
        self
    }
}

fn verify_drive(address: SocketAddr, blocks: &[(Block, Fate)]) -> Result<Verified> {
    let mut connection = Connection::open(address, ANSWER_TIME_MAX)?;
    let mut verified = Verified::default();
    for (block, fate) in blocks {
        let key = block.key();
        let answer = connection.request("GET", &format!("/v1/blocks/{key}"), &[], &[])?;
        judge(*block, *fate, &answer).with_context(|| format!("block {key} of {} bytes", block.length))?;
        match fate {
            Fate::Stored => {
                verified.stored += 1;
                verified.bytes += u64::try_from(block.length)?;
            }
            Fate::Deleted => verified.deleted += 1,
            Fate::Storing | Fate::Deleting => verified.unanswered += 1,
        }
    }
    Ok(verified)
}

/// Holds one answer against what is known of the block.
fn judge(block: Block, fate: Fate, answer: &Response) -> Result<()> {
    match answer.status {
        200 => {
            ensure!(fate != Fate::Deleted, "its deletion was acknowledged, and it is back");
            ensure!(answer.body == block.content(), "it came back with other bytes than were stored");
            Ok(())
        }
        404 => {
            ensure!(fate != Fate::Stored, "it was acknowledged, and it is lost");
            Ok(())
        }
        status => anyhow::bail!("it was answered with {status}: {}", answer.text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Block = Block { number: 7, length: 1000 };

    fn answer(status: u16, body: Vec<u8>) -> Response {
        Response { status, headers: Vec::new(), body }
    }

    #[test]
    fn a_lost_block_a_flipped_bit_a_block_that_came_back_and_an_error_are_each_noticed() {
        let mut flipped = BLOCK.content();
        flipped[500] ^= 1;
        let cases = [
            (Fate::Stored, answer(404, Vec::new()), "it is lost"),
            (Fate::Stored, answer(200, flipped.clone()), "other bytes"),
            (Fate::Storing, answer(200, flipped), "other bytes"),
            (Fate::Stored, answer(200, BLOCK.content()[..999].to_vec()), "other bytes"),
            (Fate::Deleted, answer(200, BLOCK.content()), "it is back"),
            (Fate::Stored, answer(500, b"media-error".to_vec()), "media-error"),
        ];
        for (fate, answer, expected) in cases {
            let error = judge(BLOCK, fate, &answer).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_was_not_answered_may_be_there_or_not() {
        for fate in [Fate::Storing, Fate::Deleting] {
            judge(BLOCK, fate, &answer(404, Vec::new())).unwrap();
            judge(BLOCK, fate, &answer(200, BLOCK.content())).unwrap();
        }
    }

    #[test]
    fn blocks_differ_in_key_and_content() {
        let other = Block { number: 8, length: 1000 };
        assert_ne!(BLOCK.key(), other.key());
        assert_ne!(BLOCK.content(), other.content());
        assert_eq!(BLOCK.key().len(), 64);
    }
}
