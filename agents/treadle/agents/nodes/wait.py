"""`wait`: for a while, until a moment, or for a callback."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from treadle.agents.errors import StepFailed
from treadle.agents.nodes.base import NodeBase, Part
from treadle.agents.nodes.durations import Duration, parse_duration
from treadle.agents.nodes.fields import Fits, TextValue, Value
from treadle.agents.ports import WaitKind
from treadle.agents.steps.graph import WaitWork
from treadle.agents.steps.turn import Turn
from treadle.agents.steps.waits import Ask, ask_for
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass


class WaitConfig(Part):
    """Exactly one of `for`, `at` (RFC 3339) and `callback`."""

    duration: Annotated[Value, Fits(Duration)] | None = Field(default=None, alias="for")
    at: TextValue | None = None
    callback: Literal[True] | None = None
    timeout: Duration | None = None


class WaitNode(NodeBase):
    """Output: `{at, payload}`."""

    kind: ClassVar[str] = "wait"
    use: Literal["wait"]
    config: WaitConfig = Field(alias="with")


@dataclass(frozen=True, slots=True)
class WaitForWork(WaitWork):
    """Waits, and gives when it ended and what the callback brought."""

    config: WaitConfig

    @override
    async def wait(self, turn: Turn) -> JsonValue:
        answer = await ask_for(turn, lambda: self._ask(turn))
        if self.config.callback and not answer.in_time:
            raise StepFailed(
                f"no callback came for {turn.path!r} in time",
                error_class=ErrorClass.TIMEOUT,
                code="callback_timeout",
                may_repeat=False,
            )
        payload = answer.value if self.config.callback else None
        return {"at": answer.at.isoformat(), "payload": payload}

    def _ask(self, turn: Turn) -> Ask:
        config, now = self.config, turn.ports.clock.now()
        if config.callback:
            return Ask(WaitKind.CALLBACK, None if config.timeout is None else now + config.timeout)
        try:
            if config.duration is not None:
                written = turn.evaluate(config.duration, "with.for")
                return Ask(WaitKind.TIMER, now + parse_duration(str(written)))
            written = None if config.at is None else turn.evaluate(config.at, "with.at")
            return Ask(WaitKind.TIMER, _moment(str(written)))
        except (ValueError, OverflowError) as error:
            raise StepFailed(
                f"{turn.node.template_path}.with: {error}",
                error_class=ErrorClass.INVALID_INPUT,
                code="invalid_arguments",
            ) from error


def _moment(text: str) -> datetime:
    """Read RFC 3339; raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text[:60]!r} has no offset; write 2026-12-01T09:00:00+01:00")
    return moment.astimezone(UTC)
