//! Paths inside a stored tree.
//!
//! Invariant: a [`RelativePath`] names something below the directory that it is joined to. It has no
//! leading slash, no `.`, no `..`, no empty component and no NUL, whoever wrote it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::byte_text::ByteText;

/// Bytes in one component; what Linux file systems take.
const COMPONENT_BYTES_MAX: usize = 255;
/// Bytes in a whole path.
const PATH_BYTES_MAX: usize = 4096;

/// A checked path below some directory.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RelativePath(ByteText);

impl RelativePath {
    /// Checks `bytes`.
    ///
    /// # Errors
    /// A phrase that names the path and the rule that it breaks.
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, String> {
        let text = ByteText::new(bytes);
        let bytes = text.as_bytes();
        if bytes.len() > PATH_BYTES_MAX {
            return Err(format!(
                "a path in it is {} bytes long, and {PATH_BYTES_MAX} is the most",
                bytes.len()
            ));
        }
        if bytes.first() == Some(&b'/') {
            return Err(format!("the path {text:?} in it is absolute"));
        }
        if bytes.contains(&0) {
            return Err(format!("the path {text:?} in it has a zero byte"));
        }
        for component in bytes.split(|byte| *byte == b'/') {
            match component {
                b"" => return Err(format!("the path {text:?} in it has an empty component")),
                b"." | b".." => return Err(format!("the path {text:?} in it has a component . or ..")),
                _ if component.len() > COMPONENT_BYTES_MAX => {
                    return Err(format!("a component of the path {text:?} in it is too long"));
                }
                _ => {}
            }
        }
        Ok(Self(text))
    }

    /// The directory that it lies in; nothing at the top.
    pub(crate) fn parent(&self) -> Option<&[u8]> {
        let bytes = self.0.as_bytes();
        let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
        bytes.get(..slash)
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Where it is below `root`.
    pub(crate) fn below(&self, root: &Path) -> PathBuf {
        root.join(self.0.as_path())
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl Serialize for RelativePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RelativePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = ByteText::deserialize(deserializer)?;
        Self::new(text.as_bytes()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_the_target_is_refused() {
        let long = "x".repeat(256);
        let deep = "x/".repeat(2500);
        for hostile in [
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            ".",
            "./a",
            "a/./b",
            "",
            "a//b",
            "a/",
            "a\0b",
            &long,
            &deep,
        ] {
            assert!(RelativePath::new(hostile).is_err(), "{hostile:?}");
            let json = serde_json::to_string(hostile).unwrap();
            assert!(serde_json::from_str::<RelativePath>(&json).is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn a_hostile_path_in_hexadecimal_is_refused_too() {
        assert!(serde_json::from_str::<RelativePath>("{\"hex\":\"2e2e2f78\"}").is_err());
        assert!(serde_json::from_str::<RelativePath>("{\"hex\":\"78ff\"}").is_ok());
    }

    #[test]
    fn plain_paths_pass_and_know_their_parent() {
        let path = RelativePath::new("a/..b/c d").unwrap();
        assert_eq!(path.parent(), Some(&b"a/..b"[..]));
        assert_eq!(RelativePath::new("...").unwrap().parent(), None);
        assert_eq!(path.below(Path::new("/t")), Path::new("/t/a/..b/c d"));
    }
}
