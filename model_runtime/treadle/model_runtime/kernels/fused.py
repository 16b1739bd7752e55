"""The models as one C++ call per step, behind the engine's `Decoder`."""

import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch
from treadle.model_runtime.config import DeepseekConfig, DenseConfig, ModelConfig
from treadle.model_runtime.kernels.abi import CStep, Library
from treadle.model_runtime.kernels.describe import Memory, Parts, describe
from treadle.model_runtime.kernels.packing import LANES, pack, stored
from treadle.model_runtime.rope import frequencies, rotation, rotation_scale


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
        self.mtp_depth: int = self._model.modules
        self.cache_layers = parts.config.layers + self.mtp_depth
        self.cache_width = _cache_width(parts.config)
        # A step of a small model takes less time than these few cosines, so they are kept.
        rope, positions = parts.config.rope, torch.arange(parts.config.max_positions)
        self._turns = rotation(frequencies(rope), positions, scale=rotation_scale(rope))

    @property
    def bytes(self) -> int:
        """Of the packed weights."""
        return self._memory.bytes

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden), float32."""
        x = self._embedding.rows(batch.tokens).float()
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
        x = self._embedding.rows(batch.tokens).float()
        hidden = hidden.contiguous()
        step, kept = self._step(batch, cache, layers=self.config.layers + depth + 1)
        self._library.draft(
            self._model, step, hidden=hidden.data_ptr(), x=x.data_ptr(), depth=depth
        )
        del kept
        return x

    def _step(
        self, batch: Batch, cache: Tensor, *, layers: int
    ) -> tuple[CStep, tuple[Tensor, ...]]:
        """The batch by address, and the tensors that must outlive the call."""
        if cache.dtype != torch.float32 or not cache.is_contiguous():
            raise TypeError("the fused kernel keeps its cache in contiguous float32")
        if cache.shape[0] < layers or cache.shape[2] != self.cache_width:
            raise ValueError(f"a cache of {tuple(cache.shape)} is not this model's")
        cos, sin = self._turns.cos[batch.positions], self._turns.sin[batch.positions]
        tables = [group.table.contiguous() for group in batch.groups]
        starts = torch.tensor(
            [
                table.data_ptr() + 8 * table.shape[1] * request
                for table, group in zip(tables, batch.groups, strict=True)
                for request in range(table.shape[0])
                for _ in range(group.new)
            ]
        )
        visible = torch.cat([group.mask.sum(-1).flatten() for group in batch.groups]).int()
        step = CStep(
            batch.tokens.shape[0],
            batch.slots.data_ptr(),
            starts.data_ptr(),
            visible.data_ptr(),
            cos.data_ptr(),
            sin.data_ptr(),
            cache.data_ptr(),
            cache.stride(0),
            cache.shape[2],
            cache.shape[1],
        )
        return step, (cos, sin, starts, visible, *tables)


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
