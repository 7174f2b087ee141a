//! The machine's power button, as the kernel's input devices tell it.

use nix::fcntl::OFlag;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// `struct input_event` of linux/input.h on a 64-bit machine: two words of time, type, code, value.
const EVENT_BYTES: usize = 24;
const EV_KEY: u16 = 1;
const KEY_POWER: u16 = 116;

/// Opens every power button that is not among `known` yet: its name, and its device.
pub(crate) fn find(sysfs: &Path, known: &[String]) -> Vec<(String, File)> {
    let entries = fs::read_dir(sysfs.join("class/input")).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let fresh = names.filter(|name| name.starts_with("event") && !known.contains(name));
    let button = |name: &String| {
        let text = fs::read_to_string(sysfs.join("class/input").join(name).join("device/name"));
        text.is_ok_and(|text| text.trim() == "Power Button")
    };
    let open = |name: String| {
        let flags = OFlag::O_NONBLOCK.bits();
        let file = File::options().read(true).custom_flags(flags).open(format!("/dev/input/{name}")).ok()?;
        Some((name, file))
    };
    fresh.filter(button).filter_map(open).collect()
}

/// Reads what there is to read: whether the button was pressed. None where it is gone.
#[expect(clippy::host_endian_bytes, reason = "the kernel writes its own struct in its own byte order")]
pub(crate) fn pressed(button: &mut impl Read) -> Option<bool> {
    let mut bytes = [0_u8; EVENT_BYTES * 16];
    let length = match button.read(&mut bytes) {
        Ok(length) if length > 0 => length,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Some(false),
        _ => return None,
    };
    let half = |event: &[u8], at: usize| u16::from_ne_bytes([event[at], event[at + 1]]);
    let press =
        |event: &[u8]| half(event, 16) == EV_KEY && half(event, 18) == KEY_POWER && half(event, 20) == 1;
    Some(bytes[..length].chunks_exact(EVENT_BYTES).any(press))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::host_endian_bytes, reason = "as the kernel writes it")]
    fn a_press_counts_and_a_release_and_other_keys_do_not() {
        let event = |kind: u16, code: u16, value: u32| {
            let mut bytes = vec![0; 16];
            bytes.extend([kind.to_ne_bytes(), code.to_ne_bytes()].concat());
            bytes.extend(value.to_ne_bytes());
            bytes
        };
        let told = |bytes: Vec<u8>| pressed(&mut &bytes[..]);
        assert_eq!(told([event(0, 0, 0), event(EV_KEY, KEY_POWER, 1)].concat()), Some(true));
        assert_eq!(told([event(EV_KEY, KEY_POWER, 0), event(EV_KEY, 30, 1)].concat()), Some(false));
        assert_eq!(told(Vec::new()), None);
    }
}
