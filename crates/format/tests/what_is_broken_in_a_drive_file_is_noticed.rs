//! Drive files with live blocks are broken as a careless hand, a bad disk or a copy of a backup would break them: zeros and
//! random bytes over any part, zones reset, swapped, cut short or put back from an older copy. Each time that a live block
//! or a structure goes by it the verifier says so; and it calls sound what an engine or a crash leaves.

#![expect(clippy::unwrap_used, reason = "what cannot be fails its test")]

mod drive;

use std::path::{Path, PathBuf};

use drive::file::{DriveFile, ZONE_BYTES};
use drive::states::{killed, stopped};
use drive::{Op, SLOTS, TestDrive, ZONE_UNITS, ZONES, busy};
use imbrex_format::verify::{Report, Verdict, VerifyOptions, verify};
use imbrex_format::{UNIT_BYTES, ZoneContent};

const WHOLE: VerifyOptions =
    VerifyOptions { payloads: true, zone: None, all: true, memory_bytes_max: 16 << 20 };

/// How many places each way of breaking is tried in.
const SEEDS: u64 = 100;

/// A folder with one drive's file.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("drive")
    }

    fn file(&self, drive: &TestDrive) -> DriveFile {
        let path = self.path();
        let _ = std::fs::remove_file(&path);
        DriveFile::of(drive, &path)
    }

    /// What the verifier reports; `None` where it refuses the file.
    fn verify(&self, file: &DriveFile) -> Option<Report> {
        std::fs::write(self.path(), &file.0).unwrap();
        let mut opened = imbrex_zoned::read_only::open(Path::new(&self.path())).ok()?;
        verify(&mut *opened, &WHOLE).ok()
    }

    #[track_caller]
    fn assert_noticed(&self, file: &DriveFile, what: &str) {
        if let Some(report) = self.verify(file) {
            assert!(report.verdict != Verdict::Sound, "{what}: {report}");
        }
    }

    #[track_caller]
    fn assert_sound(&self, drive: &TestDrive, what: &str) {
        self.assert_verdict(drive, Verdict::Sound, what);
    }

    #[track_caller]
    fn assert_verdict(&self, drive: &TestDrive, verdict: Verdict, what: &str) {
        let report = self.verify(&self.file(drive)).expect("a drive");
        assert_eq!(report.verdict, verdict, "{what}: {report}");
    }
}

/// Numbers that a seed gives (SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.next().to_le_bytes()[0]);
    }
}

/// The zones in which live blocks stand.
fn used(drive: &TestDrive) -> Vec<u32> {
    (0..ZONES).filter(|zone| drive.live.iter().any(|block| block.zone == *zone)).collect()
}

/// The zones of the log that a reset empties.
fn sequential(drive: &TestDrive) -> Vec<u32> {
    used(drive).into_iter().filter(|zone| *zone >= drive::CONVENTIONAL).collect()
}

#[test]
fn what_an_engine_or_a_crash_leaves_is_sound() {
    let bench = Bench::new();
    bench.assert_sound(&TestDrive::new(), "fresh");
    bench.assert_sound(&busy(), "before the first checkpoint");
    bench.assert_sound(&killed(), "killed");
    bench.assert_sound(&stopped(), "stopped");

    let mut drive = stopped();
    let mut torn = drive.draft(4);
    torn.is_ended = false;
    drive.write_checkpoint(1, &torn);
    bench.assert_sound(&drive, "a torn checkpoint");
    drive.reset(SLOTS + 1);
    bench.assert_sound(&drive, "a checkpoint's zone that was reset, and no more");

    let mut drive = stopped();
    drive.torn(8, &[Op::Put(20, 9000)]);
    bench.assert_sound(&drive, "a torn group");

    let mut file = bench.file(&stopped());
    file.zone(10)[..700].fill(7);
    file.set_pointer(10, Some(1));
    let begun = bench.verify(&file).unwrap();
    assert_eq!(begun.verdict, Verdict::Sound, "a torn header: {begun}");
    file.zone(10)[..700].fill(0);
    file.set_pointer(10, None);
    let finished = bench.verify(&file).unwrap();
    assert_eq!(finished.verdict, Verdict::Sound, "a zone with a torn header, finished: {finished}");
}

#[test]
fn what_reclaim_leaves_is_no_damage_though_the_tombstones_have_gone_too() {
    let bench = Bench::new();
    let mut drive = stopped();
    drive.open_zone(9, ZoneContent::Records, 1);
    let moved: Vec<Op> =
        drive.live.iter().filter(|block| block.zone == 6).map(|block| Op::Move(*block)).collect();
    let carried: Vec<Op> =
        drive.dead.iter().filter(|block| block.zone != 6).map(|block| Op::Delete(*block)).collect();
    let blocks = drive.group(9, &moved);
    drive.group(7, &carried);
    drive.reset(6);
    bench.assert_sound(&drive, "a zone whose blocks were moved");
    drive.seal(9);
    // The zone whose tombstones name the life that has ended is emptied too, and reset.
    let moved: Vec<Op> = blocks.iter().map(|block| Op::Move(*block)).collect();
    drive.group(7, &moved);
    drive.reset(9);
    bench.assert_verdict(&drive, Verdict::Unsure, "a zone whose tombstones have gone with another");
    drive.checkpoint(1, 4);
    bench.assert_sound(&drive, "after the next checkpoint");
}

#[test]
fn a_zone_that_reads_as_zeros_or_random_bytes_or_was_reset() {
    let bench = Bench::new();
    for (drive, state) in [(killed(), "killed"), (stopped(), "stopped")] {
        let sound = bench.file(&drive);
        for zone in used(&drive) {
            let mut file = sound.clone();
            file.zone(zone).fill(0);
            bench.assert_noticed(&file, &format!("{state}: zone {zone} of zeros"));
            if zone >= drive::CONVENTIONAL {
                file.set_pointer(zone, None);
                bench.assert_noticed(&file, &format!("{state}: zone {zone} full of zeros"));
                file.reset(zone);
                bench.assert_noticed(&file, &format!("{state}: zone {zone} was reset"));
            }
            for seed in 0..SEEDS / 10 {
                let mut file = sound.clone();
                Random(seed).fill(file.zone(zone));
                bench.assert_noticed(&file, &format!("{state}: zone {zone} of random bytes {seed}"));
            }
        }
    }
}

#[test]
fn a_zone_of_a_drive_without_checkpoints_and_all_zones_at_once() {
    let bench = Bench::new();
    let drive = busy();
    for zone in used(&drive) {
        let mut file = bench.file(&drive);
        file.zone(zone).fill(0);
        bench.assert_noticed(&file, &format!("before any checkpoint, zone {zone} of zeros"));
    }
    let drive = stopped();
    let mut file = bench.file(&drive);
    used(&drive).into_iter().for_each(|zone| file.zone(zone).fill(0));
    bench.assert_noticed(&file, "all zones of zeros");
    sequential(&drive).into_iter().for_each(|zone| file.reset(zone));
    bench.assert_noticed(&file, "all zones were reset");
}

/// Where `count` units of a zone begin in which a structure or a live block stands.
fn hit(drive: &TestDrive, random: &mut Random) -> (u32, u32) {
    // The end of a checkpoint can be torn by a crash, and what a label or the file's own head lacks is found in any unit.
    let ends: Vec<(u32, u32)> =
        (SLOTS..SLOTS + 2).map(|zone| (zone, drive.zones[zone as usize].next_unit - 1)).collect();
    let whole: Vec<(u32, u32)> =
        drive.structures.iter().copied().filter(|place| !ends.contains(place)).collect();
    whole[random.below(u32::try_from(whole.len()).unwrap()) as usize]
}

#[test]
fn zeros_and_random_bytes_over_any_structure() {
    let bench = Bench::new();
    let drive = stopped();
    let sound = bench.file(&drive);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let (zone, unit) = hit(&drive, &mut random);
        let at = DriveFile::unit(zone, unit);
        let mut file = sound.clone();
        file.0[at..at + UNIT_BYTES].fill(0);
        bench.assert_noticed(&file, &format!("unit {unit} of zone {zone} of zeros"));
        random.fill(&mut file.0[at..at + UNIT_BYTES]);
        bench.assert_noticed(&file, &format!("unit {unit} of zone {zone} of random bytes"));
    }
}

#[test]
fn zeros_and_random_bytes_over_any_stretch_with_a_live_block_in_it() {
    let bench = Bench::new();
    let drive = stopped();
    let sound = bench.file(&drive);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let block = drive.live[random.below(u32::try_from(drive.live.len()).unwrap()) as usize];
        let first = random.below(block.unit + 1);
        let last = block.unit + random.below(ZONE_UNITS - block.unit);
        let (from, to) = (DriveFile::unit(block.zone, first), DriveFile::unit(block.zone, last + 1));
        let mut file = sound.clone();
        file.0[from..to].fill(0);
        bench.assert_noticed(&file, &format!("units {first} to {last} of zone {} of zeros", block.zone));
        random.fill(&mut file.0[from..to]);
        bench.assert_noticed(
            &file,
            &format!("units {first} to {last} of zone {} of random bytes", block.zone),
        );
    }
}

#[test]
fn a_pointer_that_was_moved_back() {
    let bench = Bench::new();
    let drive = stopped();
    let sound = bench.file(&drive);
    for zone in sequential(&drive) {
        for unit in 1..sound.clone().pointer(zone) {
            let mut file = sound.clone();
            file.set_pointer(zone, Some(unit));
            bench.assert_noticed(&file, &format!("the pointer of zone {zone} at unit {unit}"));
        }
    }
}

#[test]
fn zones_that_were_swapped_and_older_copies_of_zones() {
    let bench = Bench::new();
    let drive = stopped();
    let sound = bench.file(&drive);
    let zones = used(&drive);
    for zone in &zones {
        for other in zones
            .iter()
            .filter(|other| *other > zone && (*zone < drive::CONVENTIONAL) == (**other < drive::CONVENTIONAL))
        {
            let mut file = sound.clone();
            let (one, two) = (file.zone(*zone).to_vec(), file.zone(*other).to_vec());
            file.zone(*zone).copy_from_slice(&two);
            file.zone(*other).copy_from_slice(&one);
            let (one, two) = (file.pointer(*zone), file.pointer(*other));
            file.set_pointer(*zone, Some(two).filter(|units| *units < ZONE_UNITS));
            file.set_pointer(*other, Some(one).filter(|units| *units < ZONE_UNITS));
            bench.assert_noticed(&file, &format!("zones {zone} and {other} swapped"));
        }
    }
    let mut old = bench.file(&busy());
    for zone in [6, 7] {
        let mut file = sound.clone();
        file.zone(zone).copy_from_slice(old.zone(zone));
        bench.assert_noticed(&file, &format!("zone {zone} as it was, its pointer as it is"));
        file.set_pointer(zone, Some(old.pointer(zone)));
        bench.assert_noticed(&file, &format!("zone {zone} as it was"));
    }
    // A zone that was emptied in order is put back.
    let mut drive = stopped();
    let mut before = bench.file(&drive);
    let moved: Vec<Op> =
        drive.live.iter().filter(|block| block.zone == 6).map(|block| Op::Move(*block)).collect();
    drive.group(8, &moved);
    let carried: Vec<Op> =
        drive.dead.iter().filter(|block| block.zone != 6).map(|block| Op::Delete(*block)).collect();
    drive.group(8, &carried);
    drive.reset(6);
    drive.checkpoint(1, 4);
    drive.checkpoint(0, 5);
    bench.assert_sound(&drive, "emptied");
    let mut file = bench.file(&drive);
    file.zone(6).copy_from_slice(before.zone(6));
    file.set_pointer(6, None);
    bench.assert_noticed(&file, "a zone that was emptied is put back");
}

#[test]
fn a_file_that_is_cut_or_whose_head_or_table_is_changed() {
    let bench = Bench::new();
    let drive = stopped();
    let sound = bench.file(&drive);
    for zone in [0, 1, 5, 7, ZONES - 1] {
        for length in [DriveFile::unit(zone, 0), DriveFile::unit(zone, 0) + ZONE_BYTES / 2] {
            let mut file = sound.clone();
            file.0.truncate(length);
            bench.assert_noticed(&file, &format!("cut to {length} bytes"));
        }
    }
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        let mut file = sound.clone();
        let entry = file.entry(random.below(ZONES));
        entry[random.below(32) as usize] ^= 1 << random.below(8);
        bench.assert_noticed(&file, &format!("a bit of the table, seed {seed}"));
        let mut file = sound.clone();
        file.0[random.below(4096) as usize] ^= 1 << random.below(8);
        bench.assert_noticed(&file, &format!("a bit of the head, seed {seed}"));
    }
}
