"""One model call inside a step: an entry of the ledger of its own, paid once."""

from dataclasses import asdict, dataclass, replace

from treadle.agents.errors import StepFailed
from treadle.agents.ports import StepRecord, StepStatus, Usage
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ToolError
from treadle.integrations.models import ChatRequest, Completion, ToolCall

UNLIMITED_S = 3600.0  # a step without a timeout still gives a silent endpoint up


@dataclass(frozen=True, slots=True)
class Said:
    """What a model answered: a text, or calls whose results it waits for.

    Attributes:
        is_cut: It reached its longest length before its end.
    """

    text: str
    tool_calls: tuple[ToolCall, ...]
    is_cut: bool = False


async def call_model(turn: Turn, request: ChatRequest, *, number: int) -> Said:
    """The answer of the step's model call of this number; raises `StepFailed`.

    A finished call is read from the ledger. Its reasoning and usage are added to the step's.
    """
    call = f"model.{number}"
    entry = turn.entry(call)
    if entry is None:
        entry = await _make(turn, request, call)
    turn.reasoning = entry.reasoning
    is_cut = entry.extra.get("finish_reason") == "length"
    return Said(str(entry.output), _tool_calls(entry.extra.get("tool_calls")), is_cut)


async def _make(turn: Turn, request: ChatRequest, call: str) -> StepRecord:
    await turn.journal.durable()
    started_at = turn.ports.clock.now()
    step = turn.record(StepStatus.RUNNING)
    try:
        completion = await turn.ports.models.complete(
            request,
            timeout_s=turn.node.policy.timeout_s or UNLIMITED_S,
            on_delta=lambda text: turn.journal.delta(step, text),
        )
    except ToolError as error:
        raise StepFailed(
            error.message,
            error_class=error.error_class,
            code=error.code,
            retry_after_s=error.retry_after_s,
        ) from error
    extra: dict[str, JsonValue] = {
        "model": completion.model,
        "endpoint": completion.endpoint,
        "finish_reason": completion.finish_reason,
    }
    if completion.tool_calls:
        extra["tool_calls"] = [dict(asdict(one)) for one in completion.tool_calls]
    entry = replace(
        turn.record(StepStatus.SUCCEEDED),
        output=completion.text,
        usage=_usage(completion),
        reasoning=completion.reasoning,
        started_at=started_at,
        extra=extra,
    )
    return turn.append_call(call, entry)


def _tool_calls(stored: JsonValue) -> tuple[ToolCall, ...]:
    """The calls of an entry, which `_make` wrote."""
    entries = stored if isinstance(stored, list) else []
    return tuple(
        ToolCall(str(one["id"]), str(one["name"]), str(one["arguments"]))
        for one in entries
        if isinstance(one, dict)
    )


def _usage(completion: Completion) -> Usage:
    tokens = completion.tokens
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cached_tokens=tokens.cached_tokens,
        model_calls=1,
        cost_usd=tokens.cost_usd,
    )
