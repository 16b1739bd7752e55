"""What a plan looks like, going in and coming out."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from treadle.agents.plan.manifest import Source
from treadle.platform.routing import Body


class PlannedRun(Body):
    """The run to be planned."""

    inputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class _View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class RangeView(_View):
    """Both ends included; `high` is null where nothing bounds it."""

    low: float
    high: float | None


class ReachView(_View):
    """What one node's tool may reach, and what decides it."""

    node: str
    tool: str
    source: Source
    hosts: list[str]
    connection: str | None


class ManifestView(_View):
    """Whom the run may reach; `is_open` where data or a model chooses hosts."""

    hosts: list[str]
    is_open: bool
    connections: dict[str, str]
    models: list[str]
    reaches: list[ReachView]


class PlanView(_View):
    """What a run would need: `basis` says where ranges come from, `unknowns` what has no end."""

    basis: Literal["history", "template"]
    runs: int
    steps: RangeView
    model_calls: RangeView
    tokens: RangeView
    minutes: RangeView
    calls: dict[str, RangeView]
    unknowns: list[str]
    manifest: ManifestView
