"""`loop`: the same nodes again until a condition holds; the only way back, and capped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.errors import StepFailed
from treadle.agents.nodes.base import ContainerBase
from treadle.agents.nodes.fields import AnyValue, ObjectValue, When
from treadle.agents.steps.frame import Frame
from treadle.agents.steps.graph import Body, ContainerWork
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass

if TYPE_CHECKING:
    from treadle.agents.nodes.union import Node

MOST_PASSES = 1000


class LoopNode(ContainerBase):
    """Output: the last pass's `output`.

    Attributes:
        state: Of the first pass, read as `state`.
        until: Condition after a pass; where it holds the loop ends.
        output: Of a pass, in whose scope it stands.
        max: Passes at most.
        next_state: The state (`next`) of the next pass, made when `until` does not hold.
        on_max: What happens when the cap is reached and `until` still does not hold.
    """

    kind: ClassVar[str] = "loop"
    use: Literal["loop"]
    max: int = Field(ge=1, le=MOST_PASSES)
    state: ObjectValue | None = None
    nodes: dict[str, Node] = Field(default_factory=dict[str, "Node"])
    until: When | None = None
    next_state: ObjectValue | None = Field(default=None, alias="next")
    output: AnyValue
    on_max: Literal["end", "fail"] = "end"


@dataclass(frozen=True, slots=True)
class LoopWork(ContainerWork):
    """Runs the body pass by pass."""

    node: LoopNode
    body: Body

    @property
    @override
    def bodies(self) -> tuple[Body, ...]:
        return (self.body,)

    @override
    async def perform(self, turn: Turn) -> JsonValue:
        node = self.node
        state: JsonValue = {} if node.state is None else turn.evaluate(node.state, "state")
        output: JsonValue = None
        for index in range(node.max):
            names: dict[str, JsonValue] = {"loop": {"index": index}, "state": state}
            frame = turn.frame_inside(names=names, index=index)
            await turn.run_inside(self.body, frame)
            output = turn.evaluate(node.output, "output", frame)
            if self._is_done(turn, frame):
                return output
            if node.next_state is not None and index + 1 < node.max:
                state = turn.evaluate(node.next_state, "next", frame)
        return self._at_cap(turn, output)

    def _is_done(self, turn: Turn, frame: Frame) -> bool:
        until = self.node.until
        return until is not None and bool(turn.evaluate(until, "until", frame))

    def _at_cap(self, turn: Turn, output: JsonValue) -> JsonValue:
        if self.node.until is None or self.node.on_max == "end":
            return output
        raise StepFailed(
            f"{turn.node.template_path}: `until` did not hold after {self.node.max} passes",
            error_class=ErrorClass.INVALID_OUTPUT,
            code="loop_max",
        )
