"""What happens around a node's own work: ledger, gate, `when`, attempts, `on_error`, record."""

import asyncio
from dataclasses import replace

from treadle.agents.errors import Blocked, OutcomeUnknown, StepFailed
from treadle.agents.ports import StepError, StepRecord, StepStatus
from treadle.agents.steps.approvals import Unanswered, ask_all
from treadle.agents.steps.caching import find_cached, keep
from treadle.agents.steps.frame import Frame
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.graph import ContainerWork, EffectWork, Node, PureWork, WaitWork
from treadle.agents.steps.quiet import WorkingTime
from treadle.agents.steps.settling import settle
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass

_STANDING = frozenset({StepStatus.WAITING, StepStatus.UNKNOWN})


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


async def take(frame: Frame, node: Node, work: EffectWork | WaitWork | ContainerWork) -> None:
    """One turn of any other node; raises `Blocked` if it did not begin, `StepWaits` if it waits."""
    frame.gate.check()
    turn = Turn(frame, node)
    try:
        record = _skipped(turn) or turn.finished(StepStatus.SUCCEEDED, await _run(turn, work))
        if turn.is_cached:
            record = replace(record, extra={"cached": True})
    except StepFailed as failure:
        record = _failed_or_recovered(turn, failure)
    _append(turn, record)


async def _run(turn: Turn, work: EffectWork | WaitWork | ContainerWork) -> JsonValue:
    _begin(turn, work)
    match work:
        case EffectWork():
            return await _from_cache_or_outside(turn, work)
        case WaitWork():
            return await work.wait(turn)
        case ContainerWork():
            return await _perform(turn, work)


def _begin(turn: Turn, work: EffectWork | WaitWork | ContainerWork) -> None:
    """Say that the step runs, unless the ledger says already how far it is."""
    before = turn.journal.earlier(turn.path)
    if before is not None and before.started_at is not None:
        turn.started_at = before.started_at
        turn.attempt = before.attempt if before.status in _STANDING else 1
    is_known = before is not None and (
        before.status in _STANDING
        or (before.status is StepStatus.RUNNING and isinstance(work, ContainerWork))
    )
    if not (is_known or turn.node.is_pure or isinstance(work, WaitWork)):
        turn.journal.append(turn.record(StepStatus.RUNNING))


async def _perform(turn: Turn, work: ContainerWork) -> JsonValue:
    gate = turn.inner_gate = Gate(turn.frame.gate)
    limit_s = turn.node.policy.timeout_s
    limit = WorkingTime(gate, limit_s, on_over=lambda: gate.close(Closed.TIMEOUT))
    try:
        return await work.perform(turn)
    except Blocked:
        if gate.own_reason is Closed.TIMEOUT:
            raise _timed_out(turn) from None
        raise
    finally:
        limit.stop()


async def _from_cache_or_outside(turn: Turn, work: EffectWork) -> JsonValue:
    key, cached = await find_cached(turn, work)
    if cached is not None:
        return cached.output
    output = await _attempt_until_done(turn, work)
    if key is not None:
        await keep(turn, key, output)
    return output


async def _attempt_until_done(turn: Turn, work: EffectWork) -> JsonValue:
    policy = turn.node.policy
    while True:
        try:
            return await _attempt(turn, work)
        except OutcomeUnknown as unknown:
            settled = await settle(turn, unknown)
            if settled is not None:
                return settled.output
            continue
        except Unanswered as unanswered:
            await ask_all(turn, unanswered)
            turn.journal.append(turn.record(StepStatus.RUNNING))
            continue
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
        if turn.uncertain:
            raise OutcomeUnknown(min(turn.uncertain)) from None
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
