"""`template:<name>[@<range>]`: another template as a step."""

from typing import ClassVar

from pydantic import Field

from treadle.agents.nodes.base import NodeBase
from treadle.agents.nodes.fields import AnyValue

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
