"""The tool calls of an agent: each a ledger entry and an effect of its own, never made twice.

What the model did wrong, and what a reading tool could not do, is told to the model. An effect
whose answer is lost is not: the model would order it again under another key. It fails the step,
whose next attempt repeats exactly this call under its own key.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace

from treadle.agents.errors import StepFailed
from treadle.agents.ports import StepRecord, StepStatus
from treadle.agents.steps.approvals import Unanswered, require_approval, together
from treadle.agents.steps.arguments import validated
from treadle.agents.steps.offers import Offer
from treadle.agents.steps.tools import EffectCall, call_tool
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.base import Effect, Params
from treadle.integrations.errors import ErrorClass
from treadle.integrations.models import Message, ToolCall

MOST_REPEATS = 3  # of one tool with the same arguments: a model that goes in circles
LONGEST_RESULT = 60_000  # characters of a result that the model reads
_SURELY_NOTHING = frozenset({ErrorClass.INVALID_INPUT, ErrorClass.DENIED})


class _Refused(Exception):
    """A call that is not made; the message is for the model."""


@dataclass(slots=True)
class Calls:
    """The calls of one conversation.

    Attributes:
        made: Their entries, in the order of the messages.
    """

    turn: Turn
    offers: Mapping[str, Offer]
    made: list[StepRecord] = field(default_factory=list[StepRecord])
    _seen: Counter[str] = field(default_factory=Counter[str])

    async def answer(self, calls: Sequence[ToolCall]) -> list[Message]:
        """Make the calls of one message side by side; their results in its order."""
        first = len(self.made)
        for call in calls:
            self._seen[_identity(call)] += 1
        making = [self._entry(call, first + index) for index, call in enumerate(calls)]
        entries = await _all_or_first_error(making)
        self.made += entries
        return [
            Message("tool", told(entry), tool_call_id=call.id)
            for call, entry in zip(calls, entries, strict=True)
        ]

    async def _entry(self, call: ToolCall, number: int) -> StepRecord:
        name = f"tool.{number}"
        known = self.turn.entry(name)
        return known or self.turn.append_call(name, await self._make(call, number))

    async def _make(self, call: ToolCall, number: int) -> StepRecord:
        started_at = self.turn.ports.clock.now()
        extra: JsonObject = {"tool": call.name, "id": call.id}
        plain = replace(
            self.turn.record(StepStatus.SUCCEEDED), usage=None, reasoning=None,
            started_at=started_at, extra=extra,
        )  # fmt: skip
        try:
            offer, arguments = self._read(call)
            extra |= {"tool": offer.tool.name, "arguments": arguments}
            return replace(plain, output=await self._perform(offer, arguments, number))
        except _Refused as refused:
            failure = StepFailed(
                str(refused), error_class=ErrorClass.INVALID_INPUT, code="call_refused"
            )
        except StepFailed as error:
            if not _may_tell(self._effect(call), error):
                raise
            failure = error
        return replace(plain, status=StepStatus.FAILED, error=self.turn.error(failure))

    async def _perform(self, offer: Offer, arguments: JsonObject, number: int) -> JsonValue:
        if offer.needs_approval:
            shown: JsonObject = {"tool": offer.tool.name, "arguments": arguments}
            is_approved = require_approval(self.turn, shown, number=number)
            if not is_approved:
                raise _Refused("a person looked at this call and refused it")
        return await call_tool(
            self.turn,
            offer.tool,
            arguments,
            connection=offer.connection,
            call=EffectCall(number),
            hosts=offer.hosts,
        )

    def _read(self, call: ToolCall) -> tuple[Offer, JsonObject]:
        """Whose call it is and its whole arguments; raises `_Refused`."""
        offer = self.offers.get(call.name)
        if offer is None:
            known = ", ".join(self.offers) or "none"
            raise _Refused(f"there is no tool {call.name!r}; tools: {known}")
        given = _parsed(call)
        for name in given:
            if name not in offer.chosen_by_model:
                open_ = ", ".join(sorted(offer.chosen_by_model)) or "none"
                raise _Refused(f"the argument {name!r} is not yours to give; yours: {open_}")
        if self._seen[_identity(call)] > MOST_REPEATS:
            raise _Refused("you made this very call several times already; go on without it")
        fixed = {
            name: self.turn.evaluate(value, f"{offer.field}.with.{name}")
            for name, value in offer.fixed.items()
        }
        return offer, {**given, **fixed}

    def _effect(self, call: ToolCall) -> Effect:
        """The class of a call that was tried; what cannot be read was not."""
        try:
            offer, arguments = self._read(call)
            params: Params = validated(self.turn, offer.tool.params, arguments, of=offer.tool.name)
        except (_Refused, StepFailed):
            return Effect.READ
        return offer.tool.effect_of(params)


def told(entry: StepRecord) -> str:
    """What the model reads of a call."""
    if entry.error is not None:
        return json.dumps({"error": entry.error.message}, ensure_ascii=False)
    text = json.dumps(entry.output, ensure_ascii=False, separators=(",", ":"))
    if len(text) <= LONGEST_RESULT:
        return text
    return f"{text[:LONGEST_RESULT]}… ({len(text) - LONGEST_RESULT} characters were cut)"


def _may_tell(effect: Effect, error: StepFailed) -> bool:
    return effect is Effect.READ or error.error_class in _SURELY_NOTHING


def _parsed(call: ToolCall) -> JsonObject:
    try:
        value: JsonValue = json.loads(call.arguments or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _Refused(f"the arguments are no JSON: {error}") from error
    if not isinstance(value, dict):
        raise _Refused("the arguments must be a JSON object")
    return value


def _refuse_constant(constant: str) -> JsonValue:
    raise ValueError(f"{constant} is no JSON")


def _identity(call: ToolCall) -> str:
    try:
        arguments = json.dumps(_parsed(call), sort_keys=True)
    except _Refused:
        arguments = call.arguments
    return f"{call.name} {arguments}"


async def _all_or_first_error(
    making: Sequence[Coroutine[None, None, StepRecord]],
) -> list[StepRecord]:
    """Every result; if one fails the others end first, so that what they did is in the ledger."""
    results = await asyncio.gather(*making, return_exceptions=True)
    unanswered = [result for result in results if isinstance(result, Unanswered)]
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Unanswered):
            raise result
    if unanswered:
        raise together(unanswered)
    return [result for result in results if not isinstance(result, BaseException)]
