//! The drives that blocks go to and come from, and what to do when one of them does not want to.
//!
//! Invariants:
//! - No more than the permitted number of requests is under way, in all and for each drive.
//! - Every retry is bounded, in number and in time. What remains is told by drive.
//! - Bytes leave [`Fleet::fetch`] only where their SHA-256 is the key.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::data_client::{DataClient, Trouble};
use crate::error::Error;
use crate::key::Key;
use crate::placement;

/// How often a busy drive is asked again.
const BUSY_RETRIES_MAX: u32 = 20;
/// How long a busy drive is waited for in all, whatever it asks for.
const BUSY_TIME_MAX: Duration = Duration::from_secs(30);
/// The longest wait between two tries, whatever the drive asks for.
const BUSY_WAIT_MAX: Duration = Duration::from_secs(10);
/// The shortest wait between two tries, whatever the drive asks for.
const BUSY_WAIT_MIN: Duration = Duration::from_millis(50);
/// How often an exchange that broke on its way is tried again.
const BROKEN_RETRIES_MAX: u32 = 2;
/// The wait after the first broken exchange; it doubles.
const BROKEN_WAIT: Duration = Duration::from_millis(200);

/// One drive.
#[derive(Debug)]
pub(crate) struct Member {
    /// The name that people see: its ID on the node, or its URL.
    pub(crate) name: String,
    /// What its label says, 32 hexadecimal digits: placement goes by it.
    pub(crate) drive_id: String,
    /// Why no new block may go there, where that is so.
    not_writable: Option<String>,
    client: DataClient,
    requests: Semaphore,
    /// Why no new block is sent there any more.
    excluded: Mutex<Option<String>>,
    /// Why nothing is read from there any more.
    lost: Mutex<Option<String>>,
    blocks: AtomicU64,
    bytes: AtomicU64,
    already_there: AtomicU64,
}

/// What went to, or came from, one drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The drive's name.
    pub(crate) name: String,
    /// Blocks.
    pub(crate) blocks: u64,
    /// Bytes of these blocks.
    pub(crate) bytes: u64,
    /// How many of these blocks it already had.
    pub(crate) already_there: u64,
}

/// A block that was read, and what else was seen on the way to it.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The block's bytes, whose SHA-256 is the key.
    pub(crate) bytes: Bytes,
    /// Drives whose copy was bad, and how.
    pub(crate) bad_copies: Vec<String>,
}

impl Member {
    /// A drive of which nothing is known against it.
    pub(crate) fn new(
        name: String,
        drive_id: String,
        not_writable: Option<String>,
        client: DataClient,
        requests_max: usize,
    ) -> Self {
        Self {
            name,
            drive_id,
            not_writable,
            client,
            requests: Semaphore::new(requests_max),
            excluded: Mutex::default(),
            lost: Mutex::default(),
            blocks: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            already_there: AtomicU64::new(0),
        }
    }

    /// Its data API.
    pub(crate) const fn client(&self) -> &DataClient {
        &self.client
    }

    fn count(&self, bytes: usize, already_there: bool) {
        self.blocks.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.already_there.fetch_add(u64::from(already_there), Ordering::Relaxed);
    }

    fn exclude(&self, reason: &str) {
        *self.excluded.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn excluded(&self) -> Option<String> {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lose(&self, reason: &str) {
        *self.lost.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All drives that can be asked, and the names of those that cannot.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    not_asked: Vec<String>,
}

impl Fleet {
    /// A fleet of `members`; `not_asked` says of each other drive why it cannot be asked.
    pub(crate) const fn new(members: Vec<Member>, not_asked: Vec<String>) -> Self {
        Self { members, not_asked }
    }

    /// The drives that can be asked.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// The drives that cannot be asked, and why.
    pub(crate) fn not_asked(&self) -> &[String] {
        &self.not_asked
    }

    /// What went to or came from each drive so far.
    pub(crate) fn shares(&self) -> Vec<Share> {
        let share = |member: &Member| Share {
            name: member.name.clone(),
            blocks: member.blocks.load(Ordering::Relaxed),
            bytes: member.bytes.load(Ordering::Relaxed),
            already_there: member.already_there.load(Ordering::Relaxed),
        };
        self.members.iter().map(share).collect()
    }

    /// The drives in the order in which they are asked about `key`.
    fn in_order(&self, key: &Key) -> impl Iterator<Item = &Member> {
        placement::order(key, self.members.iter().map(|member| member.drive_id.as_str()))
            .into_iter()
            .filter_map(|index| self.members.get(index))
    }

    /// Stores a block on the first drive in its order that takes it.
    ///
    /// # Errors
    /// Where none does, with every drive's reason.
    pub(crate) async fn store(&self, key: &Key, bytes: &Bytes) -> Result<(), Error> {
        let mut reasons: Vec<String> =
            self.members.iter().filter_map(|member| member.not_writable.clone()).collect();
        // A drive that was full or gone a moment ago costs a 4 MiB body to find out again, so it comes last.
        let (willing, others): (Vec<_>, Vec<_>) = self
            .in_order(key)
            .filter(|member| member.not_writable.is_none())
            .partition(|member| member.excluded().is_none());
        for member in willing.into_iter().chain(others) {
            let outcome = persist(member, || member.client.put(key, bytes.clone())).await;
            match outcome {
                Ok(already_there) => {
                    member.count(bytes.len(), already_there);
                    return Ok(());
                }
                Err(trouble) => {
                    let (reason, lasting) = explain(&trouble);
                    if lasting {
                        member.exclude(&reason);
                    }
                    reasons.push(format!("{}: {reason}", member.name));
                }
            }
        }
        reasons.extend_from_slice(&self.not_asked);
        Err(Error::NotStored { key: *key, reasons })
    }

    /// Reads a block from the first drive in its order that has a good copy.
    ///
    /// # Errors
    /// [`Error::Absent`] where no drive has it, [`Error::Unreadable`] where one may have it and no good copy came.
    pub(crate) async fn fetch(&self, key: &Key) -> Result<Fetched, Error> {
        let mut bad_copies = Vec::new();
        let mut not_asked = self.not_asked.clone();
        let mut asked = 0;
        for member in self.in_order(key) {
            if let Some(reason) = member.lost() {
                not_asked.push(format!("{}: {reason}", member.name));
                continue;
            }
            asked += 1;
            match persist(member, || get_checked(member, key)).await {
                Ok(Some(bytes)) => {
                    member.count(bytes.len(), false);
                    return Ok(Fetched { bytes, bad_copies });
                }
                Ok(None) => {}
                Err(trouble @ (Trouble::Refused(_) | Trouble::Broken(_))) => {
                    bad_copies.push(format!("{}: {}", member.name, explain(&trouble).0));
                }
                Err(trouble) => {
                    let (reason, lasting) = explain(&trouble);
                    if lasting {
                        member.lose(&reason);
                    }
                    asked -= 1;
                    not_asked.push(format!("{}: {reason}", member.name));
                }
            }
        }
        if bad_copies.is_empty() {
            return Err(Error::Absent { key: *key, asked, not_asked });
        }
        Err(Error::Unreadable { key: *key, reasons: bad_copies })
    }

    /// Deletes a block wherever it is; tells how many drives held it.
    ///
    /// # Errors
    /// Where a drive that may hold it could not be asked or did not delete it.
    pub(crate) async fn remove(&self, key: &Key) -> Result<usize, Error> {
        let mut held = 0;
        let mut reasons = Vec::new();
        for member in self.in_order(key) {
            match persist(member, || member.client.delete(key)).await {
                Ok(deleted) => held += usize::from(deleted),
                Err(trouble) => reasons.push(format!("{}: {}", member.name, explain(&trouble).0)),
            }
        }
        if reasons.is_empty() {
            return Ok(held);
        }
        Err(Error::Incomplete(format!("the block {key} may still be on some drives: {}", reasons.join("; "))))
    }
}

/// A block whose bytes are what the key says; a copy that is not is asked for again, since the damage may
/// have happened on its way.
async fn get_checked(member: &Member, key: &Key) -> Result<Option<Bytes>, Trouble> {
    let Some(bytes) = member.client.get(key).await? else { return Ok(None) };
    let expected = *key;
    let checked = tokio::task::spawn_blocking(move || (Key::of(&bytes) == expected).then_some(bytes)).await;
    match checked {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        _ => Err(Trouble::Broken("the bytes that it sent do not have the SHA-256 that is their key".into())),
    }
}

/// Does one thing with a drive, within the drive's share of requests, again and again while that can help.
async fn persist<T, F, R>(member: &Member, attempt: F) -> Result<T, Trouble>
where
    F: Fn() -> R,
    R: Future<Output = Result<T, Trouble>>,
{
    let (mut busy, mut broken) = (0, 0);
    let mut busy_left = BUSY_TIME_MAX;
    loop {
        let outcome = match member.requests.acquire().await {
            Ok(_permit) => attempt().await,
            Err(closed) => return Err(Trouble::Unable(closed.to_string())),
        };
        let wait = match &outcome {
            Err(Trouble::Busy(wait)) if busy < BUSY_RETRIES_MAX && !busy_left.is_zero() => {
                busy += 1;
                let wait = (*wait).clamp(BUSY_WAIT_MIN, BUSY_WAIT_MAX).min(busy_left);
                busy_left -= wait;
                wait
            }
            Err(Trouble::Broken(_) | Trouble::Unreachable(_)) if broken < BROKEN_RETRIES_MAX => {
                broken += 1;
                BROKEN_WAIT * broken
            }
            _ => return outcome,
        };
        tokio::time::sleep(wait).await;
    }
}

/// A phrase about a trouble, and whether it will last for the rest of this run.
fn explain(trouble: &Trouble) -> (String, bool) {
    match trouble {
        Trouble::Busy(_) => ("busy each time that it was asked".into(), false),
        Trouble::Full => ("full".into(), true),
        Trouble::Unable(reason) | Trouble::Unreachable(reason) => (reason.clone(), true),
        Trouble::Broken(reason) | Trouble::Refused(reason) => (reason.clone(), false),
    }
}
