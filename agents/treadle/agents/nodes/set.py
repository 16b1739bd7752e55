"""`set`: values made from other values; there is no code node."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.nodes.base import NodeBase
from treadle.agents.nodes.fields import AnyValue, Value
from treadle.agents.steps.graph import PureWork
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue


class SetNode(NodeBase):
    """Output: its `with`."""

    kind: ClassVar[str] = "set"
    use: Literal["set"]
    value: AnyValue = Field(alias="with")


@dataclass(frozen=True, slots=True)
class SetWork(PureWork):
    """Evaluates the node's `with`."""

    value: Value

    @override
    def evaluate(self, turn: Turn) -> JsonValue:
        """Its `with`, rendered."""
        return turn.evaluate(self.value, "with")
