"""One step's worth of tokens, laid out for the model.

Tokens of all requests lie in one row, sorted into groups. A group holds requests that bring the
same number of new tokens, so that its attention is one rectangular computation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


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


@dataclass(frozen=True)
class Paging:
    """Where the rows of some requests lie, block by block.

    Attributes:
        blocks: Of each request, (requests, width), int32; padded with any block there is.
        positions: Of the new tokens, (requests, new).
        size: Rows in a block.
        first: The first position that is seen; the last is each new token's own.
        context: Positions that a table of single rows covers.
        planned: Whether `steady` has told the kernels of these rows beforehand.
    """

    blocks: Tensor
    positions: Tensor
    size: int
    first: int
    context: int
    planned: bool = False

    @cached_property
    def seen(self) -> Tensor:
        """Positions up to each request's newest token, (requests), int32."""
        return (self.positions[:, -1] + 1).int()

    @cached_property
    def kept(self) -> dict[str, object]:
        """What a kernel computes once for all layers, by its name."""
        return {}

    def table(self) -> Tensor:
        """As `Group.table`."""
        rows = torch.arange(self.size, device=self.blocks.device)
        table = self.blocks[:, :, None] * self.size + rows
        return table.flatten(1)[:, self.first : self.context]

    def mask(self) -> Tensor:
        """As `Group.mask`."""
        places = torch.arange(self.first, self.context, device=self.positions.device)
        return places <= self.positions[:, :, None]


@dataclass(frozen=True)
class Group:
    """Requests with `new` tokens each, one after the other in the batch.

    Attributes:
        rows: Where its tokens lie in the batch; requests · new of them.
        paging: Absent where rows are not kept in blocks.
    """

    rows: slice
    new: int
    paging: Paging | None

    @classmethod
    def of(cls, rows: slice, new: int, table: Tensor, mask: Tensor) -> "Group":
        """A group laid out otherwise than in blocks of a cache, as training's rows are."""
        made = cls(rows, new, None)
        made.__dict__.update(table=table, mask=mask)
        return made

    @cached_property
    def table(self) -> Tensor:
        """Cache row of each visible position, (requests, context); padded with any row."""
        assert self.paging is not None  # noqa: S101 - `of` sets what is made here
        return self.paging.table()

    @cached_property
    def mask(self) -> Tensor:
        """True where a new token sees a position, (requests, new, context)."""
        assert self.paging is not None  # noqa: S101 - as in `table`
        return self.paging.mask()


@dataclass(frozen=True)
class Batch:
    """What one forward pass computes; its tensors are made when a model asks for them.

    Attributes:
        spans: What each request brings; fewer new tokens first.
        order: For each span as it was given, the row of its first token.
    """

    spans: tuple[Span, ...]
    order: tuple[int, ...]
    block_size: int
    device: torch.device | None

    @classmethod
    def of(
        cls, tokens: Tensor, positions: Tensor, slots: Tensor, groups: Iterable[Group]
    ) -> "Batch":
        """A batch laid out otherwise than in blocks of a cache, as training's rows are."""
        made = cls((), (), 1, tokens.device)
        made.__dict__.update(tokens=tokens, positions=positions, slots=slots, groups=tuple(groups))
        return made

    @cached_property
    def ranked(self) -> list[int]:
        """For each span, where it was given."""
        return sorted(range(len(self.order)), key=self.order.__getitem__)

    def as_given(self, items: Sequence[Item]) -> list[Item]:
        """What belongs to the spans, in the order in which these were given."""
        by_index = dict(zip(self.ranked, items, strict=True))
        return [by_index[index] for index in range(len(items))]

    @property
    def rows(self) -> int:
        """All new tokens together."""
        return sum(len(span.tokens) for span in self.spans)

    def listed(self) -> list[int]:
        """All new tokens, in the order of their rows."""
        return [token for span in self.spans for token in span.tokens]

    @cached_property
    def tokens(self) -> Tensor:
        """(tokens), int64."""
        return torch.tensor(self.listed(), device=self.device)

    @cached_property
    def positions(self) -> Tensor:
        """(tokens), int64."""
        return torch.tensor(
            [position for span in self.spans for position in range(span.start, span.end)],
            device=self.device,
        )

    @cached_property
    def slots(self) -> Tensor:
        """The cache row that each token writes, (tokens), int64."""
        size = self.block_size
        written = [
            span.blocks[position // size] * size + position % size
            for span in self.spans
            for position in range(span.start, span.end)
        ]
        return torch.tensor(written, device=self.device)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """They cover the tokens in order."""
        groups: list[Group] = []
        row = 0
        for new, members in groupby(self.spans, key=lambda span: len(span.tokens)):
            together = list(members)
            rows = slice(row, row + len(together) * new)
            groups.append(_group(together, rows, self.positions[rows], self.block_size))
            row = rows.stop
        return tuple(groups)


def lay_out(
    spans: Sequence[Span], *, block_size: int = 1, device: torch.device | None = None
) -> Batch:
    """Sort spans by their number of new tokens, keeping the given order within a group."""
    ranked = sorted(range(len(spans)), key=lambda index: len(spans[index].tokens))
    order = [0] * len(spans)
    row = 0
    for index in ranked:
        order[index] = row
        row += len(spans[index].tokens)
    return Batch(tuple(spans[index] for index in ranked), tuple(order), block_size, device)


def _group(spans: Sequence[Span], rows: slice, positions: Tensor, block_size: int) -> Group:
    """Spans of one length, with the positions of their tokens, (requests · new)."""
    new, first, device = len(spans[0].tokens), spans[0].first, positions.device
    context = max(span.end for span in spans)
    width = -(-context // block_size)
    padded = [_padded(span.blocks, width) for span in spans]
    blocks = torch.tensor(padded, dtype=torch.int32, device=device)
    positions = positions.view(len(spans), new)
    return Group(rows, new, Paging(blocks, positions, block_size, first, context))


def _padded(blocks: Sequence[int], width: int) -> list[int]:
    return [*blocks[:width], *[0] * (width - len(blocks))]
