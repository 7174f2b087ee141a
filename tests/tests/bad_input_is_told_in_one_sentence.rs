//! Bad input is told in one sentence, before anything is started.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use xtask::demonstration::{self, Request};
use xtask::image::Image;
use xtask::machine::free_ports;
use xtask::workspace::Workspace;
use xtask::{binaries, host_packages, image};

fn built() -> anyhow::Result<(Workspace, Image)> {
    let workspace = Workspace::find()?;
    host_packages::ensure()?;
    binaries::build(&workspace)?;
    let image = image::build(&workspace)?;
    Ok((workspace, image))
}

fn request(image: &Path, ports: u16) -> Request {
    Request {
        path: Some(image.join("SHA256SUMS")),
        check: true,
        network_boot: false,
        agent_port: ports,
        port_first: ports + 1,
        image: Some(image.to_path_buf()),
    }
}

#[test]
fn a_truncated_image_is_named_and_not_booted() -> anyhow::Result<()> {
    let (workspace, image) = built()?;
    let folder = tempfile::tempdir()?;
    for name in ["vmlinuz", "initrd.zst", "imbrex.efi", "SHA256SUMS"] {
        std::fs::copy(image.folder.join(name), folder.path().join(name))?;
    }
    let initrd = File::options().write(true).open(folder.path().join("initrd.zst"))?;
    initrd.set_len(initrd.metadata()?.len() / 2)?;
    let error = demonstration::run(&workspace, &request(folder.path(), free_ports(5)?));
    let sentence = error.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(sentence.contains("initrd.zst is damaged"), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    println!("truncated: {sentence}");
    Ok(())
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_booted() -> anyhow::Result<()> {
    let (workspace, image) = built()?;
    let ports = free_ports(5)?;
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports + 2))?;
    let error = demonstration::run(&workspace, &request(&image.folder, ports));
    let sentence = error.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(sentence.contains(&format!("port {} of 127.0.0.1 cannot be used", ports + 2)), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    println!("port in use: {sentence}");
    Ok(())
}
