"""What every decoder layer is made of: RMSNorm and the gated feed-forward layer."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.quant import Matrix
from treadle.model_runtime.weights import Source


@dataclass(frozen=True, slots=True)
class Norm:
    """Root mean square norm; Zhang and Sennrich, arXiv:1910.07467, eq. 4."""

    weight: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """(…, width) to the same; the mean is taken in float32."""
        width = self.weight.shape[0]
        normed = functional.rms_norm(x.float(), (width,), eps=self.eps)
        return normed.to(x.dtype) * self.weight


@dataclass(frozen=True, slots=True)
class FeedForward:
    """SwiGLU; Shazeer, arXiv:2002.05202, eq. 6."""

    gate: Matrix
    up: Matrix
    down: Matrix

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, hidden) to the same."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))


def load_norm(source: Source, name: str, width: int, eps: float) -> Norm:
    """The norm whose weight is `name.weight`."""
    return Norm(source.tensor(f"{name}.weight", width), eps)


def load_feed_forward(source: Source, name: str, hidden: int, width: int) -> FeedForward:
    """The layer whose projections lie under `name`."""
    return FeedForward(
        gate=source.matrix(f"{name}.gate_proj", width, hidden),
        up=source.matrix(f"{name}.up_proj", width, hidden),
        down=source.matrix(f"{name}.down_proj", hidden, width),
    )
