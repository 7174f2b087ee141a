//! Says in the log when a drive's level changes, once for each change.

use std::collections::BTreeMap;

use imbrex_api::health::{DriveInShort, Level, NodeHealth};

/// The levels that were told last.
#[derive(Debug, Default)]
pub(super) struct Changes {
    levels: BTreeMap<String, Level>,
    common_cause: Option<String>,
}

impl Changes {
    /// Tells what has changed since the last time.
    pub(super) fn tell(&mut self, node: NodeHealth) {
        for line in self.lines(node) {
            tracing::warn!("{line}");
        }
    }

    fn lines(&mut self, node: NodeHealth) -> Vec<String> {
        let mut lines: Vec<_> = node.drives.iter().filter_map(|drive| self.line(drive)).collect();
        self.levels = node.drives.into_iter().map(|drive| (drive.id, drive.level)).collect();
        if node.common_cause != self.common_cause {
            self.common_cause = node.common_cause;
            lines.extend(self.common_cause.clone());
        }
        lines
    }

    /// A drive that is new is told of where it is bad: that nobody has asked it yet is no news.
    fn line(&self, drive: &DriveInShort) -> Option<String> {
        let was = self.levels.get(&drive.id).copied();
        let is_news = match was {
            None => matches!(drive.level, Level::Degraded | Level::Failing),
            Some(was) => was != drive.level,
        };
        let was = was.map(|was| format!(", was {}", was.as_str())).unwrap_or_default();
        let because = drive.because.as_ref().map(|because| format!(": {because}")).unwrap_or_default();
        is_news.then(|| {
            let (id, level, action) = (&drive.id, drive.level.as_str(), drive.action.as_str());
            format!("drive {id} is {level}{was}{because} (action: {action})")
        })
    }
}

#[cfg(test)]
mod tests {
    use imbrex_api::health::Action;

    use super::*;

    fn node(level: Level) -> NodeHealth {
        let because = (level == Level::Degraded).then(|| "medium errors: 3".to_owned());
        let action = if level == Level::Degraded { Action::Scrub } else { Action::None };
        let drive = DriveInShort { id: "a".to_owned(), level, action, because, ..DriveInShort::default() };
        NodeHealth { drives: vec![drive], ..NodeHealth::default() }
    }

    #[test]
    fn a_change_is_told_once() {
        let mut changes = Changes::default();
        assert!(changes.lines(node(Level::Unknown)).is_empty());
        assert_eq!(changes.lines(node(Level::Healthy)), ["drive a is healthy, was unknown (action: none)"]);
        assert!(changes.lines(node(Level::Healthy)).is_empty());
        let degraded = "drive a is degraded, was healthy: medium errors: 3 (action: scrub)";
        assert_eq!(changes.lines(node(Level::Degraded)), [degraded]);
        assert!(changes.lines(node(Level::Degraded)).is_empty());
        let together =
            NodeHealth { common_cause: Some("common cause: x".to_owned()), ..node(Level::Degraded) };
        assert_eq!(changes.lines(together.clone()), ["common cause: x"]);
        assert!(changes.lines(together).is_empty());
    }

    #[test]
    fn a_drive_that_is_bad_when_it_is_first_seen_is_told_of() {
        assert_eq!(Changes::default().lines(node(Level::Degraded)).len(), 1);
    }
}
