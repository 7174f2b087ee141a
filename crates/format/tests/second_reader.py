#!/usr/bin/env python3
"""Reads an Imbrex drive with nothing but its format document, FORMAT.md, for a guide.

usage: second_reader.py DRIVE_FILE [checkpoint | older | footers | records]

Prints each live block: key, length in bytes, SHA-256 of its payload, in the order of the keys. All ways must agree:

checkpoint  the newest checkpoint and what was written since; without any, as `footers`
older       the older of two, likewise; without two that count, as `checkpoint`
footers     the log: each zone by its footer, else forwards
records     the log: each zone forwards, where commits and the records' own headers must say the same

Whatever is read is checked. What is damaged and told by nothing else is refused: one sentence, exit status 1.
"""

import hashlib
import struct
import sys
from collections import defaultdict

from second_reader_checksums import WORD, checks_out, crc, siphash
from second_reader_drive import UNIT, Refused, SimulatedDrive, demand
from second_reader_layouts import CELL, ENTRY, HEADER, LABEL, RECORD, TOMBSTONE, TRAILER
from second_reader_layouts import Block, Cell, Label, Life, Place, Record, Trailer

VERSION, CHUNK, PAYLOAD_MAX = 2, 65536, 16 << 20
BLOCK, TOMBSTONES, COMMIT, PADDING, VOID, BEGIN, CELLS, PATCHES, END, TABLE = 1, 2, 3, 4, 5, 7, 8, 9, 10, 11
FREE, OPEN, OF_THE_LOG = 2, 3, (3, 4, 5, 6, 7)


class Contents:
    """What zones hold: blocks by their places, places that tombstones name, how far commits say that lives are good."""

    def __init__(self):
        self.blocks, self.dead, self.vouched = {}, set(), {}

    def add(self, zone, incarnation, table):
        for key, kind, flags, unit, first, second, third, birth in ENTRY.iter_unpack(table):
            demand(kind in (BLOCK, TOMBSTONES) and flags == 0 and unit > 0, f"zone {zone} lists what no entry may be")
            if kind == BLOCK:
                self.blocks[Place(zone, unit, incarnation)] = Block(key, first, second, third, birth)
            else:
                self.dead.add(Place(first, second, third))


class Reader:
    def __init__(self, drive):
        self.drive, self.other_version = drive, None
        self.label = label = self.find_label()
        shape = (drive.zone_count, drive.zone_bytes, drive.serial)
        demand((label.zone_count, label.zone_bytes, label.serial) == shape, "the label is another drive's")
        first, count = label.slot_first, label.slot_zones
        self.slots = [range(first, first + count), range(first + count, first + 2 * count)] if count else []

    def check_version(self, version, what):
        demand(version == VERSION, f"{what} has version {version}, and this reader knows version {VERSION}")

    def label_in(self, unit):
        label = Label(*LABEL.unpack_from(unit))
        if label.magic != b"IMBREXLB":
            return None
        self.other_version = label.version if label.version != VERSION else self.other_version
        sound = label.version == VERSION and checks_out(0, unit, 12) and not any(unit[LABEL.size :])
        return label if sound and (label.unit_bytes, label.chunk_bytes) == (UNIT, CHUNK) else None

    def find_label(self):
        zones = range(self.drive.zone_count)
        found = ((zone, self.label_in(self.drive.read(zone, 0))) for zone in zones[:8])
        found = {zone: label for zone, label in found if label and zone in (label.label_0, label.label_1)}
        if not found and self.other_version is not None:
            self.check_version(self.other_version, "the drive")
        labels, known = list(found.values()), max(found.values(), key=lambda label: label.generation, default=None)
        is_whole = known and {known.label_0, known.label_1} <= found.keys()
        for zone in () if is_whole else zones:
            unit = self.drive.read(zone, 0)
            self.label = self.label_in(unit[256:512].ljust(UNIT, b"\0"))
            if self.label and zone < self.label.zone_count and self.header(zone, unit):
                labels += [self.label] if known is None or self.label.drive_id == known.drive_id else []
        demand(labels, "no label stands on this drive, and no copy of one")
        return max(labels, key=lambda label: label.generation)

    def salt(self, zone, incarnation):
        return crc(0, self.label.secret + struct.pack("<QQ", zone, incarnation))

    def header(self, zone, unit):
        magic, version, _, drive_id, number, kind, stream, incarnation, first_sequence, _ = HEADER.unpack_from(unit)
        if magic != b"IMBREXZN":
            return None
        self.check_version(version, f"zone {zone}")
        sound = checks_out(self.salt(zone, incarnation), unit, 12) and not any(unit[HEADER.size : 256] + unit[512:])
        sound = sound and (drive_id, number) == (self.label.drive_id, zone) and kind in (1, 2) and stream <= 2
        return Life(incarnation, kind, first_sequence) if sound else None

    def life(self, zone):
        """The life of the zone that is present: its header says so, else its trailer, else its first record."""
        unit = self.drive.read(zone, 0)
        life = self.header(zone, unit)
        if life or self.drive.written[zone] == 0:
            return life
        sequential = zone >= self.drive.conventional
        if not sequential and not any(unit):
            return None
        trailer = self.trailer(zone, None) if sequential else None
        claim = trailer.incarnation if trailer else RECORD.unpack_from(self.drive.read(zone, 1))[10]
        if trailer or self.record(zone, claim, 1):
            return Life(claim, 1, claim)
        raise Refused(f"zone {zone} was written, and nothing tells its life")

    def record(self, zone, incarnation, unit):
        """The record that begins there, or None where none stands."""
        if not 0 < unit < min(self.drive.written[zone], self.drive.capacities[zone]):
            return None
        first = self.drive.read(zone, unit)
        if first[:4] != b"IBRK":
            return None
        record = Record(*RECORD.unpack_from(first))
        table_end = RECORD.size + 4 * record.chunk_count
        place = (self.label.drive_id, zone, unit, incarnation)
        whole = record.payload_bytes <= PAYLOAD_MAX and record.chunk_count == -(-record.payload_bytes // CHUNK)
        whole = whole and record.payload_offset == -(-table_end // 64) * 64
        whole = whole and 0 < record.unit_count <= self.drive.capacities[zone] - unit
        units = -(-(record.payload_offset + record.payload_bytes) // UNIT)
        sound = (whole and (record.drive_id, record.zone, record.unit, record.incarnation) == place
                 and checks_out(self.salt(zone, incarnation), first[:table_end], 4)
                 and record.seal == siphash(self.label.secret, struct.pack("<QQQ", zone, incarnation, unit), 2, 4)
                 and (record.unit_count == units or record.kind == PADDING and record.payload_bytes == 0)
                 and not any(first[table_end : record.payload_offset] + record.reserved_too) and record.reserved == 0
                 and record.flags == 0 and (not any(record.key) or record.kind == BLOCK)
                 and (record.birth == record.sequence or record.kind == BLOCK and record.birth < record.sequence))
        return record if sound else None

    def payload(self, record):
        """The record's payload, or None where a chunk does not check out."""
        whole = self.drive.read(record.zone, record.unit, record.unit_count)
        sums = struct.unpack_from(f"<{record.chunk_count}I", whole, RECORD.size)
        payload = whole[record.payload_offset : record.payload_offset + record.payload_bytes]
        chunks = (crc(0, payload[at : at + CHUNK]) for at in range(0, len(payload), CHUNK))
        return payload if all(a == b for a, b in zip(sums, chunks)) else None

    def trailer(self, zone, life):
        capacity = self.drive.capacities[zone]
        last = self.drive.read(zone, capacity - 1)[-TRAILER.size :]
        found = Trailer(*TRAILER.unpack(last))
        if found.magic != b"IMBREXFT":
            return None
        self.check_version(found.version, f"the footer of zone {zone}")
        footer_units = -(-(64 * found.count + TRAILER.size) // UNIT)
        sound = (checks_out(self.salt(zone, found.incarnation), last, 12) and found.drive_id == self.label.drive_id
                 and found.zone == zone and not any(found.reserved_too) and found.reserved == 0
                 and life in (None, Life(found.incarnation, 1, found.first_sequence))
                 and 0 < found.table_unit == capacity - footer_units)
        return found if sound else None

    def walk(self, zone, incarnation, unit):
        """The sound records from a unit on, in order, those within torn ones included."""
        highest = -1
        while unit < self.drive.written[zone]:
            record = self.record(zone, incarnation, unit)
            if record is None or record.sequence <= highest:
                unit += 1
                continue
            payload = self.payload(record) if record.kind in (TOMBSTONES, COMMIT, VOID) else b""
            yield record, payload
            highest = record.sequence
            following = self.record(zone, incarnation, unit + record.unit_count)
            close = following and 0 < following.sequence - record.sequence <= 1 << 19
            closed = record.kind == COMMIT and payload is not None
            unit += record.unit_count if closed or close else 1

    def read_forwards(self, zone, life, good, contents):
        """Adds the groups from unit `good` on, each proved whole, and tells how far the zone is good."""
        pending = []
        for record, payload in self.walk(zone, life.incarnation, good):
            if record.kind != COMMIT or payload is None:
                pending.append((record, payload))
                continue
            where = f"the group that ends in unit {record.unit} of zone {zone}"
            _, first_sequence, record_count, open_count = struct.unpack_from("<QQII", payload)
            members = [member for member in pending if member[0].sequence >= first_sequence]
            demand(len(members) == record_count and first_sequence >= life.first_sequence, f"{where} lacks a record")
            at, table = good, b""
            for member, inner in members:
                demand(inner is not None, f"{where} has a damaged record")
                if member.kind == VOID:
                    void = struct.unpack("<II", inner)
                    demand(at == good and void == (good, member.unit - good), f"{where} voids what it may not")
                    at = member.unit
                demand(member.unit == at, f"{where} has a hole in unit {at}")
                at += member.unit_count
                if member.kind == BLOCK:
                    told = (member.unit, member.unit_count, member.payload_bytes, member.sequence, member.birth)
                    table += ENTRY.pack(member.key, BLOCK, 0, *told)
                for key, *place, birth, _ in TOMBSTONE.iter_unpack(inner) if member.kind == TOMBSTONES else ():
                    table += ENTRY.pack(key, TOMBSTONES, 0, member.unit, *place, birth)
            demand(at == record.unit, f"{where} has a hole in unit {at}")
            demand(table == payload[152:], f"{where} lists what its records do not say")
            contents.add(zone, life.incarnation, table)
            for number in range(open_count):
                open_zone, open_good, open_life = struct.unpack_from("<IIQ", payload, 24 + 16 * number)
                before = contents.vouched.get((open_zone, open_life), 0)
                contents.vouched[open_zone, open_life] = max(open_good, before)
            good, pending = record.unit + record.unit_count, []
        return good

    def read_log_zone(self, zone, life, good, by_footer, contents):
        trailer = self.trailer(zone, life) if by_footer else None
        if trailer:
            footer = self.drive.read(zone, trailer.table_unit, self.drive.capacities[zone] - trailer.table_unit)
            table = footer[: 64 * trailer.count]
            if crc(self.salt(zone, life.incarnation), table) == trailer.table_checksum:
                later = [entry for entry in ENTRY.iter_unpack(table) if entry[3] >= good]
                contents.add(zone, life.incarnation, b"".join(ENTRY.pack(*entry) for entry in later))
                return trailer.table_unit
        return self.read_forwards(zone, life, good, contents)

    def log(self, by_footer, cells=None):
        """What the log holds; with a checkpoint's cells, what was written to it since."""
        contents, good = Contents(), {}
        for zone in range(self.drive.zone_count):
            if zone in (self.label.label_0, self.label.label_1) or any(zone in slot for slot in self.slots):
                continue
            life, cell = self.life(zone), cells and cells[zone]
            if life is None or life.kind == 2:
                continue
            is_new = cell is None or cell.role == FREE
            is_same = is_new or life.incarnation == cell.incarnation
            demand(is_same, f"zone {zone} has another life than its checkpoint says")
            reached = cell.written if cell else 0
            if is_new or cell.role == OPEN:
                reached = self.read_log_zone(zone, life, 1 if is_new else cell.good, by_footer, contents)
            good[zone, life.incarnation] = reached
        for life, vouched in contents.vouched.items():
            demand(good.get(life, vouched) >= vouched, f"a group that was durable in zone {life[0]} is damaged")
        return contents, good.keys()

    def checkpoint_records(self, slot):
        """The records of the slot up to its end, with their payloads."""
        sequence = 0
        for zone in slot:
            life, unit = self.life(zone), 1
            while life and life.kind == 2:
                record = self.record(zone, life.incarnation, unit)
                payload = self.payload(record) if record and record.kind != PADDING else None
                if payload is None or record.sequence != sequence + 1:
                    break
                yield record.kind, payload
                if record.kind == END:
                    return
                sequence, unit = record.sequence, unit + record.unit_count

    def checkpoint(self, slot):
        """Its number, and with it the cells and the end where it counts, else None."""
        cells, tables, patches, records, number = {}, defaultdict(int), 0, 0, None
        bucket_count = -(-self.label.blocks_max * 100 // 552) + 2
        for kind, payload in self.checkpoint_records(slot):
            if (records == 0) != (kind == BEGIN) or records and payload[:8] != first[:8]:
                break
            if kind == BEGIN:
                first, (number, buckets, _, zone_count) = payload, struct.unpack_from("<QQQI", payload)
                if (buckets, zone_count) != (bucket_count, self.drive.zone_count):
                    break
            elif kind == CELLS:
                first_cell, count = struct.unpack_from("<QI", payload, 8)
                demand(count and len(payload) == 64 + 64 * count, "a checkpoint has cells that are none")
                cells.update((first_cell + at, payload[64 + 64 * at : 128 + 64 * at]) for at in range(count))
            elif kind == PATCHES:
                for cell, value in struct.iter_unpack("<Q64s", payload[64:]):
                    cells[cell], patches = value, patches + 1
            elif kind == TABLE:
                kinds = [entry[1] for entry in ENTRY.iter_unpack(payload[64:])]
                tables[struct.unpack_from("<I", payload, 8)[0]] += kinds.count(TOMBSTONES)
            elif kind == END:
                end = struct.unpack_from("<8Q", payload)
                complete = cells.keys() == set(range(bucket_count + zone_count))
                if complete and end[6:8] == (records, patches):
                    return number, (cells, bucket_count, end, tables)
            records += 1
        return number, None

    def mount(self, older):
        """The contents by a checkpoint and what was written since, or None where no checkpoint counts."""
        found = sorted((c for c in map(self.checkpoint, self.slots) if c[0] is not None), key=lambda c: c[0])
        counting = [checkpoint for checkpoint in found if checkpoint[1]]
        if not counting:
            return None
        number, (cells, bucket_count, end, tables) = counting[0 if older else -1]
        if found[-1][0] not in (number, number + 1):
            return None
        zone_cells = [Cell(*CELL.unpack(cells[bucket_count + zone])) for zone in range(self.drive.zone_count)]
        contents, present = self.log(True, zone_cells)
        zone_units, zones_units, blocks = self.drive.zone_bytes // UNIT, defaultdict(int), 0
        for bucket in range(bucket_count):
            demand(cells[bucket][60:] == bytes(4), "a bucket of a checkpoint holds what it may not")
            for slot in range(0, 60, 10):
                entry = int.from_bytes(cells[bucket][slot : slot + 10], "little")
                if entry == 0:
                    continue
                zone, unit = divmod(entry & (1 << 36) - 1, zone_units)
                unit_count, tag = entry >> 36 & 0x1FFF, entry >> 49
                cell = zone_cells[zone]
                demand(cell.role in OF_THE_LOG, "a checkpoint's index names a zone that holds nothing")
                blocks += 1
                zones_units[zone] += unit_count
                place = Place(zone, unit, cell.incarnation)
                if (zone, cell.incarnation) not in present or place in contents.dead:
                    continue
                record = self.record(zone, cell.incarnation, unit)
                demand(record and record.kind == BLOCK and record.unit_count == unit_count and unit < cell.good,
                       f"the block in unit {unit} of zone {zone} is damaged")
                hashed = siphash(self.label.secret, record.key, 1, 3)
                own = hashed * bucket_count >> 64
                other = (((tag * 0x9E3779B97F4A7C15 & WORD) * bucket_count >> 64) - own) % bucket_count
                demand(tag == hashed & 0x7FFFFFFF and bucket in (own, other), "an entry stands in a wrong bucket")
                contents.blocks[place] = Block(*(getattr(record, name) for name in Block._fields))
        demand((blocks, sum(zones_units.values())) == end[3:5], "a checkpoint counts its blocks wrongly")
        for zone, cell in enumerate(zone_cells):
            is_right = (cell.live_units, cell.tombstones) == (zones_units[zone], tables.get(zone, cell.tombstones))
            demand(is_right, f"a checkpoint counts wrongly what is in zone {zone}")
        return contents, present

    def live(self, way):
        """Each live block: key, length, digest."""
        mounted = self.mount(way == "older") if way in ("checkpoint", "older") else None
        contents, present = mounted or self.log(way != "records")
        seen = {}
        for place, block in contents.blocks.items():
            if place in contents.dead:
                continue
            where = f"the block {block.key.hex()} in unit {place.unit} of zone {place.zone}"
            demand(block.key not in seen, f"{where} stands in two places")
            record = self.record(place.zone, place.incarnation, place.unit)
            sound = record and record.kind == BLOCK
            sound = sound and block == Block(*(getattr(record, name) for name in Block._fields))
            demand(sound, f"{where} has a damaged header")
            payload = self.payload(record)
            demand(payload is not None, f"{where} is damaged")
            seen[block.key] = (len(payload), hashlib.sha256(payload).hexdigest())
        return seen


def main(path, way="checkpoint"):
    try:
        demand(way in ("checkpoint", "older", "footers", "records"), f"there is no way {way}; see --help")
        for key, (length, digest) in sorted(Reader(SimulatedDrive(path)).live(way).items()):
            print(key.hex(), length, digest)
    except (Refused, OSError) as refused:
        sys.exit(f"{path}: {refused}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
