//! Names as Linux has them: any bytes but NUL. In JSON a string where they are UTF-8, else `{"hex": "..."}`.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::key::hex_pair;

/// Bytes that usually are UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ByteText(Vec<u8>);

impl ByteText {
    /// The bytes of a name.
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes themselves.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same as a path.
    pub(crate) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl fmt::Display for ByteText {
    /// For a terminal: control characters, which could order it about, are escaped.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in String::from_utf8_lossy(&self.0).chars() {
            if character.is_control() {
                write!(formatter, "{}", character.escape_default())?;
            } else {
                write!(formatter, "{character}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ByteText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

impl Serialize for ByteText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("hex", &hex)?;
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Encoded {
    Text(String),
    Hex { hex: String },
}

impl<'de> Deserialize<'de> for ByteText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Encoded::deserialize(deserializer)? {
            Encoded::Text(text) => Ok(Self(text.into_bytes())),
            Encoded::Hex { hex } => {
                let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(hex_pair).collect();
                bytes.map(Self).ok_or_else(|| serde::de::Error::custom(format!("{hex:?} is not hexadecimal")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf_8_survive_json() {
        for bytes in [&b"plain"[..], b"", "\u{fc}ber".as_bytes(), b"\xff\xfe", b"a\xc3"] {
            let text = ByteText::new(bytes);
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<ByteText>(&json).unwrap(), text, "{json}");
        }
        assert!(serde_json::from_str::<ByteText>("{\"hex\":\"f\"}").is_err());
        assert!(serde_json::from_str::<ByteText>("{\"hex\":\"zz\"}").is_err());
    }

    #[test]
    fn a_name_cannot_order_the_terminal_about() {
        assert_eq!(ByteText::new("a\u{1b}[2Jb\n").to_string(), "a\\u{1b}[2Jb\\n");
    }
}
