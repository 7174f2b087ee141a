//! A server of a time that is ahead: NTP version 4 as far as a client needs it (RFC 5905, 7.3).

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

/// The port of NTP, and the length of a packet without extensions, in bytes.
const PORT: u16 = 123;
const PACKET_BYTES: usize = 48;

/// From 1900, where NTP counts from, to 1970, in seconds (RFC 5905, figure 4).
const EPOCH_SECONDS: u64 = 2_208_988_800;

/// Answers every client for ever with a time that is so many seconds ahead of this machine's clock as it is when the first
/// one asks. It counts on by itself: a clock that is set to it does not run away from it.
///
/// # Errors
/// Where the port is taken.
pub(crate) fn serve(ahead_s: &str) -> Result<()> {
    let ahead_s: u64 = ahead_s.parse().context("a time server has a number of seconds")?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("cannot serve the time")?;
    let mut begun = None;
    let mut request = [0; PACKET_BYTES * 4];
    loop {
        let (length, client) = socket.recv_from(&mut request).context("cannot hear clients")?;
        if length < PACKET_BYTES {
            continue;
        }
        let (begun_at, begun) = *begun.get_or_insert_with(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            (since + Duration::from_secs(ahead_s + EPOCH_SECONDS), Instant::now())
        });
        let received = timestamp(begun_at + begun.elapsed());
        let mut packet = [0; PACKET_BYTES];
        // No leap second, version 4, a server's answer; stratum 1; the poll interval that was asked for; 2^-20 s.
        packet[..4].copy_from_slice(&[0x24, 1, request[2], 0xec]);
        packet[12..16].copy_from_slice(b"TEST");
        packet[16..24].copy_from_slice(&received);
        packet[24..32].copy_from_slice(&request[40..48]);
        packet[32..40].copy_from_slice(&received);
        packet[40..48].copy_from_slice(&timestamp(begun_at + begun.elapsed()));
        let sent = socket.send_to(&packet, client).context("cannot answer a client")?;
        ensure!(sent == PACKET_BYTES, "an answer was cut");
    }
}

/// Seconds since 1900 and their 2^32nd parts.
fn timestamp(since_1900: Duration) -> [u8; 8] {
    let parts = (u64::from(since_1900.subsec_nanos()) << 32) / 1_000_000_000;
    ((since_1900.as_secs() << 32) | parts).to_be_bytes()
}
