"""Llama and Qwen2 give Transformers' logits."""

import pytest
import torch
from pydantic import JsonValue
from tests.model_runtime.shapes import distance, logits_in_chunks, perturb, tokens_of
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.loading import load_model

LLAMA: dict[str, JsonValue] = {
    "model_type": "llama",
    "vocab_size": 97,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
}
SHAPES: dict[str, dict[str, JsonValue]] = {
    "llama": {},
    "llama_tied": {"tie_word_embeddings": True},
    "llama_bias": {"attention_bias": True},
    "llama_one_key_head": {"num_key_value_heads": 1, "head_dim": 16},
    "llama_3_scaling": {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    "qwen2": {"model_type": "qwen2"},
    "qwen2_tied": {"model_type": "qwen2", "tie_word_embeddings": True},
}


def reference(config: dict[str, JsonValue]) -> PreTrainedModel:
    torch.manual_seed(0)
    wide = {**config, "initializer_range": 0.1}
    model = (
        LlamaForCausalLM(LlamaConfig.from_dict(wide))
        if config["model_type"] == "llama"
        else Qwen2ForCausalLM(Qwen2Config.from_dict(wide))
    )
    model.train(mode=False)
    perturb(model)
    return model


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chunks", [[110], [64, 1, 1, 7, 30, 1, 6]], ids=["whole", "chunks"])
def test_logits_are_the_reference_logits(shape: str, chunks: list[int]) -> None:
    config = {**LLAMA, **SHAPES[shape]}
    theirs = reference(config)
    ours = load_model(MemoryArchive(theirs.state_dict()), parse_config(config))
    tokens = tokens_of(97, 110)
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    assert distance(logits_in_chunks(ours, tokens, chunks), expected) <= 1e-4
