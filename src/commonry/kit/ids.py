"""Time-ordered ids.

UUID version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits, so that ids made later
sort later and B-tree inserts stay at the right edge.
"""

import os
import time
from uuid import UUID


def new_id() -> UUID:
    """A new UUIDv7. Ordered between milliseconds, random within one."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)
