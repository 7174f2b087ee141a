//! The network as init needs it: a look at which address the node has.

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrLike, SockaddrStorage,
    bind, recv, socket,
};
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};

/// Multicast groups of rtnetlink: IPv4 and IPv6 addresses.
const GROUPS: u32 = 0x10 | 0x100;

/// A socket that hears from now on when an address comes or goes.
pub(crate) fn listen() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(descriptor)
}

/// Throws away what has come on it: that something came is all that counts.
pub(crate) fn drain(listener: &OwnedFd) {
    let mut buffer = [0_u8; 8192];
    // Bounded, so that a storm of addresses takes turns with everything else.
    for _ in 0..64 {
        match recv(listener.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(_) | Err(nix::errno::Errno::ENOBUFS) => {}
            Err(_) => return,
        }
    }
}

/// An address of the node, with its interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The interface.
    pub(crate) interface: String,
    /// The address.
    pub(crate) address: IpAddr,
}

/// The address under which the node is best reached: IPv4 first, then global IPv6.
pub(crate) fn address() -> Option<Address> {
    let addresses = getifaddrs().ok()?.filter(|entry| {
        entry.flags.contains(InterfaceFlags::IFF_UP) && !entry.flags.contains(InterfaceFlags::IFF_LOOPBACK)
    });
    best(addresses.filter_map(|entry| {
        let address = entry.address.as_ref().and_then(ip_address)?;
        Some(Address { interface: entry.interface_name, address })
    }))
}

fn ip_address(address: &SockaddrStorage) -> Option<IpAddr> {
    match address.family()? {
        AddressFamily::Inet => address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip())),
        AddressFamily::Inet6 => address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())),
        _ => None,
    }
}

fn best(addresses: impl Iterator<Item = Address>) -> Option<Address> {
    // fec0::/10, the site-local addresses of old, reach no further than link-local ones today.
    let site_local = |address: Ipv6Addr| address.segments()[0] & 0xffc0 == 0xfec0;
    let near = |address: Ipv6Addr| address.is_unicast_link_local() || site_local(address);
    let reachable = |found: &Address| match found.address {
        IpAddr::V4(one) => !(one.is_link_local() || one.is_loopback() || one.is_unspecified()),
        IpAddr::V6(one) => !(near(one) || one.is_loopback() || one.is_multicast()),
    };
    addresses
        .filter(reachable)
        .min_by_key(|found| (found.address.is_ipv6(), found.interface.clone(), found.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[(&str, &str)]) -> Option<Address> {
        best(texts.iter().map(|(interface, address)| Address {
            interface: (*interface).to_owned(),
            address: address.parse().unwrap(),
        }))
    }

    #[test]
    fn an_address_that_only_neighbours_reach_is_none() {
        assert_eq!(
            found(&[("eth0", "169.254.3.4"), ("eth0", "fe80::1"), ("eth0", "fec0::1"), ("eth0", "::1")]),
            None
        );
    }

    #[test]
    fn ipv4_comes_first_and_then_the_first_interface() {
        let all = [("eth0", "2001:db8::5"), ("eth1", "10.1.0.2"), ("eth0", "10.9.0.2")];
        assert_eq!(found(&all).unwrap().address.to_string(), "10.9.0.2");
        assert_eq!(found(&all[..1]).unwrap().address.to_string(), "2001:db8::5");
    }
}
