"""Whose request is next: deficit round robin over owners, so that nobody's flood starves others.

Source: Shreedhar and Varghese, Efficient Fair Queuing Using Deficit Round Robin, SIGCOMM 1995.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator

from treadle.model_runtime.sequence import Sequence


class FairQueue:
    """Waiting sequences by owner; each owner's turn is worth `quantum` prompt tokens."""

    def __init__(self, *, quantum: int) -> None:
        self._quantum = quantum
        self._waiting: OrderedDict[str, deque[Sequence]] = OrderedDict()
        self._credit: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(len(line) for line in self._waiting.values())

    def __iter__(self) -> Iterator[Sequence]:
        for line in self._waiting.values():
            yield from line

    def add(self, sequence: Sequence) -> None:
        """Stand in the owner's line."""
        owner = sequence.request.owner
        self._waiting.setdefault(owner, deque()).append(sequence)
        self._credit.setdefault(owner, 0)

    def peek(self) -> Sequence:
        """Whose turn it is; turns pass until an owner has the credit for its first request."""
        while True:
            owner, line = next(iter(self._waiting.items()))
            if self._credit[owner] >= line[0].unread:
                return line[0]
            self._credit[owner] += self._quantum
            self._waiting.move_to_end(owner)

    def pop(self, sequence: Sequence) -> None:
        """Take out the one that `peek` gave, and charge its owner."""
        owner = sequence.request.owner
        self._credit[owner] -= sequence.unread
        self._drop(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Take out a sequence that will not be served."""
        self._drop(sequence)

    def _drop(self, sequence: Sequence) -> None:
        owner = sequence.request.owner
        line = self._waiting[owner]
        line.remove(sequence)
        if not line:
            # An idle owner saves no credit.
            del self._waiting[owner], self._credit[owner]
