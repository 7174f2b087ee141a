//! Breaks PID 1 from outside, as no input can: the next answer that it gets from epoll_wait(2) is a number of events
//! that it has no room for. A program in Rust ends in a panic then, at its own check of a slice's bounds.

use anyhow::{Context, Result, bail, ensure};
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// More events than any event loop asks for.
const EVENTS: u64 = 1 << 20;

/// PID 1 makes a few system calls in each turn of its loop: it comes to wait long before this.
const STOPS_MAX: u32 = 10_000;

/// Where a system call begins, the kernel holds this ready as its answer: -ENOSYS, see ptrace(2) on x86-64.
const NOT_ANSWERED: i64 = -(libc::ENOSYS as i64);

/// Has PID 1 panic in the turn of its loop that is under way.
///
/// # Errors
/// Where the kernel does not let us, or PID 1 waits for nothing.
pub(crate) fn break_pid_1() -> Result<()> {
    let init = Pid::from_raw(1);
    ptrace::seize(init, Options::PTRACE_O_TRACESYSGOOD).context("PID 1 cannot be traced")?;
    ptrace::interrupt(init).context("PID 1 cannot be interrupted")?;
    stop(init)?;
    for _ in 0..STOPS_MAX {
        ptrace::syscall(init, None::<Signal>).context("PID 1 cannot go on")?;
        if !matches!(stop(init)?, WaitStatus::PtraceSyscall(_)) {
            continue;
        }
        let mut registers = ptrace::getregs(init).context("PID 1 has no registers")?;
        let waits = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait].map(i64::cast_unsigned);
        if registers.rax.cast_signed() != NOT_ANSWERED || !waits.contains(&registers.orig_rax) {
            continue;
        }
        // No system call at all, so that it does not wait; and then the answer.
        registers.orig_rax = u64::MAX;
        ptrace::setregs(init, registers).context("PID 1 keeps its registers")?;
        ptrace::syscall(init, None::<Signal>).context("PID 1 cannot go on")?;
        ensure!(matches!(stop(init)?, WaitStatus::PtraceSyscall(_)), "PID 1 is stopped elsewhere");
        let mut registers = ptrace::getregs(init).context("PID 1 has no registers")?;
        registers.rax = EVENTS;
        ptrace::setregs(init, registers).context("PID 1 keeps its registers")?;
        return ptrace::detach(init, None::<Signal>).context("PID 1 cannot be let go");
    }
    bail!("PID 1 does not wait for events")
}

fn stop(init: Pid) -> Result<WaitStatus> {
    waitpid(init, Some(WaitPidFlag::__WALL)).context("PID 1 does not stop")
}
