//! The services of a node, as data: a manifest per service, a TOML file below [`FOLDER`].
//!
//! Nothing about one service stands anywhere else, save which of them a `node.toml` wants (`node_toml.rs`). A name that ends
//! in `@` is a template: there is a service for each drive, and words in braces stand for what that drive is. Whatever is
//! wrong with a manifest costs that service, and no other.

use crate::privileges::Privileges;
use crate::rules::{check, check_name, check_started};
use imbrex_init::plan::{Readiness, Specification, Start};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// Where the image has its manifests.
pub(crate) const FOLDER: &str = "/usr/lib/imbrex/services";
/// The most manifests, and the most bytes of one.
const MANIFESTS_MAX: usize = 64;
const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// How long a service may take to become ready where its manifest does not say, in seconds.
const READY_WITHIN_S: u64 = 120;

/// Words to fill in, each with its value.
pub(crate) type Words<'a> = [(&'a str, String)];

/// What the manifests of a template are read with once, to find their mistakes before a drive does.
const WORDS_TRIED: [&str; 7] =
    ["id", "device", "port", "socket", "memory_mib", "memory_budget_mib", "memory_max_mib"];

/// Every manifest: name and text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifests(BTreeMap<String, String>);

impl Manifests {
    /// Reads every manifest, and says in one sentence each what is wrong with some. `running`: services run by a plan.
    ///
    /// # Errors
    /// Where the folder cannot be read: that is no folder without manifests. Nor is a file that cannot be read one
    /// that was taken away, where services run: theirs may be among them.
    pub(crate) fn read(folder: &Path, running: bool) -> Result<(Self, Vec<String>), String> {
        let cannot = |path: &Path, error| format!("{} cannot be read: {error}", path.display());
        let (mut manifests, mut complaints) = (Self::default(), Vec::new());
        let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).and_then(Iterator::collect);
        let entries = entries.map_err(|error| cannot(folder, error))?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        for path in &paths {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let text = match std::fs::read(path) {
                Err(error) if running && error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cannot(path, error));
                }
                text => text.map_err(|error| error.to_string()),
            };
            let checked = text.and_then(|text| {
                let text = String::from_utf8(text).map_err(|error| error.to_string())?;
                if text.len() > MANIFEST_BYTES_MAX || manifests.0.len() >= MANIFESTS_MAX {
                    return Err(format!("at most {MANIFESTS_MAX} of {MANIFEST_BYTES_MAX} bytes each"));
                }
                check_name(&name)?;
                let service = parse(&name, &text, &WORDS_TRIED.map(|word| (word, "1".to_owned())))?;
                check_started(&name, service.start).map(|()| text)
            });
            match checked {
                Ok(text) => drop(manifests.0.insert(name, text)),
                Err(error) => complaints.push(format!("the manifest {} is refused: {error}", path.display())),
            }
        }
        complaints.extend(manifests.refuse_unmet());
        Ok((manifests, complaints))
    }

    /// Takes out every manifest whose needs can never be met, and names it: the service would wait for ever. A service that
    /// a `node.toml` may leave out, or that is there once for each drive, is nothing to rely on.
    fn refuse_unmet(&mut self) -> Vec<String> {
        let tried = WORDS_TRIED.map(|word| (word, "1".to_owned()));
        let (mut unmet, mut sure) = (BTreeMap::<String, Vec<String>>::new(), BTreeSet::new());
        for (name, text) in &self.0 {
            let Ok(service) = parse(name, text, &tried) else { continue };
            if matches!(service.start, Start::Boot | Start::Network) {
                sure.insert(name.clone());
            }
            unmet.insert(name.clone(), [service.needs, service.binds_to].concat());
        }
        // Each round meets those whose needs are met, so that there are no more rounds than manifests.
        loop {
            let waits = |need: &String| unmet.contains_key(need) || !sure.contains(need);
            let met = unmet.iter().filter(|(_, needs)| !needs.iter().any(waits));
            let met: Vec<String> = met.map(|(name, _)| name.clone()).collect();
            if met.is_empty() {
                break;
            }
            unmet.retain(|name, _| !met.contains(name));
        }
        let told = unmet.into_iter().map(|(name, needs)| {
            self.0.remove(&name);
            let needs = needs.join(", ");
            format!(
                "the manifest of {name} is refused: of {needs} one is not there on every node, or needs {name} in turn"
            )
        });
        told.collect()
    }

    /// The service of this name, or of this template, with `words` filled in.
    ///
    /// # Errors
    /// One sentence, where there is none or the words do not fit.
    pub(crate) fn expand(&self, name: &str, words: &Words<'_>) -> Result<Specification, String> {
        let text = self.0.get(name).ok_or_else(|| format!("there is no manifest of {name}"))?;
        parse(name, text, words)
    }

    /// Whether one of them names a weight for I/O, whoever starts it.
    pub(crate) fn weigh_io(&self) -> bool {
        let tried = WORDS_TRIED.map(|word| (word, "1".to_owned()));
        let mut services = self.0.iter().filter_map(|(name, text)| parse(name, text, &tried).ok());
        services.any(|service| service.limits.io_weight.is_some())
    }

    /// The services that start for this reason.
    pub(crate) fn starting(&self, start: Start) -> Vec<Specification> {
        let plain = self.0.iter().filter(|(name, _)| !name.ends_with('@'));
        let services = plain.filter_map(|(name, text)| parse(name, text, &[]).ok());
        services.filter(|service| service.start == start).collect()
    }
}

fn parse(name: &str, text: &str, words: &Words<'_>) -> Result<Specification, String> {
    // Values come out of the drives' own mouths and must not become lines of a manifest.
    if let Some((word, value)) =
        words.iter().find(|(_, value)| value.contains(['"', '\\']) || value.contains(char::is_control))
    {
        return Err(format!("{word} is {value:?}, which no manifest can take"));
    }
    let sentence = |error: toml::de::Error| error.to_string().trim().replace('\n', " ");
    let mut table: toml::Table = fill(text, words).parse().map_err(sentence)?;
    let user = table.remove("user").map(String::deserialize).transpose().map_err(sentence)?;
    let capabilities = table.remove("capabilities").map(Vec::deserialize).transpose().map_err(sentence)?;
    let mut service: Specification = table.try_into().map_err(sentence)?;
    let id = words.iter().find(|(word, _)| *word == "id").map_or("", |(_, value)| value);
    service.name = if name.ends_with('@') { format!("{name}{id}") } else { name.to_owned() };
    if service.readiness != Readiness::Started {
        service.ready_within_s.get_or_insert(READY_WITHIN_S);
    }
    check(&service)?;
    let privileges = Privileges::find(user.as_deref(), capabilities.as_deref())?;
    service.command = privileges.wrap(service.command);
    Ok(service)
}

/// `text` with each `{word}` replaced by its value. Values are not looked at again, so that a
/// drive's ID with braces in it stays what it is.
fn fill(text: &str, words: &Words<'_>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match words
            .iter()
            .find(|(word, _)| after.strip_prefix(*word).is_some_and(|rest| rest.starts_with('}')))
        {
            Some((word, value)) => {
                filled.push_str(value);
                rest = &after[word.len() + 1..];
            }
            None => {
                let _ = write!(filled, "{{");
                rest = after;
            }
        }
    }
    filled + rest
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use imbrex_init::plan::{AGENT, DRIVE};

    /// The manifests of the image.
    pub(crate) fn manifests() -> Manifests {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../image/overlay/usr/lib/imbrex/services");
        let (manifests, complaints) = Manifests::read(&folder, false).unwrap();
        assert_eq!(complaints, Vec::<String>::new());
        manifests
    }

    /// The words of a drive.
    pub(crate) fn words(id: &str) -> [(&'static str, String); 7] {
        [
            ("id", id.to_owned()),
            ("device", "/dev/sda".to_owned()),
            ("port", "7500".to_owned()),
            ("socket", format!("/run/imbrex/drive-{id}.sock")),
            ("memory_mib", "128".to_owned()),
            ("memory_budget_mib", "208".to_owned()),
            ("memory_max_mib", "672".to_owned()),
        ]
    }

    #[test]
    fn a_drive_gets_the_command_line_of_the_contract() {
        let drive = manifests().expand(DRIVE, &words("naa.5000c500a1b2c3d4")).unwrap();
        assert_eq!(drive.name, "drive@naa.5000c500a1b2c3d4");
        let command = drive.command.join(" ");
        let (before, command) = command.split_once(" -- ").unwrap();
        assert!(before.starts_with("/usr/bin/imbrex-helper run --keep "), "{before}");
        assert_eq!(
            command,
            "/usr/bin/imbrex-drive --device /dev/sda --id naa.5000c500a1b2c3d4 --listen [::]:7500 \
             --socket /run/imbrex/drive-naa.5000c500a1b2c3d4.sock --memory 128MiB"
        );
        assert_eq!((drive.limits.memory_min_mib, drive.limits.memory_max_mib), (Some(208), Some(672)));
    }

    #[test]
    fn a_value_with_braces_in_it_is_not_filled_in_again_and_one_with_quotes_is_refused() {
        let words = [("id", "{device}".to_owned()), ("device", "wrong".to_owned())];
        assert_eq!(fill("drive@{id} {other} {", &words), "drive@{device} {other} {");
        let refused = manifests().expand(DRIVE, &self::words("x\"]\nuser = \"y")).unwrap_err();
        assert!(refused.contains("which no manifest can take"), "{refused}");
    }

    #[test]
    fn every_need_names_a_manifest_and_drives_stop_before_everything_else() {
        let manifests = manifests();
        for name in manifests.0.keys() {
            let service = manifests.expand(name, &words("x")).unwrap();
            for need in service.needs.iter().chain(&service.binds_to) {
                assert!(manifests.0.contains_key(need), "{name} needs {need}");
            }
            assert!(name == DRIVE || service.stop.order > 10, "{name}");
        }
        let boot: Vec<String> =
            manifests.starting(Start::Boot).into_iter().map(|service| service.name).collect();
        assert_eq!(boot, [AGENT]);
    }

    #[test]
    fn a_manifest_with_a_mistake_is_refused_by_name_and_costs_no_other() {
        let folder = std::env::temp_dir().join(format!("imbrex-manifests-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("good.toml", "command = [\"/bin/x\"]\n"),
            ("key.toml", "command = [\"/bin/x\"]\nuesr = \"root\"\n"),
            ("path.toml", "command = [\"x\"]\n"),
            ("capability.toml", "command = [\"/x\"]\ncapabilities = [\"sys_everything\"]\n"),
            ("long.toml", "command = [\"/x\"]\nstop = { deadline_s = 600 }\n"),
            ("soon.toml", "command = [\"/x\"]\nstop = { order = 5 }\n"),
            ("tape@.toml", "command = [\"/x\"]\nstart = \"drive\"\n"),
            ("unwanted.toml", "command = [\"/x\"]\nstart = \"configuration\"\n"),
            ("undriven.toml", "command = [\"/x\"]\nstart = \"drive\"\n"),
            ("drive@.toml", "command = [\"/x\"]\n"),
            ("init.toml", "command = [\"/bin/x\"]\n"),
            ("configure.toml", "command = [\"/bin/x\"]\n"),
            ("weight.toml", "command = [\"/x\"]\nlimits = { io_weight = 10001 }\n"),
            ("notes.txt", "not a manifest"),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let (manifests, complaints) = Manifests::read(&folder, true).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(manifests.0.keys().collect::<Vec<_>>(), ["good"]);
        // In the order of their names.
        let words = [
            "sys_everything",
            "configure is the name of init's own lines",
            "a template has start",
            "init is the name of init's own lines",
            "uesr",
            "at most 60",
            "absolute path",
            "stop.order is at least 10",
            "drive@ is the only template",
            "what a drive starts is drive@",
            "chronyd and log-shipper",
            "limits.io_weight is from 1 to 10000",
        ];
        for (complaint, word) in complaints.iter().zip(words) {
            assert!(complaint.contains(word) && !complaint.contains('\n'), "{word}: {complaint}");
        }
        assert_eq!(complaints.len(), words.len());
    }

    #[test]
    fn weights_for_io_are_wanted_as_soon_as_one_manifest_names_one() {
        let mut manifests = manifests();
        assert!(!manifests.weigh_io(), "the image's");
        let text = "command = [\"/x\"]\nstart = \"configuration\"\nlimits = { io_weight = 200 }\n";
        manifests.0.insert("chronyd".to_owned(), text.to_owned());
        assert!(manifests.weigh_io());
    }

    #[test]
    fn a_service_whose_needs_can_never_be_met_is_refused_and_so_is_who_needs_it() {
        let manifest = |name: &str, needs: &str| {
            let start = match name {
                "drive@" => "drive",
                "chronyd" => "configuration",
                _ => "boot",
            };
            (name.to_owned(), format!("command = [\"/x\"]\nneeds = [{needs}]\nstart = \"{start}\"\n"))
        };
        let mut manifests = Manifests(BTreeMap::from([
            manifest("agent", ""),
            manifest("drive@", "\"agent\""),
            manifest("last", "\"agent\""),
            manifest("chronyd", "\"agent\""),
            manifest("each", "\"agent\", \"drive@\""),
            manifest("timed", "\"chronyd\""),
            manifest("alone", "\"nobody\""),
            manifest("behind", "\"alone\", \"agent\""),
            manifest("egg", "\"hen\""),
            manifest("hen", "\"egg\""),
            manifest("itself", "\"itself\""),
        ]));
        let complaints = manifests.refuse_unmet();
        assert_eq!(manifests.0.keys().collect::<Vec<_>>(), ["agent", "chronyd", "drive@", "last"]);
        assert_eq!(complaints.len(), 7);
        assert!(
            complaints[0].starts_with("the manifest of alone is refused: of nobody one"),
            "{complaints:?}"
        );
    }

    #[test]
    fn a_health_check_that_could_only_fail_is_refused() {
        let of = |text: &str| parse("x", &format!("command = [\"/x\"]\n{text}"), &[]).map(drop);
        let command = "command = [\"/y\"]";
        assert_eq!(of(&format!("health = {{ {command}, every_s = 5, within_s = 20 }}")), Ok(()));
        assert!(of(&format!("health = {{ {command}, every_s = 20, within_s = 20 }}")).is_err());
        assert!(of("health = { within_s = 20 }").unwrap_err().contains("sd_notify"));
        assert_eq!(of("readiness = \"sd_notify\"\nhealth = { within_s = 20 }"), Ok(()));
    }

    #[test]
    fn a_folder_or_a_file_that_cannot_be_read_is_not_taken_for_one_that_is_not_there() {
        let folder = std::env::temp_dir().join(format!("imbrex-unreadable-{}", std::process::id()));
        assert!(Manifests::read(&folder, false).unwrap_err().contains("cannot be read"));
        // A folder in the place of a file: it is there, and nobody can read it.
        std::fs::create_dir_all(folder.join("agent.toml")).unwrap();
        let running = Manifests::read(&folder, true);
        let (none, complaints) = Manifests::read(&folder, false).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let error = running.unwrap_err();
        assert!(error.contains("agent.toml cannot be read"), "{error}");
        // At boot nothing is lost by going on without it.
        assert!(none.0.is_empty() && complaints.len() == 1, "{complaints:?}");
    }

    #[test]
    fn whoever_says_that_it_is_ready_has_a_time_for_it() {
        let of = |text: &str| parse("x", text, &[]).map(|service| service.ready_within_s);
        let pipe = "command = [\"/x\"]\nreadiness = \"pipe\"\n";
        assert_eq!(of(pipe), Ok(Some(READY_WITHIN_S)));
        assert_eq!(of(&format!("{pipe}ready_within_s = 7\n")), Ok(Some(7)));
        assert_eq!(of("command = [\"/x\"]\n"), Ok(None));
        assert!(of(&format!("{pipe}ready_within_s = 0\n")).is_err());
    }
}
