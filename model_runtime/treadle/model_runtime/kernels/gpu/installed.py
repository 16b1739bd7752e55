"""Kernels of others, where their packages are installed.

What they take is compared with their sources by `scripts/check_gpu_signatures.py`: so every
argument is named where they are called.
"""

import logging
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol, cast

import torch
from torch import Tensor

from treadle.model_runtime.batch import Paging

log = logging.getLogger(__name__)
FLASHMLA_SIZE, RANK, ROPE = 64, 512, 64  # the one shape that FlashMLA and FlashInfer are built for
FLASHINFER_WORKSPACE = 128 * 1024 * 1024  # bytes, as its documentation asks


def is_installed(module: str, name: str) -> bool:
    """Whether the module is there and in a version that has `name`; it is imported for that."""
    if find_spec(module.partition(".")[0]) is None:
        return False
    try:
        return hasattr(import_module(module), name)
    # What a package raises that was built for another CUDA or PyTorch.
    except (ImportError, OSError, RuntimeError, AssertionError) as error:
        log.warning("kernels.broken module=%s error=%s", module, error)
        return False


class FlashMla:
    """deepseek-ai/FlashMLA: Hopper, blocks of 64 rows, bfloat16."""

    def __init__(self) -> None:
        self._package = import_module("flash_mla")

    def fits(self, paging: Paging) -> bool:
        """It has blocks of one size, and sees every row from the first on."""
        return paging.size == FLASHMLA_SIZE and paging.first == 0

    def decode(
        self, query: Tensor, cache: Tensor, paging: Paging, *, kv_rank: int, scale: float
    ) -> Tensor:
        """As `latent.decode`. What it computes from the lengths is kept for all layers."""
        if "flash_mla" not in paging.kept:
            paging.kept["flash_mla"], _ = self._package.get_mla_metadata()
        found, _ = self._package.flash_mla_with_kvcache(
            q=query[:, None],
            k_cache=cache.view(-1, paging.size, 1, cache.shape[-1]),
            block_table=paging.blocks,
            cache_seqlens=paging.seen,
            head_dim_v=kv_rank,
            tile_scheduler_metadata=paging.kept["flash_mla"],
            softmax_scale=scale,
            causal=False,
        )
        return cast("Tensor", found)[:, 0]


class _Wrapper(Protocol):
    """The part of `BatchMLAPagedAttentionWrapper` that is used."""

    def plan(
        self,
        *,
        metadata: object,
        num_heads: int,
        head_dim_ckv: int,
        head_dim_kpe: int,
        page_size: int,
        causal: bool,
        sm_scale: float,
        q_data_type: torch.dtype,
        kv_data_type: torch.dtype,
    ) -> None: ...

    def run(self, *, query: Tensor, kv_cache: Tensor) -> Tensor: ...


class FlashInfer:
    """flashinfer-ai/flashinfer: its host plans each step, before the step is run or replayed."""

    def __init__(
        self, *, heads: int, scale: float, dtype: torch.dtype, device: torch.device, hopper: bool
    ) -> None:
        self._package: ModuleType = import_module("flashinfer.mla")
        self._heads, self._scale, self._dtype, self._device = heads, scale, dtype, device
        self._backend = "fa3" if hopper else "fa2"
        self._workspace = torch.empty(FLASHINFER_WORKSPACE, dtype=torch.uint8, device=device)
        self._planned: dict[int, _Wrapper] = {}

    def fits(self, paging: Paging) -> bool:
        """It sees every row from the first on."""
        return paging.first == 0

    def plan(self, blocks: Tensor, seen: Tensor, *, size: int, room: int) -> None:
        """As `steady.Planner`: the buffers of this number of rows are filled, not made anew."""
        rows = len(seen)
        if rows not in self._planned:
            self._planned[rows] = self._wrapper(rows, rows * room)
        self._fill(self._planned[rows], blocks, seen, size)

    def decode(
        self, query: Tensor, cache: Tensor, paging: Paging, *, kv_rank: int, scale: float
    ) -> Tensor:
        """As `latent.decode`; rows that `steady` has not announced are planned here."""
        if paging.planned:
            wrapper = self._planned[len(query)]
        elif "flashinfer" in paging.kept:
            wrapper = cast("_Wrapper", paging.kept["flashinfer"])
        else:
            wrapper = self._wrapper(len(query), 0)
            self._fill(wrapper, paging.blocks.cpu(), paging.seen.cpu(), paging.size)
            paging.kept["flashinfer"] = wrapper
        rows = cache.view(-1, paging.size, cache.shape[-1])
        return wrapper.run(query=query, kv_cache=rows)

    def _wrapper(self, rows: int, blocks: int) -> _Wrapper:
        """For graphs if it is told how many blocks there may be."""

        def buffer(length: int) -> Tensor | None:
            return torch.zeros(length, dtype=torch.int32, device=self._device) if blocks else None

        made = self._package.BatchMLAPagedAttentionWrapper(
            float_workspace_buffer=self._workspace,
            use_cuda_graph=blocks > 0,
            qo_indptr=buffer(rows + 1),
            kv_indptr=buffer(rows + 1),
            kv_indices=buffer(blocks),
            kv_len_arr=buffer(rows),
            backend=self._backend,
        )
        return cast("_Wrapper", made)

    def _fill(self, wrapper: _Wrapper, blocks: Tensor, seen: Tensor, size: int) -> None:
        begins, indices = listed_blocks(blocks, seen, size)
        metadata = self._package.MLAPlanMetadata.csr(
            qo_indptr=torch.arange(len(seen) + 1, dtype=torch.int32),
            kv_indptr=begins,
            kv_indices=indices,
            kv_len_arr=seen,
        )
        wrapper.plan(
            metadata=metadata,
            num_heads=self._heads,
            head_dim_ckv=RANK,
            head_dim_kpe=ROPE,
            page_size=size,
            causal=False,
            sm_scale=self._scale,
            q_data_type=self._dtype,
            kv_data_type=self._dtype,
        )


def listed_blocks(blocks: Tensor, seen: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The blocks that are read, request after request.

    Args:
        blocks: (rows, width), int32.
        seen: (rows), int32.
        size: Rows in a block.

    Returns:
        Where each request's begin, (rows + 1), and the blocks, both int32.
    """
    counts = (seen + size - 1) // size
    begins = torch.zeros(len(seen) + 1, dtype=torch.int32)
    begins[1:] = counts.cumsum(0)
    return begins, blocks[torch.arange(blocks.shape[1]) < counts[:, None]]


class DeepGemm:
    """deepseek-ai/DeepGEMM on Hopper, where scales are float32."""

    def __init__(self) -> None:
        self._package = import_module("deep_gemm")

    def __call__(
        self, x: Tensor, x_scale: Tensor, weight: Tensor, scale: Tensor, out: Tensor
    ) -> None:
        """As `fp8.multiply`."""
        self._package.fp8_gemm_nt(a=(x, x_scale), b=(weight, scale), d=out)

    @staticmethod
    def takes(weight: Tensor) -> bool:
        """Whole blocks along the inner dimension, and rows of the result that begin aligned."""
        out, inner = weight.shape[-2:]
        return inner % 128 == 0 and out % 16 == 0
