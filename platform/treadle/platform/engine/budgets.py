"""What a run may use: counted in memory by its owner, from its ledger on.

Every call reserves before it begins and settles after it, so that parallel branches together stay
within the limit: what is left is never promised twice. What was settled is committed with the call
itself, so that the next owner counts the same.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from typing_extensions import override

from treadle.agents.errors import Blocked
from treadle.agents.interpreter import Closed, Gate
from treadle.agents.language.model import Budget
from treadle.agents.ports import Failed, Outcome, Parked, StepError, StepRecord
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass, ToolError
from treadle.integrations.models import ChatRequest, Completion, ModelClient
from treadle.integrations.models.endpoints import Price

LONG_ANSWER = 8192  # tokens reserved for an answer whose length nothing limits
_CHARACTERS_PER_TOKEN = 3
_TOKENS_PER_MESSAGE = 8

_MILLION = 1_000_000  # prices are for so many tokens

Prices = Callable[[str | None], Price | None]
"""The price of the dearest endpoint that may answer for a model."""

Limit = Literal["tokens", "model_calls", "cost_usd", "steps", "wall"]


def effective(template: Budget, settings: JsonValue) -> Budget:
    """The template's budget with what the agent's settings say instead."""
    if not isinstance(settings, dict) or not settings:
        return template
    asked = Budget.model_validate(settings)
    return template.model_copy(update={name: getattr(asked, name) for name in settings})


def is_limited(budget: Budget) -> bool:
    """Whether there is anything to count."""
    limits = (budget.tokens, budget.model_calls, budget.cost_usd, budget.steps, budget.wall)
    return any(limit is not None for limit in limits)


@dataclass(slots=True)
class _Reserved:
    tokens: int
    cost_usd: float


class Purse:
    """The budget of one run in the process that owns it.

    Args:
        ledger: What earlier owners did.
        worked: For how long they did.
    """

    def __init__(
        self,
        budget: Budget,
        gate: Gate,
        ledger: Iterable[StepRecord],
        *,
        worked: timedelta = timedelta(),
    ) -> None:
        self._budget = budget
        self._gate = gate
        self._worked = worked
        self._tokens = self._calls = 0
        self._cost_usd = 0.0
        self._paths: set[str] = set()
        self._open: list[_Reserved] = []
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self.exceeded: str | None = None
        for record in ledger:
            self._recall(record)

    def start(self) -> None:
        """Begin to measure the time."""
        wall = self._budget.wall
        if wall is None:
            return
        left, most = (wall - self._worked).total_seconds(), f"{wall.total_seconds():g} s"
        if left <= 0:
            self._close("wall", most)
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(left, self._close, "wall", most)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    def begin_step(self, path: str) -> None:
        """Count a step when it first says anything; raises `Blocked` over the limit."""
        limit = self._budget.steps
        if limit is None or path in self._paths:
            return
        if len(self._paths) >= limit:
            self._close("steps", str(limit))
            raise Blocked(Closed.BUDGET)
        self._paths.add(path)

    async def reserve(
        self, request: ChatRequest, price: Price | None
    ) -> "tuple[ChatRequest, _Reserved]":
        """What a call may use at most, and the call held to it; waits while others may give back.

        Raises `Blocked` or, with `on_exceed: fail`, `ToolError`, when nothing is left.
        """
        while True:
            taken = self._try(request, price)
            if taken is not None:
                self._open.append(taken[1])
                self._calls += 1
                return taken
            self._changed.clear()
            await self._changed.wait()

    def settle(self, reserved: _Reserved, completion: Completion | None) -> None:
        """Give back what was not used; a call that failed used nothing that anybody counted."""
        self._open.remove(reserved)
        if completion is None:
            self._calls -= 1
        else:
            used = completion.tokens
            self._tokens += used.input_tokens + used.output_tokens
            self._spend(used.cost_usd or 0.0)
        self._changed.set()

    def _try(
        self, request: ChatRequest, price: Price | None
    ) -> "tuple[ChatRequest, _Reserved] | None":
        """A reservation; `None` if there may be one once the calls under way have ended."""
        budget, is_alone = self._budget, not self._open
        if budget.model_calls is not None and self._calls >= budget.model_calls:
            if not is_alone:
                return None
            raise self._refusal("model_calls", str(budget.model_calls))
        read, wanted = _input_tokens(request), request.max_tokens or LONG_ANSWER
        by_tokens, by_cost = self._tokens_left(read), self._tokens_payable(read, price)
        fitting = min(wanted, by_tokens, by_cost)
        if fitting < wanted and not is_alone:
            return None
        if fitting < 1:
            limit: Limit = "tokens" if by_tokens <= by_cost else "cost_usd"
            raise self._refusal(limit, f"{getattr(budget, limit):g}")
        limited = request if fitting == wanted else replace(request, max_tokens=int(fitting))
        return limited, _Reserved(read + int(fitting), _cost(read, int(fitting), price))

    def _tokens_left(self, read: int) -> float:
        """How long an answer may be under the limit of tokens."""
        if self._budget.tokens is None:
            return math.inf
        return self._budget.tokens - self._tokens - sum(one.tokens for one in self._open) - read

    def _tokens_payable(self, read: int, price: Price | None) -> float:
        """How long an answer may be under the limit of costs; without a price nothing costs."""
        limit = self._budget.cost_usd
        if limit is None or price is None:
            return math.inf
        left = limit - self._cost_usd - sum(one.cost_usd for one in self._open)
        rest = left - _cost(read, 0, price)
        if rest <= 0 or price.output == 0:
            return 0 if rest <= 0 else math.inf
        return math.floor(rest * _MILLION / price.output)

    def _refusal(self, limit: Limit, most: str) -> Exception:
        if self._budget.on_exceed == "fail":
            return ToolError(
                _message(limit, most), error_class=ErrorClass.BUDGET, code=f"over_{limit}"
            )
        self._close(limit, most)
        return Blocked(Closed.BUDGET)

    def _close(self, limit: Limit, most: str) -> None:
        self.exceeded = self.exceeded or _message(limit, most)
        self._gate.close(Closed.BUDGET)
        self._changed.set()

    def _recall(self, record: StepRecord) -> None:
        if record.call is None:
            self._paths.add(record.path)
        elif record.usage is not None:
            self._calls += record.usage.model_calls
            self._tokens += record.usage.input_tokens + record.usage.output_tokens
            self._spend(record.usage.cost_usd or 0.0)

    def _spend(self, cost_usd: float) -> None:
        self._cost_usd += cost_usd

    def verdict(self, outcome: Outcome) -> Outcome:
        """What an outcome is under `on_exceed`: who may not go on either waits or has failed."""
        is_over = isinstance(outcome, Parked) and outcome.reason == Closed.BUDGET
        if not is_over or self._budget.on_exceed == "pause":
            return outcome
        message = self.exceeded or "the run is over its budget"
        return Failed(StepError("", "", ErrorClass.BUDGET, "over_budget", message))


@asynccontextmanager
async def paying(purse: Purse | None) -> AsyncGenerator[None]:
    """Measure a run's time while it is here."""
    if purse is None:
        yield
        return
    purse.start()
    try:
        yield
    finally:
        purse.stop()


class BudgetedModels(ModelClient):
    """A model client whose calls are paid from one run's purse."""

    def __init__(self, models: ModelClient, purse: Purse, prices: Prices) -> None:
        self._models = models
        self._purse = purse
        self._prices = prices

    @property
    @override
    def available(self) -> bool:
        return self._models.available

    @override
    async def complete(
        self,
        request: ChatRequest,
        *,
        timeout_s: float,
        on_delta: Callable[[str], None] | None = None,
    ) -> Completion:
        limited, reserved = await self._purse.reserve(request, self._prices(request.model))
        try:
            completion = await self._models.complete(
                limited, timeout_s=timeout_s, on_delta=on_delta
            )
        except BaseException:  # a cancelled call gives back as well
            self._purse.settle(reserved, None)
            raise
        self._purse.settle(reserved, completion)
        return completion


def _input_tokens(request: ChatRequest) -> int:
    characters = sum(len(message.content) for message in request.messages)
    characters += sum(len(str(tool)) for tool in request.tools)
    return characters // _CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE * len(request.messages)


def _cost(read: int, written: int, price: Price | None) -> float:
    """The most that so many tokens cost, in USD."""
    if price is None:
        return 0.0
    return (read * max(price.input, price.cached or 0) + written * price.output) / _MILLION


def _message(limit: Limit, most: str) -> str:
    return f"the run may not use more: its budget has {limit}: {most}; raise it to go on"
