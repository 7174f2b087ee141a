//! As whom a service runs, and what of root's power it keeps: init starts it by `run`, which gives the
//! rest up and becomes the service's program.
#![expect(unsafe_code, reason = "capset and prctl, which nix has not")]

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// This program.
const PROGRAM: &str = "/usr/bin/imbrex-helper";

/// The kernel's capabilities, in the order of their numbers: capabilities(7), linux/capability.h.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// What a process gives up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Privileges {
    /// User and group, where not root.
    user: Option<(Uid, Gid)>,
    /// A bit for each capability that stays, where not all do.
    kept: Option<u64>,
}

impl Privileges {
    /// What a manifest asks for, or one sentence on what there is not.
    pub(crate) fn find(user: Option<&str>, capabilities: Option<&[String]>) -> Result<Self, String> {
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = match user {
            None | Some("root") => None,
            Some(name) => Some(find_user(&users, name).ok_or_else(|| format!("there is no user {name:?}"))?),
        };
        let bit = |name: &String| {
            let number = CAPABILITIES.iter().position(|known| known == name);
            number.map(|number| 1_u64 << number).ok_or_else(|| format!("there is no capability {name:?}"))
        };
        let kept = capabilities
            .map(|names| names.iter().try_fold(0, |kept, name| Ok::<_, String>(kept | bit(name)?)));
        Ok(Self { user, kept: kept.transpose()? })
    }

    /// The command that gives the rest up and then becomes this one.
    pub(crate) fn wrap(self, command: Vec<String>) -> Vec<String> {
        let mut words = Vec::new();
        if let Some((user, group)) = self.user {
            words.extend(["--user".to_owned(), format!("{user}:{group}")]);
        }
        if let Some(kept) = self.kept {
            words.extend(["--keep".to_owned(), format!("{kept:x}")]);
        }
        if words.is_empty() {
            return command;
        }
        let before = [PROGRAM, "run"].map(str::to_owned).into_iter().chain(words);
        before.chain(["--".to_owned()]).chain(command).collect()
    }

    /// Reads what [`Privileges::wrap`] has written; the rest is the command.
    fn unwrap<'a>(words: &'a [&'a str]) -> Option<(Self, &'a [&'a str])> {
        let (mut privileges, mut words) = (Self::default(), words);
        loop {
            match words {
                ["--user", ids, rest @ ..] => {
                    let (user, group) = ids.split_once(':')?;
                    let (user, group) = (user.parse().ok()?, group.parse().ok()?);
                    privileges.user = Some((Uid::from_raw(user), Gid::from_raw(group)));
                    words = rest;
                }
                ["--keep", kept, rest @ ..] => {
                    privileges.kept = Some(u64::from_str_radix(kept, 16).ok()?);
                    words = rest;
                }
                ["--", command @ ..] if !command.is_empty() => return Some((privileges, command)),
                _ => return None,
            }
        }
    }

    /// Gives the rest up.
    fn apply(self) -> io::Result<()> {
        if let Some(kept) = self.kept {
            for number in (0..CAPABILITIES.len()).filter(|number| kept & (1 << number) == 0) {
                // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory of ours. One that the
                // kernel does not know is none to lose.
                let _ = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
            }
        }
        if let Some((user, group)) = self.user {
            if self.kept.is_some() {
                // SAFETY: PR_SET_KEEPCAPS takes a flag: the change of user must not clear what stays.
                check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }.into())?;
            }
            setgroups(&[])?;
            setgid(group)?;
            setuid(user)?;
        }
        let Some(kept) = self.kept else { return Ok(()) };
        set_capabilities(kept)?;
        for number in
            (0..CAPABILITIES.len()).filter(|number| self.user.is_some() && kept & (1 << number) != 0)
        {
            // SAFETY: PR_CAP_AMBIENT_RAISE takes numbers only: who is not root keeps nothing over an exec without it.
            let raised =
                unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) };
            check(raised.into())?;
        }
        Ok(())
    }
}

/// capset(2) of version 3: effective, permitted and inheritable, each in two halves.
fn set_capabilities(kept: u64) -> io::Result<()> {
    let header: [u32; 2] = [0x2008_0522, 0];
    let (low, high) = ((kept & 0xffff_ffff) as u32, (kept >> 32) as u32);
    let data = [low, low, low, high, high, high];
    // SAFETY: header and data are as large as version 3 of the call reads, and live through it.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) })
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives up what `words` say, and becomes the program that they name: comes back only where that fails.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let (privileges, command) =
        Privileges::unwrap(words).ok_or("run wants --user UID:GID, --keep HEX and -- COMMAND")?;
    let program = command[0];
    privileges.apply().map_err(|error| format!("{program} cannot be given its privileges: {error}"))?;
    let error = Command::new(program).args(&command[1..]).exec();
    Err(format!("{program} could not be started: {error}"))
}

/// A user's numbers in a file such as `/etc/passwd`.
fn find_user(text: &str, name: &str) -> Option<(Uid, Gid)> {
    let fields: Vec<&str> =
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?;
    let number = |field: usize| fields.get(field)?.parse::<u32>().ok();
    Some((Uid::from_raw(number(2)?), Gid::from_raw(number(3)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_numbers_of_the_kernels_header() {
        for (name, number) in
            [("chown", 0), ("net_admin", 12), ("sys_admin", 21), ("sys_time", 25), ("checkpoint_restore", 40)]
        {
            assert_eq!(CAPABILITIES[number], name);
        }
    }

    #[test]
    fn what_is_written_into_a_command_is_read_out_of_it_again() {
        let command = || vec!["/bin/x".to_owned(), "--".to_owned(), "--keep".to_owned()];
        let user = Some((Uid::from_raw(101), Gid::from_raw(102)));
        for privileges in [
            Privileges { user, kept: None },
            Privileges { user: None, kept: Some(0) },
            Privileges { user, kept: Some(1 << 40 | 1) },
        ] {
            let wrapped = privileges.wrap(command());
            let words: Vec<&str> = wrapped.iter().map(String::as_str).collect();
            assert_eq!(Privileges::unwrap(&words[2..]), Some((privileges, &words[words.len() - 3..])));
        }
        assert_eq!(Privileges::default().wrap(command()), command());
        for words in [&["--"][..], &["--keep", "x", "--", "/x"], &["/x"]] {
            assert_eq!(Privileges::unwrap(words), None);
        }
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let text = "root:x:0:0:root:/:/bin/no\ndhcpcd:x:101:102::/:/no\n";
        assert_eq!(find_user(text, "dhcpcd"), Some((Uid::from_raw(101), Gid::from_raw(102))));
        assert_eq!(find_user(text, "dhcp"), None);
    }
}
