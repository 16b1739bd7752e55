"""DeepSeekMoE: a gate that chooses experts, the chosen experts, and the shared ones.

Source: DeepSeek-V3, arXiv:2412.19437, section 2.1.2; reference: inference/model.py, `Gate`, `MoE`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from treadle.model_runtime.config import DeepseekConfig
from treadle.model_runtime.layers import FeedForward, load_feed_forward
from treadle.model_runtime.quant import Matrix
from treadle.model_runtime.weights import Source

# Keeps the division defined when all chosen scores are 0; as in Transformers.
SUM_FLOOR = 1e-20


@dataclass(frozen=True, slots=True)
class Gate:
    """Scores experts and chooses the best of the best groups; all of it in float32."""

    weight: Tensor
    bias: Tensor
    groups: int
    top_groups: int
    top_experts: int
    normalise: bool
    scale: float

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(tokens, hidden) to the chosen experts' weights and numbers, (tokens, top_experts).

        The bias steers the choice and never enters the weights.

        Source: arXiv:2412.19437, eq. 12 to 16.
        """
        scores = functional.linear(x.float(), self.weight.float()).sigmoid()
        chosen = self._choose(scores + self.bias)
        weights = scores.gather(1, chosen)
        if self.normalise:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + SUM_FLOOR)
        return weights * self.scale, chosen

    def _choose(self, biased: Tensor) -> Tensor:
        """(tokens, experts) to the numbers of the best, (tokens, top_experts).

        A group counts by the sum of its two best. What is left out becomes -inf: with 0, an
        expert of another group would beat one whose biased score is negative.
        """
        grouped = biased.view(biased.shape[0], self.groups, -1)
        group_scores = grouped.topk(2, dim=-1).values.sum(dim=-1)
        kept = group_scores.topk(self.top_groups, dim=-1, sorted=False).indices
        left_out = torch.ones_like(group_scores, dtype=torch.bool).scatter_(1, kept, value=False)
        masked = grouped.masked_fill(left_out[:, :, None], -torch.inf).flatten(1)
        return masked.topk(self.top_experts, dim=-1, sorted=False).indices


@dataclass(frozen=True, slots=True)
class Experts:
    """Stacks of expert weights: (experts, width, hidden) twice, and (experts, hidden, width)."""

    gate: Matrix
    up: Matrix
    down: Matrix

    def __call__(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """Sum the chosen experts' answers, each times its weight.

        Args:
            x: (tokens, hidden).
            weights: (tokens, top_experts), float32.
            chosen: Expert numbers, (tokens, top_experts).

        Returns:
            (tokens, hidden); experts are added in the order of their numbers, so that a token's
            sum does not depend on the others in the batch.
        """
        out = torch.zeros_like(x, dtype=torch.float32)
        order = chosen.flatten().argsort(stable=True)
        counts = [int(count) for count in torch.bincount(chosen.flatten())]
        for expert, picks in enumerate(torch.split(order, counts)):
            if not picks.numel():
                continue
            tokens = picks // chosen.shape[1]
            layer = FeedForward(self.gate[expert], self.up[expert], self.down[expert])
            weighted = layer(x[tokens]) * weights.flatten()[picks, None]
            out.index_add_(0, tokens, weighted.float())
        return out.to(x.dtype)


@dataclass(frozen=True, slots=True)
class MaskedExperts(Experts):
    """Every expert on every token, and what was not chosen left out.

    Nothing depends on the choice but the numbers, so a step of fixed shape can hold it; it reads
    all experts, as a batch of many tokens does anyway. Not for speed: `kernels.gpu` has a kernel.
    """

    experts: int

    @override
    def __call__(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """As `Experts`, in the same order."""
        out = torch.zeros_like(x, dtype=torch.float32)
        for expert in range(self.experts):
            here = chosen == expert
            weight = (weights * here).sum(dim=1, keepdim=True)
            layer = FeedForward(self.gate[expert], self.up[expert], self.down[expert])
            found = (layer(x) * weight).float()
            out += found.masked_fill(~here.any(dim=1, keepdim=True), 0)
        return out.to(x.dtype)


@dataclass(frozen=True, slots=True)
class MixtureOfExperts:
    """Routed experts plus the shared ones, whose answer is added as it is."""

    gate: Gate
    experts: Experts
    shared: FeedForward | None

    def __call__(self, x: Tensor) -> Tensor:
        """(tokens, hidden) to the same."""
        weights, chosen = self.gate(x)
        routed = self.experts(x, weights, chosen)
        return routed if self.shared is None else routed + self.shared(x)


def load_mixture(source: Source, name: str, config: DeepseekConfig) -> MixtureOfExperts:
    """The layer whose gate, experts and shared experts lie under `name`."""
    hidden, width = config.hidden_size, config.moe_intermediate_size
    prefixes = [f"{name}.experts.{expert}" for expert in range(config.experts)]
    shared = None
    if config.shared_experts:
        shared = load_feed_forward(
            source, f"{name}.shared_experts", hidden, width * config.shared_experts
        )
    return MixtureOfExperts(
        gate=Gate(
            weight=source.tensor(f"{name}.gate.weight", config.experts, hidden),
            bias=source.tensor(
                f"{name}.gate.e_score_correction_bias", config.experts, dtype=torch.float32
            ),
            groups=config.groups,
            top_groups=config.top_groups,
            top_experts=config.top_experts,
            normalise=config.norm_topk_prob,
            scale=config.routed_scaling_factor,
        ),
        experts=Experts(
            gate=source.stack([f"{prefix}.gate_proj" for prefix in prefixes], width, hidden),
            up=source.stack([f"{prefix}.up_proj" for prefix in prefixes], width, hidden),
            down=source.stack([f"{prefix}.down_proj" for prefix in prefixes], hidden, width),
        ),
        shared=shared,
    )
