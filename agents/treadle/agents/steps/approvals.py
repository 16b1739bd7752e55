"""A person's yes before one call of an agent.

The question is asked outside the attempt, which is work, under a name of its own: an attempt that
needs an answer ends with `Unanswered`, and begins again once all its answers are there.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from treadle.agents.errors import AgentsError
from treadle.agents.ports import WaitKind
from treadle.agents.steps.turn import Turn
from treadle.agents.steps.waits import Ask, answered, ask_for
from treadle.agents.values import JsonObject

APPROVE, REFUSE = "approve", "reject"
PATIENCE = timedelta(days=7)  # then the call counts as refused


class Unanswered(AgentsError):
    """Calls that a person has to approve first; `asks` by the names of their ledger entries."""

    def __init__(self, asks: dict[str, Ask]) -> None:
        super().__init__(f"not approved yet: {', '.join(asks)}")
        self.asks = asks


def require_approval(turn: Turn, shown: JsonObject, *, number: int) -> bool:
    """Whether a person approved this call; raises `Unanswered` as long as nobody said."""
    name = f"tool.{number}.approval"
    answer = answered(turn, name)
    if answer is None:
        title = f"{turn.node.id}: {shown['tool']}"
        asked: JsonObject = {
            "title": title, "show": shown, "actions": [APPROVE, REFUSE], "form": {},
            "assignees": [],
        }  # fmt: skip
        until = turn.ports.clock.now() + PATIENCE
        raise Unanswered({name: Ask(WaitKind.APPROVAL, until, asked)})
    is_approved = isinstance(answer.value, dict) and answer.value.get("action") == APPROVE
    return answer.in_time and is_approved


def together(errors: Iterable[Unanswered]) -> Unanswered:
    """Everything that several calls wait for."""
    return Unanswered({name: ask for error in errors for name, ask in error.asks.items()})


async def ask_all(turn: Turn, unanswered: Unanswered) -> None:
    """Return when every question is answered; raises `StepWaits` when the run parks."""

    async def one(name: str, ask: Ask) -> None:
        await ask_for(turn, lambda: ask, name)

    asking = [one(name, ask) for name, ask in unanswered.asks.items()]
    results = await asyncio.gather(*asking, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
