"""Runs the model on planned work and keeps what it remembers: cache rows and block tails."""

import math
from collections.abc import Sequence as Items
from dataclasses import dataclass, replace

import numpy
import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch, Span, lay_out
from treadle.model_runtime.model import Decoder, Guessed, Reader, Wanted
from treadle.model_runtime.scheduler import Work
from treadle.model_runtime.sequence import Sequence
from treadle.model_runtime.steady import SteadyModel


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one piece of work gave.

    Attributes:
        states: After each token read, (tokens, hidden).
        logits: After each token from the last known one on, (1 + drafts, vocabulary); none if
            known tokens are left to read.
        guessed: What the MTP module guessed in the same call, if it was asked to.
    """

    work: Work
    states: Tensor
    logits: Tensor | None
    guessed: Guessed | None = None


class Runner:
    """The model with its cache."""

    def __init__(self, model: Decoder, *, blocks: int, block_size: int, mtp: bool) -> None:
        self._model, self._block_size = model, block_size
        self._reader = model if isinstance(model, Reader) else None
        layers = model.cache_layers - (0 if mtp else model.mtp_depth)
        # The last block is nobody's: rows that only fill up a step of fixed shape write there.
        shape = (layers, (blocks + 1) * block_size, model.cache_width)
        self._cache = lazy_zeros(shape, dtype=model.dtype, device=model.device)
        if isinstance(model, SteadyModel):
            with torch.inference_mode():
                model.warm(self._cache, block_size=block_size)
        # The state after each full block's last token. A request that reuses the block needs it
        # to let the MTP module read on there.
        hidden = model.config.hidden_size if mtp else 0
        self._tails = lazy_zeros((blocks, hidden), dtype=model.dtype, device=model.device)

    @property
    def reads_ahead(self) -> bool:
        """Whether the MTP module can draft in the call that reads."""
        return self._reader is not None and self._reader.reads_ahead

    @torch.inference_mode()
    def read(
        self,
        work: Items[Work],
        wanted: Items[Wanted] = (),
        *,
        tokens: int = 0,
        confidence: float = 0.0,
    ) -> list[Reading]:
        """One pass of the trunk over all work; drafts too, if `wanted`, as `FusedModel.read`."""
        spans = [Span(item.tokens, item.start, item.sequence.blocks) for item in work]
        scored = [1 + len(item.sequence.drafts) if item.completes else 0 for item in work]
        batch = self._lay_out(spans)
        guessed: list[Guessed | None] = [None] * len(work)
        if self._reader is not None:
            counts = [scored[index] for index in batch.ranked]
            asked = [self._behind(work[i], wanted[i]) for i in batch.ranked] if wanted else ()
            states, rows, found = self._reader.read(
                batch, self._cache, counts, asked, tokens=tokens, confidence=confidence
            )
            if wanted:
                guessed = [*batch.as_given(found)]
            logits = batch.as_given(torch.split(rows, counts)) if len(work) > 1 else [rows]
        else:
            states = self._model.states(batch, self._cache)
            ends = [row + item.count for row, item in zip(batch.order, work, strict=True)]
            last = [states[end - count : end] for end, count in zip(ends, scored, strict=True)]
            logits = [*torch.split(self._model.logits(torch.cat(last)), scored)]
        self._keep_tails(work, batch, states)
        return [
            Reading(item, states[row : row + item.count], part if item.completes else None, guess)
            for item, row, part, guess in zip(work, batch.order, logits, guessed, strict=True)
        ]

    @torch.inference_mode()
    def read_mtp(self, readings: Items[Reading]) -> Tensor:
        """Let the MTP module read what the trunk has read, up to each newest token.

        Its row at a position needs the token there and the state before it, so it is always one
        token ahead: when the trunk has read up to a position, the token there is known.

        Returns:
            The state from which each request's next token is guessed, (readings, hidden).
        """
        spans, before = zip(*[self._pairs(reading) for reading in readings], strict=True)
        return self._mtp_states(spans, before)

    @torch.inference_mode()
    def read_drafts(self, sequences: Items[Sequence], states: Tensor) -> Tensor:
        """Let the MTP module go on behind each newest draft, from the state that guessed it.

        What it writes there is overwritten when the trunk has read the tokens that hold.

        Args:
            sequences: Each with at least one draft.
            states: (sequences, hidden).

        Returns:
            The states of the next guess, (sequences, hidden).
        """
        spans = [
            Span(item.drafts[-1:], len(item.tokens) + len(item.drafts) - 1, item.blocks, first=1)
            for item in sequences
        ]
        return self._mtp_states(spans, torch.split(states, 1))

    @torch.inference_mode()
    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary)."""
        return self._model.logits(states)

    def _mtp_states(self, spans: Items[Span], before: Items[Tensor]) -> Tensor:
        """After each span's last token, (spans, hidden); `before` holds the states before each."""
        batch = self._lay_out(spans)
        if len(before) == 1:
            return self._model.draft_states(batch, before[0], self._cache)[-1:]
        states = self._model.draft_states(batch, self._in_rows(batch, before), self._cache)
        return states[[row + len(part) - 1 for row, part in zip(batch.order, before, strict=True)]]

    def _in_rows(self, batch: Batch, before: Items[Tensor]) -> Tensor:
        """Each span's states where the batch has its tokens, (tokens, hidden)."""
        width, device = before[0].shape[1], before[0].device
        hidden = torch.empty(batch.rows, width, dtype=self._model.dtype, device=device)
        for row, part in zip(batch.order, before, strict=True):
            hidden[row : row + len(part)] = part
        return hidden

    def _lay_out(self, spans: Items[Span]) -> Batch:
        return lay_out(spans, block_size=self._block_size, device=self._model.device)

    def _keep_tails(self, work: Items[Work], batch: Batch, states: Tensor) -> None:
        """Keep the state after the last token of each block that was read to its end."""
        if not self._tails.shape[1]:
            return
        size = self._block_size
        rows, blocks = list[int](), list[int]()
        for item, row in zip(work, batch.order, strict=True):
            full = range(item.start // size, item.end // size)
            rows += [row + (number + 1) * size - 1 - item.start for number in full]
            blocks += item.sequence.blocks[full.start : full.stop]
        if rows:
            self._tails[blocks] = states[rows]

    def _behind(self, work: Work, wanted: Wanted) -> Wanted:
        """With the state before the first token, if the module must begin there."""
        tail = self._tail(work)
        return wanted if tail is None else replace(wanted, before=tail)

    def _tail(self, work: Work) -> Tensor | None:
        """The state before the first token, (hidden), if others have read what is before it."""
        if work.start == 0 or work.start != work.sequence.reused:
            return None
        return self._tails[work.sequence.blocks[work.start // self._block_size - 1]]

    def _pairs(self, reading: Reading) -> tuple[Span, Tensor]:
        """The tokens for the MTP module to read, and the state before each of them."""
        work, sequence = reading.work, reading.work.sequence
        start, end = work.start, sequence.computed
        before = reading.states[: end - start]
        if (tail := self._tail(work)) is not None:
            before = torch.cat((tail[None], before))
        else:
            start += 1
        return Span(sequence.tokens[start : end + 1], start, sequence.blocks, first=1), before


def lazy_zeros(shape: tuple[int, ...], *, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros that on a CPU take memory only where they are written: a cache fills slowly."""
    if device.type != "cpu" or not math.prod(shape):
        return torch.zeros(shape, dtype=dtype, device=device)
    pages = numpy.zeros(math.prod(shape) * dtype.itemsize, dtype=numpy.uint8)
    return torch.from_numpy(pages).view(dtype).view(shape)
