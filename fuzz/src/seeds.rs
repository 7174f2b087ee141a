//! The inputs from which the fuzzer begins: one of each structure and of each form of a text.

use imbrex_drive::cursor::{Place, encode_cursor};
use imbrex_engine::Cursor;
use imbrex_format::{CheckpointTable, TombstoneEntry, UNIT_BYTES};
use imbrex_zoned::simulated::SimulatedGeometry;
use imbrex_zoned::simulated::fuzzing::{encode_entry, encode_header};

use crate::samples;

/// The target, the name of the seed, and the seed.
pub type Seed = (&'static str, String, Vec<u8>);

/// All of them.
#[must_use]
pub fn all() -> Vec<Seed> {
    let mut seeds = structures();
    seeds.extend(payloads());
    seeds.extend(texts());
    seeds
}

/// One output of smartctl's for each command set, one that failed and one of a drive that sleeps.
const SMARTCTL_OUTPUTS: [&str; 5] = [
    r#"{"smartctl":{"version":[7,4],"exit_status":64},"device":{"type":"sat","protocol":"ATA"},"rotation_rate":7200,"smart_status":{"passed":true},"power_on_time":{"hours":70000},"ata_smart_attributes":{"table":[{"id":5,"name":"Reallocated_Sector_Ct","value":90,"thresh":10,"when_failed":"past","flags":{"prefailure":true},"raw":{"value":300,"string":"300 (0 1)"}}]},"ata_smart_error_log":{"summary":{"count":1,"table":[{"lifetime_hours":4400,"error_description":"Error: UNC at LBA = 1"}]}},"ata_smart_self_test_log":{"standard":{"table":[{"status":{"value":112},"lifetime_hours":4400}]}}}"#,
    r#"{"smartctl":{"version":[7,1]},"device":{"protocol":"SCSI"},"smart_status":{"passed":false,"scsi":{"asc":93,"ascq":16}},"scsi_grown_defect_list":72,"scsi_error_counter_log":{"read":{"total_uncorrected_errors":4,"gigabytes_processed":"315.142"}},"scsi_sas_port_0":{"phy_0":{"invalid_dword_count":7}}}"#,
    r#"{"device":{"protocol":"NVMe"},"nvme_smart_health_information_log":{"critical_warning":9,"available_spare":4,"available_spare_threshold":10,"percentage_used":104,"media_errors_s":"18446744073709551616"}}"#,
    r#"{"smartctl":{"exit_status":2,"messages":[{"string":"Device is in STANDBY mode, exit(2)"}]}}"#,
    r#"stray {"ata_device_statistics":{"pages":[{"number":7,"table":[{"offset":8,"name":"x","value":101,"flags":{"valid":true}}]}]},"endurance_used":{"current_percent":99}}"#,
];

/// Lines of the kernel's log, a note, and a fleet's history.
const HEALTH_TEXTS: [&str; 4] = [
    "3,1204,98765432,-;critical medium error, dev sda, sector 7 op 0x0:(READ)\nata3.00: error: { UNC }\nnvme nvme1: I/O 12 QID 3 timeout, aborting",
    "sd 0:0:1:0: [sdb] tag#12 Sense Key : Hardware Error [current]\nnvme 0000:3b:00.0: PCIe Bus Error: severity=Corrected",
    "id = \"n\"\ntitle = \"t\"\nadvice = \"a\"\nsource = \"s\"\nconfidence = \"verified\"\nreviewed_on = 2026-11-21\nexpires_on = 2028-11-21\n[match]\nmodel = '^ST'\n[[effect]]\nkind = \"time-bomb\"\nat_hours = 9\nnear_from_hours = 3\n[sample.matching]\nmodel = \"ST1\"\n[sample.other]\nmodel = \"WD\"",
    "date,serial_number,model,capacity_bytes,failure,smart_5_raw,smart_9_raw,smart_197_raw\n2013-04-10,S1,M,3000592982016,0,8,9000,16\n2013-04-11,S1,M,,1,,,",
];

/// What an input says first, and then the structure without the zeros at its end.
fn with_choices(choices: u8, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    [&[choices], &bytes[..length]].concat()
}

fn structures() -> Vec<Seed> {
    let footer = samples::encode_footer(&samples::entries());
    let trailer = &footer[footer.len() - 128..];
    // Its table stands behind the place of the table and three numbers of the trailer.
    let table = [&trailer[76..80], &trailer[48..72], &footer[..3 * 64]].concat();
    let geometry = SimulatedGeometry { serial: Some("SIM0".to_owned()), ..SimulatedGeometry::default() };
    let mut seeds = vec![
        ("label", "label".to_owned(), with_choices(0, &samples::encoded_label())),
        ("label", "label-resealed".to_owned(), with_choices(1, &samples::encoded_label())),
        ("zone_header", "header".to_owned(), with_choices(0, &samples::encoded_zone_header())),
        ("zone_header", "header-resealed".to_owned(), with_choices(3, &samples::encoded_zone_header())),
        ("footer_trailer", "trailer".to_owned(), with_choices(0, trailer)),
        ("footer_trailer", "trailer-resealed".to_owned(), with_choices(1, trailer)),
        ("footer_table", "table".to_owned(), with_choices(0, &table)),
        ("drive_file", "header".to_owned(), with_choices(0, &encode_header(&geometry))),
        ("drive_file", "header-resealed".to_owned(), with_choices(2, &encode_header(&geometry))),
    ];
    for zone in [0, 9] {
        seeds.push(("drive_file", format!("entry-{zone}"), with_choices(3, &encode_entry(zone, &geometry))));
    }
    for (name, header, payload) in samples::records() {
        let record = samples::encode_record(&header, &payload, &samples::scope());
        let several_units = u8::from(record.len() > UNIT_BYTES) << 3;
        seeds.push(("record", name.to_owned(), with_choices(several_units, &record)));
        seeds.push(("record", format!("{name}-resealed"), with_choices(several_units | 7, &record)));
    }
    // What is longer, the fuzzer makes itself: it only has to say so in a length.
    seeds.retain(|(_, _, bytes)| bytes.len() <= 1024);
    seeds
}

fn payloads() -> Vec<Seed> {
    let mut seeds = vec![
        ("payloads", "commit".to_owned(), samples::commit_payload()),
        ("payloads", "void".to_owned(), samples::void().encode().to_vec()),
        (
            "payloads",
            "tombstones".to_owned(),
            samples::tombstones().iter().flat_map(TombstoneEntry::encode).collect(),
        ),
        ("checkpoint", "zone-cell".to_owned(), samples::zone_cell().encode().to_vec()),
        ("index_cell", "bucket".to_owned(), samples::bucket().to_vec()),
    ];
    let mut table = CheckpointTable::head(4, samples::ZONE, 3).to_vec();
    samples::entries().into_iter().for_each(|entry| table.extend(CheckpointTable::entry(entry)));
    seeds.push(("checkpoint", "table".to_owned(), table));
    for (name, _, payload) in samples::records() {
        if name.starts_with("checkpoint") {
            seeds.push(("checkpoint", name.to_owned(), payload));
        }
    }
    let (blocks_max, bucket) = (900_000_u64.to_le_bytes(), 77_u64.to_le_bytes());
    let index = [&samples::bucket()[..], &blocks_max, &bucket, &[7; 48]].concat();
    seeds.push(("index_cell", "bucket-and-key".to_owned(), index));
    seeds
}

fn texts() -> Vec<Seed> {
    let headers = [
        "bytes=0-9",
        "bytes=5-",
        "bytes=-7",
        "bytes=0-1,5-6",
        "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:",
        "crc32c=:4waSgw==:;a=1, sha-512=:AAAA:",
        "*",
        "\"1a-40\", W/\"1a-40\"",
        "repair",
        "background\nforeground",
    ];
    let names = [
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "000102030405060708090A0B0C0D0E0F",
        "4GiB",
        "64 mib",
        "12kB",
        "cursor=0100&limit=7",
        "limit=10000",
    ];
    let bodies = [
        r#"{"type":"urn:imbrex:problem:draining","title":"Draining","status":503,"detail":"It stops.","state":"draining"}"#,
        r#"{"blocks":[{"key":"00","payload_bytes":1,"zone":2,"zone_offset_bytes":4096}],"next_cursor":"01"}"#,
        r#"{"serial":"SIM0","replace":null,"blocks_max":5}"#,
        "draining\nDraining\nIt stops.\ndraining\nurn:imbrex:problem:draining",
    ];
    let of = |target: &'static str, texts: &[&str]| -> Vec<Seed> {
        let seed = |(number, text): (usize, &&str)| (target, number.to_string(), text.as_bytes().to_vec());
        texts.iter().enumerate().map(seed).collect()
    };
    let cursor = Cursor { sequence: 3, unit_offset: 9, open: Some(1) };
    let cursor = encode_cursor(Place { zone: Some(5), cursor }, &crate::name_texts::DRIVE);
    let cursor = vec![("name_texts", "cursor".to_owned(), cursor.into_bytes())];
    let health = [of("smartctl_json", &SMARTCTL_OUTPUTS), of("health_texts", &HEALTH_TEXTS)].concat();
    [of("header_texts", &headers), of("name_texts", &names), of("drive_json", &bodies), cursor, health]
        .concat()
}
