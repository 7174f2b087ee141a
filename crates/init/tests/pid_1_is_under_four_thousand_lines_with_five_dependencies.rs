//! PID 1 stays small enough to be read: under 4,000 lines, tests not counted, and five dependencies.

#![expect(clippy::unwrap_used, reason = "clippy does not see that helpers of tests are tests")]

use std::fs;
use std::path::Path;

const LINES_MAX: usize = 4_000;
const DEPENDENCIES: [&str; 5] = ["libc", "lz4_flex", "nix", "serde", "serde_json"];

/// The lines of every source file below this folder, without those of tests.
fn lines(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: &Path| {
        if path.is_dir() {
            return if path.ends_with("tests") { 0 } else { lines(path) };
        }
        let text = fs::read_to_string(path).unwrap();
        let own = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if path.ends_with("tests.rs") { 0 } else { own.lines().count() }
    };
    entries.map(|path| count(&path)).sum()
}

#[test]
fn pid_1_is_under_four_thousand_lines_with_five_dependencies() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lines = lines(&home.join("src"));
    println!("PID 1 has {lines} lines");
    assert!((1_000..LINES_MAX).contains(&lines), "{lines}");
    let manifest = fs::read_to_string(home.join("Cargo.toml")).unwrap();
    let (_, dependencies) = manifest.split_once("[dependencies]\n").unwrap();
    let named = dependencies.lines().filter(|line| line.contains(" = ") || line.contains(".workspace"));
    let names: Vec<&str> = named.filter_map(|line| line.split(['.', ' ']).next()).collect();
    assert_eq!(names, DEPENDENCIES);
}
