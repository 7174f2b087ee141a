//! The state of one zone as 32 bytes of a drive file.
//!
//! ```text
//!  0        4  5  6     8          16            28    32
//!  | zone   |k |c | 0   | written  | 0           | crc |
//! ```
//!
//! `k`: 1 conventional, 2 sequential. `c`: the condition, numbered as ZBC numbers it. `written`: bytes from the start
//! of the zone. `crc`: CRC-32C of the 28 bytes before it. Little-endian. An entry crosses no page, so that the kernel
//! takes it whole or not at all from a process that is killed.

use crate::simulated::geometry::SimulatedGeometry;
use crate::simulated::zone_table::ZoneState;
use crate::{Condition, ZoneKind};

/// The size of an entry.
pub(crate) const ENTRY_BYTES: usize = 32;
const _: () = assert!(4096_usize.is_multiple_of(ENTRY_BYTES));

/// The conditions and their numbers in ZBC.
const CONDITIONS: [(Condition, u8); 8] = [
    (Condition::NotWritePointer, 0x0),
    (Condition::Empty, 0x1),
    (Condition::ImplicitOpen, 0x2),
    (Condition::ExplicitOpen, 0x3),
    (Condition::Closed, 0x4),
    (Condition::ReadOnly, 0xd),
    (Condition::Full, 0xe),
    (Condition::Offline, 0xf),
];

/// The state of zone `zone` on a new drive.
pub(crate) fn first_state(geometry: &SimulatedGeometry, zone: u32) -> ZoneState {
    if zone < geometry.conventional_zones {
        ZoneState {
            kind: ZoneKind::Conventional,
            condition: Condition::NotWritePointer,
            capacity_bytes: geometry.zone_size_bytes,
            written_bytes: 0,
        }
    } else {
        ZoneState {
            kind: ZoneKind::SequentialWriteRequired,
            condition: Condition::Empty,
            capacity_bytes: geometry.zone_capacity_bytes,
            written_bytes: 0,
        }
    }
}

pub(crate) fn encode(zone: u32, state: ZoneState) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..4].copy_from_slice(&zone.to_le_bytes());
    bytes[4] = kind_number(state.kind);
    bytes[5] =
        CONDITIONS.iter().find(|(known, _)| *known == state.condition).map_or(0, |(_, number)| *number);
    bytes[8..16].copy_from_slice(&state.written_bytes.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The state of zone `zone`, or `None` where the entry is not one that [`encode`] could have made of a legal state.
pub(crate) fn decode(
    bytes: &[u8; ENTRY_BYTES],
    zone: u32,
    geometry: &SimulatedGeometry,
) -> Option<ZoneState> {
    let condition = CONDITIONS.iter().find(|(_, number)| *number == bytes[5])?.0;
    let written_bytes = u64::from_le_bytes(bytes[8..16].try_into().ok()?);
    let state = ZoneState { condition, written_bytes, ..first_state(geometry, zone) };
    let written_legal = match (state.kind, condition) {
        (ZoneKind::Conventional, _) | (_, Condition::Empty) => written_bytes == 0,
        (_, Condition::Closed) => written_bytes > 0 && written_bytes < state.capacity_bytes,
        _ => written_bytes <= state.capacity_bytes,
    };
    let condition_legal = match condition {
        Condition::NotWritePointer => state.kind == ZoneKind::Conventional,
        Condition::ReadOnly | Condition::Offline => true,
        _ => state.kind == ZoneKind::SequentialWriteRequired,
    };
    let aligned = written_bytes.is_multiple_of(u64::from(geometry.write_unit_bytes));
    let legal = written_legal && condition_legal && aligned && encode(zone, state) == *bytes;
    legal.then_some(state)
}

fn kind_number(kind: ZoneKind) -> u8 {
    match kind {
        ZoneKind::Conventional => 1,
        ZoneKind::SequentialWriteRequired => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, first_state};
    use crate::Condition;
    use crate::simulated::SimulatedGeometry;
    use crate::simulated::zone_table::ZoneState;

    #[test]
    fn an_entry_with_any_bit_turned_is_refused() {
        let geometry = SimulatedGeometry::default();
        let state =
            ZoneState { condition: Condition::Closed, written_bytes: 12 << 12, ..first_state(&geometry, 5) };
        let entry = encode(5, state);
        assert_eq!(decode(&entry, 5, &geometry), Some(state));
        assert_eq!(decode(&entry, 6, &geometry), None, "the entry of another zone");
        for bit in 0..entry.len() * 8 {
            let mut turned = entry;
            turned[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&turned, 5, &geometry), None, "bit {bit}");
        }
    }
}
