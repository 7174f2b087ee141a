//! The slots of enclosures, as the kernel shows them below `/sys/class/enclosure`
//! (Documentation/ABI and drivers/misc/enclosure.c of Linux).
//!
//! - To find a drive's slot reads directories and links only. Its status and its lights are asked of the enclosure
//!   itself, by SCSI commands: that may take long, or never end.
//! - So these are asked on threads of their own, a few at a time and under a deadline. A thread that hangs keeps its
//!   place until it ends.
//! - What an enclosure does not tell is `None`.
//! - Where each drive sits is remembered, so that the slot of one that went away can be shown, for as long as no other
//!   sits in it.

mod seats;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use imbrex_api::node::DriveState;
use imbrex_api::slot::Slot;
use tokio::sync::Semaphore;

use seats::Seats;

use crate::file::read_line;
use crate::inventory::Survey;
use crate::sysfs::kernel_name;

/// Most enclosures that are looked through: more than a server has adapters for.
const ENCLOSURES_MAX: usize = 64;
/// Most parts of one enclosure that are looked at, fans and sensors included: SES counts them in 8 bits for a type.
const COMPONENTS_MAX: usize = 2048;
/// Most disks that are looked for in one slot: drives with two actuators show two.
const DISKS_MAX: usize = 8;
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

/// Whose slot is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sitting {
    /// That of the disk with this device file.
    Disk(String),
    /// That in which the drive with this ID sat before it went away.
    Gone(String),
}

/// The enclosures of this node.
#[derive(Clone, Debug)]
pub(crate) struct Enclosures {
    sysfs: PathBuf,
    conversations: Arc<Semaphore>,
    deadline: Duration,
    /// Where drives sat last, and the file in which that is kept.
    sat: Arc<Mutex<Seats>>,
    file: Option<PathBuf>,
    /// One look at where they sit is under way at most.
    looks: Arc<Semaphore>,
}

impl Enclosures {
    /// The enclosures below `sysfs` (where sysfs is mounted).
    pub(crate) fn new(sysfs: &Path) -> Self {
        let conversations = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
        let (sat, looks) = (Arc::default(), Arc::new(Semaphore::new(1)));
        Self { sysfs: sysfs.to_owned(), conversations, deadline: DEADLINE, sat, file: None, looks }
    }

    /// The same, with what is remembered kept in the file at `path`, and what that holds already.
    pub(crate) fn kept_in(mut self, path: PathBuf) -> Self {
        *lock(&self.sat) = Seats::read(&path);
        self.file = Some(path);
        self
    }

    /// Remembers where the drives of a survey sit. Reads directories in a thread of its own; where the last look still
    /// runs, there is no other.
    pub(crate) fn remember(&self, survey: &Survey) {
        let Ok(permit) = Arc::clone(&self.looks).try_acquire_owned() else { return };
        let drives = survey.drives.iter().map(|drive| {
            let present = drive.entry.state != DriveState::Missing;
            (drive.entry.id.clone(), drive.entry.device.clone().filter(|_| present))
        });
        // Without init, nobody tells of the drives that are missing: none of them is forgotten.
        let is_whole = survey.init.is_ok();
        let (enclosures, drives) = (self.clone(), drives.collect::<Vec<_>>());
        drop(tokio::task::spawn_blocking(move || {
            enclosures.look(&drives, is_whole);
            drop(permit);
        }));
    }

    /// The slot of a drive, and how it is.
    ///
    /// # Errors
    /// Where there is none, or its enclosure does not answer.
    pub(crate) async fn slot(&self, sitting: &Sitting) -> Result<Slot, EnclosureError> {
        self.converse(sitting, |folder| Ok(read(folder))).await
    }

    /// Turns a light of a drive's slot on or off; gives how the slot is after that.
    ///
    /// # Errors
    /// As [`Enclosures::slot`]; and where the slot has no such light.
    pub(crate) async fn set(
        &self,
        sitting: &Sitting,
        light: Light,
        on: bool,
    ) -> Result<Slot, EnclosureError> {
        self.converse(sitting, move |folder| {
            set(folder, light, on)?;
            Ok(read(folder))
        })
        .await
    }

    /// Notes where each drive sits: its ID, and its device file where it is there. One that is in no list is forgotten, where
    /// the list is whole. Writes the file where anything has changed.
    fn look(&self, drives: &[(String, Option<String>)], is_whole: bool) {
        let mut slots = slots(&self.sysfs);
        let mut sat = lock(&self.sat);
        let before = sat.clone();
        sat.retain(|id| !is_whole || drives.iter().any(|(drive, _)| drive == id));
        for (id, device) in drives {
            let name = device.as_deref().and_then(kernel_name);
            if let Some(folder) = name.and_then(|name| slots.remove(&name)) {
                sat.note(id, folder);
            }
        }
        let (now, file) = (sat.clone(), self.file.as_ref().filter(|_| *sat != before));
        drop(sat);
        if let Some(file) = file
            && let Err(error) = now.write(file)
        {
            tracing::warn!("where drives sit could not be written to {}: {error}", file.display());
        }
    }

    async fn converse<F>(&self, sitting: &Sitting, conversation: F) -> Result<Slot, EnclosureError>
    where
        F: FnOnce(&Path) -> io::Result<Slot> + Send + 'static,
    {
        let waiting = Arc::clone(&self.conversations).acquire_owned();
        let Ok(Ok(permit)) = tokio::time::timeout(self.deadline, waiting).await else {
            return Err(EnclosureError::Busy);
        };
        let (sysfs, sitting, sat) = (self.sysfs.clone(), sitting.clone(), Arc::clone(&self.sat));
        let talking = tokio::task::spawn_blocking(move || {
            // The place is taken until this thread ends, also where nobody waits for it any more.
            let _permit = permit;
            let folder = match sitting {
                Sitting::Disk(device) => kernel_name(&device).and_then(|name| slots(&sysfs).remove(&name)),
                Sitting::Gone(id) => lock(&sat).empty_seat(&id),
            };
            let folder = folder.ok_or(EnclosureError::NoSlot)?;
            conversation(&folder).map_err(EnclosureError::Refused)
        });
        match tokio::time::timeout(self.deadline, talking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(EnclosureError::Late),
        }
    }
}

fn lock(sat: &Mutex<Seats>) -> MutexGuard<'_, Seats> {
    // No code that holds the lock can leave it half changed.
    sat.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folders of the slots in which the kernel sees disks, by the names of these.
fn slots(sysfs: &Path) -> BTreeMap<String, PathBuf> {
    let enclosures = folders(&sysfs.join("class/enclosure"), ENCLOSURES_MAX);
    let slots = enclosures.iter().flat_map(|enclosure| folders(enclosure, COMPONENTS_MAX));
    slots.flat_map(|slot| disks_in(&slot).into_iter().map(move |disk| (disk, slot.clone()))).collect()
}

/// The disks in a slot, by the kernel's names: one, or one for each path to it.
fn disks_in(slot: &Path) -> Vec<String> {
    let disks = folders(&slot.join("device/block"), DISKS_MAX);
    disks.iter().filter_map(|disk| Some(disk.file_name()?.to_str()?.to_owned())).collect()
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

    fn disk(device: &str) -> Sitting {
        Sitting::Disk(device.to_owned())
    }

    #[tokio::test]
    async fn the_slot_of_a_drive_that_went_away_is_lit_until_another_sits_in_it() {
        let root = sysfs();
        let file = root.path().join("slots.json");
        let enclosures = Enclosures::new(root.path()).kept_in(file.clone());
        let look = |drives: &[(&str, Option<&str>)]| {
            let own = |(id, device): &(&str, Option<&str>)| ((*id).to_owned(), device.map(str::to_owned));
            enclosures.look(&drives.iter().map(own).collect::<Vec<_>>(), true);
        };
        let gone = Sitting::Gone("a".to_owned());
        look(&[("a", Some("/dev/sda"))]);
        assert!(matches!(enclosures.slot(&gone).await, Err(EnclosureError::NoSlot)), "it sits there still");
        let (slot, drive) = (
            root.path().join("devices/host0/enclosure/0:0:30:0/Slot 07"),
            root.path().join("devices/host0/target0:0:7/0:0:7:0"),
        );
        fs::remove_file(slot.join("device")).unwrap();
        look(&[("a", None)]);
        let lit = enclosures.set(&gone, Light::Locate, true).await.unwrap();
        assert_eq!((lit.name.as_str(), lit.locate), ("Slot 07", Some(true)));
        let next = Enclosures::new(root.path()).kept_in(file);
        assert_eq!(next.slot(&gone).await.unwrap().name, "Slot 07", "an agent that starts again knows it");
        next.look(&[], false);
        assert!(next.slot(&gone).await.is_ok(), "init did not answer: nobody told that it is forgotten");
        symlink(&drive, slot.join("device")).unwrap();
        assert!(matches!(enclosures.slot(&gone).await, Err(EnclosureError::NoSlot)), "another has come");
        fs::remove_file(slot.join("device")).unwrap();
        look(&[]);
        assert!(matches!(enclosures.slot(&gone).await, Err(EnclosureError::NoSlot)), "it was forgotten");
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
        assert_eq!(enclosures.slot(&disk("/dev/sda")).await.unwrap(), dark);
        let lit = enclosures.set(&disk("/dev/sda"), Light::Locate, true).await.unwrap();
        assert_eq!(lit, Slot { locate: Some(true), ..dark.clone() });
        let lit = enclosures.set(&disk("/dev/sda"), Light::Fault, true).await.unwrap();
        assert_eq!((lit.locate, lit.fault), (Some(true), Some(true)));
        enclosures.set(&disk("/dev/sda"), Light::Locate, false).await.unwrap();
        let lit = enclosures.set(&disk("/dev/sda"), Light::Fault, false).await.unwrap();
        assert_eq!(lit, dark);
    }

    #[tokio::test]
    async fn a_drive_in_no_slot_has_none() {
        let root = sysfs();
        let enclosures = Enclosures::new(root.path());
        for device in ["/dev/sdb", "/dev/../class", "sda", "/dev/"] {
            let error = enclosures.slot(&disk(device)).await.unwrap_err();
            assert!(matches!(error, EnclosureError::NoSlot), "{device}: {error:?}");
        }
        let nowhere = Enclosures::new(&root.path().join("absent"));
        assert!(matches!(nowhere.slot(&disk("/dev/sda")).await, Err(EnclosureError::NoSlot)));
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
        let told = enclosures.slot(&disk("/dev/sda")).await.unwrap();
        assert_eq!((told.locate, told.fault, told.number, told.status), (None, None, None, None));
        let error = enclosures.set(&disk("/dev/sda"), Light::Locate, true).await.unwrap_err();
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
        assert!(matches!(enclosures.slot(&disk("/dev/sda")).await, Err(EnclosureError::Busy)));
        drop(hanging);
        enclosures.deadline = DEADLINE;
        assert!(enclosures.slot(&disk("/dev/sda")).await.is_ok());
    }
}
