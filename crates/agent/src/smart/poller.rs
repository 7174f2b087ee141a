//! Asks the drives that are due, two at a time.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::table::Next;
use super::{SmartSource, SmartTable};

/// At most this many questions run at once, save children that cannot be killed.
const QUESTIONS_MAX: usize = 2;

/// Asks for ever.
pub(crate) async fn run<S: SmartSource>(table: Arc<SmartTable>, source: S) {
    let source = Arc::new(source);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..QUESTIONS_MAX {
        workers.spawn(work(Arc::clone(&table), Arc::clone(&source)));
    }
    while workers.join_next().await.is_some() {}
}

async fn work<S: SmartSource>(table: Arc<SmartTable>, source: Arc<S>) {
    loop {
        match table.take(Instant::now()) {
            Next::Ask { id, device } => ask(&table, &*source, id, &device).await,
            Next::Wait(None) => table.changed().await,
            Next::Wait(Some(due)) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = table.changed() => {}
                }
            }
        }
    }
}

async fn ask<S: SmartSource>(table: &Arc<SmartTable>, source: &S, id: String, device: &str) {
    let outcome = source.ask(device).await;
    if let Some(reason) = &outcome.answer.reason {
        tracing::debug!(drive = id, status = outcome.answer.status.as_str(), reason, "SMART status");
    }
    table.answered(&id, outcome.answer, SystemTime::now());
    match outcome.gone {
        None => table.release(&id, Instant::now()),
        Some(gone) => {
            // One task per drive at most: the drive is not asked again before this ends.
            let table = Arc::clone(table);
            tokio::spawn(async move {
                gone.await;
                table.release(&id, Instant::now());
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use imbrex_api::node::SmartStatus;
    use tokio::sync::Semaphore;

    use super::super::{SmartAnswer, SmartOutcome};
    use super::*;

    /// A source whose questions to `stuck` leave a process behind for ever, and whose others wait for leave.
    struct Fake {
        leave: Arc<Semaphore>,
        running: Arc<AtomicUsize>,
        running_max: Arc<AtomicUsize>,
        asked_stuck: Arc<AtomicUsize>,
    }

    impl SmartSource for Fake {
        async fn ask(&self, device: &str) -> SmartOutcome {
            if device == "/dev/stuck" {
                self.asked_stuck.fetch_add(1, Ordering::SeqCst);
                let gone = Some(Box::pin(std::future::pending()) as _);
                return SmartOutcome { answer: SmartAnswer::unknown("stuck"), gone };
            }
            let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.running_max.fetch_max(running, Ordering::SeqCst);
            self.leave.acquire().await.unwrap().forget();
            self.running.fetch_sub(1, Ordering::SeqCst);
            SmartAnswer { status: SmartStatus::Passed, reason: None }.into()
        }
    }

    #[tokio::test]
    async fn two_questions_run_at_once_and_a_stuck_one_holds_up_no_other_drive() {
        let table = Arc::new(SmartTable::default());
        let fake = Fake {
            leave: Arc::new(Semaphore::new(0)),
            running: Arc::default(),
            running_max: Arc::default(),
            asked_stuck: Arc::default(),
        };
        let (leave, running_max, asked_stuck) =
            (Arc::clone(&fake.leave), Arc::clone(&fake.running_max), Arc::clone(&fake.asked_stuck));
        let ids = ["a", "b", "c", "d", "stuck"];
        let drives: Vec<_> = ids.iter().map(|id| ((*id).to_owned(), format!("/dev/{id}"))).collect();
        table.observe(&drives, Instant::now());
        let poller = tokio::spawn(run(Arc::clone(&table), fake));
        tokio::time::sleep(Duration::from_millis(50)).await;
        leave.add_permits(4);
        let all_known = async {
            while ids[..4].iter().any(|id| table.latest(id).unwrap().status != SmartStatus::Passed) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), all_known).await.unwrap();
        assert_eq!(running_max.load(Ordering::SeqCst), QUESTIONS_MAX);
        assert_eq!(table.latest("stuck").unwrap().reason.as_deref(), Some("stuck"));
        poller.abort();
        let tomorrow = Instant::now() + Duration::from_secs(24 * 3600);
        let mut due = Vec::new();
        while let Next::Ask { id, .. } = table.take(tomorrow) {
            due.push(id);
        }
        assert_eq!(due.len(), 4, "{due:?}");
        assert!(!due.contains(&"stuck".to_owned()), "a drive whose question hangs is asked again");
        assert_eq!(asked_stuck.load(Ordering::SeqCst), 1);
    }
}
