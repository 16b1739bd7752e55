"""One step's worth of tokens, laid out for the model.

Tokens of all requests lie in one row, sorted into groups. A group holds requests that bring the
same number of new tokens, so that its attention is one rectangular computation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Span:
    """New tokens of one request.

    `slots` holds the cache row of every position from `first` to the last new token; `start` is
    the position of the first new token. The MTP layer begins at `first` 1: nothing precedes
    position 0.
    """

    tokens: Sequence[int]
    start: int
    slots: Sequence[int]
    first: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Requests with `new` tokens each, one after the other in the batch.

    Attributes:
        rows: Where its tokens lie in the batch; requests · new of them.
        table: Cache row of each visible position, (requests, context); padded with row 0.
        mask: True where a new token sees a position, (requests, new, context).
    """

    rows: slice
    new: int
    table: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """What one forward pass computes.

    Attributes:
        tokens: (tokens), int64.
        positions: (tokens), int64.
        slots: The cache row that each token writes, (tokens), int64.
        groups: They cover the tokens in order.
        order: For each span given, the row of its first token.
    """

    tokens: Tensor
    positions: Tensor
    slots: Tensor
    groups: tuple[Group, ...]
    order: tuple[int, ...]


def lay_out(spans: Sequence[Span], device: torch.device | None = None) -> Batch:
    """Sort spans by their number of new tokens, keeping the given order within a group."""
    ranked = sorted(range(len(spans)), key=lambda index: len(spans[index].tokens))
    groups: list[Group] = []
    order = [0] * len(spans)
    row = 0
    for new, members in groupby(ranked, key=lambda index: len(spans[index].tokens)):
        indices = list(members)
        for offset, index in enumerate(indices):
            order[index] = row + offset * new
        groups.append(_group([spans[index] for index in indices], row, new, device))
        row += len(indices) * new
    chosen = [spans[index] for index in ranked]
    tokens = [token for span in chosen for token in span.tokens]
    positions = [span.start + i for span in chosen for i in range(len(span.tokens))]
    slots = [slot for span in chosen for slot in span.slots[-len(span.tokens) :]]
    return Batch(
        torch.tensor(tokens, device=device),
        torch.tensor(positions, device=device),
        torch.tensor(slots, device=device),
        tuple(groups),
        tuple(order),
    )


def _group(spans: Sequence[Span], row: int, new: int, device: torch.device | None) -> Group:
    context = max(len(span.slots) for span in spans)
    table = torch.tensor(
        [[*span.slots, *[0] * (context - len(span.slots))] for span in spans], device=device
    )
    starts = torch.tensor([span.start - span.first for span in spans], device=device)
    seen = starts[:, None] + torch.arange(new, device=device)
    mask = torch.arange(context, device=device) <= seen[:, :, None]
    return Group(slice(row, row + len(spans) * new), new, table, mask)
