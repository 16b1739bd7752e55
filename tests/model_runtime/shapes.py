"""Small configs and random weights that make every rule of the architecture visible."""

import torch
from pydantic import JsonValue
from torch import Tensor
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.model import Decoder

BASE: dict[str, JsonValue] = {
    "model_type": "deepseek_v3",
    "vocab_size": 97,
    "hidden_size": 64,
    "intermediate_size": 96,
    "moe_intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 3,
    "n_group": 4,
    "topk_group": 2,
    "routed_scaling_factor": 2.5,
    "norm_topk_prob": True,
    "kv_lora_rank": 32,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    "tie_word_embeddings": False,
    "attention_bias": False,
    "num_nextn_predict_layers": 0,
}


def yarn(factor: float = 4, **changes: JsonValue) -> dict[str, JsonValue]:
    """`rope_parameters` with YaRN over 128 positions."""
    parameters: dict[str, JsonValue] = {
        "rope_type": "yarn",
        "rope_theta": 10000.0,
        "factor": factor,
        "original_max_position_embeddings": 128,
        "beta_fast": 32,
        "beta_slow": 1,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    }
    return {"rope_parameters": {**parameters, **changes}}


SHAPES: dict[str, dict[str, JsonValue]] = {
    "plain": {},
    "yarn_factor_4": yarn(4),
    "yarn_factor_40": yarn(40),
    "yarn_mscales_differ": yarn(4, mscale=0.707, mscale_all_dim=0.5),
    "yarn_betas_equal": yarn(32, beta_fast=1, beta_slow=1),
    "yarn_ramp_past_the_last_pair": yarn(4, original_max_position_embeddings=65536),
    "no_query_rank": {"q_lora_rank": None},
    "one_group": {"n_group": 1, "topk_group": 1},
    "two_experts_a_group": {"n_routed_experts": 16, "n_group": 8, "topk_group": 3},
    "no_dense_layer": {"first_k_dense_replace": 0},
    "all_layers_dense": {"first_k_dense_replace": 3},
    "two_shared_experts": {"n_shared_experts": 2},
    "tied_head": {"tie_word_embeddings": True},
    "weights_not_normalised": {"norm_topk_prob": False},
    "odd_sizes": {
        "hidden_size": 96,
        "kv_lora_rank": 40,
        "qk_nope_head_dim": 20,
        "num_attention_heads": 3,
        "num_key_value_heads": 3,
        "vocab_size": 131,
    },
    "attention_bias": {"attention_bias": True},
    "eps_1e-5": {"rms_norm_eps": 1e-5},
    "rope_in_halves": {"rope_interleave": False},
    "moonlight": {
        "q_lora_rank": None,
        "n_group": 1,
        "topk_group": 1,
        "n_shared_experts": 2,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 50000.0},
    },
}


def fields(shape: str, **changes: JsonValue) -> dict[str, JsonValue]:
    """The config.json of a named shape."""
    return {**BASE, **SHAPES[shape], **changes}


def reference(
    config: dict[str, JsonValue], *, seed: int = 0, routing_bias: float = 0
) -> DeepseekV3ForCausalLM:
    """Transformers' model with weights large enough that a wrong rule shows in the logits."""
    torch.manual_seed(seed)
    theirs = DeepseekV3Config.from_dict({**config, "initializer_range": 0.1})
    model = DeepseekV3ForCausalLM(theirs)
    model.train(mode=False)
    perturb(model)
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.add_(routing_bias)
    return model


def perturb(model: torch.nn.Module) -> None:
    """Norms away from 1, biases and the routing bias away from 0."""
    with torch.no_grad():
        for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            elif name.endswith("bias"):
                parameter.add_(torch.randn_like(parameter) * 0.3)


def tokens_of(vocabulary: int, count: int, *, seed: int = 1) -> list[int]:
    """Random token ids."""
    generator = torch.Generator().manual_seed(seed)
    return [int(token) for token in torch.randint(0, vocabulary, (count,), generator=generator)]


def empty_cache(model: Decoder, slots: int) -> Tensor:
    """A cache of nonsense: a row that is read before it was written shows."""
    return torch.full((model.cache_layers, slots, model.cache_width), 7.0)


def states_in_chunks(model: Decoder, tokens: list[int], chunks: list[int], cache: Tensor) -> Tensor:
    """Run `tokens` in chunks of these sizes through scattered slots; (tokens, hidden)."""
    slots = list(range(len(tokens)))[::-1]
    found: list[Tensor] = []
    start = 0
    for size in chunks:
        end = start + size
        batch = lay_out([Span(tokens[start:end], start, slots)])
        found.append(model.states(batch, cache))
        start = end
    assert start == len(tokens)
    return torch.cat(found)


def logits_in_chunks(model: Decoder, tokens: list[int], chunks: list[int]) -> Tensor:
    """Logits of every position, (tokens, vocabulary)."""
    cache = empty_cache(model, len(tokens))
    with torch.inference_mode():
        return model.logits(states_in_chunks(model, tokens, chunks, cache))


def distance(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference relative to the largest logit."""
    return float((ours - theirs).abs().max() / theirs.abs().max())
