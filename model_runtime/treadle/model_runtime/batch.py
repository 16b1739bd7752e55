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

    `blocks` hold the cache rows of all positions up to the last new token; `start` is the
    position of the first new token. `first` is the first position that is seen: MTP module k
    begins at k + 1, for it has nothing to read before.
    """

    tokens: Sequence[int]
    start: int
    blocks: Sequence[int]
    first: int = 0

    @property
    def end(self) -> int:
        """The position after the last new token."""
        return self.start + len(self.tokens)


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


def lay_out(
    spans: Sequence[Span], *, block_size: int = 1, device: torch.device | None = None
) -> Batch:
    """Sort spans by their number of new tokens, keeping the given order within a group."""
    ranked = sorted(range(len(spans)), key=lambda index: len(spans[index].tokens))
    groups: list[Group] = []
    slots: list[Tensor] = []
    order = [0] * len(spans)
    row = 0
    for new, members in groupby(ranked, key=lambda index: len(spans[index].tokens)):
        indices = list(members)
        for offset, index in enumerate(indices):
            order[index] = row + offset * new
        group, written = _group([spans[index] for index in indices], row, block_size, device)
        groups.append(group)
        slots.append(written)
        row += len(indices) * new
    tokens = [token for index in ranked for token in spans[index].tokens]
    positions = [
        position for index in ranked for position in range(spans[index].start, spans[index].end)
    ]
    return Batch(
        torch.tensor(tokens, device=device),
        torch.tensor(positions, device=device),
        torch.cat(slots),
        tuple(groups),
        tuple(order),
    )


def _group(
    spans: Sequence[Span], row: int, block_size: int, device: torch.device | None
) -> tuple[Group, Tensor]:
    """Spans of one length, and the cache rows that their tokens write, (requests · new)."""
    new, first = len(spans[0].tokens), spans[0].first
    context = max(span.end for span in spans)
    width = -(-context // block_size)
    blocks = torch.tensor([_padded(span.blocks, width) for span in spans], device=device)
    rows = blocks[:, :, None] * block_size + torch.arange(block_size, device=device)
    table = rows.flatten(1)[:, :context]
    starts = torch.tensor([span.start for span in spans], device=device)
    seen = starts[:, None] + torch.arange(new, device=device)
    mask = torch.arange(first, context, device=device) <= seen[:, :, None]
    group = Group(slice(row, row + len(spans) * new), new, table[:, first:], mask)
    return group, table.gather(1, seen).flatten()


def _padded(blocks: Sequence[int], width: int) -> list[int]:
    return [*blocks[:width], *[0] * (width - len(blocks))]
