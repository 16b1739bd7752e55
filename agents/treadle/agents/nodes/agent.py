"""`agent`: a model that chooses tools from an allow-list."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from treadle.agents.nodes.base import CallBase, Listed, Part
from treadle.agents.nodes.fields import AnyValue
from treadle.agents.nodes.llm import LlmConfig


class AgentTool(Part):
    """A tool the model may call.

    Attributes:
        fixed: Arguments the template gives (`with`); the model neither sees nor changes them.
        model_may_choose: Arguments that decide where data goes and that the model may fill all
            the same.
        approve: Whether a person is asked before each call.
    """

    use: str
    connection: str | None = None
    fixed: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue], alias="with")
    model_may_choose: Listed[str] = ()
    approve: bool = False


class ByNameToo:
    """Annotation of an `AgentTool`: a tool's name alone stands for `{use: name}`."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Take a name as an entry with nothing else."""
        return core_schema.no_info_before_validator_function(
            lambda raw: {"use": raw} if isinstance(raw, str) else raw, handler(source)
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:  # Any: pydantic's own type for a JSON Schema
        """A name, or the whole entry."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class AgentBudget(Part):
    """Caps of one agent step."""

    tokens: int | None = Field(default=None, ge=1)
    cost_usd: float | None = Field(default=None, gt=0)


class AgentConfig(LlmConfig):
    """llm's keys, and tools with their caps."""

    tools: Listed[Annotated[AgentTool, ByNameToo()]] = ()
    max_steps: int = Field(default=10, ge=1, le=100)
    budget: AgentBudget = AgentBudget()


class AgentNode(CallBase):
    """Output: `{text, steps}`; with `schema` the value."""

    kind: ClassVar[str] = "agent"
    use: Literal["agent"]
    config: AgentConfig = Field(alias="with")
