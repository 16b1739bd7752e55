"""Multi-head latent attention over a paged cache of compressed rows, in its two forms.

A cache row is `[latent ; key]`: the normed latent, (kv_rank), and the one rotated key that all
heads share, (rope). Both forms read the same rows.

Source: DeepSeek-V2, arXiv:2405.04434, section 2.1; DeepSeek-V3, arXiv:2412.19437, section 2.1.1;
reference: inference/model.py, `MLA.forward`.
"""

from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.batch import Batch, Group
from treadle.model_runtime.config import DeepseekConfig
from treadle.model_runtime.layers import Norm, load_norm
from treadle.model_runtime.quant import Matrix
from treadle.model_runtime.rope import Rotation, rotate_halves, rotate_pairs, softmax_scale
from treadle.model_runtime.weights import Source

# Transformers builds both inner norms with its default, not with `rms_norm_eps`; the checkpoints
# where the two differ (Moonlight's 1e-5) are compared with Transformers.
INNER_EPS = 1e-6


class Form(StrEnum):
    """How scores are computed; `AUTO` takes the cheaper one for each group."""

    AUTO = "auto"
    PLAIN = "plain"
    ABSORBED = "absorbed"


@dataclass(frozen=True, slots=True)
class Sizes:
    """The widths of one head and of the latent."""

    heads: int
    nope: int
    rope: int
    value: int
    kv_rank: int

    def absorbs(self, new: int) -> bool:
        """Whether absorbing costs less multiply-adds for `new` tokens over a long context.

        Plain pays kv_rank·(nope + value) for each key, absorbed for each query, and per pair
        2·kv_rank + rope against nope + rope + value: they meet at 171 tokens for V3.
        """
        dearer = 2 * self.kv_rank - self.nope - self.value
        return dearer <= 0 or new * dearer < self.kv_rank * (self.nope + self.value)


@dataclass(frozen=True, slots=True)
class Queries:
    """From hidden states to queries, through a low rank where the checkpoint has one."""

    down: Matrix | None
    norm: Norm | None
    up: Matrix

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, hidden) to (tokens, heads · (nope + rope))."""
        if self.down is not None and self.norm is not None:
            x = self.norm(self.down(x))
        return self.up(x)


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """One layer's attention; `key_up` is (heads, nope, kv_rank), `value_up` (heads, value, …)."""

    sizes: Sizes
    queries: Queries
    kv_down: Matrix
    kv_norm: Norm
    key_up: Tensor
    value_up: Tensor
    out: Matrix
    scale: float
    interleaved: bool
    form: Form = Form.AUTO

    def __call__(self, x: Tensor, turn: Rotation, batch: Batch, cache: Tensor) -> Tensor:
        """Write the new tokens' rows, then let each token look back over its request.

        Args:
            x: (tokens, hidden).
            turn: The rotation of each token.
            batch: Where tokens lie and what they see.
            cache: This layer's rows, (slots, kv_rank + rope); written in place.

        Returns:
            (tokens, hidden).
        """
        nope, rope = self._queries(x, turn)
        cache[batch.slots] = self._rows(x, turn).to(cache.dtype)
        seen = [self._attend(nope, rope, group, cache) for group in batch.groups]
        return self.out(torch.cat(seen).flatten(1))

    def _queries(self, x: Tensor, turn: Rotation) -> tuple[Tensor, Tensor]:
        """(tokens, hidden) to (tokens, heads, nope) and, rotated, (tokens, heads, rope)."""
        sizes = self.sizes
        q = self.queries(x).view(x.shape[0], sizes.heads, sizes.nope + sizes.rope)
        nope, rope = torch.split(q, [sizes.nope, sizes.rope], dim=-1)
        return nope, self._rotate(rope, turn)

    def _rows(self, x: Tensor, turn: Rotation) -> Tensor:
        """(tokens, hidden) to cache rows, (tokens, kv_rank + rope): normed and rotated."""
        sizes = self.sizes
        latent, key = torch.split(self.kv_down(x), [sizes.kv_rank, sizes.rope], dim=-1)
        key = self._rotate(key[:, None], turn)[:, 0]
        return torch.cat((self.kv_norm(latent), key), dim=-1)

    def _rotate(self, x: Tensor, turn: Rotation) -> Tensor:
        return rotate_pairs(x, turn) if self.interleaved else rotate_halves(x, turn)

    def _attend(self, nope: Tensor, rope: Tensor, group: Group, cache: Tensor) -> Tensor:
        """One group's heads: (requests · new, heads, value)."""
        requests = group.table.shape[0]
        nope = nope[group.rows].view(requests, group.new, *nope.shape[1:])
        rope = rope[group.rows].view(requests, group.new, *rope.shape[1:])
        rows = cache[group.table].to(nope.dtype)
        absorbs = self.form is Form.ABSORBED or (
            self.form is Form.AUTO and self.sizes.absorbs(group.new)
        )
        attend = self.absorbed if absorbs else self.plain
        return attend(nope, rope, rows, group.mask).flatten(0, 1)

    def plain(self, nope: Tensor, rope: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Expand every row to keys and values of all heads: cheaper for many new tokens.

        Args:
            nope: (requests, new, heads, nope).
            rope: (requests, new, heads, rope).
            rows: (requests, context, kv_rank + rope).
            mask: (requests, new, context).

        Returns:
            (requests, new, heads, value).

        Source: DeepSeek-V2, arXiv:2405.04434, eq. 9 to 19.
        """
        latent, key = torch.split(rows, [self.sizes.kv_rank, self.sizes.rope], dim=-1)
        keys = torch.einsum("rck,hnk->rhcn", latent, self.key_up)
        values = torch.einsum("rck,hvk->rhcv", latent, self.value_up)
        shared = key[:, None].expand(-1, self.sizes.heads, -1, -1)
        out = functional.scaled_dot_product_attention(
            torch.cat((nope, rope), dim=-1).transpose(1, 2),
            torch.cat((keys, shared), dim=-1),
            values,
            attn_mask=mask[:, None],
            scale=self.scale,
        )
        return out.transpose(1, 2)

    def absorbed(self, nope: Tensor, rope: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Move the key up-projection into the query, so that all heads share one row as key.

        Arguments and result as in `plain`; scores and their softmax are float32.

        Source: DeepSeek-V2, arXiv:2405.04434, section 2.1.2, last paragraph.
        """
        requests, new, heads, _ = nope.shape
        lifted = torch.einsum("rshn,hnk->rshk", nope, self.key_up)
        query = torch.cat((lifted, rope), dim=-1).flatten(1, 2)
        scores = (query @ rows.transpose(1, 2)).float() * self.scale
        scores = scores.view(requests, new, heads, -1)
        weights = scores.masked_fill(~mask[:, :, None], -torch.inf).softmax(dim=-1)
        latent = rows[..., : self.sizes.kv_rank]
        mixed = weights.to(rows.dtype).flatten(1, 2) @ latent
        mixed = mixed.view(requests, new, heads, self.sizes.kv_rank)
        return torch.einsum("rshk,hvk->rshv", mixed, self.value_up)


def load_attention(
    source: Source, name: str, config: DeepseekConfig, *, form: Form = Form.AUTO
) -> LatentAttention:
    """The attention under `name`; the up-projection is widened, for it is used transposed too."""
    sizes = Sizes(
        config.heads, config.nope_dim, config.rope_dim, config.value_dim, config.kv_lora_rank
    )
    per_head = sizes.nope + sizes.value
    kv_up = source.tensor(f"{name}.kv_b_proj.weight", sizes.heads * per_head, sizes.kv_rank)
    key_up, value_up = torch.split(
        kv_up.view(sizes.heads, per_head, sizes.kv_rank), [sizes.nope, sizes.value], dim=1
    )
    bias, hidden = config.attention_bias, config.hidden_size
    return LatentAttention(
        sizes=sizes,
        queries=_load_queries(source, name, config),
        kv_down=source.matrix(
            f"{name}.kv_a_proj_with_mqa", sizes.kv_rank + sizes.rope, hidden, bias=bias
        ),
        kv_norm=load_norm(source, f"{name}.kv_a_layernorm", sizes.kv_rank, INNER_EPS),
        key_up=key_up,
        value_up=value_up,
        out=source.matrix(f"{name}.o_proj", hidden, sizes.heads * sizes.value, bias=bias),
        scale=softmax_scale(config.rope, sizes.nope + sizes.rope),
        interleaved=config.rope_interleave,
        form=form,
    )


def _load_queries(source: Source, name: str, config: DeepseekConfig) -> Queries:
    width, hidden = config.heads * (config.nope_dim + config.rope_dim), config.hidden_size
    rank = config.q_lora_rank
    if rank is None:
        return Queries(None, None, source.matrix(f"{name}.q_proj", width, hidden))
    return Queries(
        down=source.matrix(f"{name}.q_a_proj", rank, hidden, bias=config.attention_bias),
        norm=load_norm(source, f"{name}.q_a_layernorm", rank, INNER_EPS),
        up=source.matrix(f"{name}.q_b_proj", width, rank),
    )
