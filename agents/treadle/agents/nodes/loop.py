"""`loop`: the same nodes again until a condition holds; the only way back, and capped."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import ContainerBase
from treadle.agents.nodes.fields import AnyValue, ObjectValue, When

if TYPE_CHECKING:
    from treadle.agents.nodes.union import Node

MOST_PASSES = 1000


class LoopNode(ContainerBase):
    """Output: the last pass's `output`.

    Attributes:
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
