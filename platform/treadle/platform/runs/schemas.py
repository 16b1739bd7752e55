"""What a run looks like, going in and coming out."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue, field_validator

from treadle.platform.agents.schemas import AgentSettings, TemplateField
from treadle.platform.routing import Body

Status = Literal["queued", "running", "waiting", "succeeded", "failed", "cancelled"]
StepStatusName = Literal[
    "pending", "running", "waiting", "succeeded", "recovered", "failed", "skipped", "cancelled",
    "unknown",
]  # fmt: skip
MOST_WAIT_S = 60


class _Start(Body):
    inputs: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    run_at: datetime | None = Field(default=None, description="Not before; RFC 3339.")
    wait_s: Annotated[float, Field(ge=0, le=MOST_WAIT_S)] | None = Field(
        default=None, description="Answer when the run has ended, if that is within this time."
    )

    @field_validator("run_at")
    @classmethod
    def _has_offset(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a time needs an offset, such as 2026-01-31T07:00:00Z")
        return value


class AgentRun(_Start):
    """A run of a stored agent."""


class NewRunBody(_Start):
    """A run of a template without a stored agent."""

    template: TemplateField
    connections: dict[str, str] = Field(default_factory=dict[str, str])
    settings: AgentSettings = AgentSettings()


class ErrorView(BaseModel):
    """Why a run or step failed."""

    node: str
    path: str
    class_: str = Field(alias="class")
    code: str
    message: str


class UsageView(BaseModel):
    """What was used; cost is null where no price is known."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int
    model_calls: int
    cost_usd: float | None


class StepView(BaseModel):
    """One node's turn. An output over 32 KiB is `{"$ref", "size"}`.

    `item` is the index of a map's item; with nested maps the list of all, outermost first.
    """

    id: str
    node: str
    path: str
    item: int | list[int] | None
    status: StepStatusName
    attempt: int
    output: JsonValue
    error: ErrorView | None
    usage: UsageView | None
    reasoning: str | None
    started_at: datetime | None
    finished_at: datetime | None
    counts: dict[str, int] | None = Field(
        default=None, description="Of a container: the steps inside it by status."
    )


class WaitView(BaseModel):
    """What a run waits for."""

    kind: str
    id: str
    node: str | None
    until: datetime | None


class RunView(BaseModel):
    """A run. `steps` has the top-level nodes; all are at `/steps`."""

    id: str
    root_id: str
    agent: str | None
    template: str
    version: str
    status: Status
    inputs: dict[str, JsonValue]
    outputs: dict[str, JsonValue] | None
    error: ErrorView | None
    usage: UsageView
    steps: list[StepView]
    waiting_for: list[WaitView]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class RunPage(BaseModel):
    """Runs, newest first."""

    items: list[RunView]
    next: str | None


class StepPage(BaseModel):
    """Steps, in the order in which they began."""

    items: list[StepView]
    next: str | None
