//! Settings of the kernel, each with its reason; none of them is worth a failed boot.

use std::fs;

/// Puts them in force, where no word of the kernel command line has chosen otherwise.
pub(crate) fn apply() {
    for (file, value) in chosen(&fs::read_to_string("/proc/cmdline").unwrap_or_default()) {
        if let Err(error) = fs::write(file, value) {
            eprintln!("{file} cannot be set to {value}: {error}");
        }
    }
}

/// The files, and what is written to each, by the words of the kernel command line.
fn chosen(command_line: &str) -> Vec<(&'static str, &'static str)> {
    let has = |keys: &[&str]| {
        let mut words = command_line.split_whitespace();
        words.any(|word| keys.contains(&word.split_once('=').map_or(word, |(key, _)| key)))
    };
    // The kernel asks for modules too, such as those of its own cryptography.
    let mut settings = vec![("/proc/sys/kernel/modprobe", "/usr/sbin/modprobe")];
    if !has(&["loglevel", "debug", "ignore_loglevel", "earlyprintk"]) {
        // The console is for people: only what is critical reaches it. All else is in /dev/kmsg.
        settings.push(("/proc/sys/kernel/printk", "3 4 1 3"));
    }
    if !has(&["panic"]) {
        // A node that stands still serves nobody.
        settings.push(("/proc/sys/kernel/panic", "10"));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_has_chosen_on_the_kernel_command_line_is_left_alone() {
        let (quiet, panic) = (("/proc/sys/kernel/printk", "3 4 1 3"), ("/proc/sys/kernel/panic", "10"));
        let with = |text: &str, setting| chosen(text).contains(&setting);
        let neither = "console=ttyS0 quiet imbrex.config=http://panic/debug";
        assert!(with(neither, quiet) && with(neither, panic));
        assert!(!with("loglevel=7 quiet", quiet) && with("debug", panic) && !with("debug", quiet));
        assert!(!with("panic=0", panic) && with("panic=-1", quiet));
    }
}
