"""`template:<name>[@<range>]`: another template as a step, in a run of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field
from typing_extensions import override

from treadle.agents.errors import InputsInvalid, StepFailed
from treadle.agents.nodes.base import NodeBase
from treadle.agents.nodes.fields import AnyValue, Value
from treadle.agents.ports import Answer, ChildOrder, WaitKind
from treadle.agents.steps.graph import WaitWork
from treadle.agents.steps.turn import Turn
from treadle.agents.steps.waits import Ask, answered, is_open, listen, open_wait
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass

PREFIX = "template:"
USE_PATTERN = r"^template:[a-z][a-z0-9-]{1,62}(@.+)?$"


class ChildNode(NodeBase):
    """Output: the child's outputs. `connections` maps the child's names to ours."""

    kind: ClassVar[str] = "template:"
    use: str = Field(pattern=USE_PATTERN)
    inputs: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue], alias="with")
    connections: dict[str, str] = Field(default_factory=dict[str, str])

    @property
    def template(self) -> str:
        """The child's name."""
        return self.use.removeprefix(PREFIX).partition("@")[0]

    @property
    def version_range(self) -> str | None:
        """The range after `@`; `None` means the newest."""
        return self.use.partition("@")[2] or None


@dataclass(frozen=True, slots=True)
class ChildWork(WaitWork):
    """Starts the child once, and waits for its end."""

    use: str
    inputs: Mapping[str, Value]
    connections: Mapping[str, str]

    @override
    async def wait(self, turn: Turn) -> JsonValue:
        answer = answered(turn) or await self._end_of_child(turn)
        return _outputs(turn, answer)

    async def _end_of_child(self, turn: Turn) -> Answer:
        wait = is_open(turn)
        order = self._order(turn, "" if wait is None else wait.id)
        if wait is None:
            await self._check(turn, order)
            wait = open_wait(turn, Ask(WaitKind.CHILD))
            order = self._order(turn, wait.id)
        await turn.journal.durable()
        await turn.ports.children.start(order)
        return await listen(turn, wait)

    async def _check(self, turn: Turn, order: ChildOrder) -> None:
        try:
            await turn.ports.children.check(order)
        except InputsInvalid as error:
            raise StepFailed(
                f"{turn.node.template_path}.with: {self.use} refuses its inputs: "
                f"{error.issues[0].message}",
                error_class=ErrorClass.INVALID_INPUT,
                code="invalid_arguments",
            ) from error

    def _order(self, turn: Turn, id_: str) -> ChildOrder:
        return ChildOrder(
            id=id_,
            use=self.use,
            inputs={
                name: turn.evaluate(value, f"with.{name}") for name, value in self.inputs.items()
            },
            connections=dict(self.connections),
            frame=turn.frame_path,
        )


def _outputs(turn: Turn, answer: Answer) -> JsonValue:
    """What the child gave; its failure is this step's."""
    end = answer.value
    if not isinstance(end, dict):
        raise TypeError("the end of a child run is an object")
    if end["status"] == "succeeded":
        return end["outputs"]
    error = end["error"]
    if isinstance(error, dict):
        raise StepFailed(
            f"the run of {turn.path!r} failed at {error['path']!r}: {error['message']}",
            error_class=ErrorClass(str(error["class"])),
            code=str(error["code"]),
            may_repeat=False,
        )
    raise StepFailed(
        f"the run of {turn.path!r} was cancelled",
        error_class=ErrorClass.CANCELLED,
        code="child_cancelled",
        may_repeat=False,
    )
