"""Blocks of cache rows: who holds them, and which of them can be found again by content.

A block is named by the hash of its tokens and of all before it, so that two requests with the
same beginning share it. A block that nobody holds keeps its name until it is needed for other
tokens; the one unused for longest goes first.
"""

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Sequence


class BlockPool:
    """Counts holders of `size` blocks and remembers the full ones by name."""

    def __init__(self, size: int, block_size: int) -> None:
        self.size, self.block_size = size, block_size
        self._holders = [0] * size
        self._names: list[bytes | None] = [None] * size
        self._named: dict[bytes, int] = {}
        # Blocks without a holder, the one unused for longest first.
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(size))

    @property
    def free(self) -> int:
        """Blocks without a holder; named ones among them."""
        return len(self._free)

    def blocks_for(self, tokens: int) -> int:
        """How many blocks hold so many rows."""
        return -(-tokens // self.block_size)

    def find(self, names: Sequence[bytes]) -> list[int]:
        """Take hold of the longest known beginning of these names."""
        found: list[int] = []
        for name in names:
            if (block := self._named.get(name)) is None:
                break
            self._hold(block)
            found.append(block)
        return found

    def take(self, count: int) -> list[int] | None:
        """Take hold of `count` empty blocks, or of none if there are too few."""
        if count > len(self._free):
            return None
        return [self._take_oldest() for _ in range(count)]

    def release(self, blocks: Sequence[int]) -> None:
        """Let go of a request's blocks; its beginning stays findable longest."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if not self._holders[block]:
                self._free[block] = None

    def name(self, block: int, name: bytes) -> None:
        """Make a full block findable; if its content is known already, the first one stays."""
        if self._names[block] is None and name not in self._named:
            self._names[block] = name
            self._named[name] = block

    def _hold(self, block: int) -> None:
        self._holders[block] += 1
        self._free.pop(block, None)

    def _take_oldest(self) -> int:
        block, _ = self._free.popitem(last=False)
        if (name := self._names[block]) is not None:
            del self._named[name]
            self._names[block] = None
        self._holders[block] = 1
        return block


def next_name(parent: bytes, tokens: Sequence[int]) -> bytes:
    """The name of a full block: BLAKE2b-128 of the name before it, or the salt, and its tokens."""
    digest = hashlib.blake2b(parent, digest_size=16)
    digest.update(array("q", tokens).tobytes())
    return digest.digest()
