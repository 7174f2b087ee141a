use std::collections::HashMap as Store;

use super::*;

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).unwrap()
}

fn dir(text: &str) -> Entry {
    Entry::Dir { path: path(text), mode: 0o755, mtime_s: 1, mtime_ns: 2 }
}

fn file(text: &str) -> Entry {
    Entry::File {
        path: path(text),
        mode: 0o644,
        mtime_s: -1,
        mtime_ns: 999_999_999,
        size: 3,
        key: Key::of(b"abc"),
        manifest: false,
    }
}

fn link(text: &str, target: &[u8]) -> Entry {
    Entry::Symlink { path: path(text), mtime_s: 0, mtime_ns: 0, target: ByteText::new(target) }
}

fn cut(size: u64, block_size: u32, keys: usize) -> Cut {
    Cut { size, block_size, blocks: vec![Key::of(b""); keys] }
}

/// A manifest as somebody else might write it.
fn tree_json(entries: &str) -> String {
    format!("{{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[{entries}]}}")
}

#[test]
fn what_is_encoded_is_decoded() {
    let odd = Entry::Dir {
        path: RelativePath::new(&b"\xff"[..]).unwrap(),
        mode: 0o7777,
        mtime_s: i64::MIN,
        mtime_ns: 0,
    };
    for manifest in [
        Manifest::File(cut(9, 4, 3)),
        Manifest::Inner(cut(8, 4, 2)),
        Manifest::Tree(vec![]),
        Manifest::Tree(vec![dir("a"), file("a/b"), link("a/c", b"\xfe/.."), odd]),
    ] {
        let bytes = encode(manifest.clone()).unwrap();
        assert!(is_manifest(&bytes));
        assert_eq!(decode(&bytes), Ok(manifest));
    }
}

#[test]
fn the_bytes_of_version_1_are_frozen() {
    let bytes = encode(Manifest::Tree(vec![dir("d"), file("d/f"), link("l", b"d/f")])).unwrap();
    let abc = Key::of(b"abc");
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        format!(
            "{{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[\
             {{\"kind\":\"dir\",\"path\":\"d\",\"mode\":493,\"mtime_s\":1,\"mtime_ns\":2}},\
             {{\"kind\":\"file\",\"path\":\"d/f\",\"mode\":420,\"mtime_s\":-1,\"mtime_ns\":999999999,\"size\":3,\
             \"key\":\"{abc}\",\"manifest\":false}},\
             {{\"kind\":\"symlink\",\"path\":\"l\",\"mtime_s\":0,\"mtime_ns\":0,\"target\":\"d/f\"}}]}}"
        )
    );
    let bytes = encode(Manifest::File(Cut { size: 5, block_size: 4, blocks: vec![abc, abc] })).unwrap();
    assert_eq!(
        std::str::from_utf8(&bytes).unwrap(),
        format!(
            "{{\"imbrex-manifest\":1,\"kind\":\"file\",\"size\":5,\"block_size\":4,\"blocks\":[\"{abc}\",\"{abc}\"]}}"
        )
    );
}

#[test]
fn another_version_is_refused_by_naming_both() {
    let reason = decode(b"{\"imbrex-manifest\":7,\"kind\":\"galaxy\",\"new\":true}").unwrap_err();
    assert!(reason.contains("version 7") && reason.contains("version 1"), "{reason}");
}

#[test]
fn what_is_not_a_manifest_of_version_1_is_refused_with_the_reason() {
    for (bytes, word) in [
        ("hello", "magic"),
        ("{\"imbrex-manifest\":", "malformed"),
        ("{\"imbrex-manifest\":-1}", "malformed"),
        ("{\"imbrex-manifest\":1}", "no kind"),
        ("{\"imbrex-manifest\":1,\"kind\":\"galaxy\"}", "galaxy"),
        ("{\"imbrex-manifest\":1,\"kind\":\"tree\"}", "malformed"),
        ("{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[],\"x\":1}", "malformed"),
        ("{\"imbrex-manifest\":1,\"kind\":\"tree\",\"entries\":[]} x", "malformed"),
        (
            &tree_json("{\"kind\":\"dir\",\"path\":\"a\",\"mode\":0,\"mtime_s\":0,\"mtime_ns\":0,\"x\":1}"),
            "malformed",
        ),
        (&tree_json("{\"kind\":\"fifo\",\"path\":\"a\"}"), "malformed"),
        (&tree_json("{\"kind\":\"dir\",\"path\":\"../a\",\"mode\":0,\"mtime_s\":0,\"mtime_ns\":0}"), ".."),
        (
            &tree_json("{\"kind\":\"dir\",\"path\":\"/a\",\"mode\":0,\"mtime_s\":0,\"mtime_ns\":0}"),
            "absolute",
        ),
        (&tree_json("{\"kind\":\"dir\",\"path\":\"a\",\"mode\":65536,\"mtime_s\":0,\"mtime_ns\":0}"), "mode"),
        (
            &tree_json("{\"kind\":\"dir\",\"path\":\"a\",\"mode\":0,\"mtime_s\":0,\"mtime_ns\":1000000000}"),
            "nanoseconds",
        ),
    ] {
        let reason = decode(bytes.as_bytes()).unwrap_err();
        assert!(reason.contains(word), "{bytes}: {reason}");
    }
}

#[test]
fn nothing_may_lie_below_a_link_a_file_or_nothing() {
    for entries in [
        vec![link("l", b"/etc"), file("l/passwd")],
        vec![file("f"), file("f/g")],
        vec![file("nowhere/g")],
        vec![file("late/g"), dir("late")],
    ] {
        let bytes = encode(Manifest::Tree(entries)).unwrap();
        assert!(decode(&bytes).unwrap_err().contains("does not lie in a directory"));
    }
}

#[test]
fn a_path_may_not_be_there_twice_so_that_no_link_replaces_a_directory() {
    let bytes = encode(Manifest::Tree(vec![dir("a"), link("a", b"/etc"), file("a/b")])).unwrap();
    assert!(decode(&bytes).unwrap_err().contains("twice"));
}

#[test]
fn a_link_without_a_target_and_a_block_larger_than_any_are_refused() {
    let bytes = encode(Manifest::Tree(vec![link("l", b"")])).unwrap();
    assert!(decode(&bytes).unwrap_err().contains("points to"));
    let mut large = file("f");
    if let Entry::File { size, .. } = &mut large {
        *size = BLOCK_BYTES_MAX as u64 + 1;
    }
    let bytes = encode(Manifest::Tree(vec![large])).unwrap();
    assert!(decode(&bytes).unwrap_err().contains("in one block"));
}

#[test]
fn the_number_of_keys_must_be_what_the_size_needs() {
    for wrong in [cut(9, 4, 2), cut(8, 4, 3), cut(0, 4, 0), cut(0, 4, 1), cut(1, 0, 1), cut(1, 1 << 30, 1)] {
        let bytes = encode(Manifest::File(wrong.clone())).unwrap();
        assert!(decode(&bytes).is_err(), "{wrong:?}");
    }
    let bytes =
        encode(Manifest::Inner(Cut { size: u64::MAX, block_size: 1, blocks: vec![Key::of(b"")] })).unwrap();
    assert!(decode(&bytes).is_err());
}

#[test]
fn the_last_block_is_shorter() {
    let nine = cut(9, 4, 3);
    assert_eq!((0..4).map(|index| nine.block_bytes(index)).collect::<Vec<_>>(), [4, 4, 1, 0]);
}

/// Puts the blocks into a store and follows the manifests back to the first.
fn unfold(root: Key, store: &Store<Key, Bytes>) -> Manifest {
    let mut bytes = store[&root].to_vec();
    loop {
        match decode(&bytes).unwrap() {
            Manifest::Inner(inner) => {
                bytes = inner.blocks.iter().flat_map(|key| store[key].to_vec()).collect();
            }
            other => return other,
        }
    }
}

#[test]
fn a_manifest_larger_than_a_block_is_cut_as_often_as_it_takes() {
    let entries: Vec<Entry> = (0..200).map(|number| file(&format!("file-{number:03}"))).collect();
    let manifest = Manifest::Tree(entries);
    let bytes = encode(manifest.clone()).unwrap();
    let blocks = blocks_of(bytes.clone(), 700).unwrap();
    assert!(blocks.iter().all(|(key, block)| block.len() <= 700 && *key == Key::of(block)));
    let levels = blocks.iter().filter(|(_, block)| is_manifest(block)).count();
    assert!(levels >= 3, "{levels} blocks begin a manifest");
    let (root, _) = blocks.last().cloned().unwrap();
    assert_eq!(unfold(root, &blocks.into_iter().collect()), manifest);

    let one = blocks_of(bytes.clone(), 4 << 20).unwrap();
    assert_eq!(one, [(Key::of(&bytes), bytes)]);
}
