"""A parsed template: frozen, typed, its expressions compiled."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from treadle.agents.language.triggers import Trigger
from treadle.agents.nodes import Node
from treadle.agents.nodes.base import Listed, Part, Retry
from treadle.agents.nodes.durations import Duration
from treadle.agents.nodes.fields import AnyValue, Json, When
from treadle.agents.nodes.inputs import Inputs

NAME_PATTERN = r"^[a-z][a-z0-9-]{1,62}$"

ConnectionType = Literal["google", "slack", "smtp", "wordpress", "s3", "mcp", "http"]


class ConnectionNeed(Part):
    """A logical connection; an agent binds it to a stored one."""

    type: ConnectionType
    optional: bool = False
    description: str | None = None


class Defaults(Part):
    """What nodes take that say nothing themselves; never containers, approval or wait."""

    model: str | None = None
    timeout: Duration | None = None
    retry: Retry | None = None


class Budget(Part):
    """Caps of a whole run; `None` means no cap of the template."""

    tokens: int | None = Field(default=None, ge=1)
    model_calls: int | None = Field(default=None, ge=1)
    cost_usd: float | None = Field(default=None, gt=0)
    steps: int | None = Field(default=None, ge=1)
    wall: Duration | None = Field(default=None, gt=timedelta())
    on_exceed: Literal["pause", "fail"] = "pause"


class OnFailure(Part):
    """Nodes that run once before a run turns `failed`; they may read `error`."""

    nodes: dict[str, Node]


class TemplateTest(Part):
    """One test of `treadle test`. `mock` is keyed by node path without indexes."""

    name: str = Field(min_length=1)
    inputs: dict[str, Json] = Field(default_factory=dict[str, Json])
    connections: Listed[str] = ()
    mock: dict[str, Json] = Field(default_factory=dict[str, Json])
    expect: Listed[When] = ()


class Template(Part):
    """A template: what it asks for, does and gives."""

    treadle: Literal[1]
    name: str = Field(pattern=NAME_PATTERN)
    version: str
    title: str | None = None
    description: str | None = None
    labels: Listed[Annotated[str, Field(min_length=1)]] = ()
    inputs: Inputs = Field(default_factory=dict)
    connections: dict[str, ConnectionNeed] = Field(default_factory=dict[str, ConnectionNeed])
    defaults: Defaults = Defaults()
    budget: Budget = Budget()
    nodes: dict[str, Node]
    outputs: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue])
    triggers: Listed[Trigger] = ()
    on_failure: OnFailure | None = None
    schemas: dict[str, dict[str, Json]] = Field(default_factory=dict[str, dict[str, Json]])
    tests: Listed[TemplateTest] = ()
    fixtures: dict[str, Json] = Field(default_factory=dict[str, Json])
