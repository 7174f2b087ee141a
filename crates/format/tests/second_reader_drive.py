"""The file of a simulated drive. It is no part of the format: on a real drive all this is asked of the drive."""

import struct

from second_reader_checksums import checks_out, crc

UNIT = 4096


class Refused(Exception):
    """What is wrong with the drive, as a sentence."""


def demand(condition, sentence):
    if not condition:
        raise Refused(sentence)


class SimulatedDrive:
    """The file of a simulated drive: a header, a table of the zones, and the bytes of the zones."""

    def __init__(self, path):
        self.file = open(path, "rb")
        head = self.file.read(UNIT)
        demand(len(head) == UNIT and head[:8] == b"IMBREXSD", "this is no drive file")
        demand(head[8:12] == b"\1\0\0\0" and checks_out(0, head, 12), "the drive file's header is damaged")
        self.zone_count, self.conventional, self.zone_bytes, capacity_bytes = struct.unpack_from("<IIQQ", head, 24)
        self.serial = head[64:128]
        self.data = -(-(UNIT + 32 * self.zone_count) // (1 << 20)) << 20
        self.capacities, self.written, self.offline = [], [], []  # in units, by zone
        for zone in range(self.zone_count):
            entry = self.file.read(32)
            number, kind, condition, written_bytes, checksum = struct.unpack("<IBB2xQ12xI", entry)
            demand(number == zone and checksum == crc(0, entry[:28]), f"the file's entry of zone {zone} is damaged")
            self.capacities.append((self.zone_bytes if kind == 1 else capacity_bytes) // UNIT)
            self.written.append(self.capacities[-1] if kind == 1 else written_bytes // UNIT)
            self.offline.append(condition == 0xF)

    def read(self, zone, unit, count=1):
        """Whole units; zeros where nothing was written."""
        there = 0 if self.offline[zone] else max(0, min(count, self.written[zone] - unit))
        self.file.seek(self.data + zone * self.zone_bytes + unit * UNIT)
        return self.file.read(there * UNIT).ljust(count * UNIT, b"\0")
