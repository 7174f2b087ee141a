//! A bounded ring of log lines: what a service said last, and how much of it was lost.
//!
//! Whatever a service writes, its ring never holds more than [`LINES_MAX`] lines or [`BYTES_MAX`]
//! bytes, and a line no more than [`LINE_BYTES_MAX`].

use std::collections::VecDeque;

/// The most lines that a ring holds.
pub(crate) const LINES_MAX: usize = 1_000;
/// The most bytes that the lines of a ring hold together.
pub(crate) const BYTES_MAX: usize = 64 * 1024;
/// The most bytes of one line; what goes beyond is cut off, and the line ends with an ellipsis.
pub(crate) const LINE_BYTES_MAX: usize = 1024;

/// The last lines of one service.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    lines: VecDeque<String>,
    bytes: usize,
    lost: u64,
    unfinished: Vec<u8>,
    cut: bool,
}

impl Ring {
    /// Takes bytes as they came out of a pipe.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.extend(&bytes[..end]);
            self.finish_line();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// Takes one whole line.
    pub(crate) fn push(&mut self, line: &str) {
        self.finish();
        self.write(line.as_bytes());
        self.finish_line();
    }

    /// The writer is gone: an unfinished line is a line.
    pub(crate) fn finish(&mut self) {
        if !self.unfinished.is_empty() {
            self.finish_line();
        }
    }

    /// The lines, oldest first.
    pub(crate) fn lines(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The newest whole line.
    pub(crate) fn last(&self) -> Option<&str> {
        self.lines.back().map(String::as_str)
    }

    /// The last lines that say anything, at most three, on one line.
    pub(crate) fn last_words(&self) -> String {
        let mut lines: Vec<&str> =
            self.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
        lines.reverse();
        lines.join(" | ")
    }

    /// How many lines were thrown away.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.unfinished.len());
        self.cut |= bytes.len() > room;
        self.unfinished.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish_line(&mut self) {
        let mut line: String = String::from_utf8_lossy(&self.unfinished)
            .trim_end_matches('\r')
            .chars()
            .map(|character| if character.is_control() && character != '\t' { '\u{fffd}' } else { character })
            .collect();
        if self.cut {
            line.push('…');
        }
        self.unfinished.clear();
        self.cut = false;
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
            self.lost = self.lost.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_as_they_went_in_however_they_were_cut_on_the_way() {
        let mut ring = Ring::default();
        for piece in ["one\ntw", "o\n", "\nthr", "ee"] {
            ring.write(piece.as_bytes());
        }
        assert_eq!(ring.lines().collect::<Vec<_>>(), ["one", "two", ""]);
        ring.finish();
        assert_eq!(ring.last(), Some("three"));
    }

    #[test]
    fn a_service_that_logs_without_end_stays_within_the_bounds_and_its_losses_are_counted() {
        let mut ring = Ring::default();
        for number in 0..100_000 {
            ring.write(format!("{number} {}\n", "x".repeat(number % 3_000)).as_bytes());
            assert!(ring.lines.len() <= LINES_MAX && ring.bytes <= BYTES_MAX);
        }
        assert_eq!(ring.lost() + ring.lines.len() as u64, 100_000);
        assert!(ring.last().unwrap().starts_with("99999 "));
    }

    #[test]
    fn a_line_without_end_is_cut_and_says_so() {
        let mut ring = Ring::default();
        for _ in 0..1_000 {
            ring.write(&[b'x'; 1_000]);
        }
        assert!(ring.unfinished.len() <= LINE_BYTES_MAX);
        ring.write(b"\nnext\n");
        let lines: Vec<_> = ring.lines().collect();
        assert_eq!(lines[0].chars().count(), LINE_BYTES_MAX + 1);
        assert!(lines[0].ends_with('…'));
        assert_eq!(lines[1], "next");
    }

    #[test]
    fn the_last_words_are_the_last_lines_that_say_anything() {
        let mut ring = Ring::default();
        ring.write(b"one\ntwo\n\nthree\n \nfour\n\n");
        assert_eq!(ring.last_words(), "two | three | four");
    }

    #[test]
    fn bytes_that_are_not_text_do_no_harm() {
        let mut ring = Ring::default();
        ring.write(b"\xff\xfe\x1b[2J\r\n");
        assert_eq!(ring.last(), Some("\u{fffd}\u{fffd}\u{fffd}[2J"));
    }
}
