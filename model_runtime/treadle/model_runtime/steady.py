"""Decode in steps of fixed shapes, which can be recorded once and replayed.

A step that brings few new tokens per request is filled up to the next size of a ladder, and reads
nothing but tensors that stay where they are. Every new token is a row of its own that looks back
over its request's blocks: rows of the cache are written before they are read, so drafts see the
tokens before them. Rows that only fill up write to the cache's last block, which is nobody's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy
import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch, Group, Paging, Span
from treadle.model_runtime.config import ModelConfig
from treadle.model_runtime.model import Decoder

# A request's newest token and as many drafts as the settings allow. Each of them reads the
# request's rows again, so more are left to the ordinary path.
MOST_NEW = 17
TRUNK = -1  # where a module's depth stands otherwise

Step = Callable[[], Tensor]


class Recorder(Protocol):
    """Makes of a step one that costs less; both read and write the same tensors."""

    def record(self, step: Step) -> Step:
        """The step to call from now on; what it returns is overwritten by its next call."""
        ...


class Direct:
    """Records nothing: the step itself is called, on any device."""

    def record(self, step: Step) -> Step:
        """The same step."""
        return step


class Planner(Protocol):
    """A kernel whose host has work before each step."""

    def plan(self, blocks: Tensor, seen: Tensor, *, size: int, room: int) -> None:
        """Prepare for these rows, both on the host.

        Args:
            blocks: (rows, width), int32.
            seen: Positions of each row, (rows), int32.
            size: Rows in a block.
            room: The most blocks that a row can have.
        """
        ...


def ladder(most: int) -> tuple[int, ...]:
    """1, 2, 4, then by eights, up to `most`: the sizes in which steps come."""
    if most < 1:
        return ()
    sizes = {1, 2, 4, *range(8, most, 8), most}
    return tuple(sorted(size for size in sizes if size <= most))


@dataclass(frozen=True)
class Inputs:
    """All that a step reads besides weights and cache; rungs use the first rows of it.

    Attributes:
        tokens: (rows), int64, as `positions` and `slots`.
        blocks: (rows, width), int32.
        hidden: What an MTP module reads beside the tokens, (rows, hidden).
    """

    tokens: Tensor
    positions: Tensor
    slots: Tensor
    blocks: Tensor
    hidden: Tensor

    @classmethod
    def empty(cls, rows: int, *, width: int, model: Decoder) -> "Inputs":
        """Room for so many rows that look back over `width` blocks each."""
        tokens, positions, slots = torch.zeros(3, rows, dtype=torch.int64, device=model.device)
        blocks = torch.zeros(rows, width, dtype=torch.int32, device=model.device)
        shape = (rows, model.config.hidden_size)
        hidden = torch.zeros(shape, dtype=model.dtype, device=model.device)
        return cls(tokens, positions, slots, blocks, hidden)

    def fill(self, rows: "Rows") -> None:
        """Take over what the host has laid out."""
        count, width = rows.blocks.shape
        for ours, theirs in zip(
            (self.tokens, self.positions, self.slots), rows.numbers, strict=True
        ):
            ours[:count].copy_(theirs)
        self.blocks[:count, :width].copy_(rows.blocks)

    def batch(self, rows: int, *, size: int, first: int) -> Batch:
        """The first rows as the model takes them; of fixed shapes, and without the host."""
        positions = self.positions[:rows]
        context = self.blocks.shape[1] * size
        paging = Paging(self.blocks[:rows], positions[:, None], size, first, context, planned=True)
        group = Group(slice(0, rows), 1, paging)
        return Batch.of(self.tokens[:rows], positions, self.slots[:rows], [group])


@dataclass(frozen=True, slots=True)
class Rows:
    """One step's rows on the host.

    Attributes:
        numbers: Token, position and slot of each, (3, rows), int64.
        blocks: (rows, width), int32; as wide as the longest of them.
    """

    numbers: Tensor
    blocks: Tensor

    @property
    def seen(self) -> Tensor:
        """Positions of each row, (rows), int32."""
        return (self.numbers[1] + 1).int()


def laid_out(spans: Sequence[Span], rows: int, *, size: int, spare: int) -> Rows:
    """A row per new token, and rows in block `spare` up to `rows` of them."""
    numbers: list[tuple[int, int, int]] = []
    width = -(-max(span.end for span in spans) // size)
    # Numpy takes lists of whole numbers ten times faster than torch; these can be long.
    blocks = numpy.full((rows, width), spare, dtype=numpy.int32)
    for span in spans:
        held = span.blocks[: -(-span.end // size)]
        blocks[len(numbers) : len(numbers) + len(span.tokens), : len(held)] = held
        for position, token in enumerate(span.tokens, start=span.start):
            numbers.append((token, position, held[position // size] * size + position % size))
    # They see what they write and maybe what another of them wrote: any number will do.
    first = spans[0].first
    idle = (0, first, spare * size + first % size)
    numbers += [idle] * (rows - len(numbers))
    return Rows(torch.tensor(numbers).T, torch.from_numpy(blocks))


class SteadyModel:
    """A model that takes steps of fixed shapes where it can, and ordinary ones where not.

    The model under it must ask nothing of the host in such a step. Its cache has one block more
    than its requests may hold, the last.
    """

    def __init__(
        self, model: Decoder, recorder: Recorder, *, most: int, planners: Sequence[Planner] = ()
    ) -> None:
        self.plain, self._recorder, self._planners = model, recorder, planners
        self.most, self._sizes = most, ladder(most)
        self.config: ModelConfig = model.config
        self.dtype, self.device = model.dtype, model.device
        self.cache_layers, self.cache_width = model.cache_layers, model.cache_width
        self.mtp_depth = model.mtp_depth
        self._cache: Tensor | None = None
        self._block_size = 0
        self._inputs: Inputs | None = None
        self._steps: dict[tuple[int, int, int], Step] = {}
        self.replayed = 0

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden)."""
        rows = self._rows_for(batch, cache)
        if rows is None:
            return self.plain.states(batch, cache)
        self._prepare(cache, batch.block_size)
        return self._run(batch.spans, rows, depth=TRUNK)[: batch.rows].clone()

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        return self.plain.logits(states)

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """MTP module `depth` on tokens and the states before them; feeds `logits`."""
        rows = self._rows_for(batch, cache)
        if rows is None:
            return self.plain.draft_states(batch, hidden, cache, depth)
        self._prepare(cache, batch.block_size)
        assert self._inputs is not None  # noqa: S101 - made by `_prepare`
        self._inputs.hidden[: batch.rows].copy_(hidden)
        return self._run(batch.spans, rows, depth=depth)[: batch.rows].clone()

    def warm(self, cache: Tensor, *, block_size: int) -> None:
        """Record all steps now, the largest first, so that no request waits for it."""
        self._prepare(cache, block_size)
        depths = [TRUNK, *range(cache.shape[0] - self.cache_layers + self.mtp_depth)]
        for rows, depth in product(reversed(self._sizes), depths):
            first = depth - TRUNK
            self._run([Span([0], first, [self._spare] * (first + 1), first)], rows, depth=depth)
        self.replayed = 0

    def _rows_for(self, batch: Batch, cache: Tensor) -> int | None:
        """The next size of the ladder; none if this is no step for it."""
        if not batch.spans or len({span.first for span in batch.spans}) > 1:
            return None
        if max(len(span.tokens) for span in batch.spans) > MOST_NEW:
            return None
        if max(span.end for span in batch.spans) > self._longest(cache):
            return None
        return next((size for size in self._sizes if size >= batch.rows), None)

    def _longest(self, cache: Tensor) -> int:
        """Positions that a row can look back over."""
        return min(self.config.max_positions, cache.shape[1])

    @property
    def _spare(self) -> int:
        assert self._cache is not None  # noqa: S101 - set by `_prepare`
        return self._cache.shape[1] // self._block_size - 1

    def _prepare(self, cache: Tensor, block_size: int) -> None:
        """Forget what was recorded over another cache."""
        if self._cache is cache and self._block_size == block_size:
            return
        self._cache, self._block_size = cache, block_size
        self._steps.clear()
        width = min(-(-self._longest(cache) // block_size), cache.shape[1] // block_size)
        self._inputs = Inputs.empty(self._sizes[-1], width=width, model=self.plain)

    def _run(self, spans: Sequence[Span], rows: int, *, depth: int) -> Tensor:
        assert self._inputs is not None  # noqa: S101 - made by `_prepare`
        laid = laid_out(spans, rows, size=self._block_size, spare=self._spare)
        self._inputs.fill(laid)
        for planner in self._planners:
            room = self._inputs.blocks.shape[1]
            planner.plan(laid.blocks, laid.seen, size=self._block_size, room=room)
        kind = (depth, rows, spans[0].first)
        if kind not in self._steps:
            step = self._step(self._inputs, rows, depth, first=spans[0].first)
            self._steps[kind] = self._recorder.record(step)
        self.replayed += 1
        return self._steps[kind]()

    def _step(self, inputs: Inputs, rows: int, depth: int, *, first: int) -> Step:
        cache, size = self._cache, self._block_size
        assert cache is not None  # noqa: S101 - set by `_prepare`

        def trunk() -> Tensor:
            return self.plain.states(inputs.batch(rows, size=size, first=first), cache)

        def module() -> Tensor:
            batch = inputs.batch(rows, size=size, first=first)
            return self.plain.draft_states(batch, inputs.hidden[:rows], cache, depth)

        return trunk if depth == TRUNK else module
