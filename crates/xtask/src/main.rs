//! The developer's commands.
#![forbid(unsafe_code)]
fn main() -> anyhow::Result<()> {
    let w = xtask::workspace::Workspace::find()?;
    xtask::host_packages::ensure()?;
    xtask::image::build(&w)?;
    Ok(())
}
