"""What one call used and cost."""

from collections.abc import Sequence

from treadle.integrations.models.calls import Message, Tokens
from treadle.integrations.models.endpoints import Price
from treadle.integrations.models.wire import WireUsage

CHARACTERS_PER_TOKEN = 4  # English text in the usual vocabularies; only where a server counts none


def tokens_of(
    usage: WireUsage | None, price: Price | None, *, messages: Sequence[Message], answer: str
) -> Tokens:
    """Tokens and cost; estimated from the texts where the server does not say, for the budget."""
    if usage is None or usage.prompt_tokens is None:
        asked = sum(len(message.content) for message in messages)
        return _priced(_estimate(asked), _estimate(len(answer)), 0, price, is_estimated=True)
    written = usage.completion_tokens or 0
    return _priced(usage.prompt_tokens, written, usage.cached, price, is_estimated=False)


def _estimate(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)


def _priced(
    read: int, written: int, cached: int, price: Price | None, *, is_estimated: bool
) -> Tokens:
    cost = None
    if price is not None:
        cached_price = price.input if price.cached is None else price.cached
        fresh = max(0, read - cached)
        cost = (fresh * price.input + cached * cached_price + written * price.output) / 1_000_000
    return Tokens(
        input_tokens=read,
        output_tokens=written,
        cached_tokens=cached,
        cost_usd=cost,
        is_estimated=is_estimated,
    )
