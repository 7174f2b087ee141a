//! An extra step: the outputs that are shared between projects, where their folder is there
//! (`IMBREX_SHARED_DATA`, or `../shared/data` beside the workspace).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn every_output_gets_the_verdict_of_an_expert() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("IMBREX_SHARED_DATA").map_or(beside, PathBuf::from).join("smartctl");
    let Ok(manifest) = fs::read_to_string(folder.join("MANIFEST.tsv")) else {
        println!("skipped: the folder of shared smartctl outputs is not there");
        return;
    };
    let (mut judged, mut healthy_called_degraded, mut wrong) = (0, 0, Vec::new());
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let (file, expected) = (fields[0], fields[3]);
        let output = Command::new(env!("CARGO_BIN_EXE_imbrex-health"))
            .args(["judge", "--json"])
            .arg(folder.join(file))
            .output()
            .unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let level = answer["verdict"]["level"].as_str().unwrap();
        judged += 1;
        match (expected, level) {
            ("healthy", "degraded") => healthy_called_degraded += 1,
            ("unknown", "healthy" | "failing") => wrong.push(format!("{file}: unknown taken for {level}")),
            ("failing", level) if level != "failing" => {
                wrong.push(format!("{file}: failing missed, {level}"));
            }
            _ => {}
        }
    }
    println!("{judged} outputs judged, {healthy_called_degraded} healthy ones called degraded");
    assert!(
        judged > 0 && wrong.is_empty() && healthy_called_degraded <= 1,
        "{judged} {healthy_called_degraded} {wrong:?}"
    );
}
