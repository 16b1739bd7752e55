"""`<integration>.<action>`: a tool."""

from typing import ClassVar

from pydantic import Field

from treadle.agents.nodes.base import CallBase
from treadle.agents.nodes.fields import AnyValue

USE_PATTERN = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$"


class ToolNode(CallBase):
    """Output: the tool's typed result. `connection` is a logical name of the template."""

    kind: ClassVar[str] = "tool"
    use: str = Field(pattern=USE_PATTERN)
    connection: str | None = None
    arguments: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue], alias="with")
