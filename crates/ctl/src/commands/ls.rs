//! `imbrexctl ls`.

use serde::Serialize;

use crate::calendar::utc;
use crate::error::Error;
use crate::key::Key;
use crate::manifest::{Cut, Entry};
use crate::options::Ls;
use crate::output::{self, Output};
use crate::session::Session;
use crate::size::human_bytes;
use crate::table::Table;
use crate::transfer::read::{Content, load};

/// Blocks asked for at a time.
const PAGE_BLOCKS: u32 = 1000;

/// Lists the blocks on the drives, or what a key names.
///
/// # Errors
/// Where a drive does not answer, or a block cannot be had.
pub(crate) async fn run(session: &Session, options: Ls) -> Result<(), Error> {
    match options.key {
        Some(key) => list_content(session, key).await,
        None => list_blocks(session, options.limit.unwrap_or(u64::MAX)).await,
    }
}

/// A block on a drive, for programs.
#[derive(Serialize)]
struct Row<'a> {
    drive: &'a str,
    key: &'a str,
    bytes: u32,
}

/// Rows are written as they come: a drive may hold millions.
async fn list_blocks(session: &Session, limit: u64) -> Result<(), Error> {
    let transport = session.transport("listing").await?;
    let output = session.output;
    let members = transport.fleet().members();
    let name_width = members.iter().map(|member| member.name.chars().count()).chain([5]).max().unwrap_or(5);
    if output.is_json() {
        output.line("{\"blocks\":[")?;
    } else {
        output.line(&format!("{:name_width$}  {:64}  {:>10}", "DRIVE", "KEY", "SIZE"))?;
    }
    let mut listed = 0;
    for member in members {
        let mut cursor: Option<String> = None;
        while listed < limit {
            let wanted = u32::try_from(limit - listed).unwrap_or(PAGE_BLOCKS).min(PAGE_BLOCKS);
            let page = member.client().list(cursor.as_deref(), wanted).await?;
            for block in page.blocks.iter().take(wanted as usize) {
                let row = Row { drive: &member.name, key: &block.key, bytes: block.payload_bytes };
                output.line(&line(output, &row, name_width, listed == 0))?;
                listed += 1;
            }
            match page.next_cursor {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                Some(next) => {
                    let reason = format!("its list does not go on after the cursor {next}");
                    return Err(Error::Unexpected { url: member.client().base().to_owned(), reason });
                }
                None => break,
            }
        }
    }
    if output.is_json() {
        output.line("]}")?;
    }
    Ok(())
}

fn line(output: Output, row: &Row<'_>, name_width: usize, first: bool) -> String {
    if output.is_json() {
        let comma = if first { "" } else { "," };
        return format!("{comma}{}", serde_json::to_string(row).unwrap_or_default());
    }
    format!("{:name_width$}  {:64}  {:>10}", row.drive, row.key, human_bytes(row.bytes.into()))
}

/// What a key names, for programs.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Listing<'a> {
    Block { key: Key, bytes: u64 },
    File { key: Key, bytes: u64, block_bytes: u32, blocks: &'a [Key] },
    Tree { key: Key, bytes: u64, files: u64, entries: &'a [Entry] },
}

async fn list_content(session: &Session, key: Key) -> Result<(), Error> {
    let transport = session.transport("reading").await?;
    let loaded = load(&transport, &key).await;
    transport.progress().finish();
    let loaded = loaded?;
    let output = session.output;
    let listing = match &loaded.content {
        Content::Block(bytes) => Listing::Block { key, bytes: bytes.len() as u64 },
        Content::File(cut) => {
            Listing::File { key, bytes: cut.size, block_bytes: cut.block_size, blocks: &cut.blocks }
        }
        Content::Tree(entries) => {
            let (files, bytes) = sum(entries);
            Listing::Tree { key, bytes, files, entries }
        }
    };
    if output.is_json() {
        return output.json(&listing);
    }
    match &loaded.content {
        Content::Block(bytes) => {
            let length = bytes.len() as u64;
            output.line(&format!("{key} is one block: a file of {} ({length} bytes)", human_bytes(length)))
        }
        Content::File(cut) => list_file(output, cut),
        Content::Tree(entries) => list_tree(output, entries),
    }
}

fn list_file(output: Output, cut: &Cut) -> Result<(), Error> {
    let mut table = Table::new(&[">OFFSET", ">SIZE", "KEY"]);
    let mut offset = 0;
    for (index, key) in cut.blocks.iter().enumerate() {
        let bytes = cut.block_bytes(index);
        table.row([offset.to_string(), human_bytes(bytes), key.to_string()]);
        offset += bytes;
    }
    output.table(&table)?;
    output::say(&format!("a file of {} in {} blocks", human_bytes(cut.size), cut.blocks.len()));
    Ok(())
}

fn list_tree(output: Output, entries: &[Entry]) -> Result<(), Error> {
    let mut table = Table::new(&["MODE", ">SIZE", "MODIFIED (UTC)", "PATH"]);
    for entry in entries {
        table.row(match entry {
            Entry::Dir { path, mode, mtime_s, .. } => {
                [mode_text('d', *mode), String::new(), utc(*mtime_s), format!("{path}/")]
            }
            Entry::File { path, mode, mtime_s, size, .. } => {
                [mode_text('-', *mode), human_bytes(*size), utc(*mtime_s), path.to_string()]
            }
            Entry::Symlink { path, mtime_s, target, .. } => {
                [mode_text('l', 0o777), String::new(), utc(*mtime_s), format!("{path} -> {target}")]
            }
        });
    }
    output.table(&table)?;
    let (files, bytes) = sum(entries);
    output::say(&format!("a tree of {} entries: {files} files, {}", entries.len(), human_bytes(bytes)));
    Ok(())
}

fn sum(entries: &[Entry]) -> (u64, u64) {
    entries.iter().fold((0, 0), |(files, bytes), entry| match entry {
        Entry::File { size, .. } => (files + 1, bytes.saturating_add(*size)),
        _ => (files, bytes),
    })
}

fn mode_text(kind: char, mode: u32) -> String {
    let bits = (0..9).rev().map(|bit| if mode >> bit & 1 == 1 { ['x', 'w', 'r'][bit % 3] } else { '-' });
    std::iter::once(kind).chain(bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_as_ls_writes_it() {
        assert_eq!(mode_text('d', 0o755), "drwxr-xr-x");
        assert_eq!(mode_text('-', 0o640), "-rw-r-----");
    }
}
