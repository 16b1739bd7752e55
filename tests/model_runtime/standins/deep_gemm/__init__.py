"""DeepGEMM's FP8 product on Hopper, in plain PyTorch."""

import torch
from torch import Tensor


def fp8_gemm_nt(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], d: Tensor) -> None:
    (left, left_scale), (right, right_scale) = a, b
    (rows, inner), columns = left.shape, right.shape[0]
    assert left.dtype == right.dtype == torch.float8_e4m3fn
    assert left_scale.dtype == right_scale.dtype == torch.float32
    assert d.dtype in {torch.bfloat16, torch.float32}
    assert right.shape[1] == inner
    assert d.shape == (rows, columns)
    groups = -(-inner // 128)
    assert left_scale.shape == (rows, groups)
    assert right_scale.shape == (-(-columns // 128), groups)
    assert right_scale.is_contiguous()
    assert left.stride(-1) == right.stride(-1) == d.stride(-1) == 1
    # Of tensor memory accelerators: strides are multiples of 16 bytes.
    assert inner % 16 == 0
    assert columns * d.itemsize % 16 == 0
    wide = left.float() * left_scale.repeat_interleave(128, 1)[:, :inner]
    spread = right_scale.repeat_interleave(128, 0)[:columns].repeat_interleave(128, 1)[:, :inner]
    d.copy_(wide @ (right.float() * spread).T)
