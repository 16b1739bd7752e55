"""What an agent looks like, going in and coming out."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, JsonValue, StringConstraints

from treadle.platform.routing import Body
from treadle.platform.templates.resolution import Origin

# No id fits: ids start with a digit, and have more dashes. So `{agent}` may be either.
AgentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9 ._-]{0,99}$")]
TemplateField = Annotated[
    str | dict[str, JsonValue],
    Field(description="A name, `name@range`, the template as an object, or its text."),
]
TriggersField = Annotated[
    bool | list[dict[str, JsonValue]],
    Field(description="All the template proposes, none, or a list as a template writes them."),
]


class AgentSettings(Body):
    """What an agent changes about its template."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    budget: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    input_defaults: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class NewAgent(Body):
    """An agent to make."""

    name: AgentName
    template: TemplateField
    version: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    settings: AgentSettings = AgentSettings()
    connections: dict[str, str] = Field(default_factory=dict[str, str])
    triggers: TriggersField = False


class AgentChange(Body):
    """What to change about an agent; what is absent stays. Each field is replaced as a whole."""

    name: AgentName | None = None
    template: TemplateField | None = None
    version: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    settings: AgentSettings | None = None
    connections: dict[str, str] | None = None
    triggers: TriggersField | None = None


class TriggerView(BaseModel):
    """A trigger the agent took.

    A webhook has the `url` to send to, and its `secret` in the answer that made it.
    """

    id: str
    use: str
    url: str | None = None
    secret: str | None = None


class AgentView(BaseModel):
    """An agent. `version` is the one it runs.

    `follows` is the range that it was given for a version: when a newer one in it is published,
    the agent runs that. Without it the agent is pinned, whatever is published later.
    """

    id: str
    name: str
    template: str
    version: str
    follows: str | None
    origin: Origin
    settings: AgentSettings
    connections: dict[str, str]
    triggers: list[TriggerView]
    inputs: dict[str, dict[str, JsonValue]]
    created_at: datetime
    updated_at: datetime
