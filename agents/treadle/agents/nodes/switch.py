"""`switch`: the first case that holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.nodes.base import ContainerBase, Listed, Part
from treadle.agents.nodes.fields import AnyValue, When
from treadle.agents.steps.frame import Frame
from treadle.agents.steps.graph import Body, ContainerWork, PureWork
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
class PureSwitchWork(PureWork):
    """A switch with nothing but pure nodes in it: shares its task with its neighbours."""

    node: SwitchNode
    inside: tuple[Body, ...]

    @override
    def evaluate(self, turn: Turn) -> JsonValue:
        chosen = _chosen(turn, self.node)
        if chosen is None:
            return None
        frame = turn.frame_inside(names={})
        turn.run_pure_inside(self.inside[chosen], frame)
        return _output(turn, self.node, chosen, frame)


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
        chosen = _chosen(turn, self.node)
        if chosen is None:
            return None
        frame = turn.frame_inside(names={})
        await turn.run_inside(self.inside[chosen], frame)
        return _output(turn, self.node, chosen, frame)


def switch_work(node: SwitchNode, inside: tuple[Body, ...]) -> PureSwitchWork | SwitchWork:
    """The work of a switch: pure if all its cases are."""
    works = (inner.work for body in inside for inner in body.nodes)
    if all(isinstance(work, PureWork) for work in works):
        return PureSwitchWork(node, inside)
    return SwitchWork(node, inside)


def _chosen(turn: Turn, node: SwitchNode) -> int | None:
    """Index of the first case that holds."""
    for index, case in enumerate(node.cases):
        if case.when is None or turn.evaluate(case.when, f"cases[{index}].when"):
            return index
    return None


def _output(turn: Turn, node: SwitchNode, chosen: int, frame: Frame) -> JsonValue:
    return turn.evaluate(node.cases[chosen].output, f"cases[{chosen}].output", frame)
