//! A node that boots from the network keeps every byte: kernel and initrd by iPXE and TFTP, the configuration
//! from a URL, files stored by imbrexctl, the power cut, everything read back and compared.

use std::sync::atomic::AtomicBool;

use imbrex_tests::guest::Guest;
use imbrex_tests::ledger::Block;
use xtask::demonstration::store_cut_and_compare;
use xtask::node::DriveKind;
use xtask::source_tree::SourceTree;

#[test]
fn a_node_from_the_network_keeps_every_byte() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("empty"))?;
    // None, one byte, a whole block of 4 MiB, one byte more, and several blocks.
    for (number, length) in (0_u64..).zip([0, 1, 4 << 20, (4 << 20) + 1, 13_000_000]) {
        std::fs::write(folder.path().join(format!("file{number}")), Block { number, length }.content())?;
    }
    std::os::unix::fs::symlink("file1", folder.path().join("link"))?;
    let source = SourceTree::named(folder.path())?;

    let drives = DriveKind::ZonedNvme { count: 2, size_bytes: 1 << 30 };
    let mut guest = Guest::start("network", drives, true)?;
    let findings =
        store_cut_and_compare(&guest.workspace, &mut guest.node, &source, &AtomicBool::new(false))?;
    assert_eq!(findings.compared.files, 5);
    println!(
        "from the network: API after {:.1} s, after the cut {:.1} s; {} files with {} bytes are equal",
        findings.first_boot.api.as_secs_f64(),
        findings.second_boot.api.as_secs_f64(),
        findings.compared.files,
        findings.compared.bytes
    );
    guest.node.power_off()?;
    Ok(())
}
