# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportIndexIssue=false, reportMissingParameterType=false, reportUnknownParameterType=false
"""Decode over the paged latent cache: every head of a token against rows that are read once.

The absorbed form makes latent attention multi-query: one row of `kv_rank + rope` values is key to
all heads, and its first `kv_rank` values are the value. A program takes a block of heads of one
token and walks over the context with a running maximum and sum, so scores never reach memory. Few
tokens would leave most of a GPU idle: their contexts are cut into parts, which are joined after.

Sources: DeepSeek-V2, arXiv:2405.04434, section 2.1.2; online softmax, arXiv:1805.02867, alg. 3.
"""

import torch
import triton  # type: ignore[import-not-found]  # comes with PyTorch for GPUs only
import triton.language as tl  # type: ignore[import-not-found]  # the same
from torch import Tensor

from treadle.model_runtime.batch import Paging

HEADS = 16  # a program's; the smallest side of a tensor core's tile
ROWS = 32  # of the cache, taken at once
PROGRAMS = 128  # that keep a large GPU busy: an H100 has 132 multiprocessors
MOST_SPLITS, SHORTEST = 16, 256  # parts of a context, and rows that a part should have


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _decode(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    query,
    cache,
    blocks,
    visible,
    out,
    scale,
    heads,
    width_of_blocks,
    first,
    stats,
    SPLITS: tl.constexpr,
    SIZE: tl.constexpr,
    RANK: tl.constexpr,
    ROPE: tl.constexpr,
    RANK_PADDED: tl.constexpr,
    ROPE_PADDED: tl.constexpr,
    HEADS: tl.constexpr,
    ROWS: tl.constexpr,
):
    token, block, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    head = block * HEADS + tl.arange(0, HEADS)
    latent, turned = tl.arange(0, RANK_PADDED), tl.arange(0, ROPE_PADDED)
    held = head < heads
    width = RANK + ROPE
    rows_of_query = query + (token * heads + head) * width
    in_rank, in_rope = latent < RANK, turned < ROPE
    q_latent = tl.load(
        rows_of_query[:, None] + latent[None], mask=held[:, None] & in_rank[None], other=0.0
    )
    q_rope = tl.load(
        rows_of_query[:, None] + RANK + turned[None],
        mask=held[:, None] & in_rope[None],
        other=0.0,
    )
    most = tl.full((HEADS,), float("-inf"), tl.float32)
    total = tl.zeros((HEADS,), tl.float32)
    mixed = tl.zeros((HEADS, RANK_PADDED), tl.float32)
    seen = tl.load(visible + token)
    share = tl.cdiv(tl.cdiv(seen - first, ROWS), SPLITS) * ROWS
    begin = first + split * share
    end = tl.minimum(begin + share, seen)
    for start in range(begin, end, ROWS):
        place = start + tl.arange(0, ROWS)
        there = place < end
        own = tl.load(blocks + token * width_of_blocks + place // SIZE, mask=there, other=0)
        row = cache + (own.to(tl.int64) * SIZE + place % SIZE) * width
        k_latent = tl.load(
            row[:, None] + latent[None], mask=there[:, None] & in_rank[None], other=0.0
        )
        k_rope = tl.load(
            row[:, None] + RANK + turned[None], mask=there[:, None] & in_rope[None], other=0.0
        )
        scores = tl.dot(q_latent, tl.trans(k_latent), input_precision="ieee")
        scores += tl.dot(q_rope, tl.trans(k_rope), input_precision="ieee")
        scores = tl.where(there[None], scores * scale, float("-inf"))
        higher = tl.maximum(most, tl.max(scores, 1))
        faded, weights = tl.exp(most - higher), tl.exp(scores - higher[:, None])
        total = total * faded + tl.sum(weights, 1)
        mixed = mixed * faded[:, None] + tl.dot(
            weights.to(k_latent.dtype), k_latent, input_precision="ieee"
        )
        most = higher
    own = (token * heads + head) * SPLITS + split
    if SPLITS == 1:
        mixed = mixed / total[:, None]
    else:
        tl.store(stats + own * 2, most, mask=held)
        tl.store(stats + own * 2 + 1, total, mask=held)
    tl.store(
        out + own[:, None] * RANK + latent[None],
        mixed.to(out.dtype.element_ty),
        mask=held[:, None] & in_rank[None],
    )


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _join(  # type: ignore[no-untyped-def]  # as above
    parts,
    stats,
    out,
    SPLITS: tl.constexpr,
    RANK: tl.constexpr,
    RANK_PADDED: tl.constexpr,
):
    """One head of one token: its splits' sums, each faded to the highest score of all."""
    row = tl.program_id(0)
    latent, split = tl.arange(0, RANK_PADDED), tl.arange(0, SPLITS)
    most = tl.load(stats + (row * SPLITS + split) * 2)
    total = tl.load(stats + (row * SPLITS + split) * 2 + 1)
    faded = tl.exp(most - tl.max(most, 0))
    mixed = tl.load(
        parts + (row * SPLITS + split)[:, None] * RANK + latent[None],
        mask=(latent < RANK)[None],
        other=0.0,
    )
    result = tl.sum(mixed * faded[:, None], 0) / tl.sum(total * faded, 0)
    tl.store(out + row * RANK + latent, result.to(out.dtype.element_ty), mask=latent < RANK)


def decode(query: Tensor, cache: Tensor, paging: Paging, *, kv_rank: int, scale: float) -> Tensor:
    """Attend with one token per request.

    Args:
        query: Lifted queries and rotated ones side by side, (requests, heads, kv_rank + rope).
        cache: One layer's rows, (slots, kv_rank + rope), of the same dtype.
        paging: Where each request's rows lie; each of them sees at least one.
        kv_rank: Width of the latent.
        scale: Of the scores, before the softmax.

    Returns:
        The latents mixed, (requests, heads, kv_rank), in the dtype of `query`.
    """
    requests, heads, width = query.shape
    out = torch.empty(requests, heads, kv_rank, dtype=query.dtype, device=query.device)
    rope, blocks_of_heads = width - kv_rank, triton.cdiv(heads, HEADS)
    splits = splits_for(requests * blocks_of_heads, paging.blocks.shape[1] * paging.size)
    parts, stats = out, out
    if splits > 1:
        shape = (requests, heads, splits)
        parts = torch.empty(*shape, kv_rank, dtype=torch.float32, device=query.device)
        stats = torch.empty(*shape, 2, dtype=torch.float32, device=query.device)
    padded = max(triton.next_power_of_2(kv_rank), 16)
    _decode[(requests, blocks_of_heads, splits)](
        query.contiguous(),
        cache,
        paging.blocks,
        paging.seen,
        parts,
        scale,
        heads,
        paging.blocks.stride(0),
        paging.first,
        stats,
        SPLITS=splits,
        SIZE=paging.size,
        RANK=kv_rank,
        ROPE=rope,
        RANK_PADDED=padded,
        ROPE_PADDED=max(triton.next_power_of_2(rope), 16),
        HEADS=HEADS,
        ROWS=ROWS,
    )
    if splits > 1:
        _join[(requests * heads,)](
            parts, stats, out, SPLITS=splits, RANK=kv_rank, RANK_PADDED=padded
        )
    return out


def splits_for(programs: int, room: int) -> int:
    """Into how many parts a context is cut, so that few requests fill a GPU too.

    It depends on shapes alone, `room` being the longest context there may be: a captured step
    cannot choose anew.
    """
    splits = 1
    while splits < MOST_SPLITS and programs * splits < PROGRAMS and room >= splits * SHORTEST:
        splits *= 2
    return splits
