"""What the service answers, as frozen values. Fields that a newer service adds are left out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from treadle.agents.errors import Issue

T = TypeVar("T")

ENDED = frozenset({"succeeded", "failed", "cancelled"})
"""The statuses of a run that never change again."""

Object = Annotated[Mapping[str, JsonValue], Field(default_factory=dict[str, JsonValue])]


class Answer(BaseModel):
    """Base of everything here."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Page(Answer, Generic[T]):
    """Part of a list; `next` is the cursor of the part that follows, if any."""

    items: tuple[T, ...]
    next: str | None = None


class Template(Answer):
    """A template; `text` is byte for byte what was sent."""

    name: str
    version: str
    title: str | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    text: str = ""
    inputs: Object


class Validation(Answer):
    """What the service thinks of a template's text."""

    valid: bool
    issues: tuple[Issue, ...] = ()


class Trigger(Answer):
    """A trigger an agent took; a webhook's secret is known where it was made."""

    id: str
    use: str
    url: str | None = None
    secret: str | None = None


class Agent(Answer):
    """A template at a version with its settings and connections bound."""

    id: str
    name: str
    template: str
    version: str
    follows: str | None = None
    settings: Object
    connections: Mapping[str, str] = Field(default_factory=dict[str, str])
    triggers: tuple[Trigger, ...] = ()


class RunError(Answer):
    """Why a run or a step failed."""

    node: str | None = None
    path: str | None = None
    error_class: str = Field(alias="class")
    code: str
    message: str


class Wait(Answer):
    """Something a run waits for."""

    kind: str
    id: str | None = None
    node: str | None = None
    until: datetime | None = None


class Approval(Answer):
    """What waits for a decision; `form` is declared as inputs are."""

    id: str
    run: str
    node: str
    path: str
    item: int | tuple[int, ...] | None = None
    title: str
    show: JsonValue = None
    actions: tuple[str, ...] = ()
    form: Object
    created_at: datetime
    until: datetime | None = None


class Decision(Answer):
    """An answer that was accepted."""

    id: str
    run: str
    action: str
    form: Object
    by: str | None = None
    at: datetime


class NodeState(Answer):
    """A top-level node of a run; `counts` has a container's steps by status."""

    node: str
    status: str
    counts: Mapping[str, int] = Field(default_factory=dict[str, int])


class Run(Answer):
    """One execution of an agent or template."""

    id: str
    root_id: str | None = None
    agent: str | None = None
    template: str
    version: str | None = None
    status: str
    inputs: Object
    outputs: Mapping[str, JsonValue] | None = None
    error: RunError | None = None
    usage: JsonValue = None
    steps: tuple[NodeState, ...] = ()
    waiting_for: tuple[Wait, ...] = ()
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def has_ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED


class Step(Answer):
    """One node's turn in a run; an output over 32 KiB is `{"$ref", "size"}`."""

    id: str | None = None
    node: str
    path: str
    item: int | tuple[int, ...] | None = None
    status: str
    attempt: int = 1
    output: JsonValue = None
    error: RunError | None = None
    usage: JsonValue = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Event(Answer):
    """Something that happened in a run; `step.delta` alone has no id."""

    id: int | None
    type: str
    run: str | None = None
    at: datetime | None = None
    node: str | None = None
    path: str | None = None
    item: int | tuple[int, ...] | None = None
    body: Object
    """The whole of it, the fields above included."""

    @property
    def is_last(self) -> bool:
        """Whether the run has ended with it."""
        subject, _, status = self.type.partition(".")
        return subject == "run" and status in ENDED


class Artifact(Answer):
    """A file that a run made."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str


class File(Answer):
    """An uploaded file, for inputs of `format: file`."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str | None = None


class Key(Answer):
    """An API key, without the key itself."""

    id: str
    name: str
    last4: str | None = None
    scopes: tuple[str, ...] = ()
    created_at: datetime | None = None
    expires_at: datetime | None = None


class NewKey(Answer):
    """A key that was just made; it is shown this once."""

    id: str
    key: str


class Connection(Answer):
    """A stored authorisation; its secret never comes out."""

    id: str
    type: str
    name: str


class Health(Answer):
    """The process answers."""

    status: str


class Readiness(Answer):
    """Whether the service can work, and the state of its parts."""

    ready: bool
    parts: Mapping[str, str] = Field(default_factory=dict[str, str])
