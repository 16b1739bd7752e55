"""From what the interpreter says of a run to the last write of its lease."""

from typing import assert_never

from treadle.agents.interpreter import Closed
from treadle.agents.ports import Failed, Outcome, Parked, StepError, Succeeded, Wait, WaitKind
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass
from treadle.platform.engine.entries import Entry, dump, error_json, run_entry
from treadle.platform.engine.leases import Release, RunStatus

_HANDED_OVER = frozenset({Closed.DRAIN, Closed.CANCEL, Closed.TIMEOUT})


def ending(outcome: Outcome) -> tuple[Release, tuple[Entry, ...]]:
    """What becomes of the run, and the entries that say so."""
    match outcome:
        case Succeeded(outputs=outputs):
            succeeded = Release(RunStatus.SUCCEEDED, outputs=dump(outputs))
            return succeeded, (run_entry("succeeded"),)
        case Failed(error=error):
            return _failed(error)
        case Parked(reason=reason) if reason in _HANDED_OVER:
            return Release(RunStatus.QUEUED), ()
        case Parked(waits=waits, reason=reason):
            shown: list[JsonValue] = [_wait_json(wait) for wait in waits]
            if reason in {Closed.PAUSE, Closed.BUDGET}:
                kind = "paused" if reason == Closed.PAUSE else "budget"
                shown.append({"kind": kind, "id": kind, "node": None, "until": None})
            until = min((wait.until for wait in waits if wait.until is not None), default=None)
            return Release(RunStatus.WAITING, wake_at=until), (run_entry("waiting", waits=shown),)
        case _:
            assert_never(outcome)


def crashed(error: Exception) -> tuple[Release, tuple[Entry, ...]]:
    """An error that no step caused: a fault of ours. The log of the process has the rest."""
    return _failed(
        StepError(
            node="",
            path="",
            error_class=ErrorClass.INTERNAL,
            code="internal",
            message=f"the engine failed ({type(error).__name__}); its log says where",
        )
    )


def _failed(error: StepError) -> tuple[Release, tuple[Entry, ...]]:
    shown = error_json(error)
    return Release(RunStatus.FAILED, error=dump(shown)), (run_entry("failed", error=shown),)


def _wait_json(wait: Wait) -> JsonValue:
    return {
        "kind": wait.kind,
        "id": wait.path if wait.kind is WaitKind.UNKNOWN else wait.id,
        "node": wait.node,
        "until": None if wait.until is None else wait.until.isoformat(),
    }
