"""Plans repeat what others have published."""

import json
from pathlib import Path

import pytest
from pydantic import JsonValue

from treadle.model_runtime.config import parse_config
from treadle.model_runtime.errors import BadConfig
from treadle.model_runtime.plan import (
    Size,
    cpu_tokens,
    fit,
    measure,
    prefill_tokens,
    step_seconds,
)
from treadle.model_runtime.planning import plan_text, read_gpus

V3: dict[str, JsonValue] = {
    "model_type": "deepseek_v3",
    "vocab_size": 129280,
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "num_hidden_layers": 61,
    "num_attention_heads": 128,
    "first_k_dense_replace": 3,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "n_group": 8,
    "topk_group": 4,
    "routed_scaling_factor": 2.5,
    "num_nextn_predict_layers": 1,
    "max_position_embeddings": 163840,
    "rope_theta": 10000,
    "torch_dtype": "bfloat16",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}
MOONLIGHT: dict[str, JsonValue] = {
    **V3,
    "vocab_size": 163840,
    "hidden_size": 2048,
    "intermediate_size": 11264,
    "moe_intermediate_size": 1408,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "first_k_dense_replace": 1,
    "q_lora_rank": None,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "n_group": 1,
    "topk_group": 1,
    "num_nextn_predict_layers": 0,
    "max_position_embeddings": 8192,
    "quantization_config": None,
}
GIGA = 1e9


@pytest.fixture(scope="module")
def v3() -> Size:
    return measure(parse_config(V3), fp8=True)


@pytest.fixture(scope="module")
def moonlight() -> Size:
    return measure(parse_config(MOONLIGHT), fp8=False)


def test_the_weights_are_as_large_as_the_files(v3: Size, moonlight: Size) -> None:
    assert v3.weights / GIGA == pytest.approx(688.6, rel=2e-3)
    assert (v3.weights - v3.mtp) / GIGA == pytest.approx(673.2, rel=1e-3)
    assert moonlight.weights / GIGA == pytest.approx(31.9, rel=2e-3)


def test_a_token_takes_as_much_cache_as_published(v3: Size, moonlight: Size) -> None:
    assert (v3.cache, moonlight.cache) == (70_272, 31_104)


@pytest.mark.parametrize(("batch", "giga"), [(1, 37.7), (8, 164), (32, 434), (64, 585)])
def test_a_step_reads_the_experts_it_touches(v3: Size, batch: int, giga: float) -> None:
    assert v3.step(batch) / GIGA == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize(
    ("batch", "published_ms"),
    [(1, 15.85), (8, 12.8), (16, 17.2), (32, 25.6), (64, 34.6)],
    ids=["vllm-recipe", *(f"inferencex-{batch}" for batch in (8, 16, 32, 64))],
)
def test_published_speeds_lie_in_the_range(v3: Size, batch: int, published_ms: float) -> None:
    found = step_seconds(v3, fit(v3, "H200", 8), batch)
    assert found.low * 1e3 <= published_ms <= found.high * 1e3


def test_two_nodes_pay_for_the_way_between_them(v3: Size) -> None:
    """16×H100: 31.2 ms per token are published."""
    found = step_seconds(v3, fit(v3, "H100", 16), 1)
    assert found.low <= 31.2e-3 <= found.high


def test_prompts_are_read_as_fast_as_published(v3: Size) -> None:
    """52,300 tokens per second and node of eight H100."""
    found = prefill_tokens(v3, fit(v3, "H100", 8), fp8=True)
    assert found.low <= 52_300 <= found.high


def test_what_fits_fits(v3: Size) -> None:
    assert fit(v3, "H200", 8).cache_tokens == pytest.approx(510_000, rel=0.02)
    assert fit(v3, "H200", 8).spread_tokens == pytest.approx(2_900_000, rel=0.03)
    assert not fit(v3, "H100", 8).fits
    assert fit(v3, "H100", 16).fits
    assert fit(v3, "MI300X", 8).fits


def test_a_latent_cache_is_kept_by_every_rank_of_tensor_parallelism(v3: Size) -> None:
    """More ranks in a stage leave room only by their share of the weights; stages share layers."""
    room = 80 * GIGA * 0.9 - 5 * GIGA - v3.weights / 16
    whole, in_two = (fit(v3, "H100", 16, stages=stages) for stages in (1, 2))
    assert whole.cache_tokens == pytest.approx(room / v3.cache, abs=1)
    assert in_two.cache_tokens == pytest.approx(2 * whole.cache_tokens, abs=2)
    assert fit(v3, "H100", 16) == in_two
    # Data-parallel attention: sixteen ranks hold sixteen caches, for the whole attention on each.
    assert whole.spread_tokens > 8 * whole.cache_tokens


def test_keys_and_values_are_split_by_their_heads() -> None:
    """Eight heads over four ranks are two each; over sixteen, still one each."""
    stated: dict[str, JsonValue] = {
        "model_type": "llama",
        "vocab_size": 128_256,
        "hidden_size": 8_192,
        "intermediate_size": 28_672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8_192,
        "rms_norm_eps": 1e-5,
        "torch_dtype": "bfloat16",
    }
    size = measure(parse_config(stated), fp8=False)
    assert size.cache == 327_680  # 2 · 80 layers · 8 heads · 128 values · 2 bytes
    for ranks, parts in ((4, 4), (8, 8), (16, 8)):
        room = 141 * GIGA * 0.9 - 5 * GIGA - size.weights / ranks
        found = fit(size, "H200", ranks, stages=1).cache_tokens
        assert found == pytest.approx(room / (size.cache / parts), abs=1)


def test_a_cpu_stays_below_its_limit(moonlight: Size) -> None:
    found = cpu_tokens(moonlight, 40e9)
    assert found.low < found.high < 7.8
    assert moonlight.step(1) / GIGA == pytest.approx(5.16, rel=0.02)


def test_the_plan_is_written_for_people(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(V3), encoding="utf-8")
    text = plan_text(tmp_path, gpus="8xH200", cpu_bandwidth=300)
    assert "8×H200: fits: tensor parallel 8" in text
    assert "does not fit" in plan_text(tmp_path / "config.json", gpus="8xH100", cpu_bandwidth=0)
    assert "CPU" in text


@pytest.mark.parametrize("text", ["H200", "0xH200", "8 x H200"])
def test_what_names_no_accelerators_is_refused(text: str) -> None:
    with pytest.raises(BadConfig, match="such as 8xH200"):
        read_gpus(text)


def test_an_unknown_accelerator_is_named(v3: Size) -> None:
    with pytest.raises(BadConfig, match="'Z9'"):
        fit(v3, "Z9", 8)
