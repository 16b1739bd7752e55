"""FlashInfer's planned wrapper with packed queries and rows, in plain PyTorch."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class MLAPlanMetadata:
    """Where each request's pages are listed."""

    qo_indptr: Tensor
    kv_indptr: Tensor
    kv_indices: Tensor
    kv_len_arr: Tensor

    @classmethod
    def csr(
        cls, qo_indptr: Tensor, kv_indptr: Tensor, kv_indices: Tensor, kv_len_arr: Tensor
    ) -> "MLAPlanMetadata":
        made = cls(qo_indptr, kv_indptr, kv_indices, kv_len_arr)
        assert {part.dtype for part in vars(made).values()} == {torch.int32}
        assert len(qo_indptr) == len(kv_indptr) == len(kv_len_arr) + 1
        assert int(kv_indptr[-1]) == len(kv_indices)
        return made


class BatchMLAPagedAttentionWrapper:
    """A plan is made on the host; in a graph, `run` reads it from buffers that stay."""

    def __init__(
        self,
        float_workspace_buffer: Tensor,
        use_cuda_graph: bool = False,
        qo_indptr: Tensor | None = None,
        kv_indptr: Tensor | None = None,
        kv_indices: Tensor | None = None,
        kv_len_arr: Tensor | None = None,
        backend: str = "auto",
    ) -> None:
        assert float_workspace_buffer.nbytes >= 128 * 1024 * 1024
        assert backend in {"fa2", "fa3"}
        self._graph = use_cuda_graph
        self._buffers = (qo_indptr, kv_indptr, kv_indices, kv_len_arr)
        self._plan: tuple[Tensor, ...] = ()
        self._size, self._scale, self._heads = 0, 0.0, 0

    def plan(
        self,
        *,
        metadata: MLAPlanMetadata,
        num_heads: int,
        head_dim_ckv: int,
        head_dim_kpe: int,
        page_size: int,
        causal: bool,
        sm_scale: float,
        q_data_type: torch.dtype,
        kv_data_type: torch.dtype,
    ) -> None:
        assert (head_dim_ckv, head_dim_kpe, causal) == (512, 64, False)
        assert q_data_type == kv_data_type
        self._size, self._scale, self._heads = page_size, sm_scale, num_heads
        given = tuple(vars(metadata).values())
        if not self._graph:
            self._plan = given
            return
        for buffer, part in zip(self._buffers, given, strict=True):
            assert buffer is not None
            assert buffer.dtype == torch.int32
            exact = part is not metadata.kv_indices
            assert len(buffer) == len(part) if exact else len(buffer) >= len(part)
            buffer[: len(part)].copy_(part)
        self._plan = tuple(buffer for buffer in self._buffers if buffer is not None)

    def run(self, *, query: Tensor, kv_cache: Tensor) -> Tensor:
        assert query.shape[1:] == (self._heads, 576)
        assert kv_cache.shape[1:] == (self._size, 576)
        _, begins, indices, lengths = self._plan
        assert len(lengths) == len(query)
        found: list[Tensor] = []
        for row, seen in enumerate(lengths):
            pages = indices[int(begins[row]) : int(begins[row + 1])].long()
            rows = kv_cache[pages].flatten(0, 1)[: int(seen)].float()
            weights = (query[row].float() @ rows.T * self._scale).softmax(dim=-1)
            found.append((weights @ rows[:, :512]).to(query.dtype))
        return torch.stack(found)
