"""`chat.reply`: what a bot says."""

from typing import ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import NodeBase, Part
from treadle.agents.nodes.fields import AnyValue, TextValue


class ReplyConfig(Part):
    """The text, and what it rests on."""

    text: TextValue
    citations: AnyValue | None = None


class ReplyNode(NodeBase):
    """Output: `{message_id}`."""

    kind: ClassVar[str] = "chat.reply"
    use: Literal["chat.reply"]
    config: ReplyConfig = Field(alias="with")
