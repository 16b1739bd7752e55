"""One model call inside a step: an entry of the ledger of its own, paid once."""

from dataclasses import replace

from treadle.agents.errors import StepFailed
from treadle.agents.ports import StepRecord, StepStatus, Usage
from treadle.agents.steps.turn import Turn
from treadle.integrations.errors import ToolError
from treadle.integrations.models import ChatRequest, Completion

UNLIMITED_S = 3600.0  # a step without a timeout still gives a silent endpoint up


async def call_model(turn: Turn, request: ChatRequest, *, number: int) -> str:
    """The text of the step's model call of this number; raises `StepFailed`.

    A finished call is read from the ledger. Its reasoning and usage are added to the step's.
    """
    call = f"model.{number}"
    entry = turn.entry(call)
    if entry is None:
        entry = await _make(turn, request, call)
    turn.reasoning = entry.reasoning
    return str(entry.output)


async def _make(turn: Turn, request: ChatRequest, call: str) -> StepRecord:
    await turn.journal.durable()
    try:
        completion = await turn.ports.models.complete(
            request,
            timeout_s=turn.node.policy.timeout_s or UNLIMITED_S,
            on_delta=lambda text: turn.journal.delta(turn.path, text),
        )
    except ToolError as error:
        raise StepFailed(
            error.message,
            error_class=error.error_class,
            code=error.code,
            retry_after_s=error.retry_after_s,
        ) from error
    entry = replace(
        turn.record(StepStatus.SUCCEEDED),
        output=completion.text,
        usage=_usage(completion),
        reasoning=completion.reasoning,
        extra={
            "model": completion.model,
            "endpoint": completion.endpoint,
            "finish_reason": completion.finish_reason,
        },
    )
    return turn.append_call(call, entry)


def _usage(completion: Completion) -> Usage:
    tokens = completion.tokens
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        cached_tokens=tokens.cached_tokens,
        model_calls=1,
        cost_usd=tokens.cost_usd,
    )
