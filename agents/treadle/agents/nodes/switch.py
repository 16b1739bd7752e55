"""`switch`: the first case that holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.nodes.base import ContainerBase, Listed, Part
from treadle.agents.nodes.fields import AnyValue, When
from treadle.agents.steps.graph import Body, ContainerWork
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue

if TYPE_CHECKING:
    from treadle.agents.nodes.union import Node


class Case(Part):
    """One case: `when`, or `else: true` (`is_else`), exactly one of them."""

    when: When | None = None
    is_else: Literal[True] | None = Field(default=None, alias="else")
    nodes: dict[str, Node] = Field(default_factory=dict[str, "Node"])
    output: AnyValue


class SwitchNode(ContainerBase):
    """Output: that case's `output`; null when none holds."""

    kind: ClassVar[str] = "switch"
    use: Literal["switch"]
    cases: Listed[Case] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class SwitchWork(ContainerWork):
    """Runs the body of the first case that holds; `inside` has one per case."""

    node: SwitchNode
    inside: tuple[Body, ...]

    @property
    @override
    def bodies(self) -> tuple[Body, ...]:
        return self.inside

    @override
    async def perform(self, turn: Turn) -> JsonValue:
        for index, (case, body) in enumerate(zip(self.node.cases, self.inside, strict=True)):
            if case.when is not None and not turn.evaluate(case.when, f"cases[{index}].when"):
                continue
            frame = turn.frame_inside(names={})
            await turn.run_inside(body, frame)
            return turn.evaluate(case.output, f"cases[{index}].output", frame)
        return None
