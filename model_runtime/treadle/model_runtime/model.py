"""DeepSeek-V3: embeddings, blocks, last norm, head, and the MTP modules behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch
from treadle.model_runtime.block import Block, load_block
from treadle.model_runtime.config import DeepseekConfig, ModelConfig
from treadle.model_runtime.layers import Norm, load_norm
from treadle.model_runtime.mtp import MtpModule, load_mtp
from treadle.model_runtime.quant import Matrix
from treadle.model_runtime.rope import Rotation, frequencies, rotation, rotation_scale
from treadle.model_runtime.weights import Source


class Decoder(Protocol):
    """What the engine drives: the plain models here, or a fused kernel in their place.

    The cache is (cache_layers, slots, cache_width); the model writes the rows of the batch's
    tokens and reads those of their contexts. What a row means is the model's own business.
    """

    @property
    def config(self) -> ModelConfig:
        """As read from the checkpoint."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Of states and cache."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        ...

    @property
    def cache_layers(self) -> int:
        """Layers of the cache; those of the MTP modules come last."""
        ...

    @property
    def cache_width(self) -> int:
        """Values in one row."""
        ...

    @property
    def mtp_depth(self) -> int:
        """How many MTP modules can draft."""
        ...

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden)."""
        ...

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        ...

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """MTP module `depth` on tokens and the states before them; feeds `logits`."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the MTP module shall do for one request behind the tokens of a step.

    Attributes:
        count: Drafts wanted; with fewer than none the module does not read either.
        temperature, seed: How they, and the tokens before them, are drawn; see `noise`.
        following: The token after the step's last, if it is known already.
        before: The state before the step's first token, (hidden), float32, if the module has not
            read that token yet: where a request reads on behind blocks of others.
    """

    count: int
    temperature: float = 0
    seed: int = 0
    following: int | None = None
    before: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Guessed:
    """What the MTP module guessed for one request.

    Attributes:
        held: Of the step's tokens, those that it took to be right.
        newest: The token that it took to follow them.
        drafts: Guesses for the tokens behind that one.
    """

    held: int
    newest: int
    drafts: list[int]


@runtime_checkable
class Reader(Protocol):
    """A decoder that takes a whole step in one call."""

    @property
    def reads_ahead(self) -> bool:
        """Whether its MTP module can draft in the same call."""
        ...

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
        """As `FusedModel.read`."""
        ...


@dataclass(frozen=True, slots=True)
class DeepseekModel:
    """The whole checkpoint in memory; holds no state between calls."""

    config: DeepseekConfig
    embedding: Matrix
    blocks: tuple[Block, ...]
    norm: Norm
    head: Matrix
    modules: tuple[MtpModule, ...]
    angles: Tensor

    @property
    def dtype(self) -> torch.dtype:
        """Of states and cache."""
        return self.norm.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.norm.weight.device

    @property
    def cache_layers(self) -> int:
        """One per block and one per MTP module."""
        return len(self.blocks) + len(self.modules)

    @property
    def cache_width(self) -> int:
        """The latent and the shared key."""
        return self.config.kv_lora_rank + self.config.rope_dim

    @property
    def mtp_depth(self) -> int:
        """The MTP modules loaded."""
        return len(self.modules)

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """Run the trunk: the states after its last norm, (tokens, hidden)."""
        x, turn = self.embedding.rows(batch.tokens), self._turn(batch)
        for block, rows in zip(self.blocks, cache, strict=False):
            x = block(x, turn, batch, rows)
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        return self.head(states).float()

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """Run one MTP module over tokens and the states one position earlier; (tokens, hidden)."""
        rows = cache[len(self.blocks) + depth]
        embedded = self.embedding.rows(batch.tokens)
        return self.modules[depth](embedded, hidden, self._turn(batch), batch, rows)

    def _turn(self, batch: Batch) -> Rotation:
        return rotation(self.angles, batch.positions, scale=rotation_scale(self.config.rope))


def load_deepseek(source: Source, config: DeepseekConfig) -> DeepseekModel:
    """Build the model from its tensors."""
    embedding = source.table("model.embed_tokens", config.vocab_size, config.hidden_size)
    norm = load_norm(source, "model.norm", config.hidden_size, config.rms_norm_eps)
    return DeepseekModel(
        config=config,
        embedding=embedding,
        blocks=tuple(load_block(source, config, layer) for layer in range(config.layers)),
        norm=norm,
        head=embedding
        if config.tied_head
        else source.matrix("lm_head", config.vocab_size, config.hidden_size),
        modules=tuple(load_mtp(source, config, depth) for depth in range(config.mtp_layers)),
        angles=frequencies(config.rope).to(norm.weight.device),
    )
