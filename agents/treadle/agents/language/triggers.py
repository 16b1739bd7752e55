"""What may start a run by itself. In a template they are proposals: an agent takes them."""

from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from treadle.agents.nodes.base import Part
from treadle.agents.nodes.durations import Duration
from treadle.agents.nodes.fields import AnyValue
from treadle.agents.nodes.tool import USE_PATTERN


class TriggerBase(Part):
    """What every trigger has; `inputs` may read `event`."""

    kind: ClassVar[str]
    inputs: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue])


class ScheduleTrigger(TriggerBase):
    """By the clock: exactly one of `cron`, `at` (RFC 3339) and `every`."""

    kind: ClassVar[str] = "schedule"
    use: Literal["schedule"]
    cron: str | None = None
    at: str | None = None
    every: Duration | None = None
    timezone: str = "UTC"
    overlap: Literal["skip", "queue", "cancel", "allow"] = "skip"
    catchup: Literal["none", "latest", "all"] = "none"
    jitter: Duration | None = None


class WebhookTrigger(TriggerBase):
    """By a signed request; `dedupe` is the key that makes a second delivery change nothing."""

    kind: ClassVar[str] = "webhook"
    use: Literal["webhook"]
    auth: Literal["hmac"] = "hmac"
    dedupe: AnyValue | None = None


class ChatTrigger(TriggerBase):
    """By a message to a bot; declares the inputs message, history and files by itself."""

    kind: ClassVar[str] = "chat"
    use: Literal["chat"]


class ToolTrigger(TriggerBase):
    """By a tool declared as a trigger, such as `google_drive.changed`."""

    kind: ClassVar[str] = "tool"
    use: str = Field(pattern=USE_PATTERN)
    connection: str | None = None
    arguments: dict[str, AnyValue] = Field(default_factory=dict[str, AnyValue], alias="with")


Trigger: TypeAlias = ScheduleTrigger | WebhookTrigger | ChatTrigger | ToolTrigger

TRIGGER_TYPES: dict[str, type[Trigger]] = {
    "schedule": ScheduleTrigger,
    "webhook": WebhookTrigger,
    "chat": ChatTrigger,
}
