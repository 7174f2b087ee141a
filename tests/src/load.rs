//! A load on a node's drives: writers that store and delete without a pause, and write down every answer.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, bail};
use imbrex_api::node::Drive;
use xtask::http_client::Connection;
use xtask::node::Node;

use crate::ledger::{Block, Fate, Ledger, Words};

/// Writers on each drive: more than one, so that groups form.
const WRITERS_PER_DRIVE: u64 = 2;

/// One request in so many is a deletion of an earlier block.
const DELETE_EVERY: u64 = 6;

/// Longest block; lengths are spread over all sizes up to it.
const LENGTH_MAX: usize = 1 << 20;

/// How long an answer may take: a process that is killed and starts again is waited for.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Pause after a refusal or a broken connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The addresses of the drives' data APIs, by ID.
///
/// # Errors
/// Where a drive has no port.
pub fn addresses(node: &Node, drives: &[Drive]) -> Result<BTreeMap<String, SocketAddr>> {
    drives.iter().map(|drive| Ok((drive.id.clone(), node.data_address(drive)?))).collect()
}

/// What one writer knows.
type Blocks = Vec<(Block, Fate)>;

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: BTreeMap<String, Arc<AtomicU64>>,
    writers: Vec<(String, JoinHandle<Result<Blocks>>)>,
}

impl Load {
    /// Starts writers on every drive. No two seeds lead to the same blocks.
    #[must_use]
    pub fn start(addresses: &BTreeMap<String, SocketAddr>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = Self { stop, acknowledged: BTreeMap::new(), writers: Vec::new() };
        let mut number = seed << 48;
        for (drive, address) in addresses {
            let acknowledged = Arc::new(AtomicU64::new(0));
            for _ in 0..WRITERS_PER_DRIVE {
                // Far enough apart that no two writers come to the same number.
                number += 1 << 32;
                let mut writer = Writer {
                    address: *address,
                    stop: Arc::clone(&load.stop),
                    acknowledged: Arc::clone(&acknowledged),
                    words: Words(number),
                    number,
                    blocks: Vec::new(),
                };
                load.writers
                    .push((drive.clone(), std::thread::spawn(move || writer.run().map(|()| writer.blocks))));
            }
            load.acknowledged.insert(drive.clone(), acknowledged);
        }
        load
    }

    /// How many requests a drive has acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self, drive: &str) -> u64 {
        self.acknowledged.get(drive).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// How many requests all drives have acknowledged so far.
    #[must_use]
    pub fn acknowledged_by_all(&self) -> u64 {
        self.acknowledged.values().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Tells the writers to stop after the request that is under way, and does not wait for them.
    pub fn stop_soon(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Lets every writer finish its request, and returns what they know.
    ///
    /// # Errors
    /// Where a drive gave an answer that it must not give.
    pub fn finish(self) -> Result<Ledger> {
        self.stop_soon();
        let mut ledger = Ledger::default();
        for (drive, writer) in self.writers {
            match writer.join() {
                Ok(blocks) => ledger.add(&drive, blocks?),
                Err(_) => bail!("a writer of drive {drive} broke"),
            }
        }
        Ok(ledger)
    }
}

/// One writer: one connection, one request at a time.
struct Writer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    words: Words,
    number: u64,
    blocks: Blocks,
}

impl Writer {
    fn run(&mut self) -> Result<()> {
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let open = match connection.take() {
                Some(open) => open,
                None => match Connection::open(self.address, ANSWER_TIME_MAX) {
                    Ok(open) => open,
                    Err(_) => {
                        std::thread::sleep(PAUSE);
                        continue;
                    }
                },
            };
            connection = match self.words.next() % DELETE_EVERY {
                0 => self.delete(open)?,
                _ => self.put(open)?,
            };
        }
        Ok(())
    }

    /// Stores a new block; the connection comes back where it can be used further.
    fn put(&mut self, mut connection: Connection<TcpStream>) -> Result<Option<Connection<TcpStream>>> {
        self.number += 1;
        let length = self.length()?;
        let block = Block { number: self.number, length };
        let index = self.blocks.len();
        self.blocks.push((block, Fate::Storing));
        let path = format!("/v1/blocks/{}", block.key());
        let Ok(answer) = connection.request("PUT", &path, &[], &block.content()) else {
            std::thread::sleep(PAUSE);
            return Ok(None);
        };
        match answer.status {
            201 => {
                self.blocks[index].1 = Fate::Stored;
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                Ok(Some(connection))
            }
            // Whether the body was read before the refusal, nobody knows: the connection is not used again.
            500 | 503 | 507 => {
                std::thread::sleep(PAUSE);
                Ok(None)
            }
            status => bail!("PUT {path} was answered with {status}: {}", answer.text()),
        }
    }

    /// Deletes an earlier block that is stored, where there is one.
    fn delete(&mut self, mut connection: Connection<TcpStream>) -> Result<Option<Connection<TcpStream>>> {
        let Ok(start) = usize::try_from(self.words.next() % (1 << 20)) else { return Ok(Some(connection)) };
        let count = self.blocks.len();
        let found =
            (0..count).map(|step| (start + step) % count).find(|index| self.blocks[*index].1 == Fate::Stored);
        let Some(index) = found else { return Ok(Some(connection)) };
        self.blocks[index].1 = Fate::Deleting;
        let path = format!("/v1/blocks/{}", self.blocks[index].0.key());
        let Ok(answer) = connection.request("DELETE", &path, &[], &[]) else {
            std::thread::sleep(PAUSE);
            return Ok(None);
        };
        match answer.status {
            204 => {
                self.blocks[index].1 = Fate::Deleted;
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
                Ok(Some(connection))
            }
            500 | 503 | 507 => {
                std::thread::sleep(PAUSE);
                Ok(None)
            }
            status => bail!("DELETE {path} was answered with {status}: {}", answer.text()),
        }
    }

    /// Lengths of every magnitude, none and the longest among them.
    fn length(&mut self) -> Result<usize> {
        let magnitude = 1_u64 << (self.words.next() % 21);
        let length = usize::try_from(self.words.next() % (magnitude + 1))?;
        Ok(length.min(LENGTH_MAX))
    }
}
