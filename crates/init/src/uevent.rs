//! The kernel's uevents: what appeared and what went away.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket, sockopt,
};
use std::os::fd::{AsRawFd, OwnedFd};

/// The multicast group that the kernel itself sends to.
const GROUP_KERNEL: u32 = 1;
/// The kernel's send limit for one event is below this.
const EVENT_BYTES_MAX: usize = 8192;
/// Room for the events of a hundred drives that come at once, in bytes.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// One event, as far as init cares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Uevent {
    /// `add`, `remove`, `change`, ...
    pub(crate) action: String,
    /// `block`, `net`, `pci`, ...
    pub(crate) subsystem: String,
    /// Whether modprobe has something to look for.
    pub(crate) modalias: bool,
    /// Events before it were lost: whoever relies on them must look for himself.
    pub(crate) lost: bool,
}

impl Uevent {
    /// Reads a message of the kernel: `ACTION@DEVPATH`, then `KEY=VALUE`, each closed by a zero byte.
    pub(crate) fn parse(message: &[u8]) -> Option<Self> {
        let mut fields = message.split(|&byte| byte == 0);
        if !fields.next()?.contains(&b'@') {
            return None;
        }
        let mut event = Self::default();
        for field in fields {
            let text = String::from_utf8_lossy(field);
            match text.split_once('=') {
                Some(("ACTION", value)) => value.clone_into(&mut event.action),
                Some(("SUBSYSTEM", value)) => value.clone_into(&mut event.subsystem),
                Some(("MODALIAS", _)) => event.modalias = true,
                _ => {}
            }
        }
        Some(event)
    }
}

/// The socket on which the events come from now on.
///
/// # Errors
/// Where the kernel gives no such socket.
pub(crate) fn listen() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor =
        socket(AddressFamily::Netlink, SockType::Datagram, flags, SockProtocol::NetlinkKObjectUEvent)?;
    setsockopt(&descriptor, sockopt::RcvBufForce, &BUFFER_BYTES)?;
    bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, GROUP_KERNEL))?;
    Ok(descriptor)
}

/// Reads one message from it, without waiting. None where nothing has come; an empty one for what is none of the kernel's.
pub(crate) fn receive(listener: &OwnedFd) -> nix::Result<Option<Uevent>> {
    let mut buffer = [0_u8; EVENT_BYTES_MAX];
    match recvfrom::<NetlinkAddr>(listener.as_raw_fd(), &mut buffer) {
        // Anyone privileged may send here; only what the kernel sends counts.
        Ok((length, Some(sender))) if sender.pid() == 0 => {
            Ok(Some(Uevent::parse(&buffer[..length]).unwrap_or_default()))
        }
        Ok(_) | Err(Errno::EINTR) => Ok(Some(Uevent::default())),
        Err(Errno::EAGAIN) => Ok(None),
        Err(Errno::ENOBUFS) => Ok(Some(Uevent { lost: true, ..Uevent::default() })),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_kernel_is_read() {
        let message = b"add@/devices/pci0/0000:00:04.0\0ACTION=add\0DEVPATH=/devices/pci0/0000:00:04.0\0\
                        SUBSYSTEM=pci\0MODALIAS=pci:v00001B36d00000010\0SEQNUM=7\0";
        let event = Uevent::parse(message).unwrap();
        assert_eq!((event.action.as_str(), event.subsystem.as_str()), ("add", "pci"));
        assert!(event.modalias);
    }

    #[test]
    fn a_message_of_udev_or_of_nobody_is_not_an_event() {
        assert_eq!(Uevent::parse(b"libudev\0\xfe\xed\xca\xfe"), None);
        assert_eq!(Uevent::parse(b""), None);
    }
}
