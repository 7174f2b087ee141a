//! Starts one process of a service, and signals it.
#![expect(unsafe_code, reason = "code between fork and exec, pidfds, and waitpid as nix has it not")]

use crate::{cgroup, platform};
use imbrex_init::plan::{Limits, Readiness, Specification};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{pipe2, setsid};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// What does for a node whatever PID 1 need not do.
pub(crate) const PROGRAM: &str = "/usr/bin/imbrex-helper";

/// A process that was just started, and the pipes that lead to it.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its process.
    pub(crate) pid: i32,
    /// The way to signal it.
    pub(crate) handle: Handle,
    /// Its stdout and stderr.
    pub(crate) output: File,
    /// Where it says that it is ready.
    pub(crate) ready: Option<File>,
    /// Where it says anything, where it speaks sd_notify(3).
    pub(crate) notify: Option<UnixDatagram>,
    /// Limits that it has not, a clause each.
    pub(crate) complaints: Vec<String>,
}

/// Starts a service's process: in a session and a control group of its own, with an empty
/// environment but for its own, stdin closed, its output in a pipe.
///
/// # Errors
/// Where a pipe cannot be made or the program cannot be run.
pub(crate) fn start(service: &Specification) -> io::Result<Child> {
    let (program, arguments) = service.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = command(program, arguments);
    command.envs(&service.environment);
    let (group, mut complaints) = cgroup::open(&service.name, &service.limits);
    let ready = (service.readiness == Readiness::Pipe).then(pipe).transpose()?;
    if let Some((_, writer)) = &ready {
        command.env("IMBREX_READY_FD", writer.as_raw_fd().to_string());
    }
    let notify = (service.readiness == Readiness::SdNotify)
        .then(|| notify_socket(service, &mut command))
        .transpose()?;
    let (ready_reader, ready_writer) = ready.unzip();
    let child = spawn(command, group, ready_writer)?;
    // Children inherit the value of the service's own manifest, not init's.
    let score = fs::write(format!("/proc/{}/oom_score_adj", child.pid), service.limits.oom_score.to_string());
    complaints.extend(score.err().map(|error| format!("its OOM score cannot be set: {error}")));
    Ok(Child { ready: ready_reader.map(File::from), notify, complaints, ..child })
}

/// A socket of the service's own. Whoever runs on the node can write to it, since the service may run as anybody: what it
/// hears is no proof.
fn notify_socket(service: &Specification, command: &mut Command) -> io::Result<UnixDatagram> {
    let path = format!("{}/notify-{}", platform::RUN, service.name);
    let _ = fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path)?;
    socket.set_nonblocking(true)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    command.env("NOTIFY_SOCKET", &path);
    if let Some(health) = &service.health {
        command.env("WATCHDOG_USEC", health.within_s.saturating_mul(1_000_000).to_string());
    }
    Ok(socket)
}

/// Starts a helper of init's own, in this control group where one is given.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_helper(program: &str, arguments: &[String], group: Option<&str>) -> io::Result<Child> {
    let command = command(program, arguments);
    spawn(command, group.and_then(|group| cgroup::open(group, &Limits::default()).0), None)
}

fn command(program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin").env("HOME", "/");
    command
}

fn spawn(mut command: Command, group: Option<File>, ready: Option<OwnedFd>) -> io::Result<Child> {
    let (output, writer) = pipe()?;
    let teller = writer.try_clone()?;
    command.current_dir("/").stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let before_exec = move || {
        setsid()?;
        SigSet::empty().thread_set_mask()?;
        if let Some(group) = &group {
            // "0" is whoever writes it. A group that refuses is no reason not to run, but one to tell.
            if nix::unistd::write(group.as_fd(), b"0").is_err() {
                let _ =
                    nix::unistd::write(&teller, b"init: its control group refuses it: it has no limits\n");
            }
        }
        if let Some(ready) = &ready {
            fcntl(ready, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec of a process with one thread. It makes only
    // system calls that are async-signal-safe, allocates nothing and takes no lock.
    unsafe { command.pre_exec(before_exec) };
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // Not reaped yet, so that its number is still its own.
    let handle = Handle::open(pid).inspect_err(|_| drop(child.kill()))?;
    Ok(Child { pid, handle, output: File::from(output), ready: None, notify: None, complaints: Vec::new() })
}

/// A pipe whose reader does not wait and of which no child inherits anything by accident.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// `PIDFD_SIGNAL_PROCESS_GROUP` of linux/pidfd.h, since Linux 6.9: the process and its whole group.
const GROUP: libc::c_uint = 4;

/// A pidfd: signals that go through it reach the process that it was opened for, or nobody, whatever becomes of the
/// process's number.
#[derive(Debug)]
pub(crate) struct Handle(OwnedFd);

impl Handle {
    fn open(pid: i32) -> io::Result<Self> {
        // SAFETY: pidfd_open(2) takes two numbers and touches no memory of ours.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let descriptor = RawFd::try_from(descriptor).map_err(io::Error::other)?;
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given it to us, and to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    /// Whether it was sent: not to one that was reaped.
    fn send(&self, signal: Signal, flags: libc::c_uint) -> bool {
        let nothing = std::ptr::null::<libc::siginfo_t>();
        let (descriptor, signal) = (self.0.as_raw_fd(), signal as libc::c_int);
        // SAFETY: pidfd_send_signal(2) takes numbers, and no siginfo where the pointer is null.
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal, nothing, flags) == 0 }
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.send(Signal::SIGTERM, 0);
    }

    /// Ends a process and everything that it started: its process group (since Linux 6.9), which it may have left, and its
    /// control group, which it may not have joined.
    pub(crate) fn kill_all(&self, group: Option<&str>) {
        self.send(Signal::SIGKILL, 0);
        self.send(Signal::SIGKILL, GROUP);
        group.map(cgroup::kill);
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "exited with status {status}"),
            Self::Signal(signal) => write!(formatter, "killed by signal {signal}"),
        }
    }
}

/// Takes one dead child, whoever started it: its number, and how it ended. Gives none where all children live. The only
/// place in a running init that waits for children, so that nobody takes another's status.
///
/// # Errors
/// ECHILD where there are no children.
pub(crate) fn reap() -> nix::Result<Option<(i32, Exit)>> {
    let mut status = 0;
    // SAFETY: `status` is a valid place for an int for the whole call. nix's `waitpid` is of no use here: it takes a
    // child that a real-time signal has killed and then forgets its pid.
    let pid = Errno::result(unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) })?;
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Status(libc::WEXITSTATUS(status))
    };
    Ok((pid != 0).then_some((pid, exit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;
    use std::io::Read;

    /// A process with a child, both of which sleep and hold the same pipe.
    fn family() -> Child {
        let script = ["-c", "sleep 600 & echo begun; wait"].map(str::to_owned);
        let mut child = start_helper("/bin/sh", &script, None).unwrap();
        fcntl(&child.output, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        child.output.read_exact(&mut [0; 6]).unwrap();
        child
    }

    #[test]
    fn a_handle_signals_its_process_and_its_group_and_nobody_once_that_was_reaped() {
        let mut child = family();
        assert!(child.handle.send(Signal::SIGKILL, GROUP), "Linux 6.9 or later");
        // Its child too: the pipe is at its end.
        child.output.read_to_end(&mut Vec::new()).unwrap();
        assert!(child.handle.send(Signal::SIGTERM, 0), "it is dead and not reaped: still its own number");
        let pid = Pid::from_raw(child.pid);
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Signaled(pid, Signal::SIGKILL, false)));
        assert!(!child.handle.send(Signal::SIGTERM, 0));
    }

    #[test]
    fn a_process_that_is_asked_to_end_is_asked_alone() {
        let mut child = family();
        child.handle.terminate();
        let pid = Pid::from_raw(child.pid);
        assert_eq!(waitpid(pid, None), Ok(WaitStatus::Signaled(pid, Signal::SIGTERM, false)));
        // The sleeper holds the pipe still.
        fcntl(&child.output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        assert_eq!(child.output.read(&mut [0; 64]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // The group outlives its first process, whose handle reaches nobody any more.
        assert!(!child.handle.send(Signal::SIGKILL, 0));
        nix::sys::signal::killpg(pid, Signal::SIGKILL).unwrap();
    }
}
