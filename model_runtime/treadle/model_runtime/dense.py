"""The dense family, Llama and Qwen2: grouped-query attention and SwiGLU.

Sources: Llama 2, arXiv:2307.09288, section 2.2; grouped queries, arXiv:2305.13245;
Transformers, `LlamaForCausalLM` and `Qwen2ForCausalLM`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.batch import Batch, Group
from treadle.model_runtime.config import DenseConfig
from treadle.model_runtime.layers import FeedForward, Norm, load_feed_forward, load_norm
from treadle.model_runtime.quant import Matrix
from treadle.model_runtime.rope import (
    Rotation,
    frequencies,
    rotate_halves,
    rotation,
    rotation_scale,
)
from treadle.model_runtime.weights import Source


@dataclass(frozen=True, slots=True)
class GroupedAttention:
    """Each key-value head serves several query heads; a cache row is `[keys ; values]`."""

    heads: int
    kv_heads: int
    head_dim: int
    query: Matrix
    key: Matrix
    value: Matrix
    out: Matrix

    def __call__(self, x: Tensor, turn: Rotation, batch: Batch, cache: Tensor) -> Tensor:
        """(tokens, hidden) to the same; writes rows of (2 · kv_heads · head_dim) to `cache`."""
        tokens = x.shape[0]
        q = rotate_halves(self.query(x).view(tokens, self.heads, self.head_dim), turn)
        k = rotate_halves(self.key(x).view(tokens, self.kv_heads, self.head_dim), turn)
        cache[batch.slots] = torch.cat((k.flatten(1), self.value(x)), dim=-1).to(cache.dtype)
        return self.out(torch.cat([self._attend(q, group, cache) for group in batch.groups]))

    def _attend(self, q: Tensor, group: Group, cache: Tensor) -> Tensor:
        """One group's heads side by side: (requests · new, heads · head_dim).

        Query heads that share a key head are laid out as further queries of that head, so that
        keys are not repeated in memory.
        """
        requests, context = group.table.shape
        shared = self.heads // self.kv_heads
        rows = cache[group.table].to(q.dtype)
        rows = rows.view(requests, context, 2, self.kv_heads, self.head_dim)
        keys, values = rows.permute(2, 0, 3, 1, 4)
        q = q[group.rows].view(requests, group.new, self.kv_heads, shared, self.head_dim)
        q = q.permute(0, 2, 3, 1, 4).flatten(2, 3)
        mask = group.mask[:, None].repeat(1, 1, shared, 1)
        out = functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        out = out.view(requests, self.kv_heads, shared, group.new, self.head_dim).permute(
            0, 3, 1, 2, 4
        )
        return out.reshape(requests * group.new, self.heads * self.head_dim)


@dataclass(frozen=True, slots=True)
class DenseBlock:
    """Pre-norm residual layer."""

    attention_norm: Norm
    attention: GroupedAttention
    mlp_norm: Norm
    mlp: FeedForward

    def __call__(self, x: Tensor, turn: Rotation, batch: Batch, cache: Tensor) -> Tensor:
        """(tokens, hidden) to the same; writes this layer's cache rows."""
        x = x + self.attention(self.attention_norm(x), turn, batch, cache)
        return x + self.mlp(self.mlp_norm(x))


@dataclass(frozen=True, slots=True)
class DenseModel:
    """The whole checkpoint in memory; holds no state between calls."""

    config: DenseConfig
    embedding: Matrix
    blocks: tuple[DenseBlock, ...]
    norm: Norm
    head: Matrix
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
        """One per block."""
        return len(self.blocks)

    @property
    def cache_width(self) -> int:
        """Keys and values of all key-value heads."""
        return 2 * self.config.kv_heads * self.config.head_dim

    @property
    def mtp_depth(self) -> int:
        """The family has no MTP modules."""
        return 0

    def states(self, batch: Batch, cache: Tensor) -> Tensor:
        """The states after the last norm, (tokens, hidden)."""
        x = self.embedding.rows(batch.tokens).to(self.dtype)
        scale = rotation_scale(self.config.rope)
        turn = rotation(self.angles, batch.positions, scale=scale)
        for block, rows in zip(self.blocks, cache, strict=True):
            x = block(x, turn, batch, rows)
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """(rows, hidden) to (rows, vocabulary), float32."""
        return self.head(states).float()

    def draft_states(self, batch: Batch, hidden: Tensor, cache: Tensor, depth: int = 0) -> Tensor:
        """Never called: `mtp_depth` is 0."""
        raise NotImplementedError(f"{self.config.model_type!r} has no MTP modules")


def load_dense(source: Source, config: DenseConfig) -> DenseModel:
    """Build the model from its tensors."""
    embedding = source.table("model.embed_tokens", config.vocab_size, config.hidden_size)
    norm = load_norm(source, "model.norm", config.hidden_size, config.rms_norm_eps)
    return DenseModel(
        config=config,
        embedding=embedding,
        blocks=tuple(load_dense_block(source, config, layer) for layer in range(config.layers)),
        norm=norm,
        head=embedding
        if config.tied_head
        else source.matrix("lm_head", config.vocab_size, config.hidden_size),
        angles=frequencies(config.rope).to(norm.weight.device),
    )


def load_dense_block(source: Source, config: DenseConfig, layer: int) -> DenseBlock:
    """Layer number `layer`."""
    name = f"model.layers.{layer}"
    hidden, eps = config.hidden_size, config.rms_norm_eps
    return DenseBlock(
        attention_norm=load_norm(source, f"{name}.input_layernorm", hidden, eps),
        attention=_load_attention(source, f"{name}.self_attn", config),
        mlp_norm=load_norm(source, f"{name}.post_attention_layernorm", hidden, eps),
        mlp=load_feed_forward(source, f"{name}.mlp", hidden, config.intermediate_size),
    )


def _load_attention(source: Source, name: str, config: DenseConfig) -> GroupedAttention:
    """Qwen2 always has biases on queries, keys and values; Llama on all four if it says so."""
    hidden, width = config.hidden_size, config.heads * config.head_dim
    kv_width = config.kv_heads * config.head_dim
    bias = config.attention_bias or config.model_type == "qwen2"
    return GroupedAttention(
        heads=config.heads,
        kv_heads=config.kv_heads,
        head_dim=config.head_dim,
        query=source.matrix(f"{name}.q_proj", width, hidden, bias=bias),
        key=source.matrix(f"{name}.k_proj", kv_width, hidden, bias=bias),
        value=source.matrix(f"{name}.v_proj", kv_width, hidden, bias=bias),
        out=source.matrix(f"{name}.o_proj", hidden, width, bias=config.attention_bias),
    )
