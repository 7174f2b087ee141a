//! NVMe's health log (NVM Express Base 2.0, "SMART / Health Information", log 02h).

use serde::{Deserialize, Serialize};

use crate::field::Field;

/// NVMe's health log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NvmeHealth {
    /// The critical warning, by its bits.
    pub critical_warning: Option<CriticalWarning>,
    /// Spare blocks that are left, in percent.
    pub available_spare_percent: Option<u8>,
    /// Below this much spare the drive warns, in percent.
    pub available_spare_threshold_percent: Option<u8>,
    /// How much of the expected life is used, in percent; may exceed 100, and stops at 255.
    pub percentage_used: Option<u8>,
    /// Times that the controller found data that it could not recover.
    pub media_errors: Option<u64>,
    /// Entries in the error log over the drive's life. Commands that the host should not have sent count too.
    pub error_log_entries: Option<u64>,
    /// Power losses without notice.
    pub unsafe_shutdowns: Option<u64>,
    /// Minutes above the warning temperature.
    pub warning_temperature_minutes: Option<u64>,
    /// Minutes above the critical temperature.
    pub critical_temperature_minutes: Option<u64>,
    /// Written by the host, in units of 512,000 bytes.
    pub data_units_written: Option<u64>,
    /// Read by the host, in units of 512,000 bytes.
    pub data_units_read: Option<u64>,
}

/// The bits of NVMe's critical warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CriticalWarning(pub u8);

impl CriticalWarning {
    const NAMES: [&str; 6] = [
        "spare below its threshold",
        "temperature beyond a threshold",
        "reliability degraded by media or internal errors",
        "media read-only",
        "volatile memory backup failed",
        "persistent memory region read-only or unreliable",
    ];

    fn bit(self, bit: u32) -> bool {
        self.0 & (1 << bit) != 0
    }

    /// Bit 0: the spare is below its threshold.
    pub fn spare_low(self) -> bool {
        self.bit(0)
    }

    /// Bit 1: the temperature is beyond a threshold. The drive may be well: the room may not.
    pub fn temperature(self) -> bool {
        self.bit(1)
    }

    /// Bit 2: reliability is degraded by media or internal errors.
    pub fn reliability_degraded(self) -> bool {
        self.bit(2)
    }

    /// Bit 3: the media can only be read.
    pub fn read_only(self) -> bool {
        self.bit(3)
    }

    /// Bit 4: the backup of the volatile memory failed.
    pub fn backup_failed(self) -> bool {
        self.bit(4)
    }

    /// Bit 5: the persistent memory region can only be read, or is unreliable.
    pub fn persistent_memory(self) -> bool {
        self.bit(5)
    }

    /// What each bit that is set means, lowest first. Bits 6 and 7 are reserved and have no words.
    pub fn facts(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().zip(0..).filter(move |(_, bit)| self.bit(*bit)).map(|(name, _)| name)
    }
}

impl NvmeHealth {
    /// The log in a report; none where the report has none. smartctl tells the critical warning with the status too
    /// (nvmeprint.cpp, `smart_status`), where it stands when the log is lost.
    pub(crate) fn read(report: Field<'_>) -> Option<Self> {
        let of_status = report.at("smart_status").at("nvme").at("value").small().map(CriticalWarning);
        let Some(log) = report.at("nvme_smart_health_information_log").there() else {
            return of_status.map(|warning| Self { critical_warning: Some(warning), ..Self::default() });
        };
        Some(Self {
            critical_warning: log.at("critical_warning").small().map(CriticalWarning).or(of_status),
            available_spare_percent: log.at("available_spare").small(),
            available_spare_threshold_percent: log.at("available_spare_threshold").small(),
            percentage_used: log.at("percentage_used").small(),
            media_errors: log.wide("media_errors"),
            error_log_entries: log.wide("num_err_log_entries"),
            unsafe_shutdowns: log.wide("unsafe_shutdowns"),
            warning_temperature_minutes: log.wide("warning_temp_time"),
            critical_temperature_minutes: log.wide("critical_comp_time"),
            data_units_written: log.wide("data_units_written"),
            data_units_read: log.wide("data_units_read"),
        })
    }
}
