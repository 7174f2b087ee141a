//! What becomes of a zone whose reset the referee refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use imbrex_format::{Key, PayloadWriter, UNIT_BYTES, record_units};
use imbrex_zoned::BufferPool;
use imbrex_zoned::simulated::{SimulatedDevice, SimulatedGeometry};

use crate::clock::Clock;
use crate::manual::{Manual, Ticket};
use crate::options::Options;
use crate::request::{
    Class, Cursor, EngineError, FormatOrder, Lifetime, PutOutcome, PutRequest, RangeRequest, Replace,
    ZoneRole,
};

const LENGTH: usize = 50_000;

/// Twenty microseconds pass each time that somebody looks.
#[derive(Default)]
struct TickingClock(AtomicU64);

impl Clock for TickingClock {
    fn now_us(&self) -> u64 {
        self.0.fetch_add(20, Ordering::Relaxed)
    }

    fn unix_s(&self) -> u64 {
        1_700_000_000 + self.0.load(Ordering::Relaxed) / 1_000_000
    }
}

fn engine() -> Manual {
    let geometry = SimulatedGeometry {
        zone_count: 24,
        zone_size_bytes: 2 << 20,
        zone_capacity_bytes: 2 << 20,
        serial: Some("TEST".into()),
        ..SimulatedGeometry::default()
    };
    let pool = BufferPool::new(32 << 20).expect("memory");
    let device = SimulatedDevice::in_memory(geometry, pool).expect("a drive");
    let options = Options { trash_rest: Duration::ZERO, ..Options::default() };
    let mut engine = Manual::new(Box::new(device), Arc::new(TickingClock::default()), &options);
    engine.mount();
    let order = FormatOrder { serial: "TEST".into(), replace: Replace::Nothing, blocks_max: Some(1000) };
    engine.format(order).expect("a formatted drive");
    engine
}

fn key(number: u8) -> Key {
    Key([number; 32])
}

fn answer<T>(engine: &mut Manual, mut ticket: Ticket<T>) -> Result<T, EngineError> {
    for _ in 0..100_000 {
        engine.turn(Duration::ZERO).expect("a device that can be waited for");
        if let Some(answer) = ticket.try_take() {
            return answer;
        }
    }
    panic!("a request is never answered");
}

fn put(engine: &mut Manual, number: u8) {
    let payload = [number; LENGTH];
    let units = record_units(LENGTH) as usize;
    let mut buffer = engine.pool().try_allocate(units * UNIT_BYTES).expect("memory");
    let mut writer = PayloadWriter::new(LENGTH);
    writer.write(&mut buffer, &payload).expect("room");
    writer.finish(&mut buffer).expect("a whole payload");
    let request = PutRequest {
        key: key(number),
        buffer,
        payload_bytes: u32::try_from(LENGTH).expect("a small number"),
        class: Class::Foreground,
        lifetime: Lifetime::Unknown,
    };
    let ticket = engine.put(request);
    assert_eq!(answer(engine, ticket), Ok(PutOutcome::Stored));
}

#[test]
fn it_is_read_and_listed_as_it_is_and_never_reset() {
    let mut engine = engine();
    (0..100).for_each(|number| put(&mut engine, number));
    let store = engine.store_mut();
    let sealed = |(_, entry): &(u32, &crate::zone_table::ZoneEntry)| entry.role == ZoneRole::Sealed;
    let zone = store.zones.iter().find(sealed).expect("a sealed zone").0;
    // A defect: the zone counts as dead, and is full of what lives.
    let live_units = std::mem::take(&mut store.zones.get_mut(zone).live_units);
    store.live_units -= u64::from(live_units);
    assert!(live_units > 0);
    store.put_into_trash(zone);
    assert_eq!(store.zones.get(zone).role, ZoneRole::Trash);
    let check = |engine: &mut Manual| {
        for number in 0..100 {
            let ticket = engine.get(key(number), RangeRequest::Whole, Class::Foreground);
            let block = answer(engine, ticket).expect("a block that was stored");
            assert_eq!(block.as_ref(), [number; LENGTH]);
        }
    };
    check(&mut engine);
    for _ in 0..100_000 {
        if engine.stats().resets_refused > 0 {
            break;
        }
        engine.turn(Duration::ZERO).expect("a device that can be waited for");
    }
    assert_eq!(engine.stats().resets_refused, 1, "{}", engine.store_mut().describe());
    let entry = engine.store_mut().zones.get(zone);
    assert_eq!((entry.role, entry.live_units), (ZoneRole::Sealed, live_units));
    check(&mut engine);
    let ticket = engine.list(Cursor::default(), None, 1000);
    assert_eq!(answer(&mut engine, ticket).expect("a page").entries.len(), 100);

    // And where all of it has been deleted.
    for number in 0..100 {
        let ticket = engine.delete(key(number), Class::Foreground);
        assert_eq!(answer(&mut engine, ticket), Ok(()));
    }
    (0..10_000).for_each(|_| engine.turn(Duration::ZERO).expect("a device that can be waited for"));
    let store = engine.store_mut();
    assert_eq!((store.zones.get(zone).role, store.zones.get(zone).live_units), (ZoneRole::Sealed, 0));
    assert_eq!((store.stats.resets_refused, store.stats.zones_reset > 0), (1, true));
}
