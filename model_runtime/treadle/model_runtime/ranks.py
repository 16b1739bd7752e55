"""The ranks of one model as processes: rank 0 plans and chooses, the others compute along.

What a step computes is sent as whole numbers, never as pickled objects, over a group of its own;
weights' parts are summed over gloo on CPUs and NCCL on GPUs.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

import torch
from torch import Tensor, distributed

from treadle.model_runtime.batch import Batch, Span, lay_out
from treadle.model_runtime.config import ModelConfig
from treadle.model_runtime.model import Decoder

log = logging.getLogger(__name__)
# A server may be idle for long; what ends a wait is the end of a rank, which breaks connections.
PATIENCE = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class ProcessRanks:
    """The default process group, and one beside it for what is planned."""

    rank: int
    size: int
    device: torch.device
    plans: distributed.ProcessGroup

    def summed(self, x: Tensor) -> Tensor:
        """The sum over all ranks, equal to the last bit on each.

        Two parts are equal in either order; with more, every piece is summed on one rank and
        passed around.
        """
        out = x.contiguous().clone()
        distributed.all_reduce(out)
        return out

    def joined(self, x: Tensor) -> Tensor:
        """All ranks' parts side by side in the last dimension."""
        parts = [torch.empty_like(x) for _ in range(self.size)]
        distributed.all_gather(parts, x.contiguous())
        return torch.cat(parts, dim=-1)


def join(*, rank: int | None = None, size: int | None = None, meet: str = "env://") -> ProcessRanks:
    """Join the others: by number at a meeting point, or as torchrun's environment says."""
    cuda = torch.cuda.is_available()
    distributed.init_process_group(
        "nccl" if cuda else "gloo",
        init_method=meet,
        rank=-1 if rank is None else rank,
        world_size=-1 if size is None else size,
        timeout=PATIENCE,
    )
    mine, all_ranks = distributed.get_rank(), distributed.get_world_size()
    device = torch.device("cpu")
    if cuda:
        device = torch.device("cuda", mine % torch.cuda.device_count())
        torch.cuda.set_device(device)
    plans = distributed.new_group(backend="gloo", timeout=PATIENCE)
    if not isinstance(plans, distributed.ProcessGroup):  # a number, for ranks that are left out
        raise TypeError(f"rank {mine} was left out of the group of all ranks")
    log.info("ranks.joined rank=%d size=%d device=%s", mine, all_ranks, device)
    return ProcessRanks(mine, all_ranks, device, plans)


class Kind(IntEnum):
    """What all ranks compute next."""

    STOP = 0
    STATES = 1
    LOGITS = 2
    DRAFT = 3


class LeadingModel:
    """Rank 0's model, which tells the others before it computes; the engine sees no difference."""

    def __init__(self, model: Decoder, ranks: ProcessRanks) -> None:
        self.own, self._ranks = model, ranks
        self.config: ModelConfig = model.config
        self.dtype, self.device = model.dtype, model.device
        self.cache_layers, self.cache_width = model.cache_layers, model.cache_width
        self.mtp_depth = model.mtp_depth

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden)."""
        self._tell(Kind.STATES, encoded(batch), cache)
        return self.own.states(batch, cache)

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        self._tell(Kind.LOGITS, [states.shape[0]])
        self._share(states)
        return self.own.logits(states)

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """MTP module `depth` on tokens and the states before them; feeds `logits`."""
        self._tell(Kind.DRAFT, [depth, *encoded(batch)], cache)
        self._share(hidden)
        return self.own.draft_states(batch, hidden, cache, depth)

    def stop(self) -> None:
        """Let the others end."""
        self._tell(Kind.STOP, [])

    def _tell(self, kind: Kind, numbers: list[int], cache: Tensor | None = None) -> None:
        shape = [0, 0] if cache is None else [cache.shape[0], cache.shape[1]]
        head = torch.tensor([kind, len(numbers), *shape])
        distributed.broadcast(head, 0, group=self._ranks.plans)
        if numbers:
            distributed.broadcast(torch.tensor(numbers), 0, group=self._ranks.plans)

    def _share(self, x: Tensor) -> None:
        distributed.broadcast(x.contiguous(), 0)


@torch.inference_mode()
def follow(model: Decoder, ranks: ProcessRanks) -> None:
    """Compute along with rank 0 until it says stop; the cache is as large as rank 0's."""
    cache: Tensor | None = None
    while True:
        head = torch.empty(4, dtype=torch.int64)
        distributed.broadcast(head, 0, group=ranks.plans)
        kind, length, layers, slots = (int(number) for number in head)
        numbers = torch.empty(length, dtype=torch.int64)
        if length:
            distributed.broadcast(numbers, 0, group=ranks.plans)
        if kind == Kind.STOP:
            return
        if layers and (cache is None or cache.shape[:2] != (layers, slots)):
            shape = (layers, slots, model.cache_width)
            cache = torch.zeros(shape, dtype=model.dtype, device=model.device)
        _compute(Kind(kind), numbers.tolist(), model, cache)


def _compute(kind: Kind, numbers: list[int], model: Decoder, cache: Tensor | None) -> None:
    """One call of the model, its result dropped: the sums on the way are what others need."""
    if kind is Kind.LOGITS:
        model.logits(_received(numbers[0], model))
        return
    assert cache is not None  # noqa: S101 - rank 0 sends its shape with every step
    if kind is Kind.STATES:
        model.states(decoded(numbers, model.device), cache)
        return
    batch = decoded(numbers[1:], model.device)
    model.draft_states(batch, _received(batch.rows, model), cache, numbers[0])


def _received(rows: int, model: Decoder) -> Tensor:
    shape = (rows, model.config.hidden_size)
    states = torch.empty(shape, dtype=model.dtype, device=model.device)
    distributed.broadcast(states, 0)
    return states


def encoded(batch: Batch) -> list[int]:
    """A batch as whole numbers: the size of a block, then each request's part."""
    numbers = [batch.block_size]
    for span in batch.spans:
        blocks = span.blocks[: -(-span.end // batch.block_size)]
        numbers += [span.start, span.first, len(span.tokens), len(blocks), *span.tokens, *blocks]
    return numbers


def decoded(numbers: Sequence[int], device: torch.device) -> Batch:
    """The batch that `encoded` wrote."""
    block_size, *rest = numbers
    spans: list[Span] = []
    while rest:
        start, first, tokens, blocks, *rest = rest
        spans.append(Span(rest[:tokens], start, rest[tokens : tokens + blocks], first))
        rest = rest[tokens + blocks :]
    return lay_out(spans, block_size=block_size, device=device)
