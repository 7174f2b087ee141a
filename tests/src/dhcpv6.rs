//! A router and DHCPv6 server of a wire with one card of a guest: QEMU brings its frames in datagrams, and takes ours.
//!
//! The router tells that addresses are given out (RFC 4861, 4.2: the flag M) and names no prefix, so that an address comes by
//! DHCPv6 (RFC 8415) or not at all. It gives one address to whoever asks, and answers nothing else.

use std::net::Ipv6Addr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

/// The address that it gives out.
pub const LEASED: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x42);
/// The name server that it tells.
pub const NAME_SERVER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x77, 0, 0, 0, 0, 0x53);

/// The router's own addresses.
const MAC: [u8; 6] = [0x52, 0x54, 0, 0x77, 0, 1];
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x77, 1);

/// How long a lease holds, in seconds.
const LEASE_S: u32 = 3_600;

/// The ends of the wire, in its folder.
const SERVER: &str = "server";
const CARD: &str = "card";

/// How often it looks whether it is wanted still.
const LOOK: Duration = Duration::from_millis(100);

const FRAME_BYTES_MAX: usize = 9_000;
const ETHERNET_BYTES: usize = 14;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;

/// Protocols of IPv6, a type of ICMPv6, and the ports of DHCPv6.
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const ROUTER_SOLICITATION: u8 = 133;
const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;

/// Messages and options of DHCPv6 (RFC 8415, 7.3 and 21; RFC 3646).
const SOLICIT: u8 = 1;
const ADVERTISE: u8 = 2;
const REQUEST: u8 = 3;
const RENEW: u8 = 5;
const REBIND: u8 = 6;
const REPLY: u8 = 7;
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const ADDRESSES: u16 = 3;
const ADDRESS: u16 = 5;
const NAME_SERVERS: u16 = 23;

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub struct Dhcpv6Server {
    /// Where the server's end of the wire is, and the card's.
    folder: TempDir,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dhcpv6Server {
    /// Serves one card.
    ///
    /// # Errors
    /// Where there is no place for the wire.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("there is no place for a wire")?;
        let socket = UnixDatagram::bind(folder.path().join(SERVER)).context("a wire has no end")?;
        let card = folder.path().join(CARD);
        socket.set_read_timeout(Some(LOOK)).context("cannot bound the wait for a frame")?;
        socket.set_write_timeout(Some(LOOK)).context("cannot bound the wait for QEMU")?;
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || {
            let mut frame = [0; FRAME_BYTES_MAX];
            while !seen.load(Ordering::Relaxed) {
                let Ok((length, _)) = socket.recv_from(&mut frame) else { continue };
                if let Some(answer) = answer(&frame[..length]) {
                    // A frame that is lost is asked for again.
                    let _ = socket.send_to(&answer, &card);
                }
            }
        });
        Ok(Self { folder, stopping, thread: Some(thread) })
    }

    /// Arguments of QEMU: a card on its wire.
    #[must_use]
    pub fn card(&self) -> [String; 4] {
        let [local, remote] = [CARD, SERVER].map(|end| self.folder.path().join(end).display().to_string());
        [
            "-netdev".to_owned(),
            format!(
                "dgram,id=dhcpv6,local.type=unix,local.path={local},remote.type=unix,remote.path={remote}"
            ),
            "-device".to_owned(),
            "virtio-net-pci,netdev=dhcpv6,romfile=".to_owned(),
        ]
    }
}

impl Drop for Dhcpv6Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The frame that answers this one, where it is a question.
fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let packet = frame.get(ETHERNET_BYTES..)?;
    let payload = packet.get(IPV6_BYTES..)?;
    if frame[12..14] != [0x86, 0xdd] {
        return None;
    }
    let source: [u8; 16] = packet[8..24].try_into().ok()?;
    let (protocol, answer) = match packet[6] {
        ICMPV6 if *payload.first()? == ROUTER_SOLICITATION => (ICMPV6, router_advertisement()),
        UDP if payload.get(2..4)? == SERVER_PORT.to_be_bytes() => (UDP, datagram(payload.get(UDP_BYTES..)?)?),
        _ => return None,
    };
    let source = Ipv6Addr::from(source);
    // Who has no address yet is told with everybody: all nodes of the link.
    let to = if source.is_unspecified() { Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1) } else { source };
    Some(framed(frame.get(6..12)?, to, protocol, answer))
}

/// Type 134: hop limit 64, the flags M and O, half an hour as the router, nothing else (RFC 4861, 4.2).
fn router_advertisement() -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0, 64, 0xc0];
    message.extend(1_800_u16.to_be_bytes());
    message.extend([0; 8]);
    message
}

/// The datagram that answers a message of a client.
fn datagram(message: &[u8]) -> Option<Vec<u8>> {
    let kind = match *message.first()? {
        SOLICIT => ADVERTISE,
        REQUEST | RENEW | REBIND => REPLY,
        _ => return None,
    };
    let client = option(message.get(4..)?, CLIENT_ID)?;
    let association = option(message.get(4..)?, ADDRESSES)?.get(..4)?;
    let mut lease = LEASED.octets().to_vec();
    lease.extend([LEASE_S, LEASE_S].map(u32::to_be_bytes).concat());
    // Renewed after half its time, and after three quarters from anybody.
    let mut leases = association.to_vec();
    leases.extend([LEASE_S / 2, LEASE_S / 4 * 3].map(u32::to_be_bytes).concat());
    leases.extend(encoded(ADDRESS, &lease));
    // The server's name: a link-layer address (type 3) of Ethernet (1).
    let server = [&[0, 3, 0, 1][..], &MAC].concat();
    let mut answer = vec![kind];
    answer.extend(message.get(1..4)?);
    for (code, value) in [
        (CLIENT_ID, client),
        (SERVER_ID, &server),
        (ADDRESSES, &leases),
        (NAME_SERVERS, &NAME_SERVER.octets()),
    ] {
        answer.extend(encoded(code, value));
    }
    let length = u16::try_from(UDP_BYTES + answer.len()).ok()?;
    let mut datagram = [SERVER_PORT, CLIENT_PORT, length, 0].map(u16::to_be_bytes).concat();
    datagram.extend(answer);
    Some(datagram)
}

fn encoded(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    [&code.to_be_bytes()[..], &length.to_be_bytes(), value].concat()
}

/// The value of the first option with this code.
fn option(mut options: &[u8], code: u16) -> Option<&[u8]> {
    while let [first, second, high, low, rest @ ..] = options {
        let value = rest.get(..usize::from(u16::from_be_bytes([*high, *low])))?;
        if u16::from_be_bytes([*first, *second]) == code {
            return Some(value);
        }
        options = &rest[value.len()..];
    }
    None
}

/// A payload with its checksum in a packet in a frame, from the router to a card.
fn framed(card: &[u8], to: Ipv6Addr, protocol: u8, mut payload: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut sum =
        [&LINK_LOCAL.octets()[..], &to.octets(), &[0, 0], &length.to_be_bytes(), &[0, 0, 0, protocol]]
            .concat();
    sum.extend(&payload);
    let place = if protocol == UDP { 6 } else { 2 };
    payload[place..place + 2].copy_from_slice(&checksum(&sum).to_be_bytes());
    // Version 6; hop limit 255, which neighbour discovery wants.
    let head = [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[protocol, 255]].concat();
    [card, &MAC, &[0x86, 0xdd], &head, &LINK_LOCAL.octets(), &to.octets(), &payload].concat()
}

/// RFC 1071; none is 0, which to UDP would mean that there is none.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    if sum == 0 { 0xffff } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_is_given_the_address_and_whoever_does_not_is_not() {
        let solicit =
            [&[SOLICIT, 1, 2, 3][..], &encoded(CLIENT_ID, b"me"), &encoded(ADDRESSES, &[9; 12])].concat();
        let datagram = datagram(&solicit).unwrap();
        let answer = &datagram[UDP_BYTES..];
        assert_eq!(answer[..4], [ADVERTISE, 1, 2, 3]);
        assert_eq!(option(&answer[4..], CLIENT_ID), Some(&b"me"[..]));
        let leases = option(&answer[4..], ADDRESSES).unwrap();
        assert_eq!(leases[..4], [9; 4]);
        assert_eq!(option(&leases[12..], ADDRESS).unwrap()[..16], LEASED.octets());
        for length in 0..solicit.len() {
            assert!(super::datagram(&solicit[..length]).is_none());
        }
        assert!(super::answer(&[0; 200]).is_none());
    }

    #[test]
    fn a_packet_with_its_checksum_sums_up_to_nothing() {
        // The example of RFC 1071, 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0x220d);
        let frame = framed(&[2; 6], LEASED, ICMPV6, router_advertisement());
        let packet = &frame[ETHERNET_BYTES..];
        let length = u16::try_from(packet.len() - IPV6_BYTES).unwrap();
        let pseudo =
            [&packet[8..40], &[0, 0], &length.to_be_bytes(), &[0, 0, 0, ICMPV6], &packet[40..]].concat();
        assert_eq!(checksum(&pseudo), 0xffff);
    }
}
