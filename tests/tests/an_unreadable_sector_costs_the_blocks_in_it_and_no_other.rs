//! An unreadable sector costs the blocks in it and no other: an NVMe drive with zones whose emulated medium fails every
//! read of a few sectors. The kernel's read error reaches the engine as what it is, the blocks are listed by key, and a
//! put of the same bytes mends each.

use std::time::Duration;

use imbrex_tests::zoned_guest::{Folder, Plan, failing_reads_node, file_node, zoned_namespace};

/// The drive, its zones and the places in it that cannot be read, in bytes. The engine fills zones from the first on.
const DRIVE_BYTES: u64 = 64 << 20;
const ZONE_BYTES: u64 = 2 << 20;
const UNREADABLE: [u64; 4] = [
    3 * ZONE_BYTES + 700_416,
    5 * ZONE_BYTES + 1_200_128,
    8 * ZONE_BYTES + 512_000,
    11 * ZONE_BYTES + 1_000_448,
];

const MEMORY_MIB: u32 = 512;
const RUN_TIME_MAX: Duration = Duration::from_secs(240);

#[test]
fn an_unreadable_sector_costs_the_blocks_in_it_and_no_other() -> anyhow::Result<()> {
    let folder = Folder::make("unreadable")?;
    let mut drives = file_node("file0", &folder.drive_file("nvme.raw", DRIVE_BYTES)?);
    drives.extend(failing_reads_node("bad0", "file0", &UNREADABLE));
    let zones = "zoned.zone_size=2M,zoned.max_open=8,zoned.max_active=8,logical_block_size=4096,\
                 physical_block_size=4096";
    drives.extend(zoned_namespace(0, "bad0", zones));
    let script = vec![
        "load nvme".to_owned(),
        "wait /dev/nvme0n1".to_owned(),
        "run 180 engine_check /bin/engine_check --destroy-data /dev/nvme0n1 --media-errors yes".to_owned(),
    ];
    let plan =
        Plan { name: "unreadable", memory_mib: MEMORY_MIB, drives, script, run_time_max: RUN_TIME_MAX };
    let programs = folder.run(&plan)?;
    assert_eq!(programs.len(), 1);
    for program in &programs {
        assert!(program.passed(), "{}: {}\n{}", program.name, program.end, program.lines.join("\n"));
        println!("{:.1} s, {}", program.seconds, program.line_with(" operations").unwrap_or_default());
    }
    Ok(())
}
