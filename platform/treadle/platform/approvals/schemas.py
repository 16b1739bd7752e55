"""What approvals look like, going in and coming out."""

from datetime import datetime

from pydantic import BaseModel, Field, JsonValue

from treadle.platform.routing import Body


class Decision(Body):
    """An answer; `form` follows the rules of inputs."""

    action: str = Field(max_length=200)
    form: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class ApprovalView(BaseModel):
    """An open approval."""

    id: str
    run: str
    node: str
    path: str
    item: int | list[int] | None
    title: str
    show: JsonValue
    actions: list[str]
    form: dict[str, JsonValue]
    created_at: datetime
    until: datetime | None


class DecisionView(BaseModel):
    """An answer that was accepted."""

    id: str
    run: str
    node: str
    path: str
    action: str
    form: dict[str, JsonValue]
    by: str
    at: datetime


class CallbackView(BaseModel):
    """The run that goes on."""

    run: str
