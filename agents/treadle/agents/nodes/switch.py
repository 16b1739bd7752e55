"""`switch`: the first case that holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import ContainerBase, Listed, Part
from treadle.agents.nodes.fields import AnyValue, When

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
