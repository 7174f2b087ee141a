//! What the node has: one survey of init, of every drive's process and of sysfs, merged.
//!
//! - One survey runs at a time; whoever asks meanwhile gets its result. A survey is good for half a
//!   second. So the load on drives does not grow with the number of askers.
//! - Drives are asked at the same time, each under its own deadline. One that was late is not asked
//!   again for some seconds: it makes no list slow twice.
//! - What was known of a drive is kept when it falls silent or goes away, and told with its age.

mod entry;
mod memory;
mod questions;
mod targets;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imbrex_api::node::Drive;
use tokio::sync::Mutex;

use crate::health::Book;
use crate::init_client::{InitClient, InitStatus};
use crate::options::ServeOptions;
use crate::sysfs::Whereabouts;
use memory::Memory;

/// A survey is used for this long.
const SURVEY_FRESH: Duration = Duration::from_millis(500);

/// A survey is made at least this often, so that there is a last known state when a drive falls silent,
/// and so that new drives are asked how they are.
const SURVEY_INTERVAL: Duration = Duration::from_secs(30);

/// What one survey found.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What init said, or the sentence why it said nothing.
    pub(crate) init: Result<InitStatus, String>,
    /// Every drive, by ID.
    pub(crate) drives: Vec<SurveyedDrive>,
    taken: Instant,
}

/// A drive's entry and how to reach its process.
#[derive(Clone, Debug)]
pub(crate) struct SurveyedDrive {
    /// What the API tells of it.
    pub(crate) entry: Drive,
    /// The socket of its process.
    pub(crate) socket: Option<PathBuf>,
    /// Where it sits.
    pub(crate) whereabouts: Whereabouts,
}

impl Survey {
    /// The drive with this ID.
    pub(crate) fn drive(&self, id: &str) -> Option<&SurveyedDrive> {
        self.drives.iter().find(|drive| drive.entry.id == id)
    }
}

/// The source of surveys.
pub(crate) struct Inventory {
    run_dir: PathBuf,
    sysfs: PathBuf,
    deadline: Duration,
    init: InitClient,
    book: Arc<Book>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    latest: Option<Arc<Survey>>,
    memory: Memory,
}

impl Inventory {
    /// Will survey the sockets in the run directory, `init` and sysfs, and tell `book` of the drives.
    pub(crate) fn new(options: &ServeOptions, init: InitClient, book: Arc<Book>) -> Self {
        Self {
            run_dir: options.run_dir.clone(),
            sysfs: options.sysfs.clone(),
            deadline: Duration::from_millis(options.ask_deadline_ms),
            init,
            book,
            state: Mutex::new(State::default()),
        }
    }

    /// The latest survey, or a new one where that is stale. Takes at most two deadlines: init's and the drives'.
    pub(crate) async fn survey(&self) -> Arc<Survey> {
        let mut state = self.state.lock().await;
        if let Some(latest) = state.latest.as_ref().filter(|latest| latest.taken.elapsed() < SURVEY_FRESH) {
            return Arc::clone(latest);
        }
        let survey = Arc::new(self.take(&mut state.memory).await);
        state.latest = Some(Arc::clone(&survey));
        survey
    }

    /// Makes the next survey a new one: something was ordered.
    pub(crate) async fn invalidate(&self) {
        self.state.lock().await.latest = None;
    }

    /// Surveys now and then, for ever, and shows each survey to `show`.
    pub(crate) async fn keep_surveying(&self, show: impl Fn(&Survey)) {
        loop {
            show(&*self.survey().await);
            tokio::time::sleep(SURVEY_INTERVAL).await;
        }
    }

    async fn take(&self, memory: &mut Memory) -> Survey {
        let init = self.init.status().await.map_err(|error| error.to_string());
        let targets = targets::find(init.as_ref().ok(), &self.run_dir, memory);
        let questions = memory.questions(&targets, Instant::now());
        let answers = questions::ask_all(questions, &self.sysfs, self.deadline).await;
        let now = Instant::now();
        memory.note(&targets, answers, now);
        let drives = memory.entries(init.as_ref().ok(), &self.book, now);
        self.book.observe(&drives, now);
        Survey { init, drives, taken: now }
    }
}
