"""config.json as a frozen value: which model this is, in one spelling whatever the file's.

Sources: the config.json of DeepSeek-V3, V3.1, Kimi-K2 and Moonlight; `DeepseekV3Config`,
`LlamaConfig` and `Qwen2Config` of Transformers 5 for the new spelling (`rope_parameters`).
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from treadle.model_runtime.errors import BadConfig, UnsupportedModel

JsonObject = dict[str, JsonValue]

MULTI_TOKEN_KEYS = AliasChoices("num_nextn_predict_layers", "num_mtp_layers")
LATENT_TYPES = frozenset({"deepseek_v3", "kimi_k2"})
DENSE_TYPES = frozenset({"llama", "qwen2"})
# What is near enough to be tried, and what to do instead.
RELATIVES = {
    "deepseek_v2": "its softmax scores and group maxima are another gate; serve it with vLLM",
    "deepseek_v32": "its attention needs an indexer; serve it with vLLM or SGLang",
    "deepseek_v4": "its attention and scores differ; serve it with vLLM or SGLang",
    "kimi_vl": "it wraps a vision tower; serve it with vLLM",
    "kimi_k25": "it wraps a vision tower; serve it with vLLM or SGLang",
    "kimi_linear": "its attention is linear; serve it with vLLM",
    "kimi_k3": "its attention differs; serve it with vLLM or SGLang",
    "glm_moe_dsa": "its attention is sparse; serve it with vLLM or SGLang",
    "glm4_moe_lite": "its layers are named otherwise; serve it with vLLM or SGLang",
}


def _none_is_empty(value: object) -> object:
    return () if value is None else value


def _one_is_many(value: object) -> object:
    if isinstance(value, int):
        return (value,)
    return _none_is_empty(value)


class _Config(BaseModel):
    """Frozen; keys that do not change the arithmetic are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Yarn(_Config):
    """YaRN, with DeepSeek's two mscales; Peng et al., arXiv:2309.00071, section 3."""

    kind: Literal["yarn"] = "yarn"
    factor: float
    original_max_positions: int = Field(validation_alias="original_max_position_embeddings")
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 0.0
    mscale_all_dim: float = 0.0
    attention_factor: float | None = None
    truncate: bool = True


class Llama3Scaling(_Config):
    """Llama 3.1's stretch of the low frequencies; R1-Distill-Llama has it."""

    kind: Literal["llama3"] = "llama3"
    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_positions: int = Field(validation_alias="original_max_position_embeddings")


class Rope(_Config):
    """Rotary positions: `dim` values of each head are turned in pairs."""

    theta: float
    dim: int
    scaling: Yarn | Llama3Scaling | None = None


class _ModelConfig(_Config):
    """What every decoder has."""

    model_type: str
    vocab_size: int = Field(gt=0)
    hidden_size: int = Field(gt=0)
    intermediate_size: int = Field(gt=0)
    layers: int = Field(gt=0, validation_alias="num_hidden_layers")
    heads: int = Field(gt=0, validation_alias="num_attention_heads")
    max_positions: int = Field(gt=0, validation_alias="max_position_embeddings")
    rms_norm_eps: float = 1e-6
    tied_head: bool = Field(default=False, validation_alias="tie_word_embeddings")
    attention_bias: bool = False
    eos_token_ids: Annotated[tuple[int, ...], BeforeValidator(_one_is_many)] = Field(
        default=(), validation_alias="eos_token_id"
    )
    dtype: str = Field(default="float32", validation_alias=AliasChoices("dtype", "torch_dtype"))
    hidden_act: Literal["silu"] = "silu"
    rope: Rope


class DeepseekConfig(_ModelConfig):
    """DeepSeek-V3 and what shares its code: R1, V3.1, Kimi-K2, Moonlight."""

    q_lora_rank: int | None = None
    kv_lora_rank: int
    nope_dim: int = Field(validation_alias="qk_nope_head_dim")
    rope_dim: int = Field(validation_alias="qk_rope_head_dim")
    value_dim: int = Field(validation_alias="v_head_dim")
    rope_interleave: bool = True
    dense_layers: int = Field(default=0, validation_alias="first_k_dense_replace")
    moe_intermediate_size: int
    experts: int = Field(validation_alias="n_routed_experts")
    shared_experts: int = Field(default=1, validation_alias="n_shared_experts")
    top_experts: int = Field(validation_alias="num_experts_per_tok")
    groups: int = Field(default=1, validation_alias="n_group")
    top_groups: int = Field(default=1, validation_alias="topk_group")
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 1.0
    scoring_func: Literal["sigmoid"] = "sigmoid"
    topk_method: Literal["noaux_tc"] = "noaux_tc"
    moe_layer_freq: Literal[1] = 1
    mtp_layers: int = Field(default=0, ge=0, validation_alias=MULTI_TOKEN_KEYS)

    @model_validator(mode="after")
    def _groups_can_be_ranked(self) -> Self:
        if self.experts % self.groups or self.experts // self.groups < 2:
            raise ValueError(
                f"{self.experts} experts in {self.groups} groups leave less than two experts in a "
                "group, and a group is ranked by its two best"
            )
        if self.top_groups * (self.experts // self.groups) < self.top_experts:
            raise ValueError(f"{self.top_groups} groups hold less than {self.top_experts} experts")
        return self


class DenseConfig(_ModelConfig):
    """Llama and Qwen2: grouped-query attention and one feed-forward layer."""

    kv_heads: int = Field(validation_alias="num_key_value_heads")
    head_dim: int
    mlp_bias: Literal[False] = False
    use_sliding_window: Literal[False] = False


ModelConfig = DeepseekConfig | DenseConfig


def read_config(folder: Path) -> ModelConfig:
    """Read `folder/config.json`.

    Raises:
        UnsupportedModel: Another architecture, named with what serves it.
        BadConfig: No such file, or values are missing or contradict each other.
    """
    path = folder / "config.json"
    try:
        fields: JsonValue = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadConfig(f"{str(path)!r} does not exist; name a checkpoint's folder") from None
    except ValueError as error:
        raise BadConfig(f"{str(path)!r} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadConfig(f"{str(path)!r} holds no JSON object")
    return parse_config(fields)


def parse_config(fields: JsonObject) -> ModelConfig:
    """Turn the object of a config.json into a config; raises as `read_config` does."""
    model_type = fields.get("model_type")
    _refuse_storage(fields)
    try:
        if model_type in LATENT_TYPES:
            return DeepseekConfig.model_validate(_latent_fields(fields))
        if model_type in DENSE_TYPES:
            return DenseConfig.model_validate(_dense_fields(fields))
    except ValidationError as error:
        raise BadConfig(f"config.json of a {model_type!r}: {_first_problem(error)}") from error
    raise UnsupportedModel(_refusal(model_type))


def _refusal(model_type: JsonValue) -> str:
    served = ", ".join(sorted(LATENT_TYPES | DENSE_TYPES))
    reason = RELATIVES.get(str(model_type), "serve it with vLLM or SGLang")
    return f"model_type {model_type!r} is not one of {served}: {reason}"


def _refuse_storage(fields: JsonObject) -> None:
    quantization = fields.get("quantization_config")
    if not isinstance(quantization, dict):
        return
    method = quantization.get("quant_method")
    if method != "fp8" or quantization.get("weight_block_size") != [128, 128]:
        raise UnsupportedModel(
            f"weights stored by {method!r} are not read here, only fp8 in blocks of 128×128, bf16 "
            "and f32; serve the checkpoint with vLLM or SGLang"
        )


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"]) or "the values"
    return f"{where}: {problem['msg']}"


def _latent_fields(fields: JsonObject) -> JsonObject:
    """`head_dim` of a Transformers config is the rotary dimension here and is left out."""
    return {**_known(fields), "rope": rope_fields(fields, dim=_int(fields, "qk_rope_head_dim"))}


def _dense_fields(fields: JsonObject) -> JsonObject:
    known = _known(fields)
    heads = _int(fields, "num_attention_heads")
    known.setdefault("num_key_value_heads", heads)
    known.setdefault("head_dim", _int(fields, "hidden_size") // max(heads, 1))
    return {**known, "rope": rope_fields(fields, dim=_int(known, "head_dim"))}


def _known(fields: JsonObject) -> JsonObject:
    """Null means the default, and for `q_lora_rank` that there is none."""
    return {key: value for key, value in fields.items() if value is not None}


def _int(fields: JsonObject, key: str) -> int:
    value = fields.get(key)
    if not isinstance(value, int):
        raise BadConfig(f"config.json: {key!r} is {value!r}, not a whole number")
    return value


def rope_fields(fields: JsonObject, *, dim: int) -> JsonObject:
    """One spelling for `rope_parameters` and for `rope_scaling` with `rope_theta`."""
    scaling = fields.get("rope_parameters") or fields.get("rope_scaling") or {}
    if not isinstance(scaling, dict):
        raise BadConfig(f"config.json: the rope is {scaling!r}, not an object")
    theta = scaling.get("rope_theta") or fields.get("rope_theta") or 10_000.0
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    rope: JsonObject = {"theta": theta, "dim": dim}
    match kind:
        case "default":
            return rope
        case "yarn" | "deepseek_yarn":
            return {**rope, "scaling": _yarn_fields(scaling, fields)}
        case "llama3" if fields.get("model_type") in DENSE_TYPES:
            return {**rope, "scaling": {**scaling, "kind": "llama3"}}
        case _:
            raise UnsupportedModel(f"rope scaling {kind!r} is not served here; use vLLM or SGLang")


def _yarn_fields(scaling: JsonObject, fields: JsonObject) -> JsonObject:
    """Nulls mean the defaults; a null factor is the stretch the positions themselves show."""
    known = _known(scaling)
    if "factor" not in known:
        original = _int(scaling, "original_max_position_embeddings")
        known["factor"] = _int(fields, "max_position_embeddings") / original
    return {**known, "kind": "yarn"}
