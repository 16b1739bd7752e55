"""Linux access control lists, as far as one entry needs them: a user may pass a folder.

The attribute's bytes are a version and entries of (tag, permissions, id), little endian, sorted by
tag and id. Source: linux/posix_acl_xattr.h.
"""

import os
import struct
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

_ATTRIBUTE = "system.posix_acl_access"
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_VERSION = 2
_NO_ID = 0xFFFFFFFF
_PASS = 0o1
_ALL = 0o7


class Tag(IntEnum):
    """What an entry is about."""

    OWNER = 0x01
    USER = 0x02
    GROUP_OWNER = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20


class Entry(NamedTuple):
    """One line of a list."""

    tag: int
    permissions: int
    id: int = _NO_ID


def grant_passage(folder: Path, *, uid: int) -> None:
    """Let one user pass a folder; does nothing where the file system has no such lists."""
    try:
        entries = with_passage(read_list(folder), uid=uid)
        os.setxattr(folder, _ATTRIBUTE, _packed(entries))
    except (OSError, AttributeError):  # no lists here, or no Linux; the caller looks at the effect
        return


def read_list(folder: Path) -> list[Entry]:
    """Return the folder's list; the one its mode stands for if it has none of its own."""
    try:
        stored = os.getxattr(folder, _ATTRIBUTE)
    except OSError:
        mode = folder.stat().st_mode
        return [
            Entry(Tag.OWNER, mode >> 6 & _ALL),
            Entry(Tag.GROUP_OWNER, mode >> 3 & _ALL),
            Entry(Tag.OTHER, mode & _ALL),
        ]
    return [Entry(*fields) for fields in _ENTRY.iter_unpack(stored[_HEADER.size :])]


def with_passage(entries: list[Entry], *, uid: int) -> list[Entry]:
    """Add the right to pass for one user; what the others may do stays the same."""
    own = next((e.permissions for e in entries if e.tag == Tag.USER and e.id == uid), 0)
    mask = next((e.permissions for e in entries if e.tag == Tag.MASK), _group_rights(entries))
    kept = [e for e in entries if e.tag != Tag.MASK and not (e.tag == Tag.USER and e.id == uid)]
    return sorted(
        [*kept, Entry(Tag.USER, own | _PASS, uid), Entry(Tag.MASK, mask | _PASS)],
        key=lambda entry: (entry.tag, entry.id),
    )


def _group_rights(entries: list[Entry]) -> int:
    """Without a mask all entries of the group class count in full."""
    rights = 0
    for entry in entries:
        if entry.tag in {Tag.USER, Tag.GROUP_OWNER, Tag.GROUP}:
            rights |= entry.permissions
    return rights


def _packed(entries: list[Entry]) -> bytes:
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in entries)
