//! A bounded ring of log lines, compressed: what a service said last, and how much of it was lost.
//!
//! Whatever a service writes, its ring never takes more than [`SEALED_BYTES_MAX`] bytes of memory and two blocks, gives back no
//! more than [`TEXT_BYTES_MAX`], and a line has no more than [`LINE_BYTES_MAX`]. A line counts as [`LINE_BYTES_MIN`] at least:
//! that is what it takes to give it back. Who says more than [`BURST_BYTES`] and then [`BYTES_PER_SECOND`] is heard out and not
//! kept, so that a service that logs without end costs the time of counting its lines.

use std::collections::VecDeque;
use std::fmt::Write as _;

/// The most bytes of one line; what goes beyond is cut off, and the line ends with an ellipsis.
pub(crate) const LINE_BYTES_MAX: usize = 1024;
/// What a line counts as at least.
const LINE_BYTES_MIN: usize = 64;
/// Lines are compressed together when there are so many bytes of them.
const BLOCK_BYTES: usize = 16 * 1024;
/// The most bytes of compressed blocks.
const SEALED_BYTES_MAX: usize = 48 * 1024;
/// The most bytes of all lines together: an answer of the control socket.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
/// What a service may say at once, and for ever.
const BURST_BYTES: u64 = 1024 * 1024;
const BYTES_PER_SECOND: u64 = 128 * 1024;

/// Lines that were compressed together.
#[derive(Debug)]
struct Block {
    compressed: Vec<u8>,
    text_bytes: usize,
    lines: u64,
}

/// The last lines of one service.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    sealed: VecDeque<Block>,
    sealed_bytes: usize,
    text_bytes: usize,
    /// Whole lines that wait to be compressed, each after its time, with its line end.
    open: String,
    open_lines: u64,
    /// Lines that were kept and fell out again, and lines that were never kept.
    evicted: u64,
    dropped: u64,
    dropped_now: u64,
    /// Nothing is kept until there is room for much again.
    deaf: bool,
    /// What comes next belongs to a line that was dropped.
    within_dropped: bool,
    unfinished: Vec<u8>,
    cut: bool,
    /// What it has used of [`BURST_BYTES`], and when something last came, in milliseconds since boot.
    spent_bytes: u64,
    heard_ms: u64,
}

impl Ring {
    /// Takes bytes as they came out of a pipe.
    pub(crate) fn write(&mut self, mut bytes: &[u8], now_ms: u64) {
        self.hear(now_ms);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // Half of what it may save up must be there again before it is listened to again.
        let left_bytes = BURST_BYTES.saturating_sub(self.spent_bytes);
        self.deaf = length > left_bytes || (self.deaf && left_bytes < BURST_BYTES / 2);
        if self.deaf {
            return self.drop_lines(bytes);
        }
        self.spent_bytes += length;
        self.tell_dropped();
        if self.within_dropped {
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else { return };
            self.within_dropped = false;
            bytes = &bytes[end + 1..];
        }
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.extend(&bytes[..end]);
            self.finish_line();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// Counts each line of which something is lost, once: where it begins, or where its loss does.
    fn drop_lines(&mut self, bytes: &[u8]) {
        self.unfinished.clear();
        self.cut = false;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.dropped_now += u64::from(!self.within_dropped);
            self.within_dropped = !line.ends_with(b"\n");
        }
    }

    fn hear(&mut self, now_ms: u64) {
        let earned_bytes = now_ms.saturating_sub(self.heard_ms).saturating_mul(BYTES_PER_SECOND) / 1_000;
        self.spent_bytes = self.spent_bytes.saturating_sub(earned_bytes);
        self.heard_ms = now_ms.max(self.heard_ms);
    }

    /// Takes one whole line of init's own, which always has room.
    pub(crate) fn push(&mut self, line: &str, now_ms: u64) {
        self.hear(now_ms);
        self.finish();
        self.extend(line.as_bytes());
        self.finish_line();
    }

    /// The writer is gone: an unfinished line is a line.
    pub(crate) fn finish(&mut self) {
        self.tell_dropped();
        self.within_dropped = false;
        if !self.unfinished.is_empty() {
            self.finish_line();
        }
    }

    /// The lines from this number on, oldest first, each with the time at which it came in milliseconds since
    /// boot, and the number of the first of them.
    pub(crate) fn lines_from(&self, from: u64) -> (u64, Vec<(u64, String)>) {
        let (mut number, mut lines) = (self.evicted, Vec::new());
        for block in &self.sealed {
            if number + block.lines > from {
                lines.extend(block.text().lines().map(timed));
            } else {
                number += block.lines;
            }
        }
        lines.extend(self.open.lines().map(timed));
        let skipped = from.saturating_sub(number).min(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        lines.drain(..usize::try_from(skipped).unwrap_or(0));
        (number + skipped, lines)
    }

    /// The last lines that say anything, at most `count`, oldest first.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let sealed = self.sealed.back().map(Block::text).unwrap_or_default();
        let lines = sealed.lines().chain(self.open.lines()).map(|line| timed(line).1);
        let said = lines.rev().filter(|line| !line.trim().is_empty());
        let mut last: Vec<String> = said.take(count).collect();
        last.reverse();
        last
    }

    /// How many lines were thrown away.
    pub(crate) fn lost(&self) -> u64 {
        self.evicted + self.dropped + self.dropped_now
    }

    /// Writes down what was lost since this was last done. There is no unfinished line then.
    pub(crate) fn tell_dropped(&mut self) {
        let lines = std::mem::take(&mut self.dropped_now);
        if lines > 0 {
            self.dropped += lines;
            self.extend(format!("init: {lines} lines were not kept: too many came at once").as_bytes());
            self.finish_line();
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.unfinished.len());
        self.cut |= bytes.len() > room;
        self.unfinished.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn finish_line(&mut self) {
        let text = String::from_utf8_lossy(&self.unfinished);
        let plain = |character: char| {
            if character.is_control() && character != '\t' { '\u{fffd}' } else { character }
        };
        // To a String no write fails.
        let _ = write!(self.open, "{} ", self.heard_ms);
        self.open.extend(text.trim_end_matches('\r').chars().map(plain));
        self.open.push_str(if std::mem::take(&mut self.cut) { "…\n" } else { "\n" });
        self.open_lines += 1;
        self.unfinished.clear();
        if self.open.len() >= BLOCK_BYTES {
            self.seal();
        }
    }

    fn seal(&mut self) {
        let block = Block {
            compressed: lz4_flex::block::compress(self.open.as_bytes()),
            text_bytes: self.open.len(),
            lines: std::mem::take(&mut self.open_lines),
        };
        self.open.clear();
        self.sealed_bytes += block.compressed.len();
        self.text_bytes += block.counted_bytes();
        self.sealed.push_back(block);
        while self.sealed_bytes > SEALED_BYTES_MAX || self.text_bytes > TEXT_BYTES_MAX {
            let Some(oldest) = self.sealed.pop_front() else { break };
            self.sealed_bytes -= oldest.compressed.len();
            self.text_bytes -= oldest.counted_bytes();
            self.evicted += oldest.lines;
        }
    }
}

/// A line as it is kept: its time, and what it says.
fn timed(line: &str) -> (u64, String) {
    let (time_ms, text) = line.split_once(' ').unwrap_or(("", line));
    (time_ms.parse().unwrap_or(0), text.to_owned())
}

impl Block {
    /// What it takes to give its lines back, in bytes.
    fn counted_bytes(&self) -> usize {
        self.text_bytes.max(usize::try_from(self.lines).unwrap_or(usize::MAX).saturating_mul(LINE_BYTES_MIN))
    }

    fn text(&self) -> String {
        let text = lz4_flex::block::decompress(&self.compressed, self.text_bytes).unwrap_or_default();
        String::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ring: &Ring, from: u64) -> (u64, Vec<String>) {
        let (first, lines) = ring.lines_from(from);
        (first, lines.into_iter().map(|(_, line)| line).collect())
    }

    #[test]
    fn each_line_has_the_time_at_which_it_came_also_out_of_a_sealed_block() {
        let mut ring = Ring::default();
        for number in 0..2_000_u64 {
            ring.write(format!("line {number}\n").as_bytes(), number * 10);
        }
        ring.write(b"begun", 30_000);
        ring.finish();
        let (first, lines) = ring.lines_from(5);
        assert!(first == 5 && !ring.sealed.is_empty());
        for (number, (time_ms, line)) in (5..2_000).zip(&lines) {
            assert_eq!((*time_ms, line), (number * 10, &format!("line {number}")));
        }
        assert_eq!(lines.last(), Some(&(30_000, "begun".to_owned())));
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_were_cut_on_the_way() {
        let mut ring = Ring::default();
        for piece in ["one\ntw", "o\n", "\nthr", "ee"] {
            ring.write(piece.as_bytes(), 0);
        }
        assert_eq!(texts(&ring, 0).1, ["one", "two", ""]);
        ring.finish();
        assert_eq!(ring.last(2), ["two", "three"]);
    }

    #[test]
    fn a_service_that_says_much_stays_within_the_bounds_and_its_losses_are_counted() {
        let mut ring = Ring::default();
        for number in 0..100_000_u32 {
            let length = usize::try_from(number % 3_000).unwrap();
            ring.write(format!("{number} {}\n", "x".repeat(length)).as_bytes(), u64::from(number) * 100);
            assert!(ring.sealed_bytes <= SEALED_BYTES_MAX && ring.text_bytes <= TEXT_BYTES_MAX);
            assert!(ring.open.len() < BLOCK_BYTES + LINE_BYTES_MAX * 3);
        }
        let (first, lines) = texts(&ring, 0);
        assert_eq!(first + lines.len() as u64, 100_000);
        assert_eq!(ring.lost(), first);
        assert!(ring.last(1)[0].starts_with("99999 "));
        // Compressed, the ring holds more than its bytes.
        assert!(lines.iter().map(String::len).sum::<usize>() > SEALED_BYTES_MAX + BLOCK_BYTES);
    }

    #[test]
    fn a_storm_is_counted_and_not_kept_and_the_service_is_heard_again_afterwards() {
        let mut ring = Ring::default();
        let storm = "a line of a storm\n".repeat(1_000);
        for _ in 0..1_000 {
            ring.write(storm.as_bytes(), 5);
        }
        assert!(ring.lost() > 900_000, "{}", ring.lost());
        ring.write(b"quiet again\n", 5 + 60_000);
        let last = ring.last(2);
        assert!(
            last[0].ends_with("were not kept: too many came at once") && last[1] == "quiet again",
            "{last:?}"
        );
        let (first, lines) = texts(&ring, 0);
        assert_eq!(first + lines.len() as u64 + ring.dropped, 1_000_000 + 2);
    }

    #[test]
    fn a_loss_is_told_as_soon_as_somebody_asks_and_each_line_of_which_something_is_lost_counts_once() {
        let mut ring = Ring::default();
        // All but a few bytes of what may be said at once.
        let kept = "x".repeat(usize::try_from(BURST_BYTES).unwrap() - 20);
        for piece in [&format!("{kept}\nbegun, "), "and ended where no room was\nanother", " one", " more\n"]
        {
            ring.write(piece.as_bytes(), 5);
        }
        assert_eq!(ring.lost(), 2);
        ring.tell_dropped();
        assert_eq!(texts(&ring, 0).1[1..], ["init: 2 lines were not kept: too many came at once"]);
        // Still nothing is kept, and that is told when somebody asks again.
        ring.write(b"deaf\nthe rest of ", 6);
        // There is room again: what is left of a line that was dropped is no line.
        ring.write(b"it\nwhole\n", 60_000);
        let last = ring.last(2);
        assert_eq!(
            (last[0].as_str(), last[1].as_str()),
            ("init: 2 lines were not kept: too many came at once", "whole")
        );
        assert_eq!(ring.lost(), 4);
    }

    #[test]
    fn a_writer_that_ends_within_a_dropped_line_costs_the_next_one_nothing() {
        let mut ring = Ring::default();
        ring.write(&[b'x'; 2 << 20], 5);
        ring.finish();
        ring.write(b"next\n", 60_000);
        assert_eq!((ring.last(1), ring.lost()), (vec!["next".to_owned()], 1));
    }

    #[test]
    fn empty_lines_take_no_more_to_give_back_than_others() {
        let mut ring = Ring::default();
        for second in 0..100 {
            ring.write(&[b'\n'; 16 * 1024], second * 1_000);
        }
        let (first, lines) = texts(&ring, 0);
        assert!(
            lines.len() <= (TEXT_BYTES_MAX + BLOCK_BYTES) / LINE_BYTES_MIN + BLOCK_BYTES / 2,
            "{}",
            lines.len()
        );
        assert_eq!(first + lines.len() as u64, 100 * 16 * 1024);
    }

    #[test]
    fn whoever_reads_on_gets_each_line_once() {
        let (mut ring, mut next, mut read) = (Ring::default(), 0, 0_u64);
        for number in 0..20_000_u64 {
            ring.write(format!("line {number}\n").as_bytes(), number * 10);
            if number % 777 == 0 {
                let (first, lines) = texts(&ring, next);
                assert!(first == next && lines.first().is_none_or(|line| *line == format!("line {first}")));
                next = first + lines.len() as u64;
                read += lines.len() as u64;
            }
        }
        assert_eq!(read, next);
    }

    #[test]
    fn a_line_without_end_is_cut_and_says_so() {
        let mut ring = Ring::default();
        for _ in 0..1_000 {
            ring.write(&[b'x'; 1_000], 0);
        }
        assert!(ring.unfinished.len() <= LINE_BYTES_MAX);
        ring.write(b"\nnext\n", 0);
        let lines = texts(&ring, 0).1;
        assert_eq!(lines[0].chars().count(), LINE_BYTES_MAX + 1);
        assert!(lines[0].ends_with('…'));
        assert_eq!(lines[1], "next");
    }

    #[test]
    fn bytes_that_are_not_text_do_no_harm() {
        let mut ring = Ring::default();
        ring.write(b"\xff\xfe\x1b[2J\r\n", 0);
        assert_eq!(ring.last(1), ["\u{fffd}\u{fffd}\u{fffd}[2J"]);
    }
}
