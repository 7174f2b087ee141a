//! Asks the drives that are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smartctl_parser::{Answer, Failure, FailureKind, Smartctl};
use tokio::sync::oneshot;

use super::Book;
use super::book::{Ask, Next};
use crate::drive_client::{self, Quiet};

/// For so long the engine is asked to do nothing of its own accord, in milliseconds: it grants no more.
const QUIET_MS: u64 = 10_000;

/// A thread that waits for smartctl needs no more, in bytes; it parses the report too.
const STACK_BYTES: usize = 512 * 1024;

/// Asks for ever; an engine has `deadline` to answer to a quiet time.
pub(crate) async fn run(book: Arc<Book>, smartctl: Arc<dyn Smartctl>, deadline: Duration) {
    // No more questions run than drives are in the book: each drive is asked once at a time.
    let mut questions = tokio::task::JoinSet::new();
    loop {
        while questions.try_join_next().is_some() {}
        match book.take(Instant::now()) {
            Next::Ask(ask) => {
                questions.spawn(put(Arc::clone(&book), Arc::clone(&smartctl), ask, deadline));
            }
            Next::Wait(None) => book.changed().await,
            Next::Wait(Some(due)) => {
                tokio::select! {
                    () = tokio::time::sleep_until(due.into()) => {}
                    () = book.changed() => {}
                }
            }
        }
    }
}

/// Puts one question and keeps its answer.
async fn put(book: Arc<Book>, smartctl: Arc<dyn Smartctl>, ask: Ask, deadline: Duration) {
    let id = ask.id.clone();
    let quiet = match &ask.socket {
        Some(socket) => drive_client::quiet(socket, QUIET_MS, deadline).await,
        None => Quiet::NoEngine,
    };
    if let Quiet::Refused(wait) = quiet
        && book.postpone(&id, wait, Instant::now())
    {
        return;
    }
    let granted_on = ask.socket.clone().filter(|_| quiet == Quiet::Granted);
    let answer = answer_to(smartctl, ask).await;
    book.answered(&id, answer, Instant::now());
    if let Some(socket) = granted_on {
        // The rest of it is given back; where that fails, it ends by itself.
        drive_client::quiet(&socket, 0, deadline).await;
    }
}

async fn answer_to(smartctl: Arc<dyn Smartctl>, ask: Ask) -> Answer {
    match start(smartctl, ask) {
        Ok(answer) => answer.await.unwrap_or_else(|_| not_started("the question broke off".to_owned())),
        Err(error) => not_started(format!("no thread could be started: {error}")),
    }
}

/// Asks in a thread of its own, which ends soon after smartctl's deadline.
fn start(smartctl: Arc<dyn Smartctl>, ask: Ask) -> std::io::Result<oneshot::Receiver<Answer>> {
    let (sender, answer) = oneshot::channel();
    let question = move || {
        // Nobody waits any more where the agent is stopping.
        let _ = sender.send(smartctl.ask_drive(&ask.drive, &ask.device, ask.question));
    };
    std::thread::Builder::new().name("ask".into()).stack_size(STACK_BYTES).spawn(question)?;
    Ok(answer)
}

fn not_started(sentence: String) -> Answer {
    Answer::Failed(Failure { kind: FailureKind::NotStarted, sentence })
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use imbrex_api::node::{Drive, DriveState};
    use smartctl_parser::Question;

    use super::super::LoadedNotes;
    use super::*;
    use crate::inventory::SurveyedDrive;
    use crate::sysfs::Whereabouts;

    /// Never answers of the device `/dev/hang` before it is dropped, and at once of all others.
    struct Hanging {
        never: Mutex<mpsc::Receiver<()>>,
    }

    impl Smartctl for Hanging {
        fn ask_drive(&self, _: &str, device: &str, _: Question) -> Answer {
            if device == "/dev/hang" {
                let _ = self.never.lock().unwrap().recv();
            }
            Answer::Asleep
        }

        fn left_behind(&self) -> usize {
            0
        }
    }

    #[tokio::test]
    async fn a_question_that_hangs_keeps_no_other_drive_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let book = Arc::new(Book::new(LoadedNotes::load(&directory.path().join("none")), directory.path()));
        let ids = ["hang", "a", "b", "c", "d", "e"];
        let drives = ids.map(|id| SurveyedDrive {
            entry: Drive {
                id: id.to_owned(),
                device: Some(format!("/dev/{id}")),
                state: DriveState::Serving,
                ..Drive::default()
            },
            socket: None,
            whereabouts: Whereabouts::default(),
        });
        // As though they had come a while ago: all are due.
        let a_while_ago = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        book.observe(&drives, a_while_ago);
        let (end, never) = mpsc::channel();
        let poller = tokio::spawn(run(
            Arc::clone(&book),
            Arc::new(Hanging { never: Mutex::new(never) }),
            Duration::from_secs(10),
        ));
        let is_asked = |id: &str| book.drive_health(id).unwrap().polling.asked_at_unix_s.is_some();
        let others = async {
            while !ids[1..].iter().all(|id| is_asked(id)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), others).await.unwrap();
        assert!(!is_asked("hang") && book.drive_health("hang").unwrap().polling.asking);
        drop(end);
        while !is_asked("hang") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        poller.abort();
    }
}
