//! One run of a program, with a deadline and a bound on what it writes.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::REPORT_BYTES_MAX;

/// A killed child has this long to end. One that waits in the kernel for a dead drive does not.
const KILL_GRACE: Duration = Duration::from_secs(2);

/// The end of a child is looked for this often. It follows the end of its output at once, as a rule.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// The thread that reads needs no more, in bytes.
const READER_STACK_BYTES: usize = 128 * 1024;

/// How a run ended.
pub(super) enum Ended {
    /// By itself: what it wrote, and its status.
    Itself(Vec<u8>, ExitStatus),
    /// It wrote too much and was killed.
    Flooded,
    /// It did not end in time and was killed.
    Late,
    /// It could not be started.
    NotStarted(std::io::Error),
    /// It was killed and lives on.
    Stuck(Child),
}

/// How a child is made to end.
pub(super) type Kill = fn(&Child);

/// Runs `command` to its end, for at most `deadline` and the time that a killed child has to end.
pub(super) fn run(command: &mut Command, deadline: Duration, kill: Kill) -> Ended {
    let ends_at = Instant::now() + deadline;
    // In a group of its own: what it starts itself can be killed with it.
    command.process_group(0);
    command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ended::NotStarted(error),
    };
    let output = match child.stdout.take().map(read_in_thread) {
        Some(Ok(output)) => output,
        Some(Err(error)) => return see_end(child, kill, Ended::NotStarted(error)),
        None => return see_end(child, kill, Ended::Flooded),
    };
    let ends = |child, ended| see_end(child, kill, ended);
    let left = || ends_at.saturating_duration_since(Instant::now());
    match output.recv_timeout(left()) {
        Ok(Some(output)) => match wait(&mut child, ends_at) {
            Some(status) => Ended::Itself(output, status),
            None => ends(child, Ended::Late),
        },
        Ok(None) => ends(child, Ended::Flooded),
        Err(RecvTimeoutError::Timeout) => ends(child, Ended::Late),
        Err(RecvTimeoutError::Disconnected) => ends(child, Ended::Flooded),
    }
}

/// Reads to the end in a thread of its own: a pipe has no deadline. `None` where there was too much. The
/// thread ends with the output's last holder, which a stuck child may be: then it is left behind with it.
fn read_in_thread(stdout: ChildStdout) -> std::io::Result<Receiver<Option<Vec<u8>>>> {
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut output = Vec::new();
        // Output that breaks off is kept: that it is no whole report shows when it is read.
        let _ = stdout.take(REPORT_BYTES_MAX as u64 + 1).read_to_end(&mut output);
        // Whoever waited may have given up.
        let _ = sender.send((output.len() <= REPORT_BYTES_MAX).then_some(output));
    };
    std::thread::Builder::new().name("smartctl".into()).stack_size(READER_STACK_BYTES).spawn(read)?;
    Ok(receiver)
}

/// The status of the child, where it ends before `ends_at`.
fn wait(child: &mut Child, ends_at: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < ends_at => std::thread::sleep(LOOK_INTERVAL),
            // Not to be waited for is a child that someone else has reaped: there is none left to look after.
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Kills the child and all of its group.
pub(super) fn kill_group(child: &Child) {
    // It was not waited for, so that its number is still its own. The only error is that it has ended already.
    if let Ok(group) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

/// Kills the child and sees it end; `ended`, where it does.
fn see_end(mut child: Child, kill: Kill, ended: Ended) -> Ended {
    kill(&child);
    match wait(&mut child, Instant::now() + KILL_GRACE) {
        Some(_) => ended,
        None => Ended::Stuck(child),
    }
}
