//! The run: random requests, several at a time, each answer held against the model.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use imbrex_engine::{EngineError, Options, RangeRequest, State, Stats};

use crate::client::{Answer, Client, Request};
use crate::digest::Digest;
use crate::drives::Drive;
use crate::model::{Content, Model, key};
use crate::random::Random;

/// The keys that a run uses: few, so that they meet again.
const KEYS: u64 = 400;

/// The most requests at a time, each of another key.
const TOGETHER_MAX: u64 = 8;

/// How long an answer may take before the run is given up.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Live bytes stay below this part of the drive, in percent: so that no drive is ever full, which is a question of how
/// the groups fell.
const LIVE_PERCENT_MAX: u64 = 35;

/// One engine after another on one drive.
pub(crate) struct Run<'a> {
    drive: &'a mut dyn Drive,
    runtime: tokio::runtime::Runtime,
    client: Client,
    random: Random,
    model: Model,
    live_bytes_max: u64,
    digest: Digest,
    summary: Summary,
}

/// What a run has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) digest: u64,
    pub(crate) answers: u64,
    puts: u64,
    gets: u64,
    heads: u64,
    deletes: u64,
    listings: u64,
    restarts: u64,
    written_bytes: u64,
    capacity_bytes: u64,
    zones_sealed: u64,
    zones_reset: u64,
    moved_blocks: u64,
    checkpoints: u64,
    scrubbed_records: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { puts, gets, heads, deletes, listings, restarts, written_bytes, .. } = self;
        let operations = puts + gets + heads + deletes + listings;
        write!(f, "{operations} operations: {puts} puts, {gets} gets, {heads} heads, {deletes} deletions, ")?;
        write!(f, "{listings} listings, {restarts} restarts; {} MiB written to ", written_bytes >> 20)?;
        write!(f, "{} MiB: {} zones sealed, ", self.capacity_bytes >> 20, self.zones_sealed)?;
        write!(f, "{} reset, {} blocks moved, ", self.zones_reset, self.moved_blocks)?;
        write!(f, "{} checkpoints, {} records scrubbed", self.checkpoints, self.scrubbed_records)
    }
}

impl<'a> Run<'a> {
    /// Formats the drive.
    pub(crate) fn start(drive: &'a mut dyn Drive, seed: u64) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let client = runtime.block_on(Client::start(drive.open()?, &options()))?;
        runtime.block_on(client.format())?;
        let capacity_bytes = runtime.block_on(client.capacity_bytes())?;
        Ok(Self {
            drive,
            runtime,
            client,
            random: Random::new(seed),
            model: Model::default(),
            live_bytes_max: capacity_bytes / 100 * LIVE_PERCENT_MAX,
            digest: Digest::default(),
            summary: Summary { capacity_bytes, ..Summary::default() },
        })
    }

    /// Carries out requests until that many are answered, and checks everything once more, before and after a last
    /// restart.
    pub(crate) fn go(mut self, operations: u64) -> Result<Summary, String> {
        while self.digest.answers < operations {
            let done = match self.random.below(200) {
                0 => self.list(),
                1 => self.restart(),
                _ => {
                    let requests = self.requests();
                    self.together(&requests)
                }
            };
            done.map_err(|error| format!("after {} answers: {error}", self.digest.answers))?;
        }
        for _ in 0..2 {
            self.list()?;
            self.read_everything()?;
            self.restart()?;
        }
        self.count(self.client.stats());
        self.runtime.block_on(self.client.stop());
        Ok(Summary { digest: self.digest.value, answers: self.digest.answers, ..self.summary })
    }

    fn requests(&mut self) -> Vec<Request> {
        let mut keys = BTreeSet::new();
        for _ in 0..=self.random.below(TOGETHER_MAX) {
            keys.insert(self.random.below(KEYS));
        }
        keys.into_iter().map(|number| self.request(number)).collect()
    }

    fn request(&mut self, number: u64) -> Request {
        let stands = self.model.blocks.get(&number).copied();
        let is_much = self.model.live_bytes > self.live_bytes_max;
        match self.random.below(10) {
            0..4 => Request::Get(number, self.range()),
            4 => Request::Head(number),
            5 if stands.is_none() || is_much => Request::Delete(number),
            _ if stands.is_some() && (is_much || self.random.one_in(2)) => Request::Delete(number),
            _ if is_much => Request::Head(number),
            _ => Request::Put(number, self.content(stands)),
        }
    }

    /// A new content, or now and then the one that stands.
    fn content(&mut self, stands: Option<Content>) -> Content {
        if let Some(content) = stands.filter(|_| self.random.one_in(2)) {
            return content;
        }
        let longest = self.random.of(&[100, 5000, 70_000, 300_000]);
        let length = usize::try_from(self.random.below(longest)).unwrap_or(0);
        // All empty contents are the same one.
        let seed = if length == 0 { 0 } else { self.random.next() };
        Content { seed, length }
    }

    fn range(&mut self) -> RangeRequest {
        match self.random.below(6) {
            0 => RangeRequest::From { first: self.random.below(80_000), last: None },
            1 => {
                let first = self.random.below(40_000);
                RangeRequest::From { first, last: Some(first + self.random.below(80_000)) }
            }
            2 => RangeRequest::Suffix { length_bytes: 1 + self.random.below(80_000) },
            _ => RangeRequest::Whole,
        }
    }

    fn together(&mut self, requests: &[Request]) -> Result<(), String> {
        let client = &self.client;
        let answers = self.runtime.block_on(async {
            let tasks: Vec<_> = requests
                .iter()
                .map(|&request| {
                    let client = client.clone();
                    tokio::spawn(async move { client.ask(request).await })
                })
                .collect();
            let mut answers = Vec::with_capacity(tasks.len());
            for task in tasks {
                let answer = tokio::time::timeout(ANSWER_TIME_MAX, task).await;
                let answer = answer.map_err(|_| format!("one of {requests:?} is never answered"))?;
                answers.push(answer.map_err(|error| error.to_string())?);
            }
            Ok::<_, String>(answers)
        });
        let answers = answers.map_err(|error| format!("{error}; {}", client.describe()))?;
        for (request, answer) in requests.iter().zip(answers) {
            let wanted = self.wanted(request);
            if answer != wanted {
                return Err(format!(
                    "{request:?} is answered {} instead of {}",
                    short(&answer),
                    short(&wanted)
                ));
            }
            let bytes: &[u8] = if let Answer::Bytes(bytes) = &answer { bytes } else { &[] };
            self.digest.add(&format!("{request:?} {}", short(&answer)), bytes);
            self.learn(request);
        }
        Ok(())
    }

    fn wanted(&self, request: &Request) -> Answer {
        let stands = |number: &u64| self.model.blocks.get(number).copied();
        match request {
            Request::Put(number, content) => match stands(number) {
                None => Answer::Stored,
                Some(other) if other == *content => Answer::AlreadyStored,
                Some(_) => Answer::Refused(EngineError::Conflict),
            },
            Request::Get(number, range) => {
                stands(number).map_or_else(absent, |content| part(content, *range))
            }
            Request::Head(number) => {
                stands(number).map_or_else(absent, |content| Answer::Length(payload_bytes(content)))
            }
            Request::Delete(number) => stands(number).map_or_else(absent, |_| Answer::Deleted),
        }
    }

    fn learn(&mut self, request: &Request) {
        match request {
            Request::Put(number, content) => {
                self.summary.puts += 1;
                if !self.model.blocks.contains_key(number) {
                    self.model.put(*number, *content);
                }
            }
            Request::Get(..) => self.summary.gets += 1,
            Request::Head(_) => self.summary.heads += 1,
            Request::Delete(number) => {
                self.summary.deletes += 1;
                self.model.delete(*number);
            }
        }
    }

    fn list(&mut self) -> Result<(), String> {
        self.summary.listings += 1;
        let limit = usize::try_from(1 + self.random.below(150)).unwrap_or(1);
        let found = self.runtime.block_on(self.client.list(limit))?;
        let wanted: BTreeMap<_, _> = self
            .model
            .blocks
            .iter()
            .map(|(&number, &content)| (key(number), payload_bytes(content)))
            .collect();
        if found != wanted {
            return Err(format!(
                "a listing has {} blocks, or others, instead of {}",
                found.len(),
                wanted.len()
            ));
        }
        self.digest.add(&format!("{found:?}"), &[]);
        Ok(())
    }

    fn read_everything(&mut self) -> Result<(), String> {
        for number in 0..KEYS {
            self.together(&[Request::Get(number, RangeRequest::Whole)])?;
        }
        Ok(())
    }

    /// Stops the engine in order, and starts another on the drive.
    fn restart(&mut self) -> Result<(), String> {
        self.summary.restarts += 1;
        self.count(self.client.stats());
        self.runtime.block_on(self.client.clone().stop());
        let device = self.drive.open()?;
        self.client = self.runtime.block_on(Client::start(device, &options()))?;
        match self.client.state() {
            State::Serving => Ok(()),
            state => Err(format!("after a restart the drive is {}", state.name())),
        }
    }

    fn count(&mut self, stats: Stats) {
        self.summary.written_bytes += stats.device_written_bytes;
        self.summary.zones_sealed += stats.zones_sealed;
        self.summary.zones_reset += stats.zones_reset;
        self.summary.moved_blocks += stats.moved_blocks;
        self.summary.checkpoints += stats.checkpoints;
        self.summary.scrubbed_records += stats.scrubbed_records;
    }
}

/// The options of every engine here: a minute's run is to meet what happens to a disk in a month.
pub(crate) fn options() -> Options {
    Options {
        deadline: Duration::from_secs(60),
        trash_rest: Duration::from_millis(100),
        scrub_period: Duration::from_secs(60),
        checkpoint_bytes: 8 << 20,
        ..Options::default()
    }
}

fn absent() -> Answer {
    Answer::Refused(EngineError::NotFound)
}

pub(crate) fn payload_bytes(content: Content) -> u32 {
    u32::try_from(content.length).unwrap_or(u32::MAX)
}

/// The part of a content that a range wants, as RFC 9110 section 14.1.2 has it.
fn part(content: Content, range: RangeRequest) -> Answer {
    let bytes = content.bytes();
    let place = |byte: u64| usize::try_from(byte).unwrap_or(usize::MAX);
    let part = match range {
        RangeRequest::Whole => 0..bytes.len(),
        RangeRequest::From { first, last } => {
            let end = last.map_or(bytes.len(), |last| place(last.saturating_add(1)).min(bytes.len()));
            place(first)..end
        }
        RangeRequest::Suffix { length_bytes } => {
            bytes.len() - place(length_bytes).min(bytes.len())..bytes.len()
        }
    };
    let is_empty = matches!(range, RangeRequest::From { .. }) && part.start >= bytes.len();
    if is_empty {
        return Answer::Refused(EngineError::RangeNotSatisfiable { payload_bytes: payload_bytes(content) });
    }
    Answer::Bytes(bytes[part].to_vec())
}

/// An answer without the bytes that it may carry.
fn short(answer: &Answer) -> String {
    match answer {
        Answer::Bytes(bytes) => format!("{} bytes", bytes.len()),
        other => format!("{other:?}"),
    }
}
