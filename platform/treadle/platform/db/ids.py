"""Ids of everything stored: UUIDs of version 7, so that they sort by the time they were made.

In the API an id is the plain lower-case UUID text, without a prefix.
"""

import secrets
import time
from typing import NewType
from uuid import UUID

from treadle.platform.errors import NotFound

WorkspaceId = NewType("WorkspaceId", UUID)


def new_id() -> UUID:
    """Make an id: 48 bits of milliseconds, then 74 random bits (RFC 9562, version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return UUID(int=value)


def parse_id(kind: str, text: str) -> UUID:
    """Read an id from a path or body; what is no id names nothing, so it raises `NotFound`."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(kind, text) from None
