//! The same health for other tools: Redfish, and a table of days.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::client::get;
use crate::fake_drive::{Behaviour, FakeDrive, serving};
use crate::health::{health_when, nvme_report};
use crate::process::Place;

const DRIVES: &str = "/redfish/v1/Chassis/node/Drives";

#[tokio::test]
async fn a_drive_of_redfish_is_found_from_the_root_and_says_what_the_node_says() {
    let place = Place::new();
    place.smartctl(&format!("cat <<'END'\n{}\nEND", nvme_report("S1", 4)));
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    health_when(&agent, "a", |health| health["level"] == "failing").await;

    let mut path = "/redfish".to_owned();
    for step in
        ["/v1", "/Chassis/@odata.id", "/Members/0/@odata.id", "/Drives/@odata.id", "/Members/0/@odata.id"]
    {
        let answer = agent.send(get(&path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert_eq!(answer.headers["odata-version"], "4.0", "{path}");
        let found = answer.json().pointer(step).and_then(Value::as_str).map(str::to_owned);
        path = found.unwrap_or_else(|| panic!("{path} has no {step}"));
    }
    assert_eq!(path, format!("{DRIVES}/a"));
    let drive = agent.json(&path).await;
    assert_eq!(drive["@odata.id"], json!(path));
    assert_eq!(drive["Status"], json!({ "State": "Enabled", "Health": "Critical" }), "{drive:#}");
    assert_eq!((&drive["FailurePredicted"], &drive["SerialNumber"]), (&json!(true), &json!("S1")));
    assert_eq!((&drive["MediaType"], &drive["PredictedMediaLifeLeftPercent"]), (&json!("SSD"), &json!(97)));
    let health = agent.json(drive["Oem"]["Imbrex"]["Health"].as_str().unwrap()).await;
    assert_eq!(health["level"], drive["Oem"]["Imbrex"]["Level"]);
    assert_eq!(agent.json("/redfish/v1/Chassis/node").await["Status"]["HealthRollup"], "Critical");
}

#[tokio::test]
async fn a_drive_of_which_nobody_knows_has_no_health_in_redfish() {
    let place = Place::new();
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    let drive = agent.json(&format!("{DRIVES}/a")).await;
    assert_eq!(drive["Status"]["Health"], Value::Null, "{drive:#}");
    assert_eq!(drive["FailurePredicted"], Value::Null);
    let answer = agent.send(get(&format!("{DRIVES}/nobody"))).await;
    assert_eq!((answer.status, answer.problem()), (StatusCode::NOT_FOUND, "unknown-drive".to_owned()));
}

#[tokio::test]
async fn the_table_has_a_line_for_each_drive_that_told_of_itself() {
    let place = Place::new();
    place.smartctl(
        r#"echo '{"device":{"protocol":"ATA"},"model_name":"FAKE 1","serial_number":"S1","power_on_time":{"hours":9000},
           "user_capacity":{"bytes":18000},"smart_status":{"passed":true},"ata_smart_attributes":{"table":[
           {"id":5,"value":99,"raw":{"value":7,"string":"7"}}]}}'"#,
    );
    let _drive = FakeDrive::start(&place.run(), "a", Behaviour::Says(Box::new(serving("a", "S1"))));
    let agent = place.start().await;
    health_when(&agent, "a", |health| health["polling"]["asked_at_unix_s"].is_u64()).await;
    let answer = agent.send(get("/v1/health/export.csv")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/csv"));
    let table = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(
        lines[0],
        "date,serial_number,model,capacity_bytes,failure,smart_5_normalized,smart_5_raw,smart_9_normalized,smart_9_raw"
    );
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[1].contains(",S1,") && lines[1].ends_with(",18000,0,99,7,,9000"), "{table}");
}
