//! A program in smartctl's place that hangs, stops, drips, floods, breaks off, dies or is missing.

#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smartctl_parser::{Answer, FailureKind, Question, Smartctl, SmartctlProgram};

/// Long enough for a machine under load to start a shell and hear its answer.
const GENEROUS: Duration = Duration::from_secs(60);

/// For programs that never end.
const SHORT: Duration = Duration::from_millis(300);

const GOOD: &str = r#"echo '{"smartctl":{"exit_status":0},"smart_status":{"passed":true}}'"#;

struct Bench {
    folder: tempfile::TempDir,
    deadline: Duration,
}

impl Bench {
    fn new(deadline: Duration) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), deadline }
    }

    fn smartctl(&self, script: &str) -> SmartctlProgram {
        let path = self.folder.path().join("smartctl");
        write_script(&path, &format!("#!/bin/sh\nPATH=/usr/bin:/bin\nfor last; do :; done\n{script}\n"));
        SmartctlProgram::new(&path).with_deadline(self.deadline)
    }
}

/// Another process writes it: what another thread starts meanwhile would hold our own descriptor until its exec, and what is
/// open for writing cannot be run (execve(2), ETXTBSY). It takes its place when it is whole.
fn write_script(path: &Path, text: &str) {
    let mut shell = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0.new\" && chmod 755 \"$0.new\" && mv \"$0.new\" \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

fn failure(answer: &Answer) -> FailureKind {
    match answer {
        Answer::Failed(failure) => {
            assert!(!failure.sentence.is_empty() && !failure.sentence.contains('\n'), "{failure:?}");
            failure.kind
        }
        Answer::Report(_) | Answer::Asleep => panic!("{answer:?}"),
    }
}

fn once(deadline: Duration, script: &str) -> Answer {
    Bench::new(deadline).smartctl(script).ask("/dev/sda", Question::Light)
}

/// Waits for `what`; a test that waits in vain fails at last.
fn until(what: impl Fn() -> bool) {
    let ends_at = Instant::now() + GENEROUS;
    while !what() {
        assert!(Instant::now() < ends_at, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Children of this process that have ended and were not waited for.
fn zombies() -> usize {
    let own = std::process::id().to_string();
    let stats = fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
            fields.first() == Some(&"Z") && fields.get(1) == Some(&own.as_str())
        })
        .count()
}

#[test]
fn each_way_to_misbehave_has_its_name() {
    let drip = r#"while :; do printf '{'; sleep 0.05; done"#;
    for (script, deadline, kind) in [
        ("exec sleep 600", SHORT, FailureKind::Late),
        // Not the shell alone: what it started goes with it.
        ("sleep 600", SHORT, FailureKind::Late),
        ("kill -STOP $$", SHORT, FailureKind::Late),
        (drip, SHORT, FailureKind::Late),
        ("exec >&-; exec sleep 600", SHORT, FailureKind::Late),
        ("exec head -c 2000000000 /dev/zero", GENEROUS, FailureKind::Flooded),
        (r#"printf '{"smart_status": {"passed": tr'"#, GENEROUS, FailureKind::NoReport),
        ("", GENEROUS, FailureKind::NoReport),
        ("kill -SEGV $$", GENEROUS, FailureKind::Killed),
        (r#"echo '{"smartctl": {"exit_status": 2}}'; exit 2"#, GENEROUS, FailureKind::NoData),
    ] {
        assert_eq!(failure(&once(deadline, script)), kind, "{script}");
    }
    let missing = SmartctlProgram::new(Path::new("/nonexistent/smartctl"));
    assert_eq!(failure(&missing.ask("/dev/sda", Question::Light)), FailureKind::NotStarted);
    assert_eq!(failure(&missing.ask("--scan", Question::Light)), FailureKind::NotStarted);
    until(|| zombies() == 0);
}

#[test]
fn a_good_smartctl_gives_a_report_and_is_asked_without_waking_the_drive() {
    let script =
        format!(r#"case "$*" in *"-n standby"*-x*) ;; *"-n standby"*"/dev/sda") {GOOD};; esac; exit 64"#);
    let Answer::Report(report) = once(GENEROUS, &script) else { panic!("no report") };
    assert_eq!(report.smart_passed, Some(true));
    assert_eq!(report.exit.map(|exit| exit.0), Some(64), "the program's own status counts");
    for question in [Question::Light, Question::Heavy] {
        assert!(!question.arguments().contains(&"-x") && question.arguments().contains(&"standby"));
    }
}

#[test]
fn a_sleeping_drive_is_told_apart_from_one_that_cannot_be_opened() {
    let asleep = r#"echo '{"smartctl":{"exit_status":2,"messages":[{"string":"Device is in STANDBY mode, exit(2)"}]}}'; exit 2"#;
    assert_eq!(once(GENEROUS, asleep), Answer::Asleep);
}

#[test]
fn a_drive_that_hangs_holds_up_no_other() {
    let bench = Bench::new(GENEROUS);
    // The drive named sdx hangs for as long as the folder of this test is there.
    let folder = bench.folder.path().display().to_string();
    let wait = format!("touch {folder}/hangs; while [ -d {folder} ]; do sleep 0.1; done");
    let hang = format!("if [ $last = /dev/sdx ]; then {wait}; fi");
    let smartctl = Arc::new(bench.smartctl(&format!("{hang}\n{GOOD}")));
    let hanging = std::thread::spawn({
        let smartctl = Arc::clone(&smartctl);
        move || smartctl.ask("/dev/sdx", Question::Light)
    });
    until(|| bench.folder.path().join("hangs").exists());
    assert_eq!(failure(&smartctl.ask("/dev/sdx", Question::Heavy)), FailureKind::Busy);
    let others: Vec<_> = ["/dev/sda", "/dev/sdb", "/dev/sdc"]
        .into_iter()
        .map(|device| {
            let smartctl = Arc::clone(&smartctl);
            std::thread::spawn(move || smartctl.ask(device, Question::Light))
        })
        .collect();
    for other in others {
        assert!(matches!(other.join().unwrap(), Answer::Report(_)));
    }
    assert!(!hanging.is_finished(), "the others were answered while it hung");
    drop(bench);
    hanging.join().unwrap();
}

#[test]
fn memory_and_threads_stay_flat_however_often_it_misbehaves() {
    let bench = Bench::new(SHORT);
    let flood = bench.smartctl("exec cat /dev/zero");
    let status = |name: &str| -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let ask = || {
        let kind = failure(&flood.ask("/dev/sda", Question::Light));
        assert!(matches!(kind, FailureKind::Flooded | FailureKind::Late), "{kind:?}");
    };
    ask();
    let before_kib = status("VmRSS");
    for _ in 0..20 {
        ask();
    }
    let after_kib = status("VmRSS");
    println!("resident: {before_kib} KiB before, {after_kib} KiB after twenty floods");
    // Twenty whole floods of 2 MiB that were kept would be 40 MiB.
    assert!(after_kib < before_kib + 20 * 1024, "{before_kib} KiB grew to {after_kib} KiB");
    assert_eq!(flood.left_behind(), 0);
    until(|| zombies() == 0);
}
