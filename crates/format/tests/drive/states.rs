//! States in which an engine can leave a drive.

use imbrex_format::ZoneContent;

use super::{Op, TestDrive, busy};

/// A drive that goes on after [`busy`]: two checkpoints, and a zone that was opened and groups that were written since.
pub(crate) fn killed() -> TestDrive {
    let mut drive = busy();
    drive.checkpoint(0, 1);
    drive.group(6, &[Op::Put(9, 8000)]);
    drive.group(2, &[Op::Put(14, 300)]);
    drive.checkpoint(1, 2);
    drive.open_zone(8, ZoneContent::Records, 0);
    drive.group(8, &[Op::Put(10, 70_000), Op::Put(11, 20)]);
    drive.seal(6);
    let dead = drive.live[1];
    drive.group(8, &[Op::Put(12, 5000), Op::Delete(dead)]);
    drive.group(7, &[Op::Put(13, 300)]);
    drive.group(8, &[Op::Put(15, 300)]);
    drive
}

/// The same after an end in order.
pub(crate) fn stopped() -> TestDrive {
    let mut drive = killed();
    drive.checkpoint(0, 3);
    drive
}
