"""Which template every `template:` node of a run means: fixed before the run begins.

A family is closed: it has the children of the children, so a child run takes its own from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from treadle.agents.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class Member:
    """A template at a version, by the digest of its text."""

    sha256: bytes
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Family:
    """By digest of the template that has the node, then by what stands in `use`."""

    members: Mapping[bytes, Mapping[str, Member]]

    @classmethod
    def read(cls, stored: JsonObject | None) -> Self:
        """Read what `write` wrote."""
        members: dict[bytes, dict[str, Member]] = {}
        for digest, uses in (stored or {}).items():
            assert isinstance(uses, dict)  # noqa: S101 - as `write` writes it
            members[bytes.fromhex(digest)] = {use: _member(one) for use, one in uses.items()}
        return cls(members)

    def write(self) -> JsonObject | None:
        """As it is stored with a run; `None` where there are no children."""
        if not self.members:
            return None
        return {
            digest.hex(): {
                use: {"sha256": one.sha256.hex(), "name": one.name, "version": one.version}
                for use, one in uses.items()
            }
            for digest, uses in self.members.items()
        }

    def child(self, parent: bytes, use: str) -> Member:
        """What a node of a template means."""
        return self.members[parent][use]

    def of(self, member: Member) -> Self:
        """The family of a member: itself and all below."""
        kept: dict[bytes, Mapping[str, Member]] = {}
        waiting = [member.sha256]
        while waiting:
            digest = waiting.pop()
            if digest in self.members and digest not in kept:
                kept[digest] = self.members[digest]
                waiting += [one.sha256 for one in kept[digest].values()]
        return type(self)(kept)


def _member(stored: JsonValue) -> Member:
    assert isinstance(stored, dict)  # noqa: S101 - as `write` writes it
    return Member(bytes.fromhex(str(stored["sha256"])), str(stored["name"]), str(stored["version"]))
