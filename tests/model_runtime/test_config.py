"""config.json in every spelling met, and the refusals."""

import pytest
from pydantic import JsonValue
from tests.model_runtime.shapes import fields

from treadle.model_runtime.config import DeepseekConfig, Rope, Yarn, parse_config
from treadle.model_runtime.errors import BadConfig, UnsupportedModel
from treadle.model_runtime.rope import correction_range, rotation_scale, softmax_scale

V3_ROPE: dict[str, JsonValue] = {
    "type": "yarn",
    "factor": 40,
    "original_max_position_embeddings": 4096,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}


def old_spelling(**changes: JsonValue) -> dict[str, JsonValue]:
    config = fields("plain", rope_scaling=V3_ROPE, rope_theta=10000, qk_rope_head_dim=64)
    del config["rope_parameters"]
    return {**config, **changes}


def parsed(config: dict[str, JsonValue]) -> DeepseekConfig:
    found = parse_config(config)
    assert isinstance(found, DeepseekConfig)
    return found


def test_old_and_new_spelling_of_the_rope_agree() -> None:
    new = {**V3_ROPE, "rope_type": "yarn", "rope_theta": 10000.0}
    renamed = fields("plain", rope_parameters=new, qk_rope_head_dim=64)
    assert parsed(old_spelling()).rope == parsed(renamed).rope


@pytest.mark.parametrize("nothing", [None, {}, {"rope_type": "default"}])
def test_no_scaling_has_many_spellings(nothing: JsonValue) -> None:
    assert parsed(old_spelling(rope_scaling=nothing)).rope.scaling is None


def test_deepseek_yarn_is_yarn() -> None:
    assert parsed(old_spelling(rope_scaling={**V3_ROPE, "type": "deepseek_yarn"})) == parsed(
        old_spelling()
    )


def test_a_null_factor_is_the_stretch_of_the_positions() -> None:
    config = old_spelling(rope_scaling={**V3_ROPE, "factor": None}, max_position_embeddings=163840)
    scaling = parsed(config).rope.scaling
    assert isinstance(scaling, Yarn)
    assert scaling.factor == 40


def test_mtp_depth_has_two_names() -> None:
    config = fields("plain")
    del config["num_nextn_predict_layers"]
    assert parsed({**config, "num_mtp_layers": 2}).mtp_layers == 2
    assert parsed({**config, "num_nextn_predict_layers": 1}).mtp_layers == 1
    assert parsed(config).mtp_layers == 0


def test_end_tokens_are_one_or_many() -> None:
    assert parsed(fields("plain", eos_token_id=1)).eos_token_ids == (1,)
    assert parsed(fields("plain", eos_token_id=[1, 2])).eos_token_ids == (1, 2)


@pytest.mark.parametrize("kind", ["linear", "dynamic", "longrope", "llama3"])
def test_other_rope_scalings_are_refused_by_name(kind: str) -> None:
    with pytest.raises(UnsupportedModel, match=repr(kind)):
        parse_config(old_spelling(rope_scaling={"rope_type": kind, "factor": 2}))


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("deepseek_v32", "indexer"),
        ("deepseek_v2", "softmax"),
        ("kimi_k25", "vision"),
        ("gemma3", "vLLM"),
        (None, "vLLM"),
    ],
)
def test_other_models_are_refused_by_name(model_type: str | None, reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=f"{model_type!r}.*{reason}"):
        parse_config({"model_type": model_type})


def test_kimi_k2_is_served() -> None:
    assert parsed(fields("plain", model_type="kimi_k2")).model_type == "kimi_k2"


@pytest.mark.parametrize(
    "change", [{"scoring_func": "softmax"}, {"topk_method": "greedy"}, {"hidden_act": "gelu"}]
)
def test_another_gate_is_refused(change: dict[str, JsonValue]) -> None:
    with pytest.raises(BadConfig, match=next(iter(change))):
        parse_config(fields("plain", **change))


def test_groups_of_one_expert_are_refused() -> None:
    with pytest.raises(BadConfig, match="less than two experts in a group"):
        parse_config(fields("plain", n_group=8, topk_group=8))


def test_a_missing_size_is_named() -> None:
    config = fields("plain")
    del config["kv_lora_rank"]
    with pytest.raises(BadConfig, match="kv_lora_rank"):
        parse_config(config)


def v3(**changes: float) -> Rope:
    scaling = Yarn(factor=40, original_max_positions=4096, mscale=1, mscale_all_dim=1).model_copy(
        update=changes
    )
    return Rope(theta=10000, dim=64, scaling=scaling)


def test_yarn_has_the_published_corrections() -> None:
    scaling = v3().scaling
    assert isinstance(scaling, Yarn)
    assert correction_range(v3(), scaling) == (10, 23)
    assert rotation_scale(v3()) == 1.0
    assert softmax_scale(v3(), 192) == pytest.approx(0.135234, abs=1e-6)
    k2 = v3(factor=64, beta_fast=1, beta_slow=1).model_copy(update={"theta": 50000})
    assert isinstance(k2.scaling, Yarn)
    assert correction_range(k2, k2.scaling) == (19, 20)
    assert softmax_scale(k2, 192) == pytest.approx(0.144680, abs=1e-6)
