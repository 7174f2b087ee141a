//! The kernel's zoned devices and the simulated drive give the same answers: one guest with QEMU's NVMe zoned namespace,
//! `scsi_debug` and `null_blk`. On each of them run
//!
//! * the checks that every device passes (`conformance`), by the ring and by `tokio-uring`,
//! * one random sequence of operations on the device and on a simulated drive of the same shape, with every answer, zone
//!   and byte compared (`differential`),
//! * the engine on both, with one random sequence of requests, held against a model (`engine_check`).

use std::time::Duration;

use imbrex_tests::zoned_guest::{Ended, Folder, Plan, file_node, zoned_namespace};

/// The seed of the random sequences; another in the environment variable of this name gives others.
const SEED: &str = "1";
const SEED_VARIABLE: &str = "IMBREX_TEST_SEED";
/// Operations of one sequence on the devices, and requests of one on the engines: enough that reclaim must empty zones.
const OPERATIONS: u64 = 2500;
const REQUESTS: u64 = 5000;

/// The guest's memory in MiB; two of the drives are in it.
const MEMORY_MIB: u32 = 640;
/// The drives' sizes in MiB: with zones that can be written to their ends, fewer will do.
const DRIVE_MIB: u64 = 64;
const SCSI_MIB: u64 = 48;

/// No program runs longer, and the guest does not either, in seconds.
const PROGRAM_SECONDS_MAX: u64 = 240;
const RUN_TIME_MAX: Duration = Duration::from_secs(900);

/// `null_blk`'s drives in configfs.
const NULL_BLK: &str = "/sys/kernel/config/nullb";

/// Name of a device in the table, its path, and what its zones wear out by.
const DEVICES: [(&str, &str, Option<&str>); 3] = [
    ("NVMe-ZNS", "/dev/nvme0n1", None),
    ("scsi_debug", "/dev/sda", None),
    ("null_blk", "/dev/nullb0", Some("/sys/kernel/config/nullb/nullb0")),
];

/// The means of asynchronous I/O, as `conformance` prints them.
const BACKENDS: [&str; 2] = ["Ring", "TokioUring"];

fn script() -> Vec<String> {
    let mut script = vec![
        "load nvme".to_owned(),
        "load sd_mod".to_owned(),
        // Blocks of 512 bytes in physical ones of 4096, as many disks have.
        format!(
            "load scsi_debug zbc=managed sector_size=512 physblk_exp=3 zone_size_mb=2 zone_nr_conv=2 zone_max_open=5 \
             dev_size_mb={SCSI_MIB} delay=0"
        ),
        "load configfs".to_owned(),
        "load null_blk nr_devices=0".to_owned(),
    ];
    let mut null_blk = |name: &str, value: u64| script.push(format!("set {NULL_BLK}/nullb0/{name} {value}"));
    null_blk("size", DRIVE_MIB);
    null_blk("blocksize", 4096);
    null_blk("memory_backed", 1);
    null_blk("zoned", 1);
    null_blk("zone_size", 2);
    null_blk("zone_capacity", 1);
    null_blk("zone_nr_conv", 1);
    null_blk("zone_max_open", 4);
    null_blk("zone_max_active", 6);
    null_blk("power", 1);
    let seed = std::env::var(SEED_VARIABLE).unwrap_or_else(|_| SEED.to_owned());
    for (name, path, wear_out) in DEVICES {
        script.push(format!("wait {path}"));
        let mut run = |program: &str, arguments: &str| {
            script.push(format!(
                "run {PROGRAM_SECONDS_MAX} {name}:{program} /bin/{program} --destroy-data {path}{arguments}"
            ));
        };
        run("conformance", "");
        run("engine_check", &format!(" --seed {seed} --operations {REQUESTS}"));
        // The last, since it wears out zones.
        let wear_out = wear_out.map(|folder| format!(" --wear-out {folder}")).unwrap_or_default();
        run("differential", &format!(" --seed {seed} --operations {OPERATIONS}{wear_out}"));
    }
    script
}

#[test]
fn the_kernels_zoned_devices_and_the_simulated_drive_give_the_same_answers() -> anyhow::Result<()> {
    let folder = Folder::make("zoned")?;
    let file = folder.drive_file("nvme.raw", DRIVE_MIB << 20)?;
    let mut drives = file_node("file0", &file);
    let zones = "zoned.zone_size=2M,zoned.zone_capacity=1536K,zoned.max_open=5,zoned.max_active=8,\
                 logical_block_size=4096,physical_block_size=4096";
    drives.extend(zoned_namespace(0, "file0", zones));
    let plan =
        Plan { name: "zoned", memory_mib: MEMORY_MIB, drives, script: script(), run_time_max: RUN_TIME_MAX };
    let programs = folder.run(&plan)?;
    for program in &programs {
        table_line(program);
    }
    for program in &programs {
        assert!(program.passed(), "{}: {}\n{}", program.name, program.end, program.lines.join("\n"));
    }
    assert_eq!(programs.len(), 3 * DEVICES.len());
    for program in programs.iter().filter(|program| program.name.ends_with(":conformance")) {
        for backend in BACKENDS {
            let passed = program
                .line_with(&format!(": {backend}: "))
                .is_some_and(|line| line.contains("checks passed"));
            assert!(
                passed,
                "{}: nothing was checked by {backend}:\n{}",
                program.name,
                program.lines.join("\n")
            );
        }
    }
    Ok(())
}

/// Prints a program's line of the table: device, program, seconds, result, and what it counted.
fn table_line(program: &Ended) {
    let (device, name) = program.name.split_once(':').unwrap_or_default();
    let counted = program.lines.iter().rev().find(|line| line.contains(" operations"));
    let counted = counted.map(String::as_str).unwrap_or_default();
    println!("{device:12} {name:14} {:6.1} s  {:8} {counted}", program.seconds, program.end);
    let allowed = program.lines.iter().skip_while(|line| !line.ends_with("allowed differences:")).skip(1);
    for line in allowed.filter(|line| !line.trim_start().starts_with("0 ")) {
        println!("{:12} {line}", "");
    }
}
