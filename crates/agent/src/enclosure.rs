//! The slots of enclosures, as the kernel shows them below `/sys/class/enclosure`
//! (Documentation/ABI and drivers/misc/enclosure.c of Linux).
//!
//! - To find a drive's slot reads directories and links only. Its status and its lights are asked of the enclosure
//!   itself, by SCSI commands: that may take long, or never end.
//! - So these are asked on threads of their own, a few at a time and under a deadline. A thread that hangs keeps its
//!   place until it ends.
//! - What an enclosure does not tell is `None`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use imbrex_api::slot::Slot;
use tokio::sync::Semaphore;

use crate::file::read_line;
use crate::sysfs::kernel_name;

/// Most enclosures that are looked through: more than a server has adapters for.
const ENCLOSURES_MAX: usize = 64;
/// Most parts of one enclosure that are looked at, fans and sensors included: SES counts them in 8 bits for a type.
const COMPONENTS_MAX: usize = 2048;
/// Most conversations with enclosures at a time, those that hang included.
const CONVERSATIONS_MAX: usize = 2;
/// An enclosure has this long for one conversation: some commands of some 10 ms each.
const DEADLINE: Duration = Duration::from_secs(5);

/// A light of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Light {
    /// The one that shows a person which drive is meant.
    Locate,
    /// The one that says "faulty".
    Fault,
}

impl Light {
    /// The kernel's name of its file.
    const fn file(self) -> &'static str {
        match self {
            Self::Locate => "locate",
            Self::Fault => "fault",
        }
    }
}

/// Why a slot's light was not set, or its status not read.
#[derive(Debug)]
pub(crate) enum EnclosureError {
    /// The kernel knows of no slot in which the drive sits.
    NoSlot,
    /// As many conversations as may be are under way, and none ended.
    Busy,
    /// The enclosure did not answer in time.
    Late,
    /// The slot has no such light, or the enclosure refused.
    Refused(io::Error),
}

/// The enclosures of this node.
#[derive(Clone, Debug)]
pub(crate) struct Enclosures {
    sysfs: PathBuf,
    conversations: Arc<Semaphore>,
    deadline: Duration,
}

impl Enclosures {
    /// The enclosures below `sysfs` (where sysfs is mounted).
    pub(crate) fn new(sysfs: &Path) -> Self {
        let conversations = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
        Self { sysfs: sysfs.to_owned(), conversations, deadline: DEADLINE }
    }

    /// The slot of the device file `device`, and how it is.
    ///
    /// # Errors
    /// Where there is none, or its enclosure does not answer.
    pub(crate) async fn slot(&self, device: &str) -> Result<Slot, EnclosureError> {
        self.converse(device, |folder| Ok(read(folder))).await
    }

    /// Turns a light of the slot of `device` on or off; gives how the slot is after that.
    ///
    /// # Errors
    /// As [`Enclosures::slot`]; and where the slot has no such light.
    pub(crate) async fn set(&self, device: &str, light: Light, on: bool) -> Result<Slot, EnclosureError> {
        self.converse(device, move |folder| {
            set(folder, light, on)?;
            Ok(read(folder))
        })
        .await
    }

    async fn converse<F>(&self, device: &str, conversation: F) -> Result<Slot, EnclosureError>
    where
        F: FnOnce(&Path) -> io::Result<Slot> + Send + 'static,
    {
        let waiting = Arc::clone(&self.conversations).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(self.deadline, waiting).await else {
            return Err(EnclosureError::Busy);
        };
        let (sysfs, device) = (self.sysfs.clone(), device.to_owned());
        let talking = tokio::task::spawn_blocking(move || {
            // The place is taken until this thread ends, also where nobody waits for it any more.
            let _permit = permit;
            let folder = find(&sysfs, &device).ok_or(EnclosureError::NoSlot)?;
            conversation(&folder).map_err(EnclosureError::Refused)
        });
        match tokio::time::timeout(self.deadline, talking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(EnclosureError::Late),
        }
    }
}

/// The folder of the slot in which the kernel sees the disk `device`.
fn find(sysfs: &Path, device: &str) -> Option<PathBuf> {
    let name = kernel_name(device)?;
    let enclosures = folders(&sysfs.join("class/enclosure"), ENCLOSURES_MAX);
    let mut components = enclosures.iter().flat_map(|enclosure| folders(enclosure, COMPONENTS_MAX));
    components.find(|component| component.join("device/block").join(&name).is_dir())
}

/// The folders in `folder`, at most `count_max`, in the order of their names; none where it cannot be read.
fn folders(folder: &Path, count_max: usize) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).take(count_max).collect();
    folders.sort();
    folders
}

fn read(folder: &Path) -> Slot {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let light = |light: Light| match read_line(&folder.join(light.file()))?.as_str() {
        "0" => Some(false),
        // Beyond "on", SES knows ways to blink (enum enclosure_component_setting).
        "1" | "2" | "3" | "4" | "5" | "6" => Some(true),
        _ => None,
    };
    let enclosure = folder.parent().unwrap_or(folder);
    Slot {
        enclosure: name(enclosure),
        enclosure_id: read_line(&enclosure.join("id")),
        name: name(folder),
        number: read_line(&folder.join("slot")).and_then(|text| text.parse().ok()),
        status: read_line(&folder.join("status")),
        locate: light(Light::Locate),
        fault: light(Light::Fault),
    }
}

fn set(folder: &Path, light: Light, on: bool) -> io::Result<()> {
    // Never made: a slot without the light has no such file.
    let mut file = fs::OpenOptions::new().write(true).open(folder.join(light.file()))?;
    file.write_all(if on { b"1\n" } else { b"0\n" })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A sysfs with one enclosure of three slots: `sda` in the second, nothing in the third, no disk in the first.
    fn sysfs() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let enclosure = root.path().join("devices/host0/enclosure/0:0:30:0");
        for (slot, files) in [("Fan 1", 1), ("Slot 07", 2), ("Slot 08", 2)] {
            fs::create_dir_all(enclosure.join(slot)).unwrap();
            fs::write(enclosure.join(slot).join("status"), "OK\n").unwrap();
            if files == 2 {
                for (file, text) in [("slot", "7\n"), ("locate", "0\n"), ("fault", "0\n")] {
                    fs::write(enclosure.join(slot).join(file), text).unwrap();
                }
            }
        }
        fs::write(enclosure.join("id"), "0x500304801f1e8d3f\n").unwrap();
        let disk = root.path().join("devices/host0/target0:0:7/0:0:7:0");
        fs::create_dir_all(disk.join("block/sda")).unwrap();
        symlink(&disk, enclosure.join("Slot 07/device")).unwrap();
        fs::create_dir_all(root.path().join("class/enclosure")).unwrap();
        symlink(&enclosure, root.path().join("class/enclosure/0:0:30:0")).unwrap();
        root
    }

    #[tokio::test]
    async fn a_drives_slot_is_found_and_its_lights_are_set() {
        let root = sysfs();
        let enclosures = Enclosures::new(root.path());
        let dark = Slot {
            enclosure: "0:0:30:0".to_owned(),
            enclosure_id: Some("0x500304801f1e8d3f".to_owned()),
            name: "Slot 07".to_owned(),
            number: Some(7),
            status: Some("OK".to_owned()),
            locate: Some(false),
            fault: Some(false),
        };
        assert_eq!(enclosures.slot("/dev/sda").await.unwrap(), dark);
        let lit = enclosures.set("/dev/sda", Light::Locate, true).await.unwrap();
        assert_eq!(lit, Slot { locate: Some(true), ..dark.clone() });
        let lit = enclosures.set("/dev/sda", Light::Fault, true).await.unwrap();
        assert_eq!((lit.locate, lit.fault), (Some(true), Some(true)));
        enclosures.set("/dev/sda", Light::Locate, false).await.unwrap();
        let lit = enclosures.set("/dev/sda", Light::Fault, false).await.unwrap();
        assert_eq!(lit, dark);
    }

    #[tokio::test]
    async fn a_drive_in_no_slot_has_none() {
        let root = sysfs();
        let enclosures = Enclosures::new(root.path());
        for device in ["/dev/sdb", "/dev/../class", "sda", "/dev/"] {
            let error = enclosures.slot(device).await.unwrap_err();
            assert!(matches!(error, EnclosureError::NoSlot), "{device}: {error:?}");
        }
        let nowhere = Enclosures::new(&root.path().join("absent"));
        assert!(matches!(nowhere.slot("/dev/sda").await, Err(EnclosureError::NoSlot)));
    }

    #[tokio::test]
    async fn a_slot_without_lights_tells_none_and_refuses_to_light_one() {
        let root = sysfs();
        let slot = root.path().join("devices/host0/enclosure/0:0:30:0/Slot 07");
        for file in ["locate", "slot", "status"] {
            fs::remove_file(slot.join(file)).unwrap();
        }
        fs::write(slot.join("fault"), "broken\n").unwrap();
        let enclosures = Enclosures::new(root.path());
        let told = enclosures.slot("/dev/sda").await.unwrap();
        assert_eq!((told.locate, told.fault, told.number, told.status), (None, None, None, None));
        let error = enclosures.set("/dev/sda", Light::Locate, true).await.unwrap_err();
        assert!(matches!(error, EnclosureError::Refused(_)), "{error:?}");
        assert!(!slot.join("locate").exists(), "no file was made");
    }

    #[tokio::test]
    async fn enclosures_that_hang_keep_their_places_and_no_more() {
        let root = sysfs();
        let mut enclosures = Enclosures::new(root.path());
        let hanging: Vec<_> = (0..CONVERSATIONS_MAX)
            .map(|_| Arc::clone(&enclosures.conversations).try_acquire_owned().unwrap())
            .collect();
        enclosures.deadline = Duration::from_millis(1);
        assert!(matches!(enclosures.slot("/dev/sda").await, Err(EnclosureError::Busy)));
        drop(hanging);
        enclosures.deadline = DEADLINE;
        assert!(enclosures.slot("/dev/sda").await.is_ok());
    }
}
