//! One life of an engine, and its requests by number of key and content.

use std::collections::BTreeMap;
use std::time::Duration;

use imbrex_engine::{
    Class, Cursor, Damage, EngineError, FormatOrder, Handle, Lifetime, Options, PutOutcome, PutRequest,
    RangeRequest, Replace, State, Stats,
};
use imbrex_format::{Key, PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::Device;

use crate::model::{Content, key};

/// How often a mount is looked at, and how many times: a minute and more.
const MOUNT_POLL: Duration = Duration::from_millis(5);
const MOUNT_POLLS_MAX: u32 = 12_000;

/// How often a request is tried that the engine is too busy for, and how long it then waits.
const TRIES_MAX: u32 = 2000;
const TRY_PAUSE: Duration = Duration::from_millis(10);

/// The class of every request.
const CLASS: Class = Class::Foreground;

/// A running engine.
#[derive(Clone)]
pub(crate) struct Client {
    engine: Handle,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Put(u64, Content),
    Get(u64, RangeRequest),
    Head(u64),
    Delete(u64),
}

/// What is answered, as far as it must be the same on every drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored,
    AlreadyStored,
    Bytes(Vec<u8>),
    Length(u32),
    Deleted,
    Refused(EngineError),
}

impl Client {
    /// Starts an engine and waits until it has found the drive's state.
    pub(crate) async fn start(device: Box<dyn Device>, options: &Options) -> Result<Self, String> {
        let engine = Handle::start(device, options).map_err(|error| error.to_string())?;
        for _ in 0..MOUNT_POLLS_MAX {
            if engine.status().state != State::Mounting {
                return Ok(Self { engine });
            }
            tokio::time::sleep(MOUNT_POLL).await;
        }
        Err("the mount does not come to its end".to_owned())
    }

    /// Formats the drive, whatever it holds.
    pub(crate) async fn format(&self) -> Result<(), String> {
        let (identity, status) = (self.engine.identity(), self.engine.status());
        let replace = match (&status.state, status.drive_id) {
            (State::Unformatted, _) => Replace::Nothing,
            (_, Some(drive)) => Replace::Drive(drive),
            _ => Replace::Foreign,
        };
        let serial = identity.serial.clone().unwrap_or_else(|| identity.id());
        let order = FormatOrder { serial, replace, blocks_max: None };
        self.engine.format(order).await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The most bytes of records that the drive's zones can hold.
    pub(crate) async fn capacity_bytes(&self) -> Result<u64, String> {
        let zones = self.engine.zones().await.map_err(|error| error.to_string())?;
        Ok(zones.iter().map(|zone| zone.capacity_bytes).sum())
    }

    pub(crate) fn stats(&self) -> Stats {
        self.engine.stats()
    }

    pub(crate) fn state(&self) -> State {
        self.engine.status().state.clone()
    }

    /// What the engine says of itself, for a message.
    pub(crate) fn describe(&self) -> String {
        format!("{:?}; {:?}", self.engine.status(), self.engine.stats())
    }

    /// Stops the engine in order.
    pub(crate) async fn stop(self) {
        self.engine.stop().await;
    }

    /// Asks, again where the engine is too busy.
    pub(crate) async fn ask(&self, request: Request) -> Answer {
        let mut answer = self.ask_once(request).await;
        for _ in 0..TRIES_MAX {
            if !matches!(answer, Answer::Refused(EngineError::Overloaded { .. })) {
                break;
            }
            tokio::time::sleep(TRY_PAUSE).await;
            answer = self.ask_once(request).await;
        }
        answer
    }

    async fn ask_once(&self, request: Request) -> Answer {
        let answer = match request {
            Request::Put(number, content) => self.put(number, content).await,
            Request::Get(number, range) => self
                .engine
                .get(key(number), range, CLASS)
                .await
                .map(|block| Answer::Bytes(block.as_ref().to_vec())),
            Request::Head(number) => {
                self.engine.head(key(number), CLASS).await.map(|head| Answer::Length(head.payload_bytes))
            }
            Request::Delete(number) => self.engine.delete(key(number), CLASS).await.map(|()| Answer::Deleted),
        };
        answer.unwrap_or_else(Answer::Refused)
    }

    async fn put(&self, number: u64, content: Content) -> Result<Answer, EngineError> {
        let bytes = content.bytes();
        let busy = EngineError::Overloaded { what: "no buffer is free" };
        let units = record_units(bytes.len()) as usize;
        let mut buffer = self.engine.pool().try_allocate(units * UNIT_BYTES).ok_or(busy)?;
        let mut writer = PayloadWriter::new(bytes.len());
        let invalid = |error: String| EngineError::Invalid { reason: error };
        writer.write(&mut buffer, &bytes).map_err(|error| invalid(error.to_string()))?;
        writer.finish(&mut buffer).map_err(|error| invalid(error.to_string()))?;
        // Any hint will do: it changes where a block stands, and no answer.
        let lifetime = match content.seed % 3 {
            0 => Lifetime::Unknown,
            1 => Lifetime::Short,
            _ => Lifetime::Long,
        };
        let payload_bytes = u32::try_from(bytes.len()).map_err(|error| invalid(error.to_string()))?;
        let request = PutRequest { key: key(number), buffer, payload_bytes, class: CLASS, lifetime };
        Ok(match self.engine.put(request).await? {
            PutOutcome::Stored => Answer::Stored,
            PutOutcome::AlreadyStored => Answer::AlreadyStored,
        })
    }

    /// All blocks with their lengths, by key, in pages of at most `limit`.
    pub(crate) async fn list(&self, limit: usize) -> Result<BTreeMap<Key, u32>, String> {
        let mut found = BTreeMap::new();
        let mut cursor = Some(Cursor::default());
        while let Some(next) = cursor {
            let page =
                self.engine.list(next, limit, Class::Foreground).await.map_err(|error| error.to_string())?;
            for entry in page.entries {
                // One that reclaim moves between two pages may come twice, and must be the same.
                let before = found.insert(entry.key, entry.payload_bytes);
                if before.is_some_and(|before| before != entry.payload_bytes) {
                    return Err(format!("a listing has the block {:?} twice, of two lengths", entry.key));
                }
            }
            cursor = page.next;
        }
        Ok(found)
    }

    pub(crate) async fn damage(&self) -> Result<Vec<Damage>, String> {
        self.engine.damage().await.map_err(|error| error.to_string())
    }
}
