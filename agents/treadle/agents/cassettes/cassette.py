"""The file format: one run's template, inputs, and what came from outside."""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from treadle.agents.cassettes.errors import CassetteInvalid
from treadle.agents.language import Template
from treadle.agents.language.walk import inner_nodes
from treadle.agents.nodes.loop import LoopNode
from treadle.agents.nodes.map import MapNode
from treadle.agents.nodes.outside import reaches_outside
from treadle.agents.nodes.switch import SwitchNode
from treadle.agents.nodes.union import Node
from treadle.integrations.registry import AnyTool

LARGEST = 32 * 1024 * 1024
_INDEX = re.compile(r"\[\d+\]")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Recorded(_Part):
    """What one step that reaches outside came to.

    Attributes:
        error: `{node, path, class, code, message}` where it failed or was recovered.
    """

    path: str
    status: str
    output: JsonValue = None
    error: dict[str, JsonValue] | None = None

    @property
    def node(self) -> str:
        """The path without indexes."""
        return node_of(self.path)


class Cassette(_Part):
    """A finished run, as far as another version needs it.

    Attributes:
        cassette: Version of this format.
        text: The template that ran.
        connections: Logical names that were bound.
        redactions: How many texts of each kind were taken out.
    """

    cassette: Literal[1] = 1
    run: str
    template: str
    version: str
    text: str
    inputs: dict[str, JsonValue]
    connections: list[str] = Field(default_factory=list[str])
    status: str
    outputs: dict[str, JsonValue] | None = None
    error: dict[str, JsonValue] | None = None
    steps: list[Recorded]
    redactions: dict[str, int] = Field(default_factory=dict[str, int])

    @classmethod
    def read(cls, content: bytes) -> "Cassette":
        """Read a file; raises `CassetteInvalid`."""
        if len(content) > LARGEST:
            raise CassetteInvalid(f"a cassette has at most {LARGEST >> 20} MiB")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise CassetteInvalid(f"no cassette: {where}: {first['msg']}"[:300]) from None


def recorded_steps(
    template: Template, tools: Mapping[str, AnyTool], steps: Iterable[Recorded]
) -> list[Recorded]:
    """Those that reached outside: everything else is worked out again when it is replayed."""
    outside = set(_outside(template.nodes, "", tools))
    if template.on_failure is not None:
        outside |= set(_outside(template.on_failure.nodes, "on_failure.", tools))
    return [step for step in steps if step.node in outside and step.status not in _EMPTY]


_EMPTY = {"pending", "running", "waiting", "skipped", "cancelled", "unknown"}


def node_of(path: str) -> str:
    """A step's path without indexes."""
    return _INDEX.sub("", path)


def _outside(nodes: Mapping[str, Node], prefix: str, tools: Mapping[str, AnyTool]) -> Iterable[str]:
    for name, node in nodes.items():
        if reaches_outside(node, tools):
            yield f"{prefix}{name}"
        if isinstance(node, MapNode | LoopNode | SwitchNode):
            for _, inner in inner_nodes(node):
                yield from _outside(inner, f"{prefix}{name}.", tools)
