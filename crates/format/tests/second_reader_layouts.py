"""The structures of FORMAT.md, field by field."""

import struct
from collections import namedtuple

LABEL = struct.Struct("<8sII16s16sQQIIQIIQII64sII")
Label = namedtuple("Label", "magic version checksum drive_id secret generation formatted_at unit_bytes zone_count "
                   "zone_bytes chunk_bytes payload_max blocks_max label_0 label_1 serial slot_first slot_zones")
HEADER = struct.Struct("<8sII16sIHHQQQ")
RECORD = struct.Struct("<4sIHHI16sIIIIQQQIIQ8s32s")
Record = namedtuple("Record", "magic checksum kind flags payload_bytes drive_id zone unit unit_count payload_offset "
                    "incarnation sequence birth chunk_count reserved seal reserved_too key")
ENTRY = struct.Struct("<32sHHIIIQQ")
TOMBSTONE = struct.Struct("<32sIIQQQ")
TRAILER = struct.Struct("<8sII16sIIQQQQIII44s")
Trailer = namedtuple("Trailer", "magic version checksum drive_id zone reserved incarnation first_sequence "
                     "last_sequence last_group count table_unit table_checksum reserved_too")
Block = namedtuple("Block", "key unit_count payload_bytes sequence birth")
Place = namedtuple("Place", "zone unit incarnation")
Life = namedtuple("Life", "incarnation kind first_sequence")
CELL = struct.Struct("<BBBBIIIIIIIQQQQ")
Cell = namedtuple("Cell", "role stream flags reserved capacity written good live_units entries tombstones reserved_too "
                  "incarnation closed_sequence scrubbed_at sealed_at")
