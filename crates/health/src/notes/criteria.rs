//! Which drives a note is about.
//!
//! - Every criterion that a note states must hold. What is not known of a drive fulfils none.
//! - A pattern is searched for, as in `grep -E`: it says itself where a text begins and ends.
//! - A pattern is compiled under a bound, and is matched in time that grows with the text alone.

use regex_lite::{Regex, RegexBuilder};

use super::kernel_range::KernelRange;
use crate::{Bus, Identity};

/// A compiled pattern may take this much memory, in bytes: the longest of ours takes some 10 KiB.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// A pattern of regular expressions, bounded.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// One phrase on what is wrong with it.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty pattern matches everything".to_owned());
        }
        RegexBuilder::new(text)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map(Self)
            .map_err(|error| format!("the pattern {text:?} does not compile: {error}"))
    }

    fn matches(&self, text: Option<&str>) -> bool {
        text.is_some_and(|text| self.0.is_match(text.trim()))
    }
}

/// The criteria of one note.
#[derive(Clone, Debug, Default)]
pub(super) struct Criteria {
    /// A pattern of the model.
    pub(super) model: Option<Pattern>,
    /// A pattern of the firmware revision.
    pub(super) firmware: Option<Pattern>,
    /// How the drive is attached: one of these; none stated where empty.
    pub(super) bus: Vec<Bus>,
    /// The kernel that runs.
    pub(super) kernel: KernelRange,
    /// A pattern of the host bus adapter.
    pub(super) hba: Option<Pattern>,
}

impl Criteria {
    /// Whether no criterion is stated.
    pub(super) const fn is_empty(&self) -> bool {
        self.model.is_none()
            && self.firmware.is_none()
            && self.bus.is_empty()
            && self.kernel.is_unbounded()
            && self.hba.is_none()
    }

    /// Whether all of them hold for `identity`.
    pub(super) fn hold(&self, identity: &Identity) -> bool {
        let holds = |pattern: &Option<Pattern>, text: &Option<String>| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text.as_deref()))
        };
        !self.is_empty()
            && holds(&self.model, &identity.model)
            && holds(&self.firmware, &identity.firmware)
            && holds(&self.hba, &identity.hba)
            && (self.bus.is_empty() || self.bus.contains(&identity.bus))
            && self.kernel.contains(identity.kernel.as_deref())
    }

    /// Whether they hold for drives that have nothing in common but that they are drives.
    pub(super) fn hold_for_everything(&self) -> bool {
        PANEL.iter().all(|(model, firmware, bus, hba)| {
            let some = |text: &&str| Some((*text).to_owned());
            self.hold(&Identity {
                model: some(model),
                firmware: some(firmware),
                bus: *bus,
                hba: some(hba),
                kernel: Some("6.12.43".to_owned()),
                ..Identity::default()
            })
        })
    }
}

/// Drives of every bus and of the large makers. A note that matches them all knows nothing of any.
const PANEL: [(&str, &str, Bus, &str); 8] = [
    ("WDC  WSH722020ALE6L0", "PCGMW803", Bus::Sata, "ahci 0000:00:17.0"),
    ("ST14000NM0428", "SN02", Bus::Sas, "mpt3sas 0000:3b:00.0"),
    ("TOSHIBA MG08ACA16TE", "0102", Bus::Sata, "mpi3mr 0000:5e:00.0"),
    ("HUH721212AL5200", "A21D", Bus::Sas, "megaraid_sas 0000:18:00.0"),
    ("SAMSUNG MZ7L3480HCHQ-00A07", "JXTC104Q", Bus::Sata, "smartpqi 0000:64:00.0"),
    ("Micron_7450_MTFDKCC3T8TFR", "E2MU200", Bus::Nvme, "nvme 0000:c1:00.0"),
    ("INTEL SSDPE2KX040T8", "VDV10131", Bus::Nvme, "nvme 0000:c2:00.0"),
    ("KIOXIA KPM6XRUG1T92", "AGA2", Bus::Sas, "pm80xx 0000:af:00.0"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of_model(pattern: &str) -> Criteria {
        Criteria { model: Some(Pattern::compile(pattern).unwrap()), ..Criteria::default() }
    }

    #[test]
    fn what_is_not_known_of_a_drive_fulfils_no_criterion() {
        assert!(!of_model("^ST").hold(&Identity::default()));
        let sata = Criteria { bus: vec![Bus::Sata], ..Criteria::default() };
        assert!(!sata.hold(&Identity::default()));
        assert!(!Criteria::default().hold(&Identity::default()), "no criteria are no match");
    }

    #[test]
    fn a_note_about_every_drive_is_known_as_one() {
        for pattern in [".", ".*", "^", "[A-Z0-9]", "|ST"] {
            assert!(of_model(pattern).hold_for_everything(), "{pattern}");
        }
        for pattern in ["^ST", "^(WDC +)?WSH", "^KIOXIA"] {
            assert!(!of_model(pattern).hold_for_everything(), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_would_take_much_memory_is_refused() {
        let reason = Pattern::compile("(((a{100}){100}){100})").unwrap_err();
        assert!(reason.contains("does not compile"), "{reason}");
        assert!(Pattern::compile("(").is_err());
        assert!(Pattern::compile("").is_err());
    }
}
