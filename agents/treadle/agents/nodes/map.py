"""`map`: the same nodes once per item of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import ID_PATTERN, ContainerBase
from treadle.agents.nodes.fields import AnyValue, Fits, Value
from treadle.agents.nodes.shares import Share

if TYPE_CHECKING:
    from treadle.agents.nodes.union import Node

MOST_AT_ONCE = 256  # chunk size of the interpreter


class MapNode(ContainerBase):
    """Output: the list of each item's `output`, in the order of `over`.

    Attributes:
        item_name: The name (`as`) under which inner nodes read the item.
        tolerate: Share of items (0 to 1) that may fail before the map does.
    """

    kind: ClassVar[str] = "map"
    use: Literal["map"]
    over: Annotated[Value, Fits(list[Any])]
    item_name: str = Field(default="item", alias="as", pattern=ID_PATTERN)
    concurrency: int = Field(default=8, ge=1, le=MOST_AT_ONCE)
    on_item_error: Literal["fail", "skip", "null"] = "fail"
    tolerate: Share | None = None
    nodes: dict[str, Node] = Field(default_factory=dict[str, "Node"])
    output: AnyValue
