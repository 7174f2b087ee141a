//! What a person tells init on the kernel command line.

/// What init takes from the kernel command line; the rest is the kernel's and modprobe's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// `imbrex.config=URL`: where the node's configuration is.
    pub(crate) config_url: Option<String>,
    /// `imbrex.watchdog_s=N`: the hardware watchdog's patience in seconds; 0 leaves it alone.
    pub(crate) watchdog_s: Option<u32>,
    /// Words that begin with `imbrex.` and mean nothing: mistakes to be named.
    pub(crate) unknown: Vec<String>,
}

impl CommandLine {
    /// Reads the words of a kernel command line.
    pub(crate) fn parse(text: &str) -> Self {
        let mut command_line = Self::default();
        for word in words(text) {
            let (key, value) = word.split_once('=').unwrap_or((&word, ""));
            match key {
                "imbrex.config" if !value.is_empty() => command_line.config_url = Some(value.to_owned()),
                // The helper reads these.
                "imbrex.network" | "imbrex.modules" => {}
                "imbrex.watchdog_s" if value.parse::<u32>().is_ok() => {
                    command_line.watchdog_s = value.parse().ok();
                }
                key if key.starts_with("imbrex.") => command_line.unknown.push(key.to_owned()),
                _ => {}
            }
        }
        command_line
    }
}

/// Words apart by white space, as the kernel cuts them: white space inside double quotes is part of
/// a word, the quotes are not.
fn words(text: &str) -> Vec<String> {
    let mut quoted = false;
    let apart = |character: char| {
        quoted ^= character == '"';
        character.is_whitespace() && !quoted
    };
    text.split(apart).map(|word| word.replace('"', "")).filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_cut_as_the_kernel_cuts_it() {
        let text = "console=ttyS0 imbrex.config=http://10.0.2.2:8000/node.toml imbrex.modules=null_blk,scsi_debug \
                    scsi_debug.dev_size_mb=64 x=\"a imbrex.config=no\" imbrex.confg=typo quiet\n";
        let command_line = CommandLine::parse(text);
        assert_eq!(command_line.config_url.as_deref(), Some("http://10.0.2.2:8000/node.toml"));
        assert_eq!(command_line.unknown, ["imbrex.confg"]);
    }
}
