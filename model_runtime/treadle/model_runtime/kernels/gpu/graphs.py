"""CUDA graphs: a step's launches recorded once, then started by one call."""

import torch
from torch import Tensor

from treadle.model_runtime.steady import Step

WARM_UPS = 2  # the first call of a kernel may compile, load or choose; none of that can be recorded


class CudaGraphs:
    """Records steps into graphs that share one pool of memory."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, step: Step) -> Step:
        """As `steady.Recorder`; other threads may go on using the device meanwhile."""
        beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                step()
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            out = step()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay
