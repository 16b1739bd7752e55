"""What two versions of a template differ in: nodes, inputs and outputs by key, not lines.

Comments, the order of keys and the way values are written make no difference.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import TypeAlias

from treadle.agents.language.document import dotted
from treadle.agents.nodes.fields import Path
from treadle.agents.values import JsonValue

_COMPARED = ("nodes", "inputs", "outputs")
_INSIDE = frozenset({"nodes", "cases"})


class _Absent(Enum):
    """Stands for no value, which is not the same as null."""

    ABSENT = auto()


_Side: TypeAlias = "JsonValue | _Absent"


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs; `None` also stands for one that is not there.

    Attributes:
        path: From the root of the template: `nodes.serp.nodes.hits.with.limit`.
    """

    path: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class KeyChanges:
    """Keys of one map; nodes inside containers by their whole path: `serp.hits`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Differences:
    """From one version to another.

    Attributes:
        others: Top-level keys beside nodes, inputs and outputs, without the version itself.
        changes: Each value that differs, nodes that were added or removed as a whole.
    """

    nodes: KeyChanges
    inputs: KeyChanges
    outputs: KeyChanges
    others: tuple[str, ...]
    changes: tuple[Change, ...]

    @property
    def is_empty(self) -> bool:
        """Whether both mean the same."""
        return not self.changes


def compare_contents(before: JsonValue, after: JsonValue) -> Differences:
    """Compare two templates as JSON values (`load(text).content`)."""
    old, new = _mapping(before), _mapping(after)
    others = sorted((old.keys() | new.keys()) - {*_COMPARED, "version", "treadle"})
    return Differences(
        nodes=_node_changes(old.get("nodes"), new.get("nodes")),
        inputs=_key_changes(_mapping(old.get("inputs")), _mapping(new.get("inputs"))),
        outputs=_key_changes(_mapping(old.get("outputs")), _mapping(new.get("outputs"))),
        others=tuple(name for name in others if not _same(old.get(name), new.get(name))),
        changes=tuple(
            chain.from_iterable(
                _changes((name,), old.get(name, _Absent.ABSENT), new.get(name, _Absent.ABSENT))
                for name in (*_COMPARED, *others)
            )
        ),
    )


def _node_changes(old: JsonValue, new: JsonValue) -> KeyChanges:
    before, after = dict(_nodes(old, "")), dict(_nodes(new, ""))
    return _key_changes(before, after)


def _nodes(nodes: JsonValue, prefix: str) -> Iterator[tuple[str, JsonValue]]:
    """Every node with its path, each without the nodes inside it."""
    for name, node in _mapping(nodes).items():
        path = f"{prefix}{name}"
        fields = _mapping(node)
        inside = [fields.get("nodes")]
        cases = fields.get("cases")
        own = {key: value for key, value in fields.items() if key not in _INSIDE}
        if isinstance(cases, list):
            inside += [_mapping(case).get("nodes") for case in cases]
            own["cases"] = [
                {key: value for key, value in _mapping(case).items() if key != "nodes"}
                for case in cases
            ]
        yield path, own if fields else node
        for inner in inside:
            yield from _nodes(inner, f"{path}.")


def _key_changes(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> KeyChanges:
    return KeyChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        removed=tuple(sorted(before.keys() - after.keys())),
        changed=tuple(
            name for name in sorted(before.keys() & after.keys())
            if not _same(before[name], after[name])
        ),
    )  # fmt: skip


def _changes(path: Path, before: _Side, after: _Side) -> Iterator[Change]:
    """The smallest values that differ; lists that changed their length count as one value."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys((*before, *after)):
            yield from _changes(
                (*path, key), before.get(key, _Absent.ABSENT), after.get(key, _Absent.ABSENT)
            )
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _changes((*path, index), one, other)
    elif not _same(before, after):
        yield Change(dotted(path), _shown(before), _shown(after))


def _same(one: _Side, other: _Side) -> bool:
    """Equality of JSON: 1 is 1.0 but not true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _mapping(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _shown(value: _Side) -> JsonValue:
    return None if isinstance(value, _Absent) else value
