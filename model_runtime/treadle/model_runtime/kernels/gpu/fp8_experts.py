# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportIndexIssue=false, reportMissingParameterType=false, reportUnknownParameterType=false
"""The chosen experts where their weights are FP8 blocks: as `experts`, with the sums of `fp8`."""

import torch
import triton  # type: ignore[import-not-found]  # comes with PyTorch for GPUs only
import triton.language as tl  # type: ignore[import-not-found]  # the same
from torch import Tensor

from treadle.model_runtime.kernels.gpu.experts import COLUMNS, TILE, sort_picks
from treadle.model_runtime.kernels.gpu.fp8 import narrow_activations
from treadle.model_runtime.quant import BLOCK, BlockFp8


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _gate_up(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    x, x_scale, gate, gate_scale, up, up_scale, pick, expert, out,
    picks, tops, experts, hidden, width, groups, strips,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    tile, block = tl.program_id(0), tl.program_id(1)
    own = tl.load(expert + tile)
    if own < experts:
        taken = tl.load(pick + tile * TILE + tl.arange(0, TILE))
        held = taken < picks
        column = block * COLUMNS + tl.arange(0, COLUMNS)
        inside = column < width
        strip = (own * strips + block * COLUMNS // BLOCK) * groups
        left = tl.zeros((TILE, COLUMNS), tl.float32)
        right = tl.zeros((TILE, COLUMNS), tl.float32)
        for group in range(0, groups):
            inner = group * BLOCK + tl.arange(0, BLOCK)
            there = inner < hidden
            rows = tl.load(
                x + (taken // tops)[:, None] * hidden + inner[None],
                mask=held[:, None] & there[None],
                other=0.0,
            )
            scale = tl.load(x_scale + taken // tops * groups + group, mask=held, other=0.0)
            place = own * width * hidden + column[None] * hidden + inner[:, None]
            covered = inside[None] & there[:, None]
            of_gate = scale * tl.load(gate_scale + strip + group)
            of_up = scale * tl.load(up_scale + strip + group)
            weights = tl.load(gate + place, mask=covered, other=0.0)
            left += tl.dot(rows, weights) * of_gate[:, None]
            weights = tl.load(up + place, mask=covered, other=0.0)
            right += tl.dot(rows, weights) * of_up[:, None]
        joined = left * tl.sigmoid(left) * right
        tl.store(
            out + taken[:, None] * width + column[None],
            joined.to(out.dtype.element_ty),
            mask=held[:, None] & inside[None],
        )


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _down(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    x, x_scale, down, down_scale, weight, pick, expert, out,
    picks, experts, hidden, width, groups, strips,
    TILE: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    tile, block = tl.program_id(0), tl.program_id(1)
    own = tl.load(expert + tile)
    if own < experts:
        taken = tl.load(pick + tile * TILE + tl.arange(0, TILE))
        held = taken < picks
        column = block * COLUMNS + tl.arange(0, COLUMNS)
        inside = column < hidden
        strip = (own * strips + block * COLUMNS // BLOCK) * groups
        total = tl.zeros((TILE, COLUMNS), tl.float32)
        for group in range(0, groups):
            inner = group * BLOCK + tl.arange(0, BLOCK)
            there = inner < width
            rows = tl.load(
                x + taken[:, None] * width + inner[None],
                mask=held[:, None] & there[None],
                other=0.0,
            )
            place = own * hidden * width + column[None] * width + inner[:, None]
            weights = tl.load(down + place, mask=inside[None] & there[:, None], other=0.0)
            scale = tl.load(x_scale + taken * groups + group, mask=held, other=0.0)
            scale = scale * tl.load(down_scale + strip + group)
            total += tl.dot(rows, weights) * scale[:, None]
        share = tl.load(weight + taken, mask=held, other=0.0)
        tl.store(
            out + taken[:, None] * hidden + column[None],
            total * share[:, None],
            mask=held[:, None] & inside[None],
        )


def mixed_fp8_experts(
    x: Tensor,
    gate: BlockFp8,
    up: BlockFp8,
    down: BlockFp8,
    weights: Tensor,
    chosen: Tensor,
    *,
    powers: bool,
) -> Tensor:
    """As `experts.mixed_experts`; activations are rounded before both products.

    Args:
        x: (tokens, hidden).
        gate: A stack, (experts, width, hidden), as `up`; `down` is (experts, hidden, width).
        up: See `gate`.
        down: See `gate`.
        weights: (tokens, top_experts), float32.
        chosen: Expert numbers, (tokens, top_experts), int64; those past the last are left out.
        powers: As in `fp8.narrow_activations`.

    Returns:
        (tokens, hidden), float32.
    """
    experts, width, hidden = gate.weight.shape
    strips, groups = gate.scale.shape[1:]
    tokens, tops = chosen.shape
    found = sort_picks(chosen, experts)
    picks, tiles = tokens * tops, found.expert.numel()
    middle = torch.zeros(picks, width, dtype=x.dtype, device=x.device)
    answers = torch.zeros(picks, hidden, dtype=torch.float32, device=x.device)
    sizes = {"TILE": TILE, "COLUMNS": COLUMNS, "BLOCK": BLOCK}
    narrow, scale = narrow_activations(x, powers=powers)
    _gate_up[(tiles, triton.cdiv(width, COLUMNS))](
        narrow, scale, gate.weight, gate.scale, up.weight, up.scale,
        found.pick, found.expert, middle,
        picks, tops, experts, hidden, width, groups, strips, **sizes,
    )  # fmt: skip
    narrow, scale = narrow_activations(middle, powers=powers)
    strips, groups = down.scale.shape[1:]
    _down[(tiles, triton.cdiv(hidden, COLUMNS))](
        narrow, scale, down.weight, down.scale, weights.flatten().contiguous(),
        found.pick, found.expert, answers,
        picks, experts, hidden, width, groups, strips, **sizes,
    )  # fmt: skip
    return answers.view(tokens, tops, hidden).sum(dim=1)
