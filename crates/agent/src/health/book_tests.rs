use std::time::Duration;

use imbrex_api::drive::DriveStats;
use imbrex_api::node::{Drive, DriveState};
use imbrex_health::LifeStep;
use smartctl_parser::{Answer, Failure, FailureKind};

use super::super::engine_mark::Standing;
use super::super::kernel_words::UNCLAIMED_MAX;
use super::super::places::{ADAPTER_MAX, OVERDUE_MAX};
use super::*;
use crate::sysfs::Whereabouts;

fn drive(id: &str, adapter: &str) -> SurveyedDrive {
    SurveyedDrive {
        entry: Drive {
            id: id.to_owned(),
            device: Some(format!("/dev/{id}")),
            serial: Some(id.to_owned()),
            state: DriveState::Serving,
            ..Drive::default()
        },
        socket: None,
        whereabouts: Whereabouts {
            adapter: Some(adapter.to_owned()),
            names: vec![id.to_owned(), adapter.to_owned()],
            is_ata: false,
        },
    }
}

fn book(drives: &[SurveyedDrive], now: Instant) -> Book {
    let directory = tempfile::tempdir().unwrap();
    let book = Book::new(LoadedNotes::load(&directory.path().join("none")), directory.path());
    book.observe(drives, now);
    book
}

/// Takes what is due, until nothing is.
fn take_all(book: &Book, now: Instant) -> Vec<String> {
    let mut taken = Vec::new();
    while let Next::Ask(ask) = book.take(now) {
        taken.push(ask.id);
    }
    taken.sort();
    taken
}

fn hung() -> Answer {
    Answer::Failed(Failure { kind: FailureKind::Late, sentence: "it hung".to_owned() })
}

/// No drive may be asked later than this because of others that hang.
const LATE_MAX: Duration = Duration::from_millis(100);

/// Nor does a first question hold its place for longer.
const FIRST_HELD_MAX: Duration = Duration::from_millis(1100);

const SOON: Duration = Duration::from_secs(10);
const NEXT_TIME: Duration = Duration::from_secs(2 * 3600);

#[test]
fn two_drives_behind_one_adapter_are_asked_at_once_and_those_of_others_do_not_count() {
    let now = Instant::now();
    let drives = [drive("a", "one"), drive("b", "one"), drive("c", "one"), drive("d", "two")];
    let book = book(&drives, now);
    let taken = take_all(&book, now + SOON);
    assert_eq!(taken.len(), 3, "{taken:?}");
    assert!(taken.contains(&"d".to_owned()), "{taken:?}");
    let Next::Wait(Some(free)) = book.take(now + SOON) else { panic!("it waits for a place") };
    assert!(free < now + SOON + FIRST_HELD_MAX, "and not for long");
    book.answered(&taken[0], Answer::Asleep, now + SOON);
    assert_eq!(take_all(&book, now + SOON).len(), 1);
}

#[test]
fn a_drive_that_hung_takes_one_place_of_two_at_most() {
    let now = Instant::now();
    let ids = ["a", "b", "c", "d"];
    let book = book(&ids.map(|id| drive(id, "one")), now);
    let taken = take_all(&book, now + SOON);
    taken.iter().for_each(|id| book.answered(id, hung(), now + SOON));
    let others = take_all(&book, now + SOON);
    assert_eq!(others.len(), 2, "the other two are asked");
    others.iter().for_each(|id| book.answered(id, Answer::Asleep, now + SOON));
    let again = take_all(&book, now + NEXT_TIME);
    // Which of them come first is drawn: one that hung is among them, or none.
    assert_eq!(again.len(), 2, "{again:?}");
    let hung_before = again.iter().filter(|id| taken.contains(id)).count();
    assert!(hung_before <= 1, "one place is for drives that answer: {again:?}, of {taken:?}");
}

/// Asks for `time` of a clock that stands still while a question is put, and gives the longest that a drive was asked
/// after it was due, and how many were asked at once at most. `takes` tells how long a drive's questions take; one of 32 s
/// was cut off.
fn latest(
    book: &Book,
    begin: Instant,
    time: Duration,
    takes: impl Fn(&str) -> Duration,
) -> (BTreeMap<String, Duration>, usize) {
    let (mut now, mut running, mut latest) = (begin, BTreeMap::new(), BTreeMap::new());
    let mut most = 0;
    while now < begin + time || !running.is_empty() {
        let dues: BTreeMap<_, _> =
            book.drives().iter().map(|(id, entry)| (id.clone(), entry.schedule.due())).collect();
        match if now < begin + time { book.take(now) } else { Next::Wait(None) } {
            Next::Ask(ask) => {
                let late = now - dues[&ask.id].unwrap().max(begin);
                let longest = latest.entry(ask.id.clone()).or_insert(late);
                *longest = late.max(*longest);
                let took = takes(&ask.id);
                assert!(running.insert((now + took, ask.id.clone()), took).is_none(), "{}", ask.id);
                most = running.len().max(most);
            }
            Next::Wait(until) => {
                let ends = running.keys().next().map(|(ends, _)| *ends);
                now = until.into_iter().chain(ends).min().expect("something to wait for");
            }
        }
        while let Some(entry) = running.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((_, id), took) = entry.remove_entry();
            book.answered(&id, if took >= HUNG { hung() } else { Answer::Asleep }, now);
        }
    }
    (latest, most)
}

/// smartctl is cut off after 30 s, and has two to die.
const HUNG: Duration = Duration::from_secs(32);

/// Those of the drives that were asked late, but for those that hang.
fn late(latest: &BTreeMap<String, Duration>) -> Vec<&str> {
    let is_late = |(id, late): &(&String, &Duration)| !id.starts_with("hangs") && **late >= LATE_MAX;
    latest.iter().filter(is_late).map(|(id, _)| id.as_str()).collect()
}

#[test]
fn drives_that_hang_make_no_other_drive_of_their_adapter_100_ms_late() {
    let now = Instant::now();
    let ids = ["a", "b", "c", "d", "e", "f", "hangs1", "hangs2", "hangs3"];
    let book = book(&ids.map(|id| drive(id, "one")), now);
    let takes = |id: &str| if id.starts_with("hangs") { HUNG } else { Duration::from_millis(1) };
    // From their first questions on, of which nobody knows how long they take.
    let (latest, _) = latest(&book, now, Duration::from_secs(8 * 3600), takes);
    assert_eq!(latest.len(), ids.len(), "all are asked: {latest:?}");
    assert_eq!(late(&latest), [""; 0], "{latest:?}");
}

#[test]
fn more_than_two_run_behind_an_adapter_only_while_drives_begin_to_hang_and_that_is_bounded_and_counted() {
    let now = Instant::now();
    let well = (0..6).map(|number| format!("d{number}"));
    let ids: Vec<_> = well.chain((0..8).map(|number| format!("hangs{number}"))).collect();
    let book = book(&ids.iter().map(|id| drive(id, "one")).collect::<Vec<_>>(), now);
    let takes = |id: &str| if id.starts_with("hangs") { HUNG } else { Duration::from_millis(1) };
    let rounds = Duration::from_secs(8 * 3600);
    let (_, most) = latest(&book, now, rounds, takes);
    assert!((ADAPTER_MAX + 1..=ADAPTER_MAX + OVERDUE_MAX).contains(&most), "{most}");
    let beyond = book.questions_beyond();
    assert!(beyond > 0);
    // From now on it is known which of them hang.
    let begin = now + rounds + Duration::from_secs(3600);
    let (latest, most) = latest(&book, begin, rounds, takes);
    assert_eq!((late(&latest), most), (vec![], ADAPTER_MAX), "{latest:?}");
    assert_eq!(latest.len(), ids.len(), "those that hang are asked too, one after the other");
    assert_eq!(book.questions_beyond(), beyond);
}

#[test]
fn a_drive_that_answers_after_all_but_late_is_asked_beside_no_other_slow_one() {
    let now = Instant::now();
    let ids = ["a", "b", "c", "d", "slow1", "slow2", "slow3"];
    let book = book(&ids.map(|id| drive(id, "one")), now);
    let takes = |id: &str| Duration::from_millis(if id.starts_with("slow") { 9_000 } else { 1 });
    let rounds = Duration::from_secs(8 * 3600);
    latest(&book, now, rounds, takes);
    let (_, most) = latest(&book, now + rounds + Duration::from_secs(3600), rounds, takes);
    assert!(most <= ADAPTER_MAX, "{most}");
}

#[test]
fn damage_that_was_told_before_a_boot_is_not_new_when_the_history_is_given_back() {
    let now = Instant::now();
    let stats = |uptime_ms, found| DriveStats { uptime_ms, scrub_errors: found, ..DriveStats::default() };
    let tell = |book: &Book, uptime_ms, damaged| {
        let standing = Standing { blocks_damaged: Some(damaged), ..Standing::default() };
        book.record_engine("a", now_unix_s(), None, |mark| mark.next(&stats(uptime_ms, damaged), standing));
    };
    let found = |book: &Book| -> Option<String> {
        let axes = book.drive_health("a").unwrap().axes.into_iter();
        let mut evidence = axes.flat_map(|axis| axis.evidence);
        evidence.find(|evidence| evidence.what.contains("scrub found")).map(|evidence| evidence.value)
    };
    let before = book(&[drive("a", "one")], now);
    tell(&before, 9_000_000, 5);
    let kept = before.kept_history("a").unwrap();
    let after = book(&[drive("a", "one")], now);
    for _ in 0..2 {
        after.take_history("a", kept.clone()).unwrap();
    }
    // The process of this boot finds what the one before it had found, and then one block more.
    for (uptime_ms, damaged) in [(1_000, 0), (31_000, 5)] {
        tell(&after, uptime_ms, damaged);
        assert_eq!(found(&after).as_deref(), Some("5 in 7 days, 5 in 30"), "{damaged} found again");
    }
    tell(&after, 61_000, 6);
    assert_eq!(found(&after).as_deref(), Some("6 in 7 days, 6 in 30"));
    // It is kept on, and one of a node that knew no mark is taken too.
    let again = after.kept_history("a").unwrap();
    assert_eq!(again.history["engine_mark"]["blocks_told"], 6);
    let mut old = kept;
    old.history.as_object_mut().unwrap().remove("engine_mark");
    after.take_history("a", old).unwrap();
    assert_eq!(after.kept_history("a").unwrap().history["engine_mark"]["blocks_told"], 6);
}

#[test]
fn drives_that_take_their_usual_time_are_asked_two_at_once() {
    let now = Instant::now();
    let ids = ["a", "b", "c", "d"];
    let book = book(&ids.map(|id| drive(id, "one")), now);
    let usual = Duration::from_millis(400);
    latest(&book, now + SOON, Duration::from_secs(5 * 3600), |_| usual);
    // From now on each is known to take that long.
    let begin = now + SOON + Duration::from_secs(5 * 3600 + 3601);
    assert_eq!(take_all(&book, begin).len(), 2);
    assert_eq!(take_all(&book, begin + usual).len(), 0, "the first two have their usual time");
    assert_eq!(take_all(&book, begin + usual + LATE_MAX).len(), 2, "and no more");
}

#[test]
fn after_a_boot_at_most_two_first_questions_run_behind_an_adapter_and_none_is_late() {
    let now = Instant::now();
    let ids: Vec<_> = (0..60).map(|number| format!("d{number}")).collect();
    let book = book(&ids.iter().map(|id| drive(id, "one")).collect::<Vec<_>>(), now);
    let (mut clock, mut asked, mut running) = (now, 0, Vec::new());
    while asked < ids.len() {
        match book.take(clock) {
            Next::Ask(ask) => {
                asked += 1;
                // Each takes as long as most do that answer at all.
                running.push((clock + Duration::from_millis(900), ask.id));
                assert!(running.len() <= 2, "{running:?}");
            }
            Next::Wait(until) => {
                let ends = running.iter().map(|(ends, _)| *ends).min();
                let next = until.into_iter().chain(ends).min().expect("something to wait for");
                let waits = |entry: &Entry| {
                    entry.schedule.asked_unix_s.is_none()
                        && entry.schedule.due().is_some_and(|due| due < clock)
                };
                assert!(!book.drives().values().any(waits), "a drive that is due waits");
                clock = next;
            }
        }
        while let Some(index) = running.iter().position(|(ends, _)| *ends <= clock) {
            let (_, id) = running.remove(index);
            book.answered(&id, Answer::Asleep, clock);
        }
    }
    assert!(clock < now + Duration::from_secs(40), "the first round is not put off for long");
    // All that come back together, as after a reset of their adapter, are asked as after a boot.
    let gone = ids.iter().map(|id| {
        let mut drive = drive(id, "one");
        drive.entry.state = DriveState::Missing;
        drive
    });
    book.observe(&gone.collect::<Vec<_>>(), clock);
    book.observe(&ids.iter().map(|id| drive(id, "one")).collect::<Vec<_>>(), clock);
    let mut dues: Vec<_> = book.drives().values().filter_map(|entry| entry.schedule.due()).collect();
    dues.sort();
    assert!(dues.windows(2).all(|two| two[1] - two[0] >= Duration::from_millis(500)), "{dues:?}");
}

#[test]
fn what_is_said_of_an_adapter_with_several_drives_is_said_of_none_of_them() {
    let now = Instant::now();
    let book = book(&[drive("a", "one"), drive("b", "one"), drive("c", "two")], now);
    book.record_kernel_event("one", now_unix_s(), KernelEvent::MediumError);
    book.record_kernel_event("two", now_unix_s(), KernelEvent::MediumError);
    let bad: Vec<_> = book.levels().into_iter().map(|drive| (drive.id, drive.level.as_str())).collect();
    let expected = [("a", "unknown"), ("b", "unknown"), ("c", "degraded")];
    assert_eq!(bad, expected.map(|(id, level)| (id.to_owned(), level)));
}

#[test]
fn what_the_kernel_said_of_a_drive_before_it_was_known_is_kept_for_it() {
    let now = Instant::now();
    let book = book(&[], now);
    book.record_kernel_event("late", now_unix_s(), KernelEvent::MediumError);
    for number in 0..2 * UNCLAIMED_MAX {
        book.record_kernel_event(&format!("other{number}"), now_unix_s(), KernelEvent::MediumError);
    }
    assert_eq!(book.kernel_log().unclaimed(), UNCLAIMED_MAX);
    book.record_kernel_event("late", now_unix_s(), KernelEvent::MediumError);
    book.observe(&[drive("late", "one")], now);
    assert_eq!(book.levels()[0].level.as_str(), "degraded");
}

#[test]
fn another_drive_under_the_same_id_inherits_nothing() {
    let now = Instant::now();
    let book = book(&[drive("a", "one")], now);
    book.record_kernel_event("a", now_unix_s(), KernelEvent::MediumError);
    assert_eq!(book.levels()[0].level.as_str(), "degraded");
    let mut other = drive("a", "one");
    other.entry.serial = Some("another".to_owned());
    book.observe(&[other], now);
    assert_eq!(book.levels()[0].level.as_str(), "unknown");
}

#[test]
fn a_drive_without_a_name_has_a_history_for_as_long_as_it_stays() {
    let now = Instant::now();
    let mut nameless = drive("a", "one");
    nameless.entry.serial = None;
    let mut gone = nameless.clone();
    gone.entry.state = DriveState::Missing;
    let book = book(&[nameless.clone()], now);
    book.record_kernel_event("a", now_unix_s(), KernelEvent::MediumError);
    book.observe(&[nameless.clone()], now);
    assert_eq!(book.levels()[0].level.as_str(), "degraded");
    for _ in 0..2 {
        book.observe(&[gone.clone()], now);
        assert_eq!(book.drive_health("a").unwrap().action.as_str(), "check-presence");
    }
    book.observe(&[nameless], now);
    assert_eq!(book.levels()[0].level.as_str(), "unknown", "another drive may have come");
}

#[test]
fn drives_are_asked_anew_when_the_clock_is_set_and_what_was_seen_by_a_clock_that_went_ahead_is_kept() {
    let (now, early) = (Instant::now(), 1_000_000_000);
    let drives = [drive("a", "one")];
    let book = book(&[], now);
    book.observe_at(&drives, now, early);
    assert_eq!(take_all(&book, now + SOON), ["a"]);
    book.answered("a", Answer::Asleep, now + SOON);
    assert_eq!(take_all(&book, now + SOON), [""; 0]);
    let late = now_unix_s();
    book.observe_at(&drives, now, late);
    assert_eq!(take_all(&book, now + SOON), ["a"]);
    book.answered("a", Answer::Asleep, now + SOON);
    book.record_kernel_event("a", late, KernelEvent::MediumError);
    assert_eq!(book.levels()[0].level.as_str(), "degraded");
    book.record("a", late, Finding::Life { step: LifeStep::Failed });
    book.observe_at(&drives, now, early);
    assert_eq!(take_all(&book, now + SOON), ["a"]);
    let drives = book.drives();
    let verdict = judge(&drives["a"].history, &book.notes().notes, early);
    assert_eq!((verdict.level, verdict.life), (imbrex_health::Level::Degraded, imbrex_health::Life::Failed));
}

#[test]
fn a_drive_that_sleeps_is_recorded_as_asleep() {
    let now = Instant::now();
    let book = book(&[drive("a", "one")], now);
    let told = |now_unix_s: u64, answer: Answer| {
        book.drives().get_mut("a").unwrap().answered(answer, now, now_unix_s);
    };
    let report = Report { smart_passed: Some(true), ..Report::default() };
    let (then, day_s) = (now_unix_s(), 24 * 3600);
    told(then, Answer::Report(Box::new(report)));
    for hour in 1..5 * 24 {
        told(then + hour * 3600, Answer::Asleep);
    }
    let verdict = judge(&book.drives()["a"].history, &book.notes().notes, then + 5 * day_s);
    assert_eq!(verdict.level, imbrex_health::Level::Healthy, "{:?}", verdict.evidence());
}
