//! Disks damage; only programs lie. Any two structures of a drive are overwritten with bytes that mean nothing, and what
//! follows from that is called damage, whatever it seems to contradict: a sealed zone loses its trailer and its last commit.

mod drive;

use drive::states::{killed, stopped};
use drive::{TestDrive, busy};
use imbrex_format::UNIT_BYTES;
use imbrex_format::verify::VerifyOptions;

const WHOLE: VerifyOptions =
    VerifyOptions { payloads: true, zone: None, all: true, memory_bytes_max: 16 << 20 };

/// Bytes that are no structure of a drive, and no zeros either.
fn overwrite(drive: &mut TestDrive, (zone, unit): (u32, u32)) {
    let byte = u8::try_from((zone * 7 + unit) % 250 + 1).unwrap_or(1);
    drive.memory.unit(zone, unit)[..UNIT_BYTES].fill(byte);
}

#[test]
fn damage_in_any_two_structures_is_not_called_a_lie() {
    for make in [busy, killed, stopped] {
        let mut places = make().structures;
        places.sort_unstable();
        places.dedup();
        for (index, one) in places.iter().enumerate() {
            for other in &places[index..] {
                let mut drive = make();
                overwrite(&mut drive, *one);
                overwrite(&mut drive, *other);
                let report = drive.verify(&WHOLE);
                assert_eq!(report.lies, 0, "{one:?} and {other:?}: {report}");
            }
        }
    }
}
