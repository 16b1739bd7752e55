"""`set`: values made from other values; there is no code node."""

from typing import ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import NodeBase
from treadle.agents.nodes.fields import AnyValue


class SetNode(NodeBase):
    """Output: its `with`."""

    kind: ClassVar[str] = "set"
    use: Literal["set"]
    value: AnyValue = Field(alias="with")
