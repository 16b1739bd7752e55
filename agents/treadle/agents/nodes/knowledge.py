"""`knowledge.search`: passages of a knowledge base."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from treadle.agents.nodes.base import CallBase, Part
from treadle.agents.nodes.fields import Fits, ObjectValue, TextValue, Value


class KnowledgeConfig(Part):
    """What is looked for, and where."""

    knowledge: TextValue
    query: TextValue
    limit: Annotated[Value, Fits(Annotated[int, Field(ge=1, le=100)])] | None = None
    filter: ObjectValue | None = None


class KnowledgeNode(CallBase):
    """Output: `{passages: [{text, source, title, anchor, score}]}`."""

    kind: ClassVar[str] = "knowledge.search"
    use: Literal["knowledge.search"]
    config: KnowledgeConfig = Field(alias="with")
