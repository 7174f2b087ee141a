"""The checksums of FORMAT.md: CRC-32C (RFC 3720) and SipHash (Aumasson and Bernstein), in pure Python."""

import struct

WORD = (1 << 64) - 1

# Polynomials are integers whose lowest bit is the highest power. Where a message is long, its beginning is multiplied
# by a power of x and added to its end, which leaves about half of it and the same checksum.


def table_entry(register):
    for _ in range(8):
        register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register


def remainder(register, data):
    for byte in data:
        register = register >> 8 ^ TABLE_OF_BYTES[(register ^ byte) & 255]
    return register


def product(left, right):
    result = 0
    while right:
        lowest = right & -right
        result ^= left << lowest.bit_length() - 1
        right ^= lowest
    return result


TABLE_OF_BYTES = [table_entry(byte) for byte in range(256)]
FOLDS = {}  # x^(2^n + 32), by n
power = remainder(0, bytes(3) + b"\x80")  # x^(2^6 - 32)
for exponent in range(6, 32):
    FOLDS[exponent] = remainder(0, power.to_bytes(4, "little") + bytes(4))
    power = remainder(0, (product(power, power) << 1).to_bytes(8, "little"))


def crc(seed, data):
    register, bits = seed ^ 0xFFFFFFFF, len(data) * 8
    if bits <= 1024:
        return remainder(register, data) ^ 0xFFFFFFFF
    message = int.from_bytes(data, "little") ^ register
    while bits > 1024:
        exponent = (bits - 33).bit_length() - 1
        kept = (1 << exponent) + 32
        head = message & (1 << bits - kept) - 1
        message = message >> bits - kept ^ product(head, FOLDS[exponent]) << 2 * kept - bits - 31
        bits = kept
    return remainder(0, message.to_bytes(bits // 8, "little")) ^ 0xFFFFFFFF


def checks_out(seed, data, at):
    """Whether the checksum at byte `at`, which covers itself as zeros, is right."""
    return crc(seed, data[:at] + bytes(4) + data[at + 4 :]) == int.from_bytes(data[at : at + 4], "little")


def siphash(key, data, rounds, last_rounds):
    def turn(value, bits):
        return (value << bits | value >> 64 - bits) & WORD

    k0, k1 = struct.unpack("<QQ", key)
    a, b, c, d = (k ^ int.from_bytes(text, "big") for k, text in
                  ((k0, b"somepseu"), (k1, b"dorandom"), (k0, b"lygenera"), (k1, b"tedbytes")))
    data += bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    words = [(word, rounds) for (word,) in struct.iter_unpack("<Q", data)]
    for word, count in words + [(None, last_rounds)]:
        d, c = (d, c ^ 255) if word is None else (d ^ word, c)
        for _ in range(count):
            a, c = a + b & WORD, c + d & WORD
            b, d, a = turn(b, 13) ^ a, turn(d, 16) ^ c, turn(a, 32)
            c, a = c + b & WORD, a + d & WORD
            b, d, c = turn(b, 17) ^ c, turn(d, 21) ^ a, turn(c, 32)
        a ^= word or 0
    return a ^ b ^ c ^ d
