"""`<integration>.<action>`: a tool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from treadle.agents.nodes.base import CallBase
from treadle.agents.nodes.fields import AnyValue, Value
from treadle.agents.steps.graph import EffectWork
from treadle.agents.steps.hosts import fixed_hosts
from treadle.agents.steps.identities import identity_of_tool
from treadle.agents.steps.tools import call_tool
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import AnyTool

USE_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"


class ToolNode(CallBase):
    """Output: the tool's typed result. `connection` is a logical name of the template."""

    kind: ClassVar[str] = "tool"
    use: str = Field(pattern=USE_PATTERN)
    connection: str | None = None
    arguments: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue], alias="with")


@dataclass(frozen=True, slots=True)
class ToolWork(EffectWork):
    """Calls one tool with the node's arguments."""

    tool: AnyTool
    arguments: Mapping[str, Value]
    connection: str | None

    @override
    async def identity(self, turn: Turn) -> JsonValue:
        """The tool, its account and its arguments."""
        called = identity_of_tool(turn, self.tool, self.connection)
        return {**called, "arguments": self._rendered(turn)}

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        """One call; an idempotency key belongs to the rendered arguments."""
        return await call_tool(
            turn,
            self.tool,
            self._rendered(turn),
            connection=self.connection,
            hosts=fixed_hosts(self.tool, {name: one.raw for name, one in self.arguments.items()}),
        )

    def _rendered(self, turn: Turn) -> JsonObject:
        return {
            name: turn.evaluate(value, f"with.{name}") for name, value in self.arguments.items()
        }
