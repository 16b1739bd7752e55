"""Puts the Triton kernels where they fit; everything else stays plain PyTorch."""

import logging
from dataclasses import fields, replace
from importlib.util import find_spec

import torch
from torch import Tensor
from typing_extensions import override

from treadle.model_runtime.attention import LatentAttention
from treadle.model_runtime.batch import Group
from treadle.model_runtime.block import Block
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.moe import Experts, MixtureOfExperts
from treadle.model_runtime.quant import Plain

log = logging.getLogger(__name__)
MOST_TOKENS = 256  # more fill whole matrices, for which torch's products are the better ones


class KernelAttention(LatentAttention):
    """One new token per request goes to the kernel, which reads each cache row once."""

    @override
    def _attend(self, nope: Tensor, rope: Tensor, group: Group, cache: Tensor) -> Tensor:
        """One group's heads: (requests · new, heads, value)."""
        if group.new != 1:
            return LatentAttention._attend(self, nope, rope, group, cache)
        from treadle.model_runtime.kernels.gpu.latent import decode  # noqa: PLC0415

        lifted = torch.einsum("rhn,hnk->rhk", nope[group.rows], self.key_up)
        mixed = decode(
            torch.cat((lifted, rope[group.rows]), dim=-1),
            cache,
            group.table,
            group.mask.sum(-1).flatten().int(),
            kv_rank=self.sizes.kv_rank,
            scale=self.scale,
        )
        return torch.einsum("rhk,hvk->rhv", mixed, self.value_up)


class KernelExperts(Experts):
    """Few tokens and plain weights go to the kernel, in two launches and without the host."""

    @override
    def __call__(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Sum the chosen experts' answers; (tokens, hidden)."""
        stacks = (self.gate, self.up, self.down)
        plain = [stack.weight for stack in stacks if isinstance(stack, Plain)]
        if x.shape[0] > MOST_TOKENS or len(plain) < len(stacks):
            return Experts.__call__(self, x, weights, chosen)
        from treadle.model_runtime.kernels.gpu.experts import mixed_experts  # noqa: PLC0415

        gate, up, down = plain
        return mixed_experts(x, gate, up, down, weights, chosen)


def with_kernels(model: Decoder) -> Decoder:
    """The same model on the kernels; as it is where Triton is not installed."""
    if not isinstance(model, DeepseekModel) or find_spec("triton") is None:
        log.info("kernels.plain")
        return model
    return replace(
        model,
        blocks=tuple(_block(block) for block in model.blocks),
        modules=tuple(replace(module, block=_block(module.block)) for module in model.modules),
    )


def _block(block: Block) -> Block:
    own = {field.name: getattr(block.attention, field.name) for field in fields(LatentAttention)}
    block = replace(block, attention=KernelAttention(**own))
    if isinstance(mlp := block.mlp, MixtureOfExperts):
        experts = KernelExperts(mlp.experts.gate, mlp.experts.up, mlp.experts.down)
        block = replace(block, mlp=replace(mlp, experts=experts))
    return block
