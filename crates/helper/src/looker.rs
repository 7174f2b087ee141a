//! Looks at drives by a child, which the kernel may hold up in place of the plan: while a drive is examined anew, whoever reads
//! its files in sysfs waits for it (`queue/zoned`: the limits' lock, held over commands by `sd_revalidate_disk`).
//!
//! A drive whose look takes too long is told as one that cannot be read, and its child left to itself: it costs one
//! process, and nobody asks for that drive again before that has ended.

use crate::discovery::{self, Found};
use crate::io_weight;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long one drive may take, the start of the child included, and how long all of them: less than the plan's own
/// deadline, since a plan that is killed forgets who hangs.
const PATIENCE: Duration = Duration::from_secs(5);
const PATIENCE_ALL: Duration = Duration::from_secs(15);
/// A drive has at least this.
const PATIENCE_MIN: Duration = Duration::from_millis(100);

/// A process, told apart from later ones of its number by when it began: proc_pid_stat(5), field 22.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: u32,
    began: String,
}

impl Process {
    fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let mut fields = stat.rsplit(')').next()?.split_whitespace();
        let state = fields.next()?;
        let began = fields.nth(18)?.to_owned();
        (state != "Z" && state != "X").then_some(Self { pid, began })
    }

    fn lives(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// A child that answers.
struct Answering {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

/// Asks children.
pub(crate) struct Looker<'a> {
    start: &'a dyn Fn() -> io::Result<Child>,
    answering: Option<Answering>,
    patience: Duration,
    patience_all: Duration,
    /// The children that have not answered, by the names of their drives.
    pub(crate) hanging: BTreeMap<String, Process>,
}

impl<'a> Looker<'a> {
    /// Nobody is asked yet. `hanging`: what an earlier run has left.
    pub(crate) fn new(
        start: &'a dyn Fn() -> io::Result<Child>,
        mut hanging: BTreeMap<String, Process>,
    ) -> Self {
        hanging.retain(|_, process| process.lives());
        Self { start, answering: None, patience: PATIENCE, patience_all: PATIENCE_ALL, hanging }
    }

    /// Looks at one block device.
    ///
    /// # Errors
    /// One sentence, where the kernel does not say what it is, or not in time.
    pub(crate) fn ask(&mut self, name: &str) -> Result<Option<Found>, String> {
        if self.hanging.get(name).is_some_and(Process::lives) {
            return Err("the kernel still holds up the last look at it".to_owned());
        }
        self.hanging.remove(name);
        let failed = |error: io::Error| format!("nobody can be sent to look: {error}");
        let answering = self.answering.take().map_or_else(|| Answering::start(self.start), Ok);
        let mut answering = answering.map_err(failed)?;
        writeln!(answering.input, "{name}").map_err(failed)?;
        let (began, patience) = (Instant::now(), self.patience.min(self.patience_all).max(PATIENCE_MIN));
        let answer = answering.answers.recv_timeout(patience);
        // One that answers late has cost the others as much as one that does not.
        self.patience_all = self.patience_all.saturating_sub(began.elapsed());
        match answer {
            Ok(line) => {
                self.answering = Some(answering);
                serde_json::from_str(&line).map_err(|error| format!("{line:?} is no answer: {error}"))?
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err("the look at it ended without an answer".to_owned())
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.hanging
                    .extend(Process::of(answering.child.id()).map(|process| (name.to_owned(), process)));
                Err(format!("the kernel did not tell what it is within {patience:?}"))
            }
        }
    }
}

impl Answering {
    fn start(start: &dyn Fn() -> io::Result<Child>) -> io::Result<Self> {
        let mut child = start()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = input.zip(output).ok_or_else(|| io::Error::other("it has no pipes"))?;
        let (sender, answers) = mpsc::channel();
        // It waits for lines, and ends with the child's or with this process.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(Self { child, input, answers })
    }
}

/// Starts a child that runs [`answer`].
pub(crate) fn start(weigh: bool) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("look").args(weigh.then_some("weigh"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// Looks at each block device that is named on a line of stdin, and says on a line of stdout what it is. `weigh`: has the
/// kernel heed weights for I/O on each drive, before anybody uses it; one that cannot is served without.
pub(crate) fn answer(sysfs: &Path, weigh: bool) -> Result<(), String> {
    let groups = sysfs.join("fs/cgroup");
    let failed = |error: io::Error| format!("the look at drives ends: {error}");
    for name in io::stdin().lock().lines() {
        let name = name.map_err(failed)?;
        let block = sysfs.join("block").join(&name);
        let found = discovery::look(&block, &name).map_err(|error| error.to_string());
        if weigh
            && let Ok(Some(Found { device, .. })) = &found
            && let Err(error) = io_weight::enable(&groups, &block)
        {
            eprintln!("{device} has no weights for I/O: {error}");
        }
        let line = serde_json::to_string(&found).map_err(|error| failed(error.into()))?;
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// A child that answers for each drive that there is none, and for one called `hang` not at all.
    fn child() -> io::Result<Child> {
        let script = "while read name; do [ $name = hang ] && exec cat; echo '{\"Ok\":null}'; done";
        Command::new("/bin/sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    }

    fn looker<'a>(start: &'a dyn Fn() -> io::Result<Child>, patience: Duration) -> Looker<'a> {
        Looker { patience, ..Looker::new(start, BTreeMap::new()) }
    }

    #[test]
    fn one_child_looks_at_all_drives() {
        let starts = RefCell::new(0);
        let start = || {
            *starts.borrow_mut() += 1;
            child()
        };
        let mut looker = looker(&start, Duration::from_mins(1));
        for name in ["sda", "sdb", "nvme0n1"] {
            assert_eq!(looker.ask(name), Ok(None));
        }
        assert_eq!((starts.take(), looker.hanging.len()), (1, 0));
    }

    #[test]
    fn a_drive_that_hangs_costs_one_child_no_other_drive_and_is_not_asked_again_while_that_lives() {
        let children = RefCell::new(Vec::new());
        let start = || {
            let mut child = child()?;
            let end = child.stdin.take();
            // Its input stays open until the test closes it: `cat` lives for so long.
            let copy =
                end.as_ref().map(|end| std::os::fd::AsFd::as_fd(end).try_clone_to_owned()).transpose()?;
            child.stdin = end;
            children.borrow_mut().push((child.id(), copy));
            Ok(child)
        };
        let mut asked = looker(&start, Duration::from_secs(1));
        assert!(asked.ask("hang").unwrap_err().contains("did not tell what it is within"));
        asked.patience = Duration::from_mins(1);
        assert_eq!(asked.ask("sda"), Ok(None));
        assert_eq!(children.borrow().len(), 2);
        // The next run of the plan knows it.
        let mut asked = Looker { patience: Duration::from_mins(1), ..Looker::new(&start, asked.hanging) };
        assert!(asked.ask("hang").unwrap_err().contains("still holds up"));
        assert_eq!((children.borrow().len(), asked.hanging.len()), (2, 1));
        // The kernel lets go of it: the child has ended, and the drive is asked for anew.
        let (pid, input) = children.borrow_mut().remove(0);
        drop(input);
        while asked.hanging["hang"].lives() {
            std::thread::sleep(Duration::from_millis(5));
        }
        asked.patience = Duration::from_secs(1);
        assert!(asked.ask("hang").unwrap_err().contains("did not tell"));
        assert_ne!(asked.hanging["hang"].pid, pid);
    }

    #[test]
    fn the_looks_at_all_drives_together_are_bounded_whoever_answers() {
        let start = child;
        let patience_all = Duration::from_mins(2);
        let mut asked = Looker { patience_all, ..looker(&start, Duration::from_mins(1)) };
        assert_eq!(asked.ask("sda"), Ok(None));
        let answered = asked.patience_all;
        assert!(answered < patience_all, "a look that was answered counts too");
        asked.patience = Duration::from_secs(1);
        assert!(asked.ask("hang").is_err());
        assert!(asked.patience_all <= answered.saturating_sub(Duration::from_secs(1)));
    }

    #[test]
    fn a_child_that_dies_or_talks_nonsense_is_told() {
        let shell = |script: &'static str| {
            move || {
                Command::new("/bin/sh")
                    .args(["-c", script])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .spawn()
            }
        };
        let (dies, babbles) = (shell("read name"), shell("read name; echo hello; cat"));
        assert!(looker(&dies, Duration::from_mins(1)).ask("sda").unwrap_err().contains("without an answer"));
        assert!(looker(&babbles, Duration::from_mins(1)).ask("sda").unwrap_err().contains("is no answer"));
    }
}
