//! What smartctl last said of each drive, under the names of Prometheus' `smartctl_exporter` where the meaning is the
//! same, so that its dashboards and alerts go on working.
//!
//! - What a report does not say has no sample. How old it is tells `imbrex_health_data_age_seconds`.
//! - Every metric is a gauge: the text format would give a counter another name.
//! - The text is written at once and nothing is kept: attributes make thousands of samples.

use std::fmt::{self, Write};

use smartctl_parser::{ErrorCounters, NvmeHealth, Report, Scsi};

use crate::health::Reported;

/// The unit in which NVMe counts what was read and written, in bytes (NVM Express Base 2.0, log 02h).
const DATA_UNIT_BYTES: u64 = 512_000;

/// A number in a report; `None` where it does not say.
type Figure = fn(&Report) -> Option<i128>;

/// The metrics that are one number of a report: name, help, further labels, number.
const FIGURES: &[(&str, &str, &str, Figure)] = &[
    ("smart_status", "General smart status", "", |report| report.smart_passed.map(i128::from)),
    ("smartctl_exit_status", "Exit status of smartctl on device", "", |report| {
        report.exit.map(|exit| i128::from(exit.0))
    }),
    ("temperature", "Device temperature celsius", r#",temperature_type="current""#, |report| {
        report.temperature_celsius.map(i128::from)
    }),
    ("power_on_seconds", "Device power on seconds", "", |report| {
        report.power_on_hours.map(|hours| i128::from(hours) * 3600)
    }),
    ("power_cycle_count", "Device power cycle count", "", |report| report.power_cycles.map(i128::from)),
    ("capacity_bytes", "Device capacity in bytes", "", |report| {
        report.identity.capacity_bytes.map(i128::from)
    }),
    ("rotation_rate", "Device rotation rate", "", |report| report.identity.rotation_rate_rpm.map(i128::from)),
    ("critical_warning", "Critical warnings of an NVMe device, by bits", "", |report| {
        nvme(report)?.critical_warning.map(|warning| i128::from(warning.0))
    }),
    ("available_spare", "Remaining spare capacity in percent", "", |report| {
        nvme(report)?.available_spare_percent.map(i128::from)
    }),
    ("available_spare_threshold", "Spare capacity below which the device warns, in percent", "", |report| {
        nvme(report)?.available_spare_threshold_percent.map(i128::from)
    }),
    ("percentage_used", "Vendor's estimate of the life used, in percent", "", |report| {
        nvme(report)?.percentage_used.map(i128::from)
    }),
    ("media_errors", "Times that the controller found data that it could not recover", "", |report| {
        nvme(report)?.media_errors.map(i128::from)
    }),
    ("num_err_log_entries", "Entries in the error log over the life of the controller", "", |report| {
        nvme(report)?.error_log_entries.map(i128::from)
    }),
    ("bytes_read", "Bytes read by the host", "", |report| units(nvme(report)?.data_units_read)),
    ("bytes_written", "Bytes written by the host", "", |report| units(nvme(report)?.data_units_written)),
];

/// SCSI's counters, which the exporter names without "device".
const SCSI_FIGURES: &[(&str, &str, Figure)] = &[
    ("scsi_grown_defect_list", "Entries of the list of grown defects", |report| {
        scsi(report)?.grown_defects.map(|defects| i128::from(defects.count))
    }),
    ("read_total_uncorrected_errors", "Errors in reads that were not corrected", |report| {
        uncorrected(scsi(report)?.read.as_ref())
    }),
    ("write_total_uncorrected_errors", "Errors in writes that were not corrected", |report| {
        uncorrected(scsi(report)?.write.as_ref())
    }),
];

fn nvme(report: &Report) -> Option<&NvmeHealth> {
    report.nvme.as_ref()
}

fn scsi(report: &Report) -> Option<&Scsi> {
    report.scsi.as_ref()
}

fn units(count: Option<u64>) -> Option<i128> {
    Some(i128::from(count?) * i128::from(DATA_UNIT_BYTES))
}

fn uncorrected(counters: Option<&ErrorCounters>) -> Option<i128> {
    counters?.uncorrected.map(i128::from)
}

/// Writes the metrics of all drives.
///
/// # Errors
///
/// Never, as far as a string can grow.
pub(super) fn write(text: &mut String, drives: &[Reported<'_>]) -> fmt::Result {
    head(text, "device", "Device info")?;
    for drive in drives {
        write_info(text, drive)?;
    }
    for (name, help, labels, figure) in FIGURES {
        head(text, &format!("device_{name}"), help)?;
        for drive in drives {
            if let Some(value) = figure(drive.report) {
                writeln!(text, "smartctl_device_{name}{{{}{labels}}} {value}", names(drive))?;
            }
        }
    }
    for (name, help, figure) in SCSI_FIGURES {
        head(text, name, help)?;
        for drive in drives {
            if let Some(value) = figure(drive.report) {
                writeln!(text, "smartctl_{name}{{{}}} {value}", names(drive))?;
            }
        }
    }
    head(text, "device_attribute", "Device attributes")?;
    drives.iter().try_for_each(|drive| write_attributes(text, drive))
}

fn head(text: &mut String, name: &str, help: &str) -> fmt::Result {
    writeln!(text, "# HELP smartctl_{name} {help}.\n# TYPE smartctl_{name} gauge")
}

/// The labels by which a drive is known: the exporter's `device`, which is the kernel's name, and its ID.
fn names(drive: &Reported<'_>) -> String {
    let device = drive.device.strip_prefix("/dev/").unwrap_or(drive.device);
    format!(r#"device="{}",drive="{}""#, Escaped(device), Escaped(drive.id))
}

fn write_info(text: &mut String, drive: &Reported<'_>) -> fmt::Result {
    let (device, identity) = (&drive.report.device, &drive.report.identity);
    let protocol = device.protocol.map_or("", |protocol| match protocol {
        smartctl_parser::Protocol::Ata => "ATA",
        smartctl_parser::Protocol::Scsi => "SCSI",
        smartctl_parser::Protocol::Nvme => "NVMe",
    });
    write!(text, r#"smartctl_device{{{},protocol="{protocol}""#, names(drive))?;
    for (label, value) in [
        ("interface", &device.access),
        ("model_family", &identity.family),
        ("model_name", &identity.model),
        ("serial_number", &identity.serial),
        ("firmware_version", &identity.firmware),
    ] {
        write!(text, r#",{label}="{}""#, Escaped(value.as_deref().unwrap_or_default()))?;
    }
    writeln!(text, "}} 1")
}

fn write_attributes(text: &mut String, drive: &Reported<'_>) -> fmt::Result {
    let Some(ata) = &drive.report.ata else { return Ok(()) };
    let names = names(drive);
    for attribute in &ata.attributes {
        let name = attribute.name.as_deref().unwrap_or_default();
        for (kind, value) in [
            ("value", attribute.value.map(u64::from)),
            ("worst", attribute.worst.map(u64::from)),
            ("thresh", attribute.threshold.map(u64::from)),
            ("raw", attribute.raw),
        ] {
            let Some(value) = value else { continue };
            writeln!(
                text,
                r#"smartctl_device_attribute{{{names},attribute_id="{}",attribute_name="{}",attribute_value_type="{kind}"}} {value}"#,
                attribute.id,
                Escaped(name),
            )?;
        }
    }
    Ok(())
}

/// The value of a label, with what ends one escaped (OpenMetrics 1.0, "Escaping").
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\\' => formatter.write_str(r"\\"),
            '"' => formatter.write_str(r#"\""#),
            '\n' => formatter.write_str(r"\n"),
            other => formatter.write_char(other),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> String {
        let report = Report::parse(json.as_bytes()).unwrap();
        let mut text = String::new();
        write(&mut text, &[Reported { id: "naa.1", device: "/dev/sda", report: &report }]).unwrap();
        text
    }

    #[test]
    fn metrics_have_the_exporters_names_and_labels() {
        let text = written(
            r#"{"smartctl":{"version":[7,4],"exit_status":64},"model_name":"A \"B\"","smart_status":{"passed":true},
            "temperature":{"current":31},"power_on_time":{"hours":2},"ata_smart_attributes":{"table":[{"id":5,
            "name":"Reallocated_Sector_Ct","value":100,"worst":99,"thresh":10,"raw":{"value":8,"string":"8"}}]}}"#,
        );
        for line in [
            r#"smartctl_device_smart_status{device="sda",drive="naa.1"} 1"#,
            r#"smartctl_device_smartctl_exit_status{device="sda",drive="naa.1"} 64"#,
            r#"smartctl_device_temperature{device="sda",drive="naa.1",temperature_type="current"} 31"#,
            r#"smartctl_device_power_on_seconds{device="sda",drive="naa.1"} 7200"#,
            r#"smartctl_device_attribute{device="sda",drive="naa.1",attribute_id="5",attribute_name="Reallocated_Sector_Ct",attribute_value_type="raw"} 8"#,
            r#"smartctl_device_attribute{device="sda",drive="naa.1",attribute_id="5",attribute_name="Reallocated_Sector_Ct",attribute_value_type="thresh"} 10"#,
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is not in\n{text}");
        }
        assert!(text.contains(r#"model_name="A \"B\"""#), "{text}");
    }

    #[test]
    fn what_a_report_does_not_say_has_no_sample() {
        let text =
            written(r#"{"nvme_smart_health_information_log":{"critical_warning":4,"data_units_read":2}}"#);
        assert!(
            text.contains("smartctl_device_critical_warning{device=\"sda\",drive=\"naa.1\"} 4\n"),
            "{text}"
        );
        assert!(
            text.contains("smartctl_device_bytes_read{device=\"sda\",drive=\"naa.1\"} 1024000\n"),
            "{text}"
        );
        for name in ["smart_status", "temperature", "power_on_seconds", "media_errors", "attribute"] {
            assert!(!text.contains(&format!("smartctl_device_{name}{{")), "{name} in\n{text}");
        }
    }
}
