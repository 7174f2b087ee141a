use super::*;

const REST_US: u64 = 1000;
const LIFE: u64 = 77;

/// Two records are written to zone 1 and die, and it goes to the trash at 5,000.
fn trashed() -> Referee {
    let mut referee = closed();
    referee.killed(1, LIFE);
    referee.killed(1, LIFE);
    referee.trashed(1, LIFE, 5000);
    referee
}

fn closed() -> Referee {
    let mut referee = Referee::new(4, REST_US);
    referee.opened(1, LIFE);
    referee.committed(1, LIFE);
    referee.committed(1, LIFE);
    referee.closed(1, LIFE);
    referee
}

#[test]
fn a_dead_rested_inspected_zone_is_reset_once() {
    let mut referee = trashed();
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE, 6000), Ok(()));
    referee.reset_done(1);
    assert_eq!(referee.contradictions(), 0);
    assert_eq!(referee.judge_reset(1, LIFE, 6000), Err(Refusal::OtherLife { incarnation: 0 }));
    assert_eq!(referee.judge_reset(1, 0, 6000), Err(Refusal::NotInTrash));
    referee.opened(1, LIFE + 1);
    assert_eq!(referee.contradictions(), 0);
}

#[test]
fn a_zone_with_live_records_is_not_reset() {
    let mut referee = closed();
    referee.killed(1, LIFE);
    assert_eq!(referee.live_records(1), 1);
    referee.trashed(1, LIFE, 5000);
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::Live { records: 1 }));
}

#[test]
fn a_zone_that_is_not_in_the_trash_is_not_reset() {
    let mut referee = closed();
    referee.killed(1, LIFE);
    referee.killed(1, LIFE);
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::NotInTrash));
    // The inspection from before it was put there does not count.
    referee.trashed(1, LIFE, 5000);
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::NotInspected));
}

#[test]
fn trash_rests() {
    let mut referee = trashed();
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE, 5999), Err(Refusal::NotRested { left_us: 1 }));
    assert_eq!(referee.judge_reset(1, LIFE, 10), Err(Refusal::NotRested { left_us: REST_US }));
    assert_eq!(referee.judge_reset(1, LIFE, 6000), Ok(()));
}

#[test]
fn what_an_inspection_found_alive_stays_found() {
    for (live_found, index_entries_found) in [(1, 0), (0, 1)] {
        let mut referee = trashed();
        referee.inspected(1, LIFE, live_found, index_entries_found);
        referee.inspected(1, LIFE, 0, 0);
        assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::FoundLive));
    }
}

#[test]
fn an_inspection_older_than_a_commit_does_not_count() {
    let mut referee = trashed();
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Ok(()));
    referee.committed(1, LIFE);
    referee.killed(1, LIFE);
    // A commit into the trash is more than an old inspection: it cannot be.
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::Contradiction));
    assert_eq!(referee.books[1].inspection, Inspection::None);
}

#[test]
fn another_life_is_not_ended() {
    let mut referee = trashed();
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE - 1, 9000), Err(Refusal::OtherLife { incarnation: LIFE }));
    assert_eq!(referee.judge_reset(4, LIFE, 9000), Err(Refusal::Unknown));
}

#[test]
fn reserved_zones_are_reset_by_their_own_order_and_only_when_not_needed() {
    let mut referee = Referee::new(4, REST_US);
    referee.reserve(2);
    assert_eq!(referee.judge_reset(2, 0, 9000), Err(Refusal::Reserved));
    referee.reserved.checkpoint_stands(2..3);
    assert_eq!(referee.judge_reserved_reset(2), Err(Refusal::Needed));
    referee.reserved.checkpoint_stands(0..0);
    assert_eq!(referee.judge_reserved_reset(2), Ok(()));
    referee.reserved.checkpoint_stands(2..3);
    assert_eq!(referee.judge_reserved_reset(2), Err(Refusal::Needed));
    assert_eq!(referee.judge_reserved_reset(3), Err(Refusal::NotReserved));
    assert_eq!(referee.judge_reserved_reset(4), Err(Refusal::Unknown));
    assert_eq!(referee.contradictions(), 0);
    // The log never begins there.
    referee.opened(2, LIFE);
    assert_eq!(referee.judge_reserved_reset(2), Err(Refusal::Contradiction));
}

#[test]
fn a_reset_that_was_not_allowed_is_noticed() {
    let mut referee = trashed();
    referee.reset_done(1);
    assert_eq!(referee.contradictions(), 1);
    assert_eq!(referee.judge_reset(1, 0, 9000), Err(Refusal::Contradiction));

    let mut referee = trashed();
    referee.inspected(1, LIFE, 0, 0);
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Ok(()));
    assert_eq!(referee.judge_reset(0, 0, 9000), Err(Refusal::NotInTrash));
    referee.reset_done(1);
    assert_eq!(referee.contradictions(), 1, "what was allowed last was asked about another zone since");
}

#[test]
fn what_cannot_be_is_never_used_again() {
    type Event = fn(&mut Referee);
    let impossible: [Event; 8] = [
        |referee| referee.killed(1, LIFE),
        |referee| referee.killed(1, LIFE + 1),
        |referee| referee.committed(1, LIFE + 1),
        |referee| referee.opened(1, LIFE + 1),
        |referee| referee.trashed(1, LIFE, 6000),
        |referee| referee.inspected(1, LIFE + 1, 0, 0),
        |referee| referee.closed(1, LIFE),
        |referee| referee.release(1),
    ];
    for event in impossible {
        let mut referee = trashed();
        event(&mut referee);
        assert_eq!(referee.contradictions(), 1);
        referee.inspected(1, LIFE, 0, 0);
        assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::Contradiction));
    }
}

#[test]
fn a_death_in_another_life_is_not_counted_in_this_one() {
    let mut referee = closed();
    referee.killed(1, LIFE - 1);
    assert_eq!((referee.live_records(1), referee.contradictions()), (2, 1));
    assert_eq!(referee.judge_reset(1, LIFE, 9000), Err(Refusal::Contradiction));
}

#[test]
fn events_of_unknown_zones_are_counted_and_the_memory_is_declared() {
    let mut referee = Referee::new(4, REST_US);
    referee.committed(9, LIFE);
    assert_eq!(referee.contradictions(), 1);
    assert_eq!(referee.memory_bytes(), 4 * 24);
}

#[test]
fn every_refusal_has_a_name_and_a_sentence() {
    let all = [
        Refusal::Unknown,
        Refusal::Reserved,
        Refusal::NotReserved,
        Refusal::Needed,
        Refusal::OtherLife { incarnation: 5 },
        Refusal::Contradiction,
        Refusal::Live { records: 3 },
        Refusal::NotInTrash,
        Refusal::NotInspected,
        Refusal::FoundLive,
        Refusal::NotRested { left_us: 7 },
    ];
    let names: std::collections::HashSet<_> = all.iter().map(|refusal| refusal.name()).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().all(|refusal| refusal.to_string().split(' ').count() > 4));
}
