"""Paths of a ledger as a tree: which items and passes there were."""

import re
from collections.abc import Iterable

_INDEX = re.compile(r"\[(\d+)\]")


class Tree:
    """The paths of finished steps."""

    def __init__(self, finished: Iterable[str]) -> None:
        self.finished = frozenset(finished)
        self._indexes: dict[str, set[int]] = {}
        for path in self.finished:
            for found in _INDEX.finditer(path):
                self._indexes.setdefault(path[: found.start()], set()).add(int(found[1]))

    def indexes(self, container: str) -> list[int]:
        """The items or passes of a container's step in which anything finished."""
        return sorted(self._indexes.get(container, ()))


def node_path(path: str) -> str:
    """A step's path without indexes."""
    return _INDEX.sub("", path)
