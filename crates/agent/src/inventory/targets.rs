//! Which drives there are now.
//!
//! Where init answers, it knows. Where it does not (a laptop has none), a drive is a socket named
//! `drive-ID.sock` in the run directory, or one that was known before.

use std::path::Path;

use super::memory::Memory;
use crate::init_client::{InitDrive, InitStatus};

/// At most this many sockets are looked at: far more than drives fit a server.
const SOCKETS_MAX: usize = 1024;

/// The drives, each as init tells it, or as much as its socket's name tells.
pub(super) fn find(init: Option<&InitStatus>, run_dir: &Path, memory: &Memory) -> Vec<InitDrive> {
    if let Some(init) = init {
        return init.drives.iter().map(|drive| with_socket(drive, run_dir)).collect();
    }
    let mut drives = memory.present();
    for id in socket_ids(run_dir) {
        if !drives.iter().any(|drive| drive.id == id) {
            drives.push(of_socket(id, run_dir));
        }
    }
    drives
}

fn with_socket(drive: &InitDrive, run_dir: &Path) -> InitDrive {
    let mut drive = drive.clone();
    drive.socket.get_or_insert_with(|| run_dir.join(format!("drive-{}.sock", drive.id)));
    drive
}

/// A drive of which nobody told.
fn of_socket(id: String, run_dir: &Path) -> InitDrive {
    let socket = Some(run_dir.join(format!("drive-{id}.sock")));
    InitDrive {
        id,
        device: None,
        port: None,
        socket,
        service: None,
        model: None,
        serial: None,
        present: true,
        refused: None,
    }
}

fn socket_ids(run_dir: &Path) -> Vec<String> {
    let Ok(directory) = std::fs::read_dir(run_dir) else { return Vec::new() };
    let names = directory.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ids = names.filter_map(|name| Some(name.strip_prefix("drive-")?.strip_suffix(".sock")?.to_owned()));
    ids.take(SOCKETS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_init_the_drives_are_the_sockets_in_the_run_directory() {
        let run_dir = tempfile::tempdir().unwrap();
        for name in ["drive-a.sock", "drive-naa.5000.sock", "init.sock", "drive-b.txt", "agent.sock"] {
            std::fs::write(run_dir.path().join(name), "").unwrap();
        }
        let mut drives = find(None, run_dir.path(), &Memory::default());
        drives.sort_by(|one, other| one.id.cmp(&other.id));
        let ids: Vec<_> = drives.iter().map(|drive| drive.id.as_str()).collect();
        assert_eq!(ids, ["a", "naa.5000"]);
        assert_eq!(drives[0].socket, Some(run_dir.path().join("drive-a.sock")));
    }

    #[test]
    fn with_init_its_word_counts_alone() {
        let run_dir = tempfile::tempdir().unwrap();
        std::fs::write(run_dir.path().join("drive-stale.sock"), "").unwrap();
        assert_eq!(find(Some(&InitStatus::default()), run_dir.path(), &Memory::default()), []);
    }
}
