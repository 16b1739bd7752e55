"""deepseek-ai/FlashMLA's dense decode on one head of keys, in plain PyTorch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Schedule:
    """Belongs to one step: all calls with it bring the same sizes and the same lengths."""

    config: tuple[int, ...] | None = None
    lengths: Tensor | None = None


def get_mla_metadata(*_: object, **__: object) -> tuple[Schedule, None]:
    return Schedule(), None


def flash_mla_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    block_table: Tensor,
    cache_seqlens: Tensor,
    head_dim_v: int,
    tile_scheduler_metadata: Schedule,
    num_splits: None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> tuple[Tensor, None]:
    assert num_splits is None
    assert not causal
    assert softmax_scale is not None
    batch, new, heads, width = q.shape
    _, size, key_heads, key_width = k_cache.shape
    assert (new, size, key_heads, key_width, width, head_dim_v) == (1, 64, 1, 576, 576, 512)
    assert q.dtype == k_cache.dtype == torch.bfloat16
    assert block_table.dtype == cache_seqlens.dtype == torch.int32
    assert cache_seqlens.shape == (batch,)
    assert block_table.shape[0] == batch
    assert cache_seqlens.is_contiguous()
    assert q.stride(-1) == k_cache.stride(-1) == block_table.stride(-1) == 1
    schedule = tile_scheduler_metadata
    if schedule.config is None:
        schedule.config, schedule.lengths = (batch, new, heads, size), cache_seqlens.clone()
    assert schedule.lengths is not None
    assert schedule.config == (batch, new, heads, size)
    assert torch.equal(schedule.lengths, cache_seqlens)
    found = [
        attended(q[row, 0], k_cache[table.long()].flatten(0, 2)[: int(seen)], softmax_scale)
        for row, (table, seen) in enumerate(zip(block_table, cache_seqlens, strict=True))
    ]
    return torch.stack(found)[:, None], None


def attended(query: Tensor, rows: Tensor, scale: float) -> Tensor:
    """(heads, 576) over (context, 576) to (heads, 512)."""
    wide = rows.float()
    weights = (query.float() @ wide.T * scale).softmax(dim=-1)
    return (weights @ wide[:, :512]).to(query.dtype)
