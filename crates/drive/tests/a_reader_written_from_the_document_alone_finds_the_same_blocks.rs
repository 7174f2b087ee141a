//! `crates/format/tests/second_reader.py` knows `FORMAT.md` and no line of this program: after a kill under traffic it finds
//! what the drive's own listing gives, with the same bytes, by its checkpoints, its footers and its records. So it does
//! where the checkpoint in either slot, or in both, has lost its end, and on a drive that was just formatted.
//!
//! Where there is no python3 the test says so and proves nothing; `cargo xtask test` installs it first.
#![expect(clippy::unwrap_used, reason = "a test may stop where something cannot be")]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use sha2::{Digest as _, Sha256};
use support::http::Client;
use support::payload::{Random, bytes_of, path_of};
use support::process::start;

const READER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../format/tests/second_reader.py");
const SHAPE: [&str; 10] = [
    "--size",
    "128MiB",
    "--zone-size",
    "4MiB",
    "--blocks-max",
    "4000",
    "--trash-rest",
    "0s",
    "--checkpoint-every",
    "4MiB",
];
/// Where the zones begin in the file of such a drive, the first of which holds a label, and how long each is.
const ZONES_AT: u64 = 1 << 20;
const ZONE_BYTES: u64 = 4 << 20;
const CLIENTS: u64 = 3;
/// Orders that each client sees answered; the kill comes when all have.
const ORDERS: u64 = 150;
/// Blocks of one client that live at once.
const LIVE_MAX: usize = 24;

/// Puts, deletions and puts of what was deleted, until the process dies; `enough` is told once there were [`ORDERS`].
fn traffic(address: SocketAddr, client: u64, enough: &std::sync::Barrier) {
    let mut random = Random::new(client);
    let mut connection = Client::connect(address).unwrap();
    let (mut stored, mut deleted, mut next) = (Vec::new(), Vec::new(), client << 32);
    for order in 0.. {
        if order == ORDERS {
            enough.wait();
        }
        let deletes = stored.len() >= LIVE_MAX || (random.below(3) == 0 && !stored.is_empty());
        let answer = if deletes {
            let at = random.below(stored.len() as u64);
            let block = stored.swap_remove(usize::try_from(at).unwrap());
            deleted.push(block);
            connection.delete(&path_of(block))
        } else {
            let again = random.below(4) == 0;
            let block = deleted.pop().filter(|_| again).unwrap_or_else(|| {
                next += 1;
                next
            });
            stored.push(block);
            connection.put(&path_of(block), &bytes_of(block, length_of(block)))
        };
        match answer {
            Ok(answer) => assert!(matches!(answer.status, 201 | 204), "{answer:?}"),
            Err(_) if order >= ORDERS => return,
            Err(error) => panic!("the process died by itself: {error}"),
        }
    }
}

fn length_of(block: u64) -> usize {
    let mut random = Random::new(block);
    usize::try_from(if random.below(4) == 0 { random.below(300_000) } else { random.below(9_000) }).unwrap()
}

/// Each key that the drive lists, with its length and the digest of what a GET gives.
fn listed(address: SocketAddr) -> BTreeMap<String, String> {
    let mut client = Client::connect(address).unwrap();
    let page = client.get("/v1/blocks?limit=10000").unwrap().json();
    assert!(page["next_cursor"].is_null(), "so many blocks were not stored");
    let keys =
        page["blocks"].as_array().unwrap().iter().map(|block| block["key"].as_str().unwrap().to_owned());
    keys.map(|key| {
        let answer = client.get(&format!("/v1/blocks/{key}")).unwrap();
        assert_eq!(answer.status, 200, "{key}");
        let digest: String = Sha256::digest(&answer.body).iter().map(|byte| format!("{byte:02x}")).collect();
        (key, format!("{} {digest}", answer.body.len()))
    })
    .collect()
}

/// What the reader finds by one way: keys, each with the length and the digest of its bytes.
fn found(file: &Path, way: &str) -> BTreeMap<String, String> {
    let output = Command::new("python3").arg("-B").arg(READER).arg(file).arg(way).output().unwrap();
    assert!(output.status.success(), "{way}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let line =
        |line: &str| line.split_once(' ').map(|(key, rest)| (key.to_owned(), rest.to_owned())).unwrap();
    text.lines().map(line).collect()
}

/// What a drive lists that is started on the file.
fn served(file: &Path) -> BTreeMap<String, String> {
    let (mut child, address) = start(file, &SHAPE, Stdio::null());
    let listed = listed(address);
    child.kill().unwrap();
    child.wait().unwrap();
    listed
}

/// Writes zeros over the last unit that stands in a slot: the end of its checkpoint, where it has one. Tells whether one is
/// there. The places are those of FORMAT.md.
fn tear(file: &Path, slot: u64) -> bool {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let number = |at: u64| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, at).unwrap();
        u64::from(u32::from_le_bytes(bytes))
    };
    let (first_zone, slot_zones) = (number(ZONES_AT + 168), number(ZONES_AT + 172));
    assert!(slot_zones > 0, "the drive keeps no checkpoints");
    let first = first_zone + slot * slot_zones;
    let zones = first..first + slot_zones;
    let Some((zone, written)) =
        zones.map(|zone| (zone, number(4096 + 32 * zone + 8))).rfind(|(_, written)| *written > 0)
    else {
        return false;
    };
    file.write_all_at(&[0; 4096], ZONES_AT + zone * ZONE_BYTES + written - 4096).unwrap();
    true
}

#[test]
fn a_reader_written_from_the_document_alone_finds_the_same_blocks() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    let (mut child, address) = start(&file, &SHAPE, Stdio::null());
    let enough = std::sync::Barrier::new(usize::try_from(CLIENTS).unwrap() + 1);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let enough = &enough;
            scope.spawn(move || traffic(address, client, enough));
        }
        enough.wait();
        child.kill().unwrap();
        child.wait().unwrap();
    });
    // A start writes to the drive, so each case has a copy.
    let ways = ["checkpoint", "older", "footers", "records"];
    for torn in [&[][..], &[0], &[1], &[0, 1]] {
        let copy = directory.path().join("copy");
        std::fs::copy(&file, &copy).unwrap();
        let is_torn = torn.iter().map(|slot| tear(&copy, *slot)).collect::<Vec<_>>();
        // The log is the same in every case, and of one checkpoint there is no older one.
        let ways = if torn.is_empty() { &ways[..] } else { &ways[..1] };
        let found = ways.iter().map(|way| found(&copy, way)).collect::<Vec<_>>();
        let served = served(&copy);
        assert!(!served.is_empty(), "nothing was stored");
        for (way, found) in ways.iter().zip(found) {
            assert_eq!(found, served, "{way}, with torn slots {torn:?}");
        }
        println!("{} blocks, by {ways:?}; torn slots {torn:?}, written: {is_torn:?}", served.len());
    }
}

#[test]
fn on_a_drive_that_was_just_formatted_it_finds_nothing() {
    if Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: there is no python3 here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("drive");
    assert_eq!(served(&file), BTreeMap::new());
    for way in ["checkpoint", "older", "footers", "records"] {
        assert_eq!(found(&file, way), BTreeMap::new(), "{way}");
    }
}
