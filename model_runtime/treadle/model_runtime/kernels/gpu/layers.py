"""The layers of a model on kernels for GPUs: same names, same shapes, other arithmetic inside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from typing_extensions import override

from treadle.model_runtime.attention import LatentAttention
from treadle.model_runtime.batch import Group, Paging
from treadle.model_runtime.moe import Experts
from treadle.model_runtime.quant import BlockFp8, Plain
from treadle.model_runtime.sharding import SharedMixture

MOST_TOKENS = 256  # more fill whole matrices, for which torch's products are the better ones

Product = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], None]
"""As `fp8.multiply`."""


class LatentKernel(Protocol):
    """Attends with one token per request over the paged latent cache."""

    def fits(self, paging: Paging) -> bool:
        """Whether it reads rows laid out so."""
        ...

    def decode(
        self, query: Tensor, cache: Tensor, paging: Paging, *, kv_rank: int, scale: float
    ) -> Tensor:
        """As `latent.decode`."""
        ...


class OwnLatents:
    """Our Triton kernel, for rows of any layout."""

    def fits(self, paging: Paging) -> bool:
        """Always."""
        return paging.size > 0

    def decode(
        self, query: Tensor, cache: Tensor, paging: Paging, *, kv_rank: int, scale: float
    ) -> Tensor:
        """As `latent.decode`."""
        from treadle.model_runtime.kernels.gpu.latent import decode  # noqa: PLC0415

        return decode(query, cache, paging, kv_rank=kv_rank, scale=scale)


@dataclass(frozen=True, slots=True)
class KernelAttention(LatentAttention):
    """One new token per request goes to the first kernel that fits."""

    kernels: tuple[LatentKernel, ...] = ()

    @override
    def _attend(self, nope: Tensor, rope: Tensor, group: Group, cache: Tensor) -> Tensor:
        """One group's heads: (requests · new, heads, value)."""
        paging = group.paging
        kernel = None
        if paging is not None and group.new == 1:
            kernel = next((each for each in self.kernels if each.fits(paging)), None)
        if paging is None or kernel is None:
            return LatentAttention._attend(self, nope, rope, group, cache)
        lifted = torch.einsum("rhn,hnk->rhk", nope[group.rows], self.key_up)
        query = torch.cat((lifted, rope[group.rows]), dim=-1)
        rank = self.sizes.kv_rank
        mixed = kernel.decode(query, cache, paging, kv_rank=rank, scale=self.scale)
        return torch.einsum("rhk,hvk->rhv", mixed, self.value_up)


@dataclass(frozen=True, slots=True)
class NarrowFp8(BlockFp8):
    """FP8 blocks whose activations are rounded to FP8 too.

    Attributes:
        powers: As in `fp8.narrow_activations`.
        product: What multiplies.
    """

    powers: bool = field(kw_only=True)
    product: Product = field(kw_only=True)

    @override
    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, in) to (tokens, out), in the dtype of `x`."""
        from treadle.model_runtime.kernels.gpu.fp8 import narrow_activations  # noqa: PLC0415

        narrow, scale = narrow_activations(x, powers=self.powers)
        out = torch.empty(x.shape[0], self.weight.shape[0], dtype=x.dtype, device=x.device)
        self.product(narrow, scale, self.weight, self.scale, out)
        return out if self.bias is None else out + self.bias

    @override
    def __getitem__(self, expert: int) -> "NarrowFp8":
        """One weight of a stack."""
        return NarrowFp8(
            self.weight[expert], self.scale[expert], powers=self.powers, product=self.product
        )


def own_product(x: Tensor, x_scale: Tensor, weight: Tensor, scale: Tensor, out: Tensor) -> None:
    """Our Triton kernel."""
    from treadle.model_runtime.kernels.gpu.fp8 import multiply  # noqa: PLC0415

    multiply(x, x_scale, weight, scale, out)


@dataclass(frozen=True, slots=True)
class KernelExperts(Experts):
    """Few tokens go to the kernel, in few launches and without the host."""

    @override
    def __call__(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Sum the chosen experts' answers; (tokens, hidden)."""
        if x.shape[0] > MOST_TOKENS:
            return Experts.__call__(self, x, weights, chosen)
        return self.summed(x, weights, chosen).to(x.dtype)

    def summed(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """As a call, in float32; experts past the last are left out."""
        match self.gate, self.up, self.down:
            case Plain() as gate, Plain() as up, Plain() as down:
                from treadle.model_runtime.kernels.gpu.experts import (  # noqa: PLC0415
                    mixed_experts,
                )

                return mixed_experts(x, gate.weight, up.weight, down.weight, weights, chosen)
            case NarrowFp8() as gate, NarrowFp8() as up, NarrowFp8() as down:
                from treadle.model_runtime.kernels.gpu.fp8_experts import (  # noqa: PLC0415
                    mixed_fp8_experts,
                )

                return mixed_fp8_experts(x, gate, up, down, weights, chosen, powers=gate.powers)
            case _:
                raise TypeError("no kernel takes experts of this form")


def takes(experts: Experts) -> bool:
    """Whether `KernelExperts` has a kernel for weights of this form."""
    stacks = (experts.gate, experts.up, experts.down)
    return any(all(isinstance(stack, form) for stack in stacks) for form in (Plain, NarrowFp8))


@dataclass(frozen=True, slots=True)
class KernelSharedMixture(SharedMixture):
    """A rank's experts on the kernel; those of other ranks are numbered past the last."""

    @override
    def _routed(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """(tokens, hidden), float32."""
        if x.shape[0] > MOST_TOKENS or not isinstance(self.experts, KernelExperts):
            return SharedMixture._routed(self, x, weights, chosen)
        elsewhere = (chosen < self.own.start) | (chosen >= self.own.stop)
        local = (chosen - self.own.start).masked_fill(elsewhere, len(self.own))
        return self.experts.summed(x, weights, local)
