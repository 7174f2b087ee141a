//! Starts one process of a service, and signals it.
#![expect(unsafe_code, reason = "code between fork and exec, and waitpid as nix has it not")]

use crate::{cgroup, platform};
use imbrex_init::plan::{Readiness, Specification};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::{Pid, pipe2, setsid};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
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
    let mut command = Command::new(program);
    command.args(arguments).envs(&service.environment);
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

/// A socket of the service's own, so that nobody else speaks for it.
fn notify_socket(service: &Specification, command: &mut Command) -> io::Result<UnixDatagram> {
    let path = format!("{}/notify-{}", platform::RUN, service.name);
    let _ = fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path)?;
    socket.set_nonblocking(true)?;
    // The service may run as anybody.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    command.env("NOTIFY_SOCKET", &path);
    if let Some(health) = &service.health {
        command.env("WATCHDOG_USEC", health.within_s.saturating_mul(1_000_000).to_string());
    }
    Ok(socket)
}

/// Starts a helper of init's own, such as modprobe.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_helper(program: &str, arguments: &[String]) -> io::Result<Child> {
    let mut command = Command::new(program);
    command.args(arguments);
    spawn(command, None, None)
}

fn spawn(mut command: Command, group: Option<File>, ready: Option<OwnedFd>) -> io::Result<Child> {
    let (output, writer) = pipe()?;
    let environment: Vec<_> =
        command.get_envs().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect();
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("HOME", "/").envs(environment);
    command.current_dir("/").stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let before_exec = move || {
        setsid()?;
        SigSet::empty().thread_set_mask()?;
        if let Some(group) = &group {
            // "0" is whoever writes it. A group that refuses is no reason not to run.
            let _ = nix::unistd::write(group.as_fd(), b"0");
        }
        if let Some(ready) = &ready {
            fcntl(ready, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: the closure runs between fork and exec of a process with one thread. It makes only
    // system calls that are async-signal-safe, allocates nothing and takes no lock.
    unsafe { command.pre_exec(before_exec) };
    let pid = command.spawn()?.id();
    Ok(Child {
        pid: i32::try_from(pid).map_err(io::Error::other)?,
        output: File::from(output),
        ready: None,
        notify: None,
        complaints: Vec::new(),
    })
}

/// A pipe whose reader does not wait and of which no child inherits anything by accident.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// Asks a process to end.
pub(crate) fn terminate(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}

/// Ends a service's process, which was not reaped yet, and everything that it started.
pub(crate) fn kill_all(service: &str, pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    if !cgroup::kill(service) {
        kill_helper(pid);
    }
}

/// Ends a helper and its children.
pub(crate) fn kill_helper(pid: i32) {
    let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
}

/// What a look for dead children gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// This one had ended, and is gone now.
    Child {
        /// Its process.
        pid: i32,
        /// How it ended.
        exit: Exit,
    },
    /// There are children, and none has ended.
    AllAlive,
    /// There are no children.
    NoChildren,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// How an end in order reads: [`Exit`] as text.
pub(crate) const IN_ORDER: &str = "exited with status 0";

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(formatter, "exited with status {status}"),
            Self::Signal(signal) => write!(formatter, "killed by signal {signal}"),
        }
    }
}

/// Takes one dead child, whoever started it. The only place in a running init that waits for
/// children, so that nobody takes another's status.
pub(crate) fn reap() -> Reaped {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for an int for the whole call. nix's `waitpid` is of no
        // use here: it takes a child that a real-time signal has killed and then forgets its pid.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid == 0 {
            return Reaped::AllAlive;
        }
        if pid < 0 {
            if nix::errno::Errno::last() == nix::errno::Errno::EINTR {
                continue;
            }
            return Reaped::NoChildren;
        }
        let exit = if libc::WIFSIGNALED(status) {
            Exit::Signal(libc::WTERMSIG(status))
        } else {
            Exit::Status(libc::WEXITSTATUS(status))
        };
        return Reaped::Child { pid, exit };
    }
}
