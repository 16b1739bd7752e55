"""Which kernels serve a model, read off the model itself."""

from treadle.model_runtime.kernels.fused import FusedModel
from treadle.model_runtime.kernels.gpu.installed import DeepGemm, FlashInfer, FlashMla
from treadle.model_runtime.kernels.gpu.layers import (
    KernelAttention,
    KernelExperts,
    LatentKernel,
    NarrowFp8,
)
from treadle.model_runtime.layers import FeedForward
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.moe import MixtureOfExperts
from treadle.model_runtime.quant import BlockFp8, Matrix
from treadle.model_runtime.ranks import LeadingModel
from treadle.model_runtime.sharding import Joined, Summed
from treadle.model_runtime.steady import SteadyModel

PLAIN = "torch"


def report(model: Decoder) -> dict[str, str]:
    """By part: attention (of decode), experts, dense layers, and how decode steps are started."""
    if isinstance(model, LeadingModel):
        return report(model.own)
    if isinstance(model, SteadyModel):
        return report(model.plain) | {"steps": f"graphs up to {model.most} tokens"}
    return _parts(model) | {"steps": "launched"}


def _parts(model: Decoder) -> dict[str, str]:
    if isinstance(model, DeepseekModel):
        return _of_deepseek(model)
    name = "fused" if isinstance(model, FusedModel) else PLAIN
    return {"attention": name, "experts": name, "dense": name}


def _of_deepseek(model: DeepseekModel) -> dict[str, str]:
    attention, last = model.blocks[0].attention, model.blocks[-1].mlp
    latents = PLAIN
    if isinstance(attention, KernelAttention) and attention.kernels:
        latents = _name_of(attention.kernels[0])
    experts = "none"
    if isinstance(last, MixtureOfExperts):
        triton = isinstance(last.experts, KernelExperts)
        experts = f"triton{_form(last.experts.gate)}" if triton else PLAIN
    return {"attention": latents, "experts": experts, "dense": _product(_dense(model))}


def _dense(model: DeepseekModel) -> Matrix:
    mlp = model.blocks[0].mlp
    found = mlp.down if isinstance(mlp, FeedForward) else model.blocks[0].attention.out
    return found.part if isinstance(found, Summed | Joined) else found


def _product(matrix: Matrix) -> str:
    if not isinstance(matrix, NarrowFp8):
        return f"{PLAIN}{_form(matrix)}"
    return "deepgemm-fp8" if isinstance(matrix.product, DeepGemm) else "triton-fp8"


def _form(matrix: Matrix) -> str:
    match matrix:
        case NarrowFp8():
            return "-fp8"
        case BlockFp8():
            return "-widened-fp8"
        case _:
            return ""


def _name_of(kernel: LatentKernel) -> str:
    match kernel:
        case FlashMla():
            return "flashmla"
        case FlashInfer():
            return "flashinfer"
        case _:
            return "triton"
