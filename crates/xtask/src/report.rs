//! The table at the end: sections of lines, each a name and a value.

use std::fmt;
use std::time::Duration;

/// A table of sections.
#[derive(Clone, Debug, Default)]
pub struct Report {
    sections: Vec<(String, Vec<(String, String)>)>,
}

impl Report {
    /// Starts a section.
    pub fn section(&mut self, title: impl Into<String>) {
        self.sections.push((title.into(), Vec::new()));
    }

    /// Adds a line to the last section.
    pub fn line(&mut self, name: impl Into<String>, value: impl Into<String>) {
        if self.sections.is_empty() {
            self.section("");
        }
        if let Some((_, lines)) = self.sections.last_mut() {
            lines.push((name.into(), value.into()));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.sections.iter().flat_map(|(_, lines)| lines);
        let width = lines.map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (title, lines) in &self.sections {
            writeln!(formatter, "\n{title}")?;
            for (name, value) in lines {
                writeln!(formatter, "  {name:width$}  {value}")?;
            }
        }
        Ok(())
    }
}

/// Bytes for people, in units of 1000.
#[must_use]
pub fn bytes_text(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{}.{} KB", bytes / 1000, bytes % 1000 / 100),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Seconds for people.
#[must_use]
pub fn seconds_text(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Bytes in a time, for people.
#[must_use]
pub fn rate_text(bytes: u64, duration: Duration) -> String {
    let milliseconds = duration.as_millis().max(1);
    let rate = u128::from(bytes) * 1000 / milliseconds;
    format!("{}/s", bytes_text(u64::try_from(rate).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_one_column() {
        let mut report = Report::default();
        report.section("Sizes");
        report.line("a", "1");
        report.line("long", "2");
        assert_eq!(report.to_string(), "\nSizes\n  a     1\n  long  2\n");
    }

    #[test]
    fn units_change_where_they_should() {
        let texts = [999, 12_345, 12_345_678].map(bytes_text);
        assert_eq!(texts, ["999 bytes", "12.3 KB", "12.3 MB"]);
        assert_eq!(rate_text(30_000_000, Duration::from_secs(2)), "15.0 MB/s");
    }
}
