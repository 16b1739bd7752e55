"""`map`: the same nodes once per item of a list."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from typing_extensions import override

from treadle.agents.errors import Blocked, StepFailed
from treadle.agents.expressions.semantics import type_name
from treadle.agents.nodes.base import ID_PATTERN, ContainerBase
from treadle.agents.nodes.fields import AnyValue, Fits, Value
from treadle.agents.nodes.shares import Share
from treadle.agents.steps.gate import Closed
from treadle.agents.steps.graph import Body, ContainerWork
from treadle.agents.steps.items import Items
from treadle.agents.steps.quiet import Place
from treadle.agents.steps.spill import Spill
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass

if TYPE_CHECKING:
    from treadle.agents.nodes.union import Node

MOST_AT_ONCE = 256


def _read_policy(raw: object) -> object:
    return "null" if raw is None else raw  # YAML reads a bare `null` as no value


ItemPolicy = Annotated[
    Literal["fail", "skip", "null"],
    BeforeValidator(_read_policy),
    WithJsonSchema({"enum": ["fail", "skip", "null", None]}),
]


class MapNode(ContainerBase):
    """Output: the list of each item's `output`, in the order of `over`.

    Attributes:
        over: The list.
        concurrency: Items at once.
        on_item_error: What becomes of a failed item: the map fails, it is left out, or it is null.
        output: Of one item, in whose scope it stands.
        item_name: The name (`as`) under which inner nodes read the item.
        tolerate: Share of items (0 to 1) that may fail before the map does.
    """

    kind: ClassVar[str] = "map"
    use: Literal["map"]
    over: Annotated[Value, Fits(list[Any])]
    item_name: str = Field(default="item", alias="as", pattern=ID_PATTERN)
    concurrency: int = Field(default=8, ge=1, le=MOST_AT_ONCE)
    on_item_error: ItemPolicy = "fail"
    tolerate: Share | None = None
    nodes: dict[str, Node] = Field(default_factory=dict[str, "Node"])
    output: AnyValue


@dataclass(frozen=True, slots=True)
class MapWork(ContainerWork):
    """Runs the body once per item."""

    node: MapNode
    body: Body

    @property
    @override
    def bodies(self) -> tuple[Body, ...]:
        return (self.body,)

    @override
    async def perform(self, turn: Turn) -> JsonValue:
        over = turn.evaluate(self.node.over, "over")
        if not isinstance(over, list):
            raise StepFailed(
                f"{turn.node.template_path}.over: expected a list, found {type_name(over)}",
                error_class=ErrorClass.INVALID_INPUT,
                code="not_a_list",
            )
        harvest = _Harvest(turn, self, over)
        places = asyncio.Semaphore(self.node.concurrency)
        items = Items(len(over), places, turn.inner_gate, harvest.run_item, turn.frame.place)
        try:
            await turn.run_items(items)
            return harvest.output()
        finally:
            harvest.outputs.close()


class _Harvest:
    """Outputs and failures of one turn of a map; what items did inside is not kept."""

    def __init__(self, turn: Turn, work: MapWork, over: list[JsonValue]) -> None:
        self._turn = turn
        self._work = work
        self._over = over
        self.outputs = Spill()
        self._failed = 0
        self._is_blocked = False
        self._failure: StepFailed | None = None

    async def run_item(self, index: int, place: Place) -> None:
        """Run one item to its end, or until it waits and the run parks."""
        node = self._work.node
        names: dict[str, JsonValue] = {node.item_name: self._over[index], "loop": {"index": index}}
        frame = self._turn.frame_inside(names=names, index=index, item=index, place=place)
        place.follow(frame.gate)
        try:
            await self._turn.run_inside(self._work.body, frame)
            self.outputs.put(index, self._turn.evaluate(node.output, "output", frame))
        except StepFailed as failure:
            self._note(failure)
        except Blocked:
            self._is_blocked = True

    def output(self) -> list[JsonValue]:
        """The map's output; raises its failure, or `Blocked` if an item could not finish."""
        gate = self._turn.inner_gate
        if self._failure is not None:
            raise self._failure
        if self._is_blocked or gate.reason is not None:
            raise Blocked(gate.reason or "waiting")
        keeps_place = self._work.node.on_item_error == "null"
        return [
            self.outputs.get(index)
            for index in range(len(self._over))
            if keeps_place or index in self.outputs
        ]

    def _note(self, failure: StepFailed) -> None:
        self._failed += 1
        if self._failure is None and self._is_too_much():
            self._failure = self._explained(failure)
            self._turn.inner_gate.close(Closed.FAILURE)

    def _is_too_much(self) -> bool:
        node = self._work.node
        if node.tolerate is not None:
            return self._failed > node.tolerate * len(self._over)
        return node.on_item_error == "fail"

    def _explained(self, failure: StepFailed) -> StepFailed:
        tolerate = self._work.node.tolerate
        if tolerate is None:
            return failure
        return StepFailed(
            f"map {self._turn.path!r}: {self._failed} of {len(self._over)} items failed, more than"
            f" the tolerated {tolerate:.0%}; the last: {failure.message}",
            error_class=failure.error_class,
            code="too_many_items_failed",
        )
