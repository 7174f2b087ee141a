//! One line of a log as it goes over the wire: a message of syslog (RFC 5424, framed as in RFC 6587, 3.4.1), or one JSON
//! object a line.

use crate::timestamp::timestamp;
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a target wants its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As syslog does.
    Syslog,
    /// As JSON.
    Json,
}

/// When a line came, as the wall clock has it now: also one from before the clock was set. `clocks`: that clock, and the
/// milliseconds since boot.
pub(crate) fn came((wall, now_ms): (SystemTime, u64), time_ms: u64) -> String {
    let ago = Duration::from_millis(now_ms.saturating_sub(time_ms));
    timestamp(wall.checked_sub(ago).unwrap_or(UNIX_EPOCH))
}

impl Format {
    /// One line as it goes over the wire.
    pub(crate) fn frame(self, now: &str, host: &str, service: &str, line: &str) -> Vec<u8> {
        match self {
            // Facility 3 (daemon), severity 6 (informational): init does not know what a line means. APP-NAME has
            // 48 characters at most, which a drive's service may exceed; PROCID has 128.
            Self::Syslog => {
                let host = if host.is_empty() { "-" } else { host };
                let kind = service.split('@').next().unwrap_or_default();
                let message = format!("<30>1 {now} {host} {kind:.48} {service:.128} - - {line}");
                format!("{} {message}", message.len()).into_bytes()
            }
            Self::Json => {
                let object = json!({ "timestamp": now, "host": host, "service": service, "message": line });
                format!("{object}\n").into_bytes()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn a_line_has_the_time_at_which_it_came_and_not_that_at_which_it_was_sent() {
        let sent = UNIX_EPOCH + Duration::from_secs(1_795_269_599);
        assert_eq!(came((sent, 9_000), 9_000), "2026-11-21T13:59:59.000Z");
        assert_eq!(came((sent, 9_000), 500), "2026-11-21T13:59:50.500Z");
        // One that comes out of the future of a clock read a moment before is of now.
        assert_eq!(came((sent, 9_000), 9_001), "2026-11-21T13:59:59.000Z");
    }

    #[test]
    fn no_name_is_longer_than_the_standard_lets_it_be() {
        let service = format!("drive@{}", "x".repeat(200));
        let text = String::from_utf8(Format::Syslog.frame("now", "node", &service, "one")).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!((words[4], words[5].len(), words.len()), ("drive", 128, 9));
    }

    #[test]
    fn json_is_one_object_a_line_whatever_the_line_has_in_it() {
        let bytes = Format::Json.frame("now", "node", "drive@x", "a \"quoted\" line");
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let object: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(object["message"], "a \"quoted\" line");
    }
}
