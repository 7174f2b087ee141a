//! Clients and what they do: each has blocks of its own, so that none waits for another's lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::contender::Contender;
use crate::latency::Latencies;
use crate::noise::Noise;
use crate::random::Random;

/// How many clients there are at most.
pub(crate) const CLIENTS_MAX: u64 = 32;

/// Of a payload, this many bytes at either end are compared: enough to see another block, and no CPU to speak of.
const COMPARED_BYTES: usize = 16;

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Stores a new block.
    Put,
    /// Reads each of its blocks once, in random order.
    Get,
    /// Deletes one of its blocks at random and stores a new one; only the put is timed.
    Replace,
    /// Of six: four reads, a put and a deletion.
    Mixed,
    /// Deletes one of its blocks at random.
    Delete,
}

/// How long a phase lasts: until each client has done its share, or the time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// Operations of all clients together.
    pub(crate) operations_max: u64,
    /// The time.
    pub(crate) time_max: Duration,
}

/// What came of a phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) latencies: Latencies,
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) deletes: u64,
    pub(crate) took: Duration,
}

/// One client with its blocks.
pub(crate) struct Client {
    /// Numbers of the blocks that it has stored and not deleted.
    pub(crate) live: Vec<u64>,
    next_number: u64,
    next_get: usize,
    random: Random,
}

impl Client {
    /// Client `index`, whose numbers are no other's.
    pub(crate) fn new(seed: u64, index: u64) -> Self {
        Self {
            live: Vec::new(),
            next_number: index << 40,
            next_get: 0,
            random: Random::new(seed ^ (index << 32)),
        }
    }

    /// Blocks are read in a new order, from its start.
    fn shuffle(&mut self) {
        for last in (1..self.live.len()).rev() {
            self.live.swap(last, self.random.place(last + 1));
        }
        self.next_get = 0;
    }
}

/// Gives all blocks of all clients to the first `count`, in turn, so that what follows finds every block.
pub(crate) fn deal(clients: &mut [Client], count: usize) {
    let mut live: Vec<u64> = clients.iter_mut().flat_map(|client| client.live.drain(..)).collect();
    // By number, so that a seed gives the same blocks to the same clients.
    live.sort_unstable();
    for (place, number) in live.into_iter().enumerate() {
        clients[place % count].live.push(number);
    }
}

/// The blocks that all clients do their work with.
pub(crate) struct Work<'a> {
    pub(crate) contender: &'a dyn Contender,
    pub(crate) noise: &'a Noise,
    pub(crate) block_bytes: usize,
    pub(crate) durable: bool,
}

impl Work<'_> {
    /// Lets `clients` do `action` at once.
    ///
    /// # Errors
    ///
    /// The first error of any; the others stop then.
    pub(crate) fn run(&self, clients: &mut [Client], action: Action, bound: Bound) -> Result<Outcome> {
        let share = bound.operations_max.div_ceil(clients.len() as u64);
        let failed = AtomicBool::new(false);
        let began = Instant::now();
        let outcomes: Vec<Result<Outcome>> = std::thread::scope(|scope| {
            let failed = &failed;
            let running: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    scope.spawn(move || {
                        let outcome = self.run_one(client, action, share, began + bound.time_max, failed);
                        failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
                        outcome
                    })
                })
                .collect();
            running
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| bail!("a client panicked")))
                .collect()
        });
        let mut total = Outcome { took: began.elapsed(), ..Outcome::default() };
        for outcome in outcomes {
            let outcome = outcome?;
            total.latencies.extend(outcome.latencies);
            total.puts += outcome.puts;
            total.gets += outcome.gets;
            total.deletes += outcome.deletes;
        }
        Ok(total)
    }

    fn run_one(
        &self,
        client: &mut Client,
        action: Action,
        share: u64,
        end: Instant,
        failed: &AtomicBool,
    ) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        if matches!(action, Action::Get | Action::Mixed) {
            client.shuffle();
        }
        // A second read of a block would find it in the page cache of those who use it.
        let share = if action == Action::Get { share.min(client.live.len() as u64) } else { share };
        for _ in 0..share {
            if Instant::now() >= end || failed.load(Ordering::Relaxed) {
                break;
            }
            let action = match action {
                Action::Mixed => match client.random.below(6) {
                    0 => Action::Put,
                    1 => Action::Delete,
                    _ => Action::Get,
                },
                action => action,
            };
            if client.live.is_empty() && action != Action::Put {
                break;
            }
            self.act(client, action, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn act(&self, client: &mut Client, action: Action, outcome: &mut Outcome) -> Result<()> {
        if matches!(action, Action::Delete | Action::Replace) {
            let place = client.random.place(client.live.len());
            let number = client.live.swap_remove(place);
            let began = Instant::now();
            self.contender.delete(&self.noise.key(number), self.durable)?;
            outcome.deletes += 1;
            if action == Action::Delete {
                outcome.latencies.note(began.elapsed());
            }
        }
        if matches!(action, Action::Put | Action::Replace) {
            let number = client.next_number;
            client.next_number += 1;
            let payload = self.noise.payload(number, self.block_bytes);
            let key = self.noise.key(number);
            let began = Instant::now();
            self.contender.put(&key, payload, self.durable)?;
            outcome.latencies.note(began.elapsed());
            outcome.puts += 1;
            client.live.push(number);
        }
        if action == Action::Get {
            client.next_get %= client.live.len();
            let number = client.live[client.next_get];
            client.next_get += 1;
            let began = Instant::now();
            self.get(number)?;
            outcome.latencies.note(began.elapsed());
            outcome.gets += 1;
        }
        Ok(())
    }

    fn get(&self, number: u64) -> Result<()> {
        let expected = self.noise.payload(number, self.block_bytes);
        let mut same = false;
        let found = self.contender.get(&self.noise.key(number), &mut |bytes| {
            let ends = COMPARED_BYTES.min(expected.len());
            same = bytes.len() == expected.len()
                && bytes[..ends] == expected[..ends]
                && bytes[bytes.len() - ends..] == expected[expected.len() - ends..];
        })?;
        ensure!(found, "block {number} was stored and is gone");
        ensure!(same, "block {number} came back with other bytes");
        Ok(())
    }
}
