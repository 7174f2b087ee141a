//! Kernel releases, and ranges of them.

/// The numbers of a kernel's release: `6.12.43+deb13-amd64` is 6, 12, 43.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KernelRelease([u32; 3]);

impl KernelRelease {
    /// The numbers that `text` begins with; `None` where it does not begin with two of them. A third one that
    /// is missing is 0.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let numeric = text.split(|character: char| !character.is_ascii_digit() && character != '.').next()?;
        let mut numbers = numeric.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = numbers.next().and_then(|number| number.parse().ok()).unwrap_or(0);
        Some(Self([major, minor, patch]))
    }
}

/// The releases from one (it included) up to another (it not included).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KernelRange {
    /// The first release of the range; `None` where it has no beginning.
    pub(super) from: Option<KernelRelease>,
    /// The first release after the range; `None` where it has no end.
    pub(super) before: Option<KernelRelease>,
}

impl KernelRange {
    /// Whether the range says nothing.
    pub(super) const fn is_unbounded(&self) -> bool {
        self.from.is_none() && self.before.is_none()
    }

    /// Whether it begins before it ends.
    pub(super) fn is_in_order(&self) -> bool {
        match (self.from, self.before) {
            (Some(from), Some(before)) => from < before,
            _ => true,
        }
    }

    /// Whether `release` lies in it. A release that is not known lies only in the range that says nothing.
    pub(super) fn contains(&self, release: Option<&str>) -> bool {
        if self.is_unbounded() {
            return true;
        }
        let Some(release) = release.and_then(KernelRelease::parse) else { return false };
        self.from.is_none_or(|from| from <= release) && self.before.is_none_or(|before| release < before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_as_numbers() {
        let range = KernelRange { from: KernelRelease::parse("6.8"), before: KernelRelease::parse("6.12.3") };
        for (release, within) in [
            ("6.8.0", true),
            ("6.8-rc1", true),
            ("6.12.2+deb13-amd64", true),
            ("6.7.12", false),
            ("6.12.3", false),
            ("6.100.0", false),
            ("10.1", false),
        ] {
            assert_eq!(range.contains(Some(release)), within, "{release}");
        }
    }

    #[test]
    fn a_release_that_is_not_known_lies_in_no_range() {
        let range = KernelRange { from: KernelRelease::parse("6.8"), before: None };
        assert!(!range.contains(None));
        assert!(!range.contains(Some("six")));
        assert!(KernelRange::default().contains(None), "no range is no condition");
    }
}
