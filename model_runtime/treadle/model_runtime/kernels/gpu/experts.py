# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportIndexIssue=false, reportMissingParameterType=false, reportUnknownParameterType=false
"""The chosen experts of a batch in two launches, whatever the choice.

Picks (a token and one of its experts) are sorted by expert and padded to tiles, so that a tile
belongs to one expert and its weights are read once per tile. The first launch computes gate and up
and joins them by SwiGLU, the second the way down; the picks are then summed per token in the order
of their places, so that the sum does not depend on the batch. Nothing is asked of the host, so a
captured graph can hold it.

Sources: DeepSeek-V3, arXiv:2412.19437, eq. 12; grouped products as in MegaBlocks, arXiv:2211.15841.
"""

from dataclasses import dataclass

import torch
import triton  # type: ignore[import-not-found]  # comes with PyTorch for GPUs only
import triton.language as tl  # type: ignore[import-not-found]  # the same
from torch import Tensor

TILE = 16  # picks of one expert in a program; decode brings few tokens to each
COLUMNS = 64
INNER = 32


@dataclass(frozen=True, slots=True)
class Sorted:
    """Picks by expert.

    Attributes:
        pick: The pick in each place, (places); one past the last where a tile is padded.
        expert: Of each tile, (places / TILE); the number of experts where a tile is empty.
    """

    pick: Tensor
    expert: Tensor


def sort_picks(chosen: Tensor, experts: int) -> Sorted:
    """Deal picks into tiles, with shapes that depend on the number of picks alone.

    Args:
        chosen: Expert numbers, (tokens, top_experts), int64; those past the last stand for
            experts of other ranks, and their tiles are empty.
        experts: How many there are.
    """
    flat = chosen.flatten().clamp(max=experts)
    picks, device = flat.numel(), flat.device
    counts = torch.zeros(experts + 1, dtype=torch.int64, device=device)
    counts.scatter_add_(0, flat, torch.ones_like(flat))
    padded = (counts + TILE - 1) // TILE * TILE
    ends = padded.cumsum(0)
    begins = ends - padded
    order = flat.argsort(stable=True)
    own = flat[order]
    first = counts.cumsum(0) - counts
    place = begins[own] + torch.arange(picks, device=device) - first[own]
    # Every expert met pads by less than a tile.
    tiles = triton.cdiv(picks, TILE) + min(experts + 1, picks)
    pick = torch.full((tiles * TILE,), picks, dtype=torch.int64, device=device)
    pick[place] = order
    starts = torch.arange(tiles, device=device) * TILE
    return Sorted(pick, torch.searchsorted(ends[:experts], starts, right=True))


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _gate_up(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    x, gate, up, pick, expert, out, picks, tops, experts, hidden, width,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    tile, block = tl.program_id(0), tl.program_id(1)
    own = tl.load(expert + tile)
    if own < experts:
        taken = tl.load(pick + tile * TILE + tl.arange(0, TILE))
        held = taken < picks
        column = block * COLUMNS + tl.arange(0, COLUMNS)
        inside = column < width
        left = tl.zeros((TILE, COLUMNS), tl.float32)
        right = tl.zeros((TILE, COLUMNS), tl.float32)
        for start in range(0, hidden, INNER):
            inner = start + tl.arange(0, INNER)
            there = inner < hidden
            rows = tl.load(
                x + (taken // tops)[:, None] * hidden + inner[None],
                mask=held[:, None] & there[None],
                other=0.0,
            )
            place = own * width * hidden + column[None] * hidden + inner[:, None]
            covered = inside[None] & there[:, None]
            left += tl.dot(
                rows, tl.load(gate + place, mask=covered, other=0.0), input_precision="ieee"
            )
            right += tl.dot(
                rows, tl.load(up + place, mask=covered, other=0.0), input_precision="ieee"
            )
        joined = left * tl.sigmoid(left) * right
        tl.store(
            out + taken[:, None] * width + column[None],
            joined.to(out.dtype.element_ty),
            mask=held[:, None] & inside[None],
        )


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _down(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    x, down, weight, pick, expert, out, picks, experts, hidden, width,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    tile, block = tl.program_id(0), tl.program_id(1)
    own = tl.load(expert + tile)
    if own < experts:
        taken = tl.load(pick + tile * TILE + tl.arange(0, TILE))
        held = taken < picks
        column = block * COLUMNS + tl.arange(0, COLUMNS)
        inside = column < hidden
        total = tl.zeros((TILE, COLUMNS), tl.float32)
        for start in range(0, width, INNER):
            inner = start + tl.arange(0, INNER)
            there = inner < width
            rows = tl.load(
                x + taken[:, None] * width + inner[None],
                mask=held[:, None] & there[None],
                other=0.0,
            )
            place = own * hidden * width + column[None] * width + inner[:, None]
            covered = inside[None] & there[:, None]
            total += tl.dot(
                rows, tl.load(down + place, mask=covered, other=0.0), input_precision="ieee"
            )
        share = tl.load(weight + taken, mask=held, other=0.0)
        tl.store(
            out + taken[:, None] * hidden + column[None],
            total * share[:, None],
            mask=held[:, None] & inside[None],
        )


def mixed_experts(
    x: Tensor, gate: Tensor, up: Tensor, down: Tensor, weights: Tensor, chosen: Tensor
) -> Tensor:
    """Sum the chosen experts' answers, each times its weight.

    Args:
        x: (tokens, hidden).
        gate: (experts, width, hidden), as `up`; `down` is (experts, hidden, width).
        up: See `gate`.
        down: See `gate`.
        weights: (tokens, top_experts), float32.
        chosen: Expert numbers, (tokens, top_experts), int64; those past the last are left out.

    Returns:
        (tokens, hidden), float32.
    """
    experts, width, hidden = gate.shape
    tokens, tops = chosen.shape
    found = sort_picks(chosen, experts)
    picks, tiles = tokens * tops, found.expert.numel()
    middle = torch.empty(picks, width, dtype=x.dtype, device=x.device)
    answers = torch.zeros(picks, hidden, dtype=torch.float32, device=x.device)
    sizes = {"TILE": TILE, "COLUMNS": COLUMNS, "INNER": INNER}
    _gate_up[(tiles, triton.cdiv(width, COLUMNS))](
        x.contiguous(), gate, up, found.pick, found.expert, middle,
        picks, tops, experts, hidden, width, **sizes,
    )  # fmt: skip
    _down[(tiles, triton.cdiv(hidden, COLUMNS))](
        middle, down, weights.flatten().contiguous(), found.pick, found.expert, answers,
        picks, experts, hidden, width, **sizes,
    )  # fmt: skip
    return answers.view(tokens, tops, hidden).sum(dim=1)
