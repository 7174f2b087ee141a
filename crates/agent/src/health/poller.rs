//! Asks the drives that are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smartctl_parser::{Answer, Failure, FailureKind, Smartctl};
use tokio::sync::oneshot;

use super::Book;
use super::book::{Ask, Next};
use crate::drive_client::{self, Quiet};

/// A question that takes longer than this no longer counts among those of its adapter: most take well under a second,
/// and one that waits for a dead drive must not keep the others waiting.
const PLACE_HELD_MAX: Duration = Duration::from_secs(5);

/// For so long the engine is asked to do nothing of its own accord, in milliseconds: it grants no more.
const QUIET_MS: u64 = 10_000;

/// A thread that waits for smartctl needs no more, in bytes; it parses the report too.
const STACK_BYTES: usize = 512 * 1024;

/// Asks for ever.
pub(crate) async fn run(book: Arc<Book>, smartctl: Arc<dyn Smartctl>) {
    // No more questions run than drives are in the book: each drive is asked once at a time.
    let mut questions = tokio::task::JoinSet::new();
    loop {
        while questions.try_join_next().is_some() {}
        match book.take(Instant::now()) {
            Next::Ask(ask) => {
                questions.spawn(put(Arc::clone(&book), Arc::clone(&smartctl), ask));
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
async fn put(book: Arc<Book>, smartctl: Arc<dyn Smartctl>, ask: Ask) {
    let id = ask.id.clone();
    let quiet = match &ask.socket {
        Some(socket) => drive_client::quiet(socket, QUIET_MS).await,
        None => Quiet::NoEngine,
    };
    if let Quiet::Refused(wait) = quiet
        && book.postpone(&id, wait, Instant::now())
    {
        return;
    }
    let granted_on = ask.socket.clone().filter(|_| quiet == Quiet::Granted);
    book.answered(&id, answer_to(&book, smartctl, ask).await);
    if let Some(socket) = granted_on {
        // The rest of it is given back; where that fails, it ends by itself.
        drive_client::quiet(&socket, 0).await;
    }
}

async fn answer_to(book: &Book, smartctl: Arc<dyn Smartctl>, ask: Ask) -> Answer {
    let id = ask.id.clone();
    let mut answer = match start(smartctl, ask) {
        Ok(answer) => answer,
        Err(error) => return not_started(format!("no thread could be started: {error}")),
    };
    let answer = match tokio::time::timeout(PLACE_HELD_MAX, &mut answer).await {
        Ok(answer) => answer,
        Err(_) => {
            book.give_up_place(&id);
            answer.await
        }
    };
    answer.unwrap_or_else(|_| not_started("the question broke off".to_owned()))
}

/// Asks in a thread of its own, which ends soon after smartctl's deadline.
fn start(smartctl: Arc<dyn Smartctl>, ask: Ask) -> std::io::Result<oneshot::Receiver<Answer>> {
    let (sender, answer) = oneshot::channel();
    let question = move || {
        // Nobody waits any more where the agent is stopping.
        let _ = sender.send(smartctl.ask(&ask.device, ask.question));
    };
    std::thread::Builder::new().name("ask".into()).stack_size(STACK_BYTES).spawn(question)?;
    Ok(answer)
}

fn not_started(sentence: String) -> Answer {
    Answer::Failed(Failure { kind: FailureKind::NotStarted, sentence })
}
