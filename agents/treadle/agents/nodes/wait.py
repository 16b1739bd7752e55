"""`wait`: for a while, until a moment, or for a callback."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import NodeBase, Part
from treadle.agents.nodes.durations import Duration
from treadle.agents.nodes.fields import Fits, TextValue, Value


class WaitConfig(Part):
    """Exactly one of `for`, `at` (RFC 3339) and `callback`."""

    duration: Annotated[Value, Fits(Duration)] | None = Field(default=None, alias="for")
    at: TextValue | None = None
    callback: Literal[True] | None = None
    timeout: Duration | None = None


class WaitNode(NodeBase):
    """Output: `{at, payload}`."""

    kind: ClassVar[str] = "wait"
    use: Literal["wait"]
    config: WaitConfig = Field(alias="with")
