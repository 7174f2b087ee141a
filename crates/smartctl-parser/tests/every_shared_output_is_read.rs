//! An extra step: the outputs that are shared between projects, where their folder is there
//! (`IMBREX_SHARED_DATA`, or `../shared/data` beside the workspace).

#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

use std::fs;
use std::path::PathBuf;

use smartctl_parser::Report;

fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("IMBREX_SHARED_DATA").map_or(beside, PathBuf::from).join("smartctl");
    folder.is_dir().then_some(folder)
}

#[test]
fn every_output_is_a_report_or_refused_and_never_empty_of_what_it_says() {
    let Some(folder) = folder() else {
        println!("skipped: the folder of shared smartctl outputs is not there");
        return;
    };
    let (mut reports, mut refused) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        match Report::parse(&bytes) {
            Err(error) => {
                refused += 1;
                println!("{}: {error}", path.display());
            }
            Ok(report) => {
                reports += 1;
                let name = path.display();
                for (words, told) in [
                    (
                        "\"ata_smart_attributes\"",
                        report.ata.as_ref().is_some_and(|ata| !ata.attributes.is_empty()),
                    ),
                    (
                        "\"ata_smart_error_log\"",
                        report.ata.as_ref().is_some_and(|ata| ata.error_log.is_some()),
                    ),
                    ("self_test_log\"", report.self_tests.is_some()),
                    ("\"nvme_smart_health_information_log\"", report.nvme.is_some()),
                    (
                        "\"scsi_grown_defect_list\"",
                        report.scsi.as_ref().is_some_and(|scsi| scsi.grown_defects.is_some()),
                    ),
                    ("\"passed\"", report.smart_passed.is_some() || text.contains("\"status\"")),
                ] {
                    assert!(told || !text.contains(words), "{name} has {words}, its report has not");
                }
            }
        }
    }
    println!("{reports} reports, {refused} refused");
    assert!(reports > 0);
}
