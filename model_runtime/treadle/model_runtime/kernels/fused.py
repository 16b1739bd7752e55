"""The models as one C++ call per step, behind the engine's `Decoder`."""

from array import array
from collections.abc import Sequence
from ctypes import addressof, c_int64
from typing import TypeAlias

import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch
from treadle.model_runtime.config import DeepseekConfig, DenseConfig, ModelConfig
from treadle.model_runtime.kernels.abi import CAhead, CAsked, CStep, Library
from treadle.model_runtime.kernels.describe import Memory, Parts, describe, embedding_of
from treadle.model_runtime.kernels.packing import LANES, pack, stored
from treadle.model_runtime.model import Guessed, Wanted
from treadle.model_runtime.rope import frequencies, rotation, rotation_scale

SEED_MASK = (1 << 64) - 1
Numbers: TypeAlias = "array[int]"


class FusedModel:
    """A model whose step is one call; the cache is float32 and lies as the plain model's does."""

    def __init__(self, parts: Parts, library: Library, *, threads: int) -> None:
        self.config: ModelConfig = parts.config
        self.dtype = torch.float32
        self.device = torch.device("cpu")
        self._library = library
        self._memory = Memory()
        head = pack(stored(parts.head))
        # With a tied head the packed rows serve as embeddings: no second copy.
        self._embedding = head if parts.head is parts.embedding else parts.embedding
        self._model = describe(parts, head, self._memory, threads=threads)
        self._model.embedding = embedding_of(self._embedding, self._model.head)
        self.mtp_depth: int = self._model.modules
        self.cache_layers = parts.config.layers + self.mtp_depth
        self.cache_width = _cache_width(parts.config)
        # A step of a small model takes less time than these few cosines, so they are kept.
        rope, positions = parts.config.rope, torch.arange(parts.config.max_positions)
        turns = rotation(frequencies(rope), positions, scale=rotation_scale(rope))
        self._turns = turns.cos.contiguous(), turns.sin.contiguous()

    @property
    def bytes(self) -> int:
        """Of the packed weights."""
        return self._memory.bytes

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden), float32."""
        x = self._embedded(batch)
        step, kept = self._step(batch, cache, layers=self.config.layers)
        self._library.trunk(self._model, step, x.data_ptr())
        del kept
        return x

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        states = states.contiguous()
        out = torch.empty(states.shape[0], self._model.head.n)
        self._library.logits(
            self._model, states=states.data_ptr(), count=states.shape[0], out=out.data_ptr()
        )
        return out

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """MTP module `depth` on tokens and the states before them; feeds `logits`."""
        x = self._embedded(batch)
        hidden = hidden.contiguous()
        step, kept = self._step(batch, cache, layers=self.config.layers + depth + 1)
        self._library.draft(
            self._model, step, hidden=hidden.data_ptr(), x=x.data_ptr(), depth=depth
        )
        del kept
        return x

    @property
    def reads_ahead(self) -> bool:
        """Whether `read` can draft: it needs an MTP module, and embeddings that C++ can look up."""
        return self.mtp_depth > 0 and bool(self._model.embedding.data)

    def read(
        self,
        batch: Batch,
        cache: Tensor,
        scored: Sequence[int],
        wanted: Sequence[Wanted] = (),
        *,
        tokens: int = 0,
        confidence: float = 0.0,
    ) -> tuple[Tensor, Tensor, list[Guessed]]:
        """A whole step: all layers, the head, and drafts for the next step.

        Args:
            batch: The tokens; drafts to verify are each request's last.
            cache: The cache, all layers.
            scored: For each span, how many of its last tokens the head is applied to: those from
                the last known one on.
            wanted: For each span, if `reads_ahead`; their blocks have room for what is drafted. MTP
                module 0 reads the tokens that hold if each next one is drawn plainly, and guesses
                on behind them.
            tokens: How many there are; the head may be wider.
            confidence: A draft is left out, and all behind it, if the module gives less than this
                probability to all of them being right.

        Returns:
            The states after the last norm, (tokens, hidden), and (sum of `scored`, vocabulary),
            both float32 and in the batch's order; what was guessed for each span in `wanted`.
        """
        x = self._embedded(batch)
        layers = self.config.layers + bool(wanted)
        most = max((item.count for item in wanted), default=0)
        step, kept = self._step(batch, cache, layers=layers, ahead=max(most, 1) if wanted else 0)
        scores = torch.empty(sum(scored), self._model.head.n)
        counts = array("i", scored)
        guesses = _Guesses(wanted, max(most, 1))
        self._library.read(
            self._model,
            step,
            x=x.data_ptr(),
            scored=counts.buffer_info()[0],
            scores=scores.data_ptr(),
            ahead=guesses.ahead(tokens, confidence) if wanted else None,
        )
        del kept
        return x, scores, guesses.found()

    def _embedded(self, batch: Batch) -> Tensor:
        """Room for the embeddings if the kernel looks them up, or they; (tokens, hidden)."""
        if self._model.embedding.data:
            return torch.empty(batch.rows, self.config.hidden_size)
        return self._embedding.rows(batch.tokens).float()

    def _step(
        self, batch: Batch, cache: Tensor, *, layers: int, ahead: int = 0
    ) -> tuple[CStep, list[Numbers]]:
        """The batch by address, and the numbers that must outlive the call.

        Blocks are named for `ahead` more positions than the batch has.
        """
        if cache.dtype != torch.float32 or not cache.is_contiguous():
            raise TypeError("the fused kernel keeps its cache in contiguous float32")
        if cache.shape[0] < layers or cache.shape[2] != self.cache_width:
            raise ValueError(f"a cache of {tuple(cache.shape)} is not this model's")
        cos, sin = self._turns
        ids = batch.listed() if self._model.embedding.data else []
        kept = [array("q", ids), *_numbers(batch, ahead)]
        step = CStep(
            batch.rows,
            len(batch.spans),
            batch.block_size,
            batch.spans[0].first,
            *[numbers.buffer_info()[0] if numbers else None for numbers in kept],
            cos.data_ptr(),
            sin.data_ptr(),
            cos.shape[0],
            cache.data_ptr(),
            cache.stride(0),
            cache.shape[2],
            cache.shape[1],
        )
        return step, kept


class _Guesses:
    """What each request asks for, and room for the answers; it must outlive the call."""

    def __init__(self, wanted: Sequence[Wanted], most: int) -> None:
        self._most = most
        self._asked = (CAsked * len(wanted))(*map(_asked, wanted))
        self._out = (c_int64 * (len(wanted) * most))()

    def ahead(self, tokens: int, confidence: float) -> CAhead:
        out = addressof(self._out)
        return CAhead(addressof(self._asked), out, self._most, tokens, confidence)

    def found(self) -> list[Guessed]:
        rows = range(0, len(self._out), self._most)
        return [
            Guessed(asked.held, asked.newest, self._out[row : row + asked.made])
            for asked, row in zip(self._asked, rows, strict=True)
        ]


def _asked(wanted: Wanted) -> CAsked:
    following = -1 if wanted.following is None else wanted.following
    before = None if wanted.before is None else wanted.before.data_ptr()
    return CAsked(wanted.count, wanted.temperature, wanted.seed & SEED_MASK, following, before)


def _numbers(batch: Batch, ahead: int) -> list[Numbers]:
    """Each token's position and request, all requests' blocks, and where each one's begin.

    Arrays rather than tensors: a step of a small model takes less time than a few tensors do.
    """
    positions, requests, blocks, edges = array("q"), array("i"), array("i"), array("q", [0])
    for index, span in enumerate(batch.spans):
        if span.first != batch.spans[0].first:
            raise ValueError("the requests of one step see from the same position on")
        positions.extend(range(span.start, span.end))
        requests.extend([index] * len(span.tokens))
        blocks.extend(span.blocks[: -(-(span.end + ahead) // batch.block_size)])
        edges.append(len(blocks))
    return [positions, requests, blocks, edges]


def supports(config: ModelConfig) -> bool:
    """Whether the kernel's fixed widths fit: heads and latents in multiples of 16 values."""
    match config:
        case DeepseekConfig():
            widths = (config.kv_lora_rank, config.kv_lora_rank + config.rope_dim)
            return all(width % LANES == 0 for width in widths) and config.hidden_size % 2 == 0
        case DenseConfig():
            return config.head_dim % LANES == 0


def _cache_width(config: ModelConfig) -> int:
    """Values in one row, as in the plain models."""
    match config:
        case DeepseekConfig():
            return config.kv_lora_rank + config.rope_dim
        case DenseConfig():
            return 2 * config.kv_heads * config.head_dim
