# pyright: reportMissingImports=false, reportUntypedFunctionDecorator=false
# pyright: reportIndexIssue=false, reportMissingParameterType=false, reportUnknownParameterType=false
"""FP8 times FP8: activations rounded per token and 128 channels, weights in blocks of 128 by 128.

Each 128 of the inner dimension are summed by the tensor core and added up in float32, where both
scales are applied: Hopper's tensor cores keep about 14 bits of a running FP8 sum.

Source: DeepSeek-V3, arXiv:2412.19437, section 3.3.2; formats: OCP FP8, E4M3.
"""

import torch
import triton  # type: ignore[import-not-found]  # comes with PyTorch for GPUs only
import triton.language as tl  # type: ignore[import-not-found]  # the same
from torch import Tensor

from treadle.model_runtime.quant import BLOCK

COLUMNS = 64  # of a program; they lie in one block of weights
MOST_ROWS = 64
LEAST = 1e-4  # of a group's largest value, so that a group of zeros has a scale
MOST = 448.0  # the largest E4M3 number


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _narrow(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    x, narrow, scales, width, groups,
    POWERS: tl.constexpr, LEAST: tl.constexpr, MOST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    token, group = tl.program_id(0), tl.program_id(1)
    place = group * BLOCK + tl.arange(0, BLOCK)
    inside = place < width
    row = token.to(tl.int64) * width
    wide = tl.load(x + row + place, mask=inside, other=0.0).to(tl.float32)
    scale = tl.math.div_rn(tl.maximum(tl.max(tl.abs(wide), 0), LEAST), MOST)
    if POWERS:
        bits = scale.to(tl.uint32, bitcast=True)
        raised = (bits >> 23) + ((bits & 0x7FFFFF) != 0).to(tl.uint32)
        scale = (raised << 23).to(tl.float32, bitcast=True)
    scaled = tl.math.div_rn(wide, scale + tl.zeros_like(wide))
    size = tl.minimum(tl.abs(scaled), MOST)
    # To the nearest E4M3 number, ties to even, in float32: three bits behind the point, and
    # multiples of 2^-9 below 2^-6. The conversion is exact then, wherever it runs.
    bits = size.to(tl.uint32, bitcast=True)
    normal = (bits + 0x7FFFF + ((bits >> 20) & 1)) & 0xFFF00000
    small = (size + 24576.0) - 24576.0
    size = tl.where(size < 0.015625, small, normal.to(tl.float32, bitcast=True))
    rounded = tl.where(scaled < 0, -size, size)
    tl.store(narrow + row + place, rounded.to(tl.float8e4nv), mask=inside)
    tl.store(scales + token * groups + group, scale)


def narrow_activations(x: Tensor, *, powers: bool = False) -> tuple[Tensor, Tensor]:
    """Round to FP8 per token and 128 channels.

    Args:
        x: (tokens, width).
        powers: Whether scales are rounded up to powers of two, as checkpoints of scale format
            ue8m0 were trained with.

    Returns:
        The narrow numbers, (tokens, width), and scales, (tokens, ceil(width / 128)), float32:
        s = max(|x|, 1e-4) / 448.
    """
    x = x.contiguous()
    tokens, width = x.shape
    groups = triton.cdiv(width, BLOCK)
    narrow = torch.empty_like(x, dtype=torch.float8_e4m3fn)
    scales = torch.empty(tokens, groups, dtype=torch.float32, device=x.device)
    _narrow[(tokens, groups)](
        x, narrow, scales, width, groups, POWERS=powers, LEAST=LEAST, MOST=MOST, BLOCK=BLOCK
    )
    return narrow, scales


@triton.jit  # type: ignore[untyped-decorator]  # no stubs
def _multiply(  # type: ignore[no-untyped-def]  # triton's language has types of its own
    x, x_scale, weight, weight_scale, out, tokens, columns, inner, groups,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    held, inside = row < tokens, column < columns
    own = tl.program_id(0) * COLUMNS // BLOCK
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for group in range(0, groups):
        place = group * BLOCK + tl.arange(0, BLOCK)
        there = place < inner
        left = tl.load(
            x + row[:, None].to(tl.int64) * inner + place[None],
            mask=held[:, None] & there[None],
            other=0.0,
        )
        right = tl.load(
            weight + column[None].to(tl.int64) * inner + place[:, None],
            mask=inside[None] & there[:, None],
            other=0.0,
        )
        scale = tl.load(x_scale + row * groups + group, mask=held, other=0.0)
        scale = scale * tl.load(weight_scale + own * groups + group)
        total += tl.dot(left, right) * scale[:, None]
    tl.store(
        out + row[:, None].to(tl.int64) * columns + column[None],
        total.to(out.dtype.element_ty),
        mask=held[:, None] & inside[None],
    )


def multiply(x: Tensor, x_scale: Tensor, weight: Tensor, scale: Tensor, out: Tensor) -> None:
    """Fill `out`, (tokens, out), with the product.

    Args:
        x: (tokens, in), FP8, as `weight`.
        x_scale: (tokens, ceil(in / 128)), float32.
        weight: (out, in).
        scale: (ceil(out / 128), ceil(in / 128)), float32.
        out: (tokens, out), of any wider dtype.
    """
    tokens, inner = x.shape
    columns = weight.shape[0]
    rows = min(max(triton.next_power_of_2(tokens), 16), MOST_ROWS)
    _multiply[(triton.cdiv(columns, COLUMNS), triton.cdiv(tokens, rows))](
        x, x_scale, weight, scale, out, tokens, columns, inner, scale.shape[1],
        ROWS=rows, COLUMNS=COLUMNS, BLOCK=BLOCK,
    )  # fmt: skip
