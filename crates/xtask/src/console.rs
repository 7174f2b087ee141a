//! A guest's serial console: a file that QEMU writes, read for what the node says about itself.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tls::Fingerprint;

/// Hexadecimal pairs of a fingerprint, and how many bytes they take with their colons.
const PAIRS: usize = 32;
const FINGERPRINT_BYTES: usize = PAIRS * 3 - 1;

/// The console of one machine, from the last start on.
#[derive(Clone, Debug)]
pub struct Console {
    path: PathBuf,
    start: usize,
}

impl Console {
    /// The console in that file, from its beginning.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), start: 0 }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets what was said so far: the machine starts again.
    pub fn restart(&mut self) {
        self.start = self.bytes().len();
    }

    /// What was said since the last start.
    #[must_use]
    pub fn text(&self) -> String {
        let bytes = self.bytes();
        String::from_utf8_lossy(bytes.get(self.start..).unwrap_or_default()).into_owned()
    }

    /// The fingerprint of the management API's certificate, once the node has told it.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        fingerprint_in(&self.text())
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap_or_default()
    }
}

/// The last fingerprint in a text: 32 hexadecimal pairs with colons between them.
fn fingerprint_in(text: &str) -> Option<Fingerprint> {
    let words = text.split(|character: char| !character.is_ascii_hexdigit() && character != ':');
    let mut candidates = words.filter_map(|word| {
        // A name before it ("SHA256:") may end in what looks like hexadecimal digits.
        let start = word.len().checked_sub(FINGERPRINT_BYTES)?;
        let pairs: Vec<&str> = word[start..].split(':').collect();
        let whole = pairs.len() == PAIRS && pairs.iter().all(|pair| pair.len() == 2);
        whole.then(|| pairs.join(":").to_ascii_uppercase())
    });
    candidates.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_fingerprint_is_taken_with_or_without_a_name_before_it() {
        let one = vec!["0a"; PAIRS].join(":");
        let other = vec!["FE"; PAIRS].join(":");
        assert_eq!(fingerprint_in(&format!("cert SHA256:{one}\r\n")), Some(one.to_uppercase()));
        assert_eq!(fingerprint_in(&format!("{one}\nfingerprint {other}.\n")), Some(other));
        assert_eq!(fingerprint_in(&format!("{}\n", &one[..one.len() - 3])), None);
        assert_eq!(fingerprint_in("mac 52:54:00:12:34:56"), None);
    }
}
