"""Puts kernels where they fit; everything else stays plain PyTorch."""

from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec

import torch
from torch import Tensor

from treadle.model_runtime.attention import LatentAttention
from treadle.model_runtime.errors import BadConfig
from treadle.model_runtime.kernels.gpu.graphs import CudaGraphs
from treadle.model_runtime.kernels.gpu.installed import (
    FLASHMLA_SIZE,
    RANK,
    ROPE,
    DeepGemm,
    FlashInfer,
    FlashMla,
    is_installed,
)
from treadle.model_runtime.kernels.gpu.layers import (
    KernelAttention,
    KernelExperts,
    KernelSharedMixture,
    LatentKernel,
    NarrowFp8,
    OwnLatents,
    own_product,
    takes,
)
from treadle.model_runtime.kernels.gpu.wishes import Fp8Wish, Wishes
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.moe import Experts
from treadle.model_runtime.parts import rebuilt
from treadle.model_runtime.quant import BlockFp8
from treadle.model_runtime.sharding import SharedMixture
from treadle.model_runtime.steady import Planner, SteadyModel

Capability = tuple[int, int]
HOPPER: Capability = (9, 0)  # the first whose tensor cores these FP8 sums are written for


def with_kernels(model: Decoder, wishes: Wishes, *, capability: Capability) -> Decoder:
    """The same model on kernels; as it is where no kernel is for it.

    Raises:
        BadConfig: A kernel is asked for by name and cannot be had here.
    """
    if not isinstance(model, DeepseekModel):
        return model
    if find_spec("triton") is None:
        if wishes.attention in {"auto", "plain"} and wishes.fp8 in {"auto", "wide"}:
            return model
        raise BadConfig("GPU kernels need the package triton, which is not installed")
    attention = _attention(model, wishes, capability)
    model = rebuilt(model, _narrowed(wishes.fp8, capability))
    model = rebuilt(model, on_kernels(attention))
    if wishes.graphs and attention and _of_fixed_shapes(model):
        planners: list[Planner] = [each for each in attention if isinstance(each, FlashInfer)]
        return SteadyModel(model, CudaGraphs(), most=wishes.graphs, planners=planners)
    return model


def on_kernels(attention: tuple[LatentKernel, ...]) -> Callable[[object], object | None]:
    """Exchanges attention and experts for those on kernels; for `parts.rebuilt`."""

    def changed(part: object) -> object | None:
        match part:
            case LatentAttention() if attention:
                own = {field.name: getattr(part, field.name) for field in fields(LatentAttention)}
                return KernelAttention(**own, kernels=attention)
            case SharedMixture() if takes(part.experts):
                kernel = _kernel_experts(part.experts)
                return KernelSharedMixture(part.gate, kernel, part.shared, part.own, part.ranks)
            case Experts() if takes(part):
                return _kernel_experts(part)
            case _:
                return None

    return changed


def _kernel_experts(experts: Experts) -> KernelExperts:
    return KernelExperts(experts.gate, experts.up, experts.down)


def _attention(
    model: DeepseekModel, wishes: Wishes, capability: Capability
) -> tuple[LatentKernel, ...]:
    """The kernels to try for each batch, the best first; ours takes what the others do not."""
    own: tuple[LatentKernel, ...] = (OwnLatents(),)
    match wishes.attention:
        case "plain":
            return ()
        case "triton":
            return own
        case "flashmla":
            if (reason := _no_flashmla(model, wishes, capability)) is not None:
                raise BadConfig(f"FlashMLA cannot be used: {reason}")
            return (FlashMla(), *own)
        case "flashinfer":
            if (reason := _no_flashinfer(model)) is not None:
                raise BadConfig(f"FlashInfer cannot be used: {reason}")
            return (_flashinfer(model, capability), *own)
        case "auto":
            if _no_flashmla(model, wishes, capability) is None:
                return (FlashMla(), *own)
            if _no_flashinfer(model) is None:
                return (_flashinfer(model, capability), *own)
            return own


def _no_flashmla(model: DeepseekModel, wishes: Wishes, capability: Capability) -> str | None:
    """Why not; the costliest question comes last."""
    if capability[0] != HOPPER[0]:
        return f"it is for compute capability 9, and this device has {capability[0]}"
    if wishes.block_size != FLASHMLA_SIZE:
        return f"it reads blocks of {FLASHMLA_SIZE} tokens, and --block-size {wishes.block_size}"
    if (reason := _other_shape(model)) is not None:
        return reason
    there = is_installed("flash_mla", "flash_mla_with_kvcache")
    return None if there else "the package flash_mla is not installed"


def _no_flashinfer(model: DeepseekModel) -> str | None:
    if (reason := _other_shape(model)) is not None:
        return reason
    there = is_installed("flashinfer.mla", "MLAPlanMetadata")
    return None if there else "the package flashinfer is not installed, or older than 0.7"


def _other_shape(model: DeepseekModel) -> str | None:
    widths = (model.config.kv_lora_rank, model.config.rope_dim)
    if model.dtype != torch.bfloat16:
        return f"it is for bfloat16, and the model is in {str(model.dtype).removeprefix('torch.')}"
    if widths != (RANK, ROPE):
        return f"it is for rows of {RANK} and {ROPE} values, and these have {widths}"
    return None


def _flashinfer(model: DeepseekModel, capability: Capability) -> FlashInfer:
    attention = model.blocks[0].attention
    return FlashInfer(
        heads=attention.sizes.heads,
        scale=attention.scale,
        dtype=model.dtype,
        device=model.device,
        hopper=capability[0] == HOPPER[0],
    )


def _narrowed(wish: Fp8Wish, capability: Capability) -> Callable[[object], object | None]:
    """Exchanges FP8 blocks for those whose activations are rounded too."""
    own = deepgemm = False
    match wish:
        case "wide":
            pass
        case "triton":
            own = True
        case "deepgemm":
            own = deepgemm = True
            if capability[0] != HOPPER[0] or not is_installed("deep_gemm", "fp8_gemm_nt"):
                raise BadConfig(
                    "DeepGEMM cannot be used: it wants the package deep_gemm, version 2, and a "
                    f"device of compute capability 9; this one has {capability[0]}"
                )
        case "auto":
            own = capability >= HOPPER
            deepgemm = capability[0] == HOPPER[0] and is_installed("deep_gemm", "fp8_gemm_nt")
    theirs = DeepGemm() if own and deepgemm else None

    def changed(part: object) -> object | None:
        if not own or not isinstance(part, BlockFp8):
            return None
        product = own_product
        if theirs is not None and part.weight.dim() == 2 and theirs.takes(part.weight):
            product = theirs
        scale = part.scale.float().contiguous()
        powers = are_powers_of_two(scale)
        return NarrowFp8(part.weight, scale, part.bias, powers=powers, product=product)

    return changed


def are_powers_of_two(scale: Tensor) -> bool:
    """Whether a checkpoint's scales are of format ue8m0; its activations were rounded so too."""
    mantissa, _ = torch.frexp(scale)
    return bool((mantissa == 0.5).all())


def _of_fixed_shapes(model: DeepseekModel) -> bool:
    """Whether no layer of a step asks the host; ranks' sums have not been recorded yet."""
    experts: list[object] = []

    def noted(part: object) -> object | None:
        if isinstance(part, Experts | SharedMixture):
            experts.append(part)
            return part
        return None

    rebuilt(model, noted)
    return all(isinstance(each, KernelExperts) for each in experts)
