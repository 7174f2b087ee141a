//! `imbrexctl slot`.

use imbrex_api::slot::Slot;

use crate::error::Error;
use crate::options;
use crate::session::Session;
use crate::table::Table;

/// Shows where a drive sits; sets the lights that are asked for first.
///
/// # Errors
/// Where the node does not know the drive, it sits in no slot, or the slot has no such light.
pub(crate) async fn run(session: &Session, options: &options::Slot) -> Result<(), Error> {
    let (node, id) = (session.node()?, &options.drive);
    let mut slot = None;
    for (light, on) in [("locate", options.locate), ("fault", options.fault)] {
        if let Some(on) = on {
            slot = Some(node.light(id, light, on).await?);
        }
    }
    let slot = match slot {
        Some(slot) => slot,
        None => node.slot(id).await?,
    };
    if session.output.is_json() {
        return session.output.json(&slot);
    }
    session.output.table(&table(&slot))
}

fn table(slot: &Slot) -> Table {
    let light = |light: Option<bool>| match light {
        Some(true) => "on",
        Some(false) => "off",
        None => "unknown",
    };
    let mut table = Table::new(&["ENCLOSURE", "SLOT", "NUMBER", "STATUS", "LOCATE", "FAULT"]);
    table.row([
        slot.enclosure_id.clone().unwrap_or_else(|| slot.enclosure.clone()),
        slot.name.clone(),
        slot.number.map(|number| number.to_string()).unwrap_or_default(),
        slot.status.clone().unwrap_or_else(|| "unknown".to_owned()),
        light(slot.locate).to_owned(),
        light(slot.fault).to_owned(),
    ]);
    table
}
