"""What an engine's command line takes, and whether a command keeps to it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from pydantic import TypeAdapter

from treadle.model_runtime.errors import EngineRefused


class Takes(StrEnum):
    """What follows a flag."""

    NOTHING = "nothing"
    VALUE = "value"
    VALUES = "values"  # one or more
    OPTIONAL = "optional"  # one or none


@dataclass(frozen=True, slots=True)
class Flag:
    """One spelling of an option; without `choices` any value is taken."""

    takes: Takes = Takes.VALUE
    choices: tuple[str, ...] = ()
    deprecated: bool = False


@dataclass(frozen=True, slots=True)
class FlagSet:
    """All flags of one version of an engine.

    Attributes:
        engine: `vllm` or `sglang`.
        json_keys: For a flag that takes a JSON object, the keys that the object may have.
    """

    engine: str
    version: str
    flags: Mapping[str, Flag]
    json_keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))

    def __contains__(self, name: str) -> bool:
        return name in self.flags

    def prefers(self, name: str) -> bool:
        """Whether the flag is there and not on its way out."""
        return name in self.flags and not self.flags[name].deprecated

    def allows(self, name: str, value: str) -> bool:
        """Whether the flag is there and takes this value."""
        flag = self.flags.get(name)
        return flag is not None and (not flag.choices or value in flag.choices)

    def check(self, arguments: Sequence[str]) -> None:
        """Compare a command's arguments with the parser.

        Raises:
            EngineRefused: Everything that the parser would not take, at once.
        """
        problems = list(self.problems(arguments))
        if problems:
            raise EngineRefused(
                f"{self.engine} {self.version} does not take this command: {'; '.join(problems)}"
            )

    def problems(self, arguments: Sequence[str]) -> Iterator[str]:
        """What the parser would not take, in the order of the command."""
        index = 0
        while index < len(arguments):
            token = arguments[index]
            index += 1
            if not token.startswith("--"):
                continue
            name, joined, value = token.partition("=")
            flag = self.flags.get(name)
            if flag is None:
                yield f"there is no flag {name!r}"
                continue
            given = [value] if joined else list(_values(arguments[index:]))
            # What follows a whole option, such as the model's name, is not its value.
            most = {Takes.NOTHING: 0, Takes.VALUE: 1, Takes.OPTIONAL: 1}.get(flag.takes)
            given = given if joined else given[:most]
            index += 0 if joined else len(given)
            yield from self._problems_of(name, flag, given)

    def _problems_of(self, name: str, flag: Flag, given: Sequence[str]) -> Iterator[str]:
        if flag.deprecated:
            yield f"{name} is deprecated"
        if flag.takes is Takes.NOTHING and given:
            yield f"{name} takes no value, not {given[0]!r}"
        if flag.takes in {Takes.VALUE, Takes.VALUES} and not given:
            yield f"{name} wants a value"
        for value in given:
            if flag.choices and value not in flag.choices:
                yield f"{name} does not take {value!r}, only {', '.join(flag.choices)}"
            if (keys := self.json_keys.get(name)) is not None:
                yield from _json_problems(name, value, keys)

    def to_json(self) -> str:
        """A line for each flag, so that two versions can be compared by eye."""
        lines = [
            f"  {json.dumps(name)}: {json.dumps(_entry(flag))}"
            for name, flag in sorted(self.flags.items())
        ]
        keys = json.dumps({name: sorted(keys) for name, keys in sorted(self.json_keys.items())})
        return (
            f'{{"engine": "{self.engine}", "version": "{self.version}",\n'
            f' "json_keys": {keys},\n "flags": {{\n' + ",\n".join(lines) + "\n }}\n"
        )

    @classmethod
    def from_json(cls, text: str) -> "FlagSet":
        """Read what `to_json` wrote."""
        return TypeAdapter(cls).validate_json(text)


def _entry(flag: Flag) -> dict[str, str | list[str] | bool]:
    """What differs from the default."""
    entry: dict[str, str | list[str] | bool] = {}
    if flag.takes is not Takes.VALUE:
        entry["takes"] = flag.takes.value
    if flag.choices:
        entry["choices"] = [*flag.choices]
    if flag.deprecated:
        entry["deprecated"] = True
    return entry


def _values(rest: Sequence[str]) -> Iterator[str]:
    for token in rest:
        if token.startswith("--"):
            return
        yield token


def _json_problems(name: str, value: str, keys: Sequence[str]) -> Iterator[str]:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        yield f"{name} wants a JSON object, not {value!r}"
        return
    for key in found:
        if key not in keys:
            yield f"{name} knows no {key!r}"
