"""What happens around a node's own work: ledger, gate, `when`, attempts, `on_error`, record."""

import asyncio
from dataclasses import replace

from treadle.agents.errors import Blocked, StepFailed, StepWaits
from treadle.agents.ports import StepError, StepRecord, StepStatus, Wait
from treadle.agents.steps.frame import Frame
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.graph import ContainerWork, EffectWork, Node, PureWork
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass


def restore(frame: Frame, node: Node) -> bool:
    """Take a finished step from the ledger; says whether there was one."""
    record = frame.run.ports.journal.finished(frame.step_path(node.id))
    if record is None:
        return False
    _settle(frame, node, record)
    return True


def take_pure(frame: Frame, node: Node, work: PureWork) -> None:
    """One turn of a pure node; raises `Blocked` if the gate is closed."""
    frame.gate.check()
    turn = Turn(frame, node)
    try:
        record = _skipped(turn) or turn.finished(StepStatus.SUCCEEDED, work.evaluate(turn))
    except StepFailed as failure:
        record = _failed_or_recovered(turn, failure)
    _append(turn, record)


async def take(frame: Frame, node: Node, work: EffectWork | ContainerWork) -> None:
    """One turn of any other node; raises `Blocked` if it did not begin or has to wait."""
    frame.gate.check()
    turn = Turn(frame, node)
    try:
        record = _skipped(turn) or turn.finished(StepStatus.SUCCEEDED, await _run(turn, work))
        record = replace(record, attempt=turn.attempt, usage=turn.usage, reasoning=turn.reasoning)
    except StepFailed as failure:
        record = _failed_or_recovered(turn, failure)
    except StepWaits as waiting:
        _wait(turn, waiting)
        raise
    _append(turn, record)


async def _run(turn: Turn, work: EffectWork | ContainerWork) -> JsonValue:
    if not turn.node.is_pure:
        turn.journal.append(turn.record(StepStatus.RUNNING))
    match work:
        case EffectWork():
            return await _attempt_until_done(turn, work)
        case ContainerWork():
            return await _perform(turn, work)


async def _perform(turn: Turn, work: ContainerWork) -> JsonValue:
    gate = turn.inner_gate = Gate(turn.frame.gate)
    timeout_s = turn.node.policy.timeout_s
    loop = asyncio.get_running_loop()
    timer = timeout_s and loop.call_later(timeout_s, gate.close, Closed.TIMEOUT)
    try:
        return await work.perform(turn)
    except Blocked:
        if gate.own_reason is Closed.TIMEOUT:
            raise _timed_out(turn) from None
        raise
    finally:
        if isinstance(timer, asyncio.TimerHandle):
            timer.cancel()


async def _attempt_until_done(turn: Turn, work: EffectWork) -> JsonValue:
    policy = turn.node.policy
    while True:
        try:
            return await _attempt(turn, work)
        except StepFailed as failure:
            if not policy.allows_another(turn.attempt, failure):
                raise
            last = failure
        with turn.frame.gate.resting():
            await turn.ports.clock.sleep(policy.delay_s(turn.attempt, last))
        turn.start_attempt(turn.attempt + 1)
        turn.journal.append(replace(turn.record(StepStatus.RUNNING), error=turn.error(last)))


async def _attempt(turn: Turn, work: EffectWork) -> JsonValue:
    limit = asyncio.timeout(turn.node.policy.timeout_s)
    try:
        with turn.frame.gate.working():
            async with limit:
                return await work.attempt(turn)
    except TimeoutError:
        if not limit.expired():
            raise
        if turn.is_uncertain:
            raise StepWaits("unknown", status=StepStatus.UNKNOWN) from None
        raise _timed_out(turn) from None


def _timed_out(turn: Turn) -> StepFailed:
    return StepFailed(
        f"step {turn.path!r} took longer than its timeout of {turn.node.policy.timeout_s:g} s",
        error_class=ErrorClass.TIMEOUT,
        code="timeout",
    )


def _skipped(turn: Turn) -> StepRecord | None:
    node = turn.node
    if node.when is None or turn.evaluate(node.when, "when"):
        return None
    output = None if node.otherwise is None else turn.evaluate(node.otherwise, "else")
    return turn.finished(StepStatus.SKIPPED, output)


def _failed_or_recovered(turn: Turn, failure: StepFailed) -> StepRecord:
    error = turn.error(failure)
    if turn.node.on_error is not None:
        scope = turn.scope_of_error(error)
        try:
            value = turn.evaluate(turn.node.on_error, "on_error.value", scope)
        except StepFailed as second:
            error = turn.error(second)
        else:
            return replace(turn.finished(StepStatus.RECOVERED, value), error=error)
    return replace(turn.finished(StepStatus.FAILED, None), error=error)


def _append(turn: Turn, record: StepRecord) -> None:
    turn.journal.append(record)
    _settle(turn.frame, turn.node, record)


def _settle(frame: Frame, node: Node, record: StepRecord) -> None:
    frame.records[node.id] = record
    if record.status is StepStatus.FAILED:
        frame.fail(record.error or _unexplained(record))
        frame.gate.check()


def _unexplained(record: StepRecord) -> StepError:
    return StepError(
        record.node, record.path, ErrorClass.INTERNAL, "unexplained", "the step failed"
    )


def _wait(turn: Turn, waiting: StepWaits) -> None:
    record = turn.record(waiting.status)
    turn.journal.append(record)
    turn.run.waits.append(
        Wait(kind=waiting.kind, id=turn.path, node=record.node, path=turn.path, until=None)
    )
