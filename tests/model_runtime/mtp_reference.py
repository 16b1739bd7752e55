"""Multi-token prediction written from the report, without a cache, on Transformers' own block.

DeepSeek-V3, arXiv:2412.19437, section 2.2: module k joins the state of depth k - 1 at position i
with the embedding of token i + k (eq. 21), runs one block over it (eq. 22) and reads the trunk's
head (eq. 23). The checkpoints join them as `[embedding ; hidden]` and keep a norm before the head.
"""

from dataclasses import dataclass

import torch
from tests.model_runtime.shapes import empty_cache, perturb, states_in_chunks
from torch import Tensor
from transformers import DeepseekV3ForCausalLM
from transformers.models.deepseek_v3.modeling_deepseek_v3 import (
    DeepseekV3DecoderLayer,
    DeepseekV3RMSNorm,
)

from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.model import Decoder


class Module(torch.nn.Module):
    """One module's own weights, under the checkpoint's names."""

    def __init__(self, trunk: DeepseekV3ForCausalLM, layer: int) -> None:
        super().__init__()
        config = trunk.config
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.enorm = DeepseekV3RMSNorm(hidden, eps)
        self.hnorm = DeepseekV3RMSNorm(hidden, eps)
        self.eh_proj = torch.nn.Linear(2 * hidden, hidden, bias=False)
        self.block = DeepseekV3DecoderLayer(config, layer)
        self.norm = DeepseekV3RMSNorm(hidden, eps)
        for name, parameter in self.named_parameters():
            if "norm" not in name:
                torch.nn.init.normal_(parameter, std=0.1)
        perturb(self)

    def stored(self, prefix: str) -> dict[str, Tensor]:
        """The tensors as a checkpoint names them."""
        renamed = {"norm.weight": "shared_head.norm.weight"}
        return {
            prefix + renamed.get(name, name.removeprefix("block.")): tensor
            for name, tensor in self.state_dict().items()
        }


@dataclass(frozen=True)
class MtpReference:
    """A trunk and its modules."""

    trunk: DeepseekV3ForCausalLM
    modules: list[Module]

    @classmethod
    def random(cls, trunk: DeepseekV3ForCausalLM, depth: int) -> "MtpReference":
        layers = trunk.config.num_hidden_layers
        return cls(trunk, [Module(trunk, layers + k) for k in range(depth)])

    def stored(self) -> dict[str, Tensor]:
        """Trunk and modules as one checkpoint, copies of embedding and head included."""
        tensors = dict(self.trunk.state_dict())
        for k, module in enumerate(self.modules):
            prefix = f"model.layers.{self.trunk.config.num_hidden_layers + k}."
            tensors |= module.stored(prefix)
            tensors[prefix + "embed_tokens.weight"] = tensors["model.embed_tokens.weight"]
            tensors[prefix + "shared_head.head.weight"] = tensors["lm_head.weight"]
        return tensors

    def logits(self, tokens: list[int]) -> list[Tensor]:
        """For each module, its prediction at every place it has a token for."""
        ids = torch.tensor([tokens])
        state = self.trunk.model(ids).last_hidden_state
        embedded = self.trunk.model.embed_tokens(ids)
        found: list[Tensor] = []
        for depth, module in enumerate(self.modules, start=1):
            count = len(tokens) - depth
            pair = (module.enorm(embedded[:, depth:]), module.hnorm(state[:, :count]))
            positions = torch.arange(depth, len(tokens))[None]
            block = module.block(
                module.eh_proj(torch.cat(pair, dim=-1)),
                attention_mask=torch.full((1, 1, count, count), -torch.inf).triu(1),
                position_embeddings=self.trunk.model.rotary_emb(embedded, positions),
            )
            state = module.norm(block)
            found.append(self.trunk.lm_head(state)[0])
        return found


def drafts(model: Decoder, tokens: list[int], chunks: list[int]) -> list[Tensor]:
    """The same predictions by the runtime, each module run in chunks over a cache."""
    cache = empty_cache(model, len(tokens))
    slots = list(range(len(tokens)))[::-1]
    with torch.inference_mode():
        state = states_in_chunks(model, tokens, [len(tokens)], cache)
        found: list[Tensor] = []
        for depth in range(model.mtp_depth):
            first = depth + 1
            parts: list[Tensor] = []
            start = first
            for size in chunks:
                end = min(start + size, len(tokens))
                span = Span(tokens[start:end], start, slots, first)
                before = state[start - first : end - first]
                parts.append(model.draft_states(lay_out([span]), before, cache, depth))
                start = end
            state = torch.cat(parts)
            found.append(model.logits(state))
    return found
