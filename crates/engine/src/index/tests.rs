//! What the index keeps, gives back and notes.

use super::*;
use crate::location::UNIT_COUNT_MAX;

const ZONE_UNITS: u32 = 65_536;

fn key(n: u64) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    Key(bytes)
}

fn location(n: u64) -> Location {
    let n = u32::try_from(n).unwrap();
    Location { zone: n / 1000, unit_offset: n % 1000, unit_count: 1 + n % 4097 }
}

#[test]
fn an_index_takes_every_block_it_was_made_for_and_finds_each() {
    let count = 200_000;
    let mut index = Index::new(count, ZONE_UNITS, [7; 16]).unwrap();
    for n in 0..count {
        let hash = index.hash(&key(n));
        index.insert(hash, location(n)).unwrap_or_else(|_| panic!("full at {n} of {count}"));
    }
    assert!(index.is_full(1) && !index.is_full(0));
    for n in 0..count {
        let hash = index.hash(&key(n));
        let mut candidates = index.candidates(hash);
        let found = std::iter::from_fn(|| candidates.pop()).any(|found| found == location(n));
        assert!(found, "block {n} is lost");
    }
}

#[test]
fn a_block_costs_at_most_twelve_bytes_of_index() {
    for count in [65_536, 1 << 20, 20_000_000] {
        assert!(Index::memory_bytes(count) <= 12 * count);
    }
}

#[test]
fn what_was_removed_is_gone_and_what_was_not_stays() {
    let mut index = Index::new(10_000, ZONE_UNITS, [9; 16]).unwrap();
    for n in 0..10_000 {
        index.insert(index.hash(&key(n)), location(n)).unwrap();
    }
    for n in (0..10_000).step_by(3) {
        assert!(index.remove(index.hash(&key(n)), location(n)));
        assert!(!index.remove(index.hash(&key(n)), location(n)));
    }
    for n in 0..10_000 {
        assert_eq!(index.contains(index.hash(&key(n)), location(n)), n % 3 != 0, "block {n}");
    }
    assert_eq!(index.len(), 10_000 - 3334);
}

#[test]
fn an_index_that_no_machine_can_hold_is_refused_and_not_fatal() {
    assert!(Index::new(u64::MAX >> 20, ZONE_UNITS, [0; 16]).is_err());
    assert!(Index::new(u64::MAX, ZONE_UNITS, [0; 16]).is_err());
}

#[test]
fn the_farthest_place_and_the_longest_record_survive_packing() {
    let mut index = Index::new(10, ZONE_UNITS, [0; 16]).unwrap();
    let far = Location { zone: (1 << 20) - 1, unit_offset: ZONE_UNITS - 1, unit_count: UNIT_COUNT_MAX };
    let hash = index.hash(&key(1));
    index.insert(hash, far).unwrap();
    assert_eq!(index.candidates(hash).pop(), Some(far));
}

fn filled(count: u64) -> Index {
    let mut index = Index::new(count, ZONE_UNITS, [5; 16]).unwrap();
    for n in 0..count {
        index.insert(index.hash(&key(n)), location(n)).unwrap();
    }
    index
}

fn taken(index: &mut Index) -> Vec<u64> {
    let mut from = 0;
    let next = || {
        let cell = index.take_dirty(from)?;
        from = cell + 1;
        Some(cell)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn an_index_whose_cells_are_copied_holds_the_same_blocks() {
    let from = filled(5000);
    let mut to = Index::new(5000, ZONE_UNITS, [5; 16]).unwrap();
    assert_eq!(from.cell_count(), index_bucket_count(5000));
    (0..from.cell_count()).for_each(|n| to.set_cell(n, from.cell(n)));
    assert_eq!(to.len(), 0);
    to.recount();
    assert_eq!(to.len(), 5000);
    assert!((0..5000).all(|n| to.contains(to.hash(&key(n)), location(n))));
}

#[test]
fn cells_copied_while_blocks_come_and_go_and_then_those_that_changed_make_the_same_index() {
    let mut from = filled(5000);
    let mut to = Index::new(5000, ZONE_UNITS, [5; 16]).unwrap();
    from.track_changes(true);
    for n in 0..from.cell_count() {
        to.set_cell(n, from.cell(n));
        // Another one goes behind and before the place that the copy has come to, and one comes back.
        assert!(from.remove(from.hash(&key(n)), location(n)));
        if n % 3 == 0 {
            from.insert(from.hash(&key(n)), location(n + 1)).unwrap();
        }
    }
    let changed = taken(&mut from);
    assert!(!changed.is_empty() && changed.is_sorted(), "{changed:?}");
    changed.iter().for_each(|n| to.set_cell(*n, from.cell(*n)));
    assert!((0..from.cell_count()).all(|n| from.cell(n) == to.cell(n)));
    assert_eq!(taken(&mut from), [0; 0], "each is taken once");
}

#[test]
fn every_cell_that_an_insertion_moves_entries_through_is_noted() {
    let count = 20_000;
    let mut index = Index::new(count, ZONE_UNITS, [5; 16]).unwrap();
    let mut copy = vec![[0; CELL_BYTES]; index.buckets.len()];
    index.track_changes(true);
    let mut most = 0;
    for n in 0..count {
        index.insert(index.hash(&key(n)), location(n)).unwrap();
        let changed = taken(&mut index);
        most = most.max(changed.len());
        changed.into_iter().for_each(|cell| copy[place(cell)] = *index.cell(cell));
    }
    assert!(most > 2, "no insertion moved another entry: {most}");
    assert!(copy[..] == *index.buckets);
}

#[test]
fn nothing_is_noted_before_it_is_asked_for_and_nothing_kept_after() {
    let mut index = filled(1000);
    assert_eq!(index.take_dirty(0), None);
    index.track_changes(true);
    assert_eq!(index.take_dirty(0), None);
    assert!(index.remove(index.hash(&key(1)), location(1)));
    assert_eq!(index.take_dirty(index.cell_count()), None);
    index.track_changes(false);
    index.track_changes(true);
    assert_eq!(taken(&mut index), [0; 0]);
    assert!(index.remove(index.hash(&key(2)), location(2)));
    let noted = index.take_dirty(0).unwrap();
    assert_eq!((index.take_dirty(noted), index.take_dirty(u64::MAX)), (None, None));
}

#[test]
fn a_sweep_in_parts_meets_every_record_once() {
    let index = filled(3000);
    let mut found = Vec::new();
    for begin in (0..index.cell_count() + 50).step_by(50) {
        index.sweep(begin..begin + 50, |location| found.push((location.zone, location.unit_offset)));
    }
    found.sort_unstable();
    let mut expected: Vec<_> = (0..3000).map(location).map(|found| (found.zone, found.unit_offset)).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}
