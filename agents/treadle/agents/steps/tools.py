"""Calling one tool: validated arguments, an open context, the right place to run."""

import asyncio
from concurrent.futures import BrokenExecutor, Executor
from dataclasses import dataclass
from typing import Any

import structlog

from treadle.agents.errors import OutcomeUnknown, StepFailed
from treadle.agents.ports import StepStatus
from treadle.agents.steps.arguments import validated
from treadle.agents.steps.detached import DetachedFailure, call_detached, crash
from treadle.agents.steps.hosts import LimitedContext
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.base import Effect, Params, ToolContext
from treadle.integrations.errors import Delivery, ErrorClass, ToolError
from treadle.integrations.registry import AnyTool

log = structlog.get_logger(__name__)
SMALL = 4096  # characters of arguments on which a quick tool is quick
INTENT = "intent"  # ledger entry of an effect that must not be repeated: it may have begun


@dataclass(frozen=True, slots=True)
class EffectCall:
    """Which of its step's effects a call is, where a step has several and knows their order."""

    number: int

    @property
    def name(self) -> str:
        """The ledger entry with its result."""
        return f"tool.{self.number}"

    @property
    def intent(self) -> str:
        """The ledger entry that says it may have begun."""
        return f"{self.name}.{INTENT}"


async def call_tool(
    turn: Turn,
    tool: AnyTool,
    arguments: JsonObject,
    *,
    connection: str | None,
    call: EffectCall | None = None,
    hosts: frozenset[str] | None = None,
) -> JsonValue:
    """Make one call as an effect of this step; raises `StepFailed` or `OutcomeUnknown`.

    `call` is left out where it is the step's only effect. `hosts` are those that the template
    names for it; without them any public host may be reached.
    """
    params: Params = validated(turn, tool.params, arguments, of=tool.name)
    intent = INTENT if call is None else call.intent
    is_once = tool.effect_of(params) is Effect.ONCE
    if is_once:
        _commit_intent(turn, intent)
    await turn.journal.durable()
    if is_once:
        turn.uncertain.add(intent)
    try:
        context = turn.ports.tools.context(
            step_path=turn.path,
            idempotency_key=_key(turn, arguments, call),
            connection=connection,
        )
        limited = context if hosts is None else LimitedContext(context, hosts)
        is_quick = tool.is_quick and _is_small(arguments)
        result = await _call(turn, tool, limited, params, is_quick=is_quick)
    except ToolError as error:
        raise _failure(turn, error, intent=intent if is_once else None) from error
    turn.uncertain.discard(intent)
    return result


def _key(turn: Turn, arguments: JsonObject, call: EffectCall | None) -> str:
    return turn.next_key(arguments) if call is None else turn.key(arguments, index=call.number)


def _commit_intent(turn: Turn, intent: str) -> None:
    """Note that the effect may begin; one that already may have begun is not begun again."""
    if turn.entry(intent) is not None:
        raise OutcomeUnknown(intent)
    turn.append_call(intent, turn.record(StepStatus.SUCCEEDED))


async def _call(
    turn: Turn, tool: AnyTool, context: ToolContext, params: Params, *, is_quick: bool
) -> JsonValue:
    try:
        if tool.is_async:
            return _as_json(await tool.function(context, params))
        if is_quick:  # on the loop: a thread costs more than the call
            return _as_json(tool.function(context, params))
        if tool.cpu_heavy and turn.ports.processes is not None:
            return await _call_detached(turn.ports.processes, tool, params)
        return _as_json(await asyncio.to_thread(tool.function, context, params))
    except ToolError:
        raise
    except Exception as error:  # the edge to a tool's code: any error is its bug
        log.exception("tool.crashed", tool=tool.name, path=turn.path)
        raise crash(tool.name, error).error() from error


def _is_small(arguments: JsonValue) -> bool:
    """Whether JSON has about `SMALL` characters at most; looks no further than that."""
    left, pending = SMALL, [arguments]
    while pending and left >= 0:
        value = pending.pop()
        left -= len(value) if isinstance(value, str) else 8
        if isinstance(value, dict):
            left -= sum(map(len, value))
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return left >= 0


async def _call_detached(processes: Executor, tool: AnyTool, params: Params) -> JsonValue:
    where = (tool.function.__module__, tool.function.__qualname__)
    loop = asyncio.get_running_loop()
    try:
        result = await loop.run_in_executor(
            processes, call_detached, *where, params.model_dump(mode="json")
        )
    except BrokenExecutor as error:
        raise ToolError(
            f"the process that ran {tool.name} died; it may have used too much memory",
            error_class=ErrorClass.WORKER_CRASH,
            code="process_died",
        ) from error
    if isinstance(result, DetachedFailure):
        raise result.error()
    return result


def _as_json(result: Any) -> JsonValue:  # Any: whatever the tool declared as its result
    dumped: JsonValue = result.model_dump(mode="json", by_alias=True)
    return dumped


def _failure(turn: Turn, error: ToolError, *, intent: str | None) -> StepFailed | OutcomeUnknown:
    """What a failed call is to its step; `intent` is of an effect that must not be repeated."""
    if intent is not None:
        turn.uncertain.discard(intent)
        if error.delivery is Delivery.UNKNOWN:
            return OutcomeUnknown(intent)
        turn.append_call(intent, turn.record(StepStatus.CANCELLED))  # it surely did not happen
    return StepFailed(
        error.message,
        error_class=error.error_class,
        code=error.code,
        retry_after_s=error.retry_after_s,
    )
