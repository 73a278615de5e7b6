"""Which partition a key goes to: murmur2, as Kafka's Java client has it.

librdkafka calls it `murmur2_random`, aiokafka does it by default. Here for the broker in
memory, and for whoever must know a key's partition without producing to it.
"""

from __future__ import annotations

MULTIPLIER = 0x5BD1E995
SEED = 0x9747B28C
MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit hash, unsigned (Kafka's `Utils.murmur2`, which gives the same bits signed)."""
    length = len(data)
    value = SEED ^ length
    body = length - length % 4
    for start in range(0, body, 4):
        word = int.from_bytes(data[start : start + 4], "little") * MULTIPLIER & MASK
        word = (word ^ word >> 24) * MULTIPLIER & MASK
        value = (value * MULTIPLIER & MASK) ^ word
    if rest := data[body:]:
        value = (value ^ int.from_bytes(rest, "little")) * MULTIPLIER & MASK
    value = (value ^ value >> 13) * MULTIPLIER & MASK
    return value ^ value >> 15


def partition_of(key: bytes | None, partitions: int) -> int:
    """Partition number of a key. A record without a key may go anywhere; here it goes to 0."""
    return 0 if key is None else (murmur2(key) & 0x7FFFFFFF) % partitions
