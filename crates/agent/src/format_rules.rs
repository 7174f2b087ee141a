//! Which format orders the agent refuses.
//!
//! Formatting destroys everything on a drive, so the order names the drive twice: by its ID in the
//! path and by its serial in the body; and where it holds data, by what it holds. The drive's own
//! process checks the same again, on what is on the disk at that moment: that check is the one that
//! counts, this one answers sooner and for drives whose process cannot.
//!
//! A drive that a firmware note refuses is not formatted at all: without a label no engine serves it, so that no
//! block is ever put on it. This check is the only one: nobody but the agent knows the notes.

use imbrex_api::Problem;
use imbrex_api::node::{Drive, DriveState, FormatOrder, REPLACE_FOREIGN};

/// Whether `order` may be handed on to `drive`, of which the firmware note `refused_by` says that it must not hold data.
///
/// # Errors
///
/// The problem to answer with: the serial is another drive's, a firmware note refuses the drive, it cannot take orders
/// now, it holds data that the order does not name, or does not hold the data that it names.
pub(crate) fn check(
    drive: &Drive,
    order: &FormatOrder,
    refused_by: Option<&str>,
) -> Result<(), Box<Problem>> {
    let refuse = |kind, status, title: &str, detail: String| {
        let problem =
            Problem::new(kind, status, title, detail).with_drive(&drive.id).with_state(drive.state.as_str());
        Err(Box::new(problem))
    };
    // A drive that tells no serial is named by its ID instead.
    let serial = drive.serial.as_deref().unwrap_or(&drive.id);
    if order.serial != serial {
        let detail = format!(
            "The order names serial {:?}, but drive {} has another one: read it off the drive or GET /v1/drives/{}.",
            order.serial, drive.id, drive.id
        );
        return refuse("serial-mismatch", 409, "Another drive's serial", detail);
    }
    if let Some(note) = refused_by {
        let detail = format!(
            "Drive {} must not hold data, and is not formatted, because of the firmware note {note}",
            drive.id
        );
        return refuse("drive-refused", 409, "A firmware note refuses the drive", detail);
    }
    match drive.state {
        DriveState::Missing => {
            let detail = format!("Drive {} is not there: put it back first.", drive.id);
            return refuse("drive-missing", 409, "The drive is missing", detail);
        }
        DriveState::Starting
        | DriveState::Mounting
        | DriveState::Stopped
        | DriveState::Unresponsive
        | DriveState::Draining
        | DriveState::Formatting
        | DriveState::Unknown => {
            let reason = drive.state_reason.as_deref().unwrap_or("no reason is known");
            let detail =
                format!("Drive {} takes no orders now: {reason}. Try again when it answers.", drive.id);
            return refuse("drive-unavailable", 503, "The drive takes no orders", detail);
        }
        DriveState::Unformatted
        | DriveState::Foreign
        | DriveState::Incompatible
        | DriveState::Serving
        | DriveState::ReadOnly
        | DriveState::Failed => {}
    }
    match (held(drive), order.replace.as_deref()) {
        (Held::Label(label), Some(replace)) if replace.eq_ignore_ascii_case(label) => Ok(()),
        (Held::Foreign, Some(REPLACE_FOREIGN)) | (Held::Nothing, None) | (Held::NotKnown, _) => Ok(()),
        (Held::Label(label), _) => {
            let detail = format!(
                "Drive {} holds Imbrex data under drive id {label}: to destroy it, repeat the order with \"replace\": \
                 \"{label}\".",
                drive.id
            );
            refuse("drive-holds-data", 409, "The drive holds data", detail)
        }
        (Held::Foreign, _) => {
            let detail = format!(
                "Drive {} holds data that is not Imbrex's: to destroy it, repeat the order with \"replace\": \
                 \"{REPLACE_FOREIGN}\".",
                drive.id
            );
            refuse("drive-holds-data", 409, "The drive holds data", detail)
        }
        (Held::Nothing, Some(replace)) => {
            let detail = format!(
                "Drive {} is unformatted, but the order would replace {replace:?}: is it the right drive? If so, leave \
                 \"replace\" out.",
                drive.id
            );
            refuse("replace-mismatch", 409, "The drive does not hold that", detail)
        }
    }
}

/// What a drive holds, as far as the agent knows.
enum Held<'a> {
    Nothing,
    Foreign,
    Label(&'a str),
    /// The drive's process has to tell.
    NotKnown,
}

fn held(drive: &Drive) -> Held<'_> {
    match (&drive.drive_id, drive.state) {
        (Some(label), _) => Held::Label(label),
        (None, DriveState::Foreign) => Held::Foreign,
        (None, DriveState::Unformatted) => Held::Nothing,
        (None, _) => Held::NotKnown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "00112233445566778899aabbccddeeff";

    fn drive(state: DriveState, drive_id: Option<&str>) -> Drive {
        Drive {
            id: "eui.1".to_owned(),
            serial: Some("S1".to_owned()),
            state,
            drive_id: drive_id.map(str::to_owned),
            ..Drive::default()
        }
    }

    /// `ok`, or the kind of the problem and its status.
    fn verdict(drive: &Drive, serial: &str, replace: Option<&str>) -> (String, u16) {
        let order = FormatOrder {
            serial: serial.to_owned(),
            replace: replace.map(str::to_owned),
            ..FormatOrder::default()
        };
        check(drive, &order, None)
            .map_or_else(|problem| (problem.kind().to_owned(), problem.status), |()| ("ok".to_owned(), 200))
    }

    #[test]
    fn an_order_with_another_serial_is_refused_whatever_the_drive_holds() {
        for state in DriveState::ALL {
            let verdict = verdict(&drive(state, None), "S2", Some(REPLACE_FOREIGN));
            assert_eq!(verdict, ("serial-mismatch".to_owned(), 409), "{state:?}");
        }
    }

    #[test]
    fn a_drive_that_a_note_refuses_is_not_formatted_whatever_it_holds() {
        let note = "wd-red-drive-managed: These drives are drive-managed.";
        let order = |serial: &str, replace: Option<&str>| FormatOrder {
            serial: serial.to_owned(),
            replace: replace.map(str::to_owned),
            ..FormatOrder::default()
        };
        for (state, label, replace) in [
            (DriveState::Unformatted, None, None),
            (DriveState::Foreign, None, Some(REPLACE_FOREIGN)),
            (DriveState::Serving, Some(LABEL), Some(LABEL)),
        ] {
            let drive = drive(state, label);
            assert_eq!(check(&drive, &order("S1", replace), None), Ok(()), "{state:?}");
            let problem = check(&drive, &order("S1", replace), Some(note)).unwrap_err();
            assert_eq!((problem.kind(), problem.status), ("drive-refused", 409), "{state:?}");
            assert!(problem.detail.contains(note), "{}", problem.detail);
        }
        let other = check(&drive(DriveState::Unformatted, None), &order("S2", None), Some(note)).unwrap_err();
        assert_eq!(other.kind(), "serial-mismatch", "it may be another drive that is meant");
    }

    #[test]
    fn a_drive_without_a_serial_is_named_by_its_id() {
        let nameless = Drive { serial: None, ..drive(DriveState::Unformatted, None) };
        assert_eq!(verdict(&nameless, "eui.1", None).0, "ok");
        assert_eq!(verdict(&nameless, "", None).0, "serial-mismatch");
    }

    #[test]
    fn a_drive_that_holds_data_is_formatted_only_by_naming_that_data() {
        for state in [DriveState::Serving, DriveState::ReadOnly, DriveState::Failed, DriveState::Incompatible]
        {
            let held = drive(state, Some(LABEL));
            assert_eq!(verdict(&held, "S1", None).0, "drive-holds-data");
            assert_eq!(verdict(&held, "S1", Some(REPLACE_FOREIGN)).0, "drive-holds-data");
            assert_eq!(verdict(&held, "S1", Some("00")).0, "drive-holds-data");
            assert_eq!(verdict(&held, "S1", Some(LABEL)).0, "ok");
        }
        let foreign = drive(DriveState::Foreign, None);
        assert_eq!(verdict(&foreign, "S1", None).0, "drive-holds-data");
        assert_eq!(verdict(&foreign, "S1", Some(LABEL)).0, "drive-holds-data");
        assert_eq!(verdict(&foreign, "S1", Some(REPLACE_FOREIGN)).0, "ok");
    }

    #[test]
    fn an_order_that_names_data_on_an_empty_drive_is_refused() {
        let empty = drive(DriveState::Unformatted, None);
        assert_eq!(verdict(&empty, "S1", Some(LABEL)).0, "replace-mismatch");
        assert_eq!(verdict(&empty, "S1", None).0, "ok");
    }

    #[test]
    fn a_drive_that_cannot_answer_takes_no_order() {
        for state in
            [DriveState::Starting, DriveState::Stopped, DriveState::Unresponsive, DriveState::Unknown]
        {
            assert_eq!(verdict(&drive(state, None), "S1", None), ("drive-unavailable".to_owned(), 503));
        }
        assert_eq!(verdict(&drive(DriveState::Missing, None), "S1", None), ("drive-missing".to_owned(), 409));
    }
}
