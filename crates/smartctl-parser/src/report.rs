//! A report: everything that one run of smartctl said of one drive.

pub(crate) mod ata;
pub(crate) mod device;
pub(crate) mod exit_status;
pub(crate) mod nvme;
pub(crate) mod scsi;
pub(crate) mod self_test;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::Field;
use crate::parse_error::ParseError;
use ata::Ata;
use device::{Device, Identity};
use exit_status::ExitStatus;
use nvme::NvmeHealth;
use scsi::Scsi;
use self_test::SelfTestLog;

/// No report is longer than this, in bytes: the longest (`-x` of a drive with all its logs) has some 300 KiB.
pub const REPORT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// At most this many messages are kept, and this much of each, in bytes.
const MESSAGES_MAX: usize = 16;
const MESSAGE_BYTES_MAX: usize = 512;

/// Temperatures outside of this are no drive's, in degrees Celsius: sensors of industrial parts go from -40 to 125, and
/// 127, 128 and 255 are what drives give that have none. 0 stands for "not told".
const TEMPERATURES_CELSIUS: std::ops::RangeInclusive<i64> = -40..=125;

/// What one run of smartctl said of one drive. What it did not say is `None` or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of smartctl: major and minor.
    pub version: Option<(u32, u32)>,
    /// The exit status, as the report itself has it.
    pub exit: Option<ExitStatus>,
    /// smartctl's messages: warnings and errors in words.
    pub messages: Vec<String>,
    /// When the report was made, by the clock of the machine that made it, in seconds since 1970.
    pub made_at_unix_s: Option<i64>,
    /// How the drive was reached.
    pub device: Device,
    /// What the drive says of itself.
    pub identity: Identity,
    /// Whether the drive has SMART, and has it switched on.
    pub smart_available: Option<bool>,
    /// See [`Report::smart_available`].
    pub smart_enabled: Option<bool>,
    /// The drive's own overall status: whether it passes.
    pub smart_passed: Option<bool>,
    /// Its temperature in degrees Celsius.
    pub temperature_celsius: Option<i16>,
    /// Hours that it was on.
    pub power_on_hours: Option<u64>,
    /// Times that it was switched on.
    pub power_cycles: Option<u64>,
    /// How much of the expected life is used, in percent, as smartctl from 7.4 on makes it out for all kinds of drives.
    pub endurance_used_percent: Option<u64>,
    /// What ATA drives tell.
    pub ata: Option<Ata>,
    /// What SCSI drives tell.
    pub scsi: Option<Scsi>,
    /// What NVMe drives tell.
    pub nvme: Option<NvmeHealth>,
    /// The log of self-tests.
    pub self_tests: Option<SelfTestLog>,
    /// Whether the drive was found asleep and left so. None where the report does not say.
    pub asleep: Option<bool>,
}

impl Report {
    /// Reads what `smartctl --json` wrote. Text before the first `{` is passed over (smartctl up to 7.2
    /// lets some slip out), bytes that are not UTF-8 are replaced, and parts of an unexpected shape count
    /// as not there.
    ///
    /// # Errors
    ///
    /// There is nothing, no JSON object, a broken one, or more than [`REPORT_BYTES_MAX`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(ParseError::TooLong { length_bytes: bytes.len() });
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(ParseError::Empty);
        }
        let text = String::from_utf8_lossy(bytes);
        let start = text.find('{').ok_or(ParseError::NotJson)?;
        // Only the first document counts: what follows it is no part of the report.
        let mut documents = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Value>();
        match documents.next() {
            Some(Ok(value)) => Ok(Self::read(Field::top(&value))),
            Some(Err(error)) if error.is_eof() => Err(ParseError::Truncated { length_bytes: bytes.len() }),
            Some(Err(error)) => Err(ParseError::Broken { line: error.line(), column: error.column() }),
            None => Err(ParseError::NotJson),
        }
    }

    /// Whether the report says anything of the drive's health: a report of identity alone, of a scan, or of
    /// a failure to open does not.
    pub fn has_health_data(&self) -> bool {
        self.smart_passed.is_some() || self.ata.is_some() || self.scsi.is_some() || self.nvme.is_some()
    }

    fn read(report: Field<'_>) -> Self {
        let smartctl = report.at("smartctl");
        let mut version = smartctl.at("version").items(2).map(Field::small::<u32>);
        let version = version.next().flatten().zip(version.next().flatten());
        let exit = smartctl.at("exit_status").small().map(ExitStatus);
        let messages: Vec<String> = (smartctl.at("messages").items(MESSAGES_MAX))
            .filter_map(|message| message.at("string").owned(MESSAGE_BYTES_MAX))
            .collect();
        let support = report.at("smart_support");
        let mut read = Self {
            version,
            exit,
            asleep: asleep(report, exit, &messages),
            messages,
            made_at_unix_s: report.at("local_time").at("time_t").signed(),
            device: Device::read(report),
            identity: Identity::read(report),
            smart_available: support.at("available").truth().or_else(|| support.truth()),
            smart_enabled: support.at("enabled").truth(),
            smart_passed: report.at("smart_status").at("passed").truth(),
            temperature_celsius: temperature(report),
            power_on_hours: power_on_hours(report),
            power_cycles: report.wide("power_cycle_count"),
            endurance_used_percent: report.at("endurance_used").at("current_percent").number(),
            ata: Ata::read(report),
            scsi: Scsi::read(report, version),
            nvme: NvmeHealth::read(report),
            self_tests: SelfTestLog::read(report),
        };
        // Asked without regard to its sleep (`-n never`), a drive tells its mode, wakes, and tells the rest.
        if read.has_health_data() && !read.exit.is_some_and(ExitStatus::no_data) {
            read.asleep = read.asleep.map(|_| false);
        }
        read
    }
}

/// smartctl writes no key for a drive that it left asleep before 7.4, and for SCSI never: its message tells.
fn asleep(report: Field<'_>, exit: Option<ExitStatus>, messages: &[String]) -> Option<bool> {
    let told = messages.iter().any(|message| {
        ["in STANDBY", "in SLEEP", "in IDLE", "in LOW POWER", "low-power"]
            .iter()
            .any(|words| message.contains(words))
    });
    let mode =
        report.at("power_mode").at("string").text().or_else(|| report.at("power_mode").at("name").text());
    match (exit, mode) {
        (Some(exit), _) if exit.open_failed() && told => Some(true),
        (_, Some(mode)) => {
            Some(["STANDBY", "SLEEP"].iter().any(|asleep| mode.to_ascii_uppercase().contains(asleep)))
        }
        _ => None,
    }
}

fn temperature(report: Field<'_>) -> Option<i16> {
    let places = [
        report.at("temperature").at("current"),
        report.at("nvme_smart_health_information_log").at("temperature"),
        report.at("ata_sct_status").at("temperature").at("current"),
        report.at("scsi_environmental_reports").at("temperature_1").at("current"),
    ];
    let told = |temperature: &i64| *temperature != 0 && TEMPERATURES_CELSIUS.contains(temperature);
    let temperature = places.into_iter().find_map(|place| place.signed().filter(told))?;
    i16::try_from(temperature).ok()
}

fn power_on_hours(report: Field<'_>) -> Option<u64> {
    let log = report.at("nvme_smart_health_information_log");
    report.at("power_on_time").at("hours").number().or_else(|| log.wide("power_on_hours"))
}
