"""Steps whose effect may have happened: a person says whether it did."""

from dataclasses import dataclass, replace
from enum import StrEnum

from treadle.agents.errors import OutcomeUnknown, StepFailed
from treadle.agents.ports import Answer, StepStatus, WaitKind
from treadle.agents.steps.tools import INTENT
from treadle.agents.steps.turn import Turn
from treadle.agents.steps.waits import Ask, answered, ask_for
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass


class SettleAs(StrEnum):
    """What a person may say; fixed by the contract."""

    DONE = "done"
    RETRY = "retry"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Settled:
    """The step is done; this is what it gave."""

    output: JsonValue


async def settle(turn: Turn, unknown: OutcomeUnknown) -> Settled | None:
    """Wait for a person; `None` if the step goes on, `StepFailed` if it failed."""
    number = 1
    while (before := answered(turn, _name(unknown, number))) and (
        _verdict(before) is SettleAs.RETRY
    ):
        number += 1
    answer = before or await ask_for(
        turn, lambda: Ask(WaitKind.UNKNOWN, status=StepStatus.UNKNOWN), _name(unknown, number)
    )
    match _verdict(answer):
        case SettleAs.DONE:
            output = answer.value.get("output") if isinstance(answer.value, dict) else None
            if _call(unknown) is None:
                return Settled(output)
            done = replace(turn.record(StepStatus.SUCCEEDED), output=output)
            turn.append_call(str(_call(unknown)), done)  # one call of several: the step goes on
            turn.uncertain.discard(unknown.intent)
            turn.journal.append(turn.record(StepStatus.RUNNING))
            return None
        case SettleAs.FAIL:
            raise StepFailed(
                f"step {turn.path!r} was settled as failed by a person",
                error_class=ErrorClass.UPSTREAM,
                code="settled_as_failed",
                may_repeat=False,
            )
        case SettleAs.RETRY:
            turn.append_call(unknown.intent, turn.record(StepStatus.CANCELLED))
            turn.uncertain.discard(unknown.intent)
            turn.start_attempt(turn.attempt + 1)
            turn.journal.append(turn.record(StepStatus.RUNNING))
            return None


def _call(unknown: OutcomeUnknown) -> str | None:
    """The call inside its step that is unknown, `None` where the step is that call."""
    name = unknown.intent.removesuffix(INTENT).rstrip(".")
    return name or None


def _name(unknown: OutcomeUnknown, number: int) -> str:
    call = _call(unknown)
    return f"settle.{number}" if call is None else f"{call}.settle.{number}"


def _verdict(answer: Answer) -> SettleAs:
    return SettleAs(str(answer.value.get("as") if isinstance(answer.value, dict) else None))
