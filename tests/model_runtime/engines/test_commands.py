"""The commands that are built, and those written down, are ones that the engines take."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.model_runtime.engines.flagsets import flags_of
from tests.model_runtime.shapes import fields
from tests.model_runtime.test_plan import MOONLIGHT, V3

from treadle.model_runtime.config import parse_config
from treadle.model_runtime.engines import sglang, vllm
from treadle.model_runtime.engines.flags import Flag, Takes
from treadle.model_runtime.engines.launch import (
    DIALECTS,
    Launch,
    Layout,
    Spread,
    context_of,
    dialect_of,
    spread,
)
from treadle.model_runtime.engines.recipes import RECIPES, command_of
from treadle.model_runtime.errors import BadConfig, CannotSplit, EngineRefused
from treadle.model_runtime.parse import DEEPSEEK_V3
from treadle.model_runtime.plan import fit, measure

LAUNCH = Launch("/models/m", "m", 8711, tensor=8, experts=True)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_taken(name: str) -> None:
    recipe = RECIPES[name]
    assert list(flags_of(recipe.engine).problems(command_of(recipe, flags_of(recipe.engine)))) == []


def test_a_flag_that_this_version_lacks_stops_the_start() -> None:
    with pytest.raises(EngineRefused, match="no flag '--swap-space'"):
        vllm.arguments(replace(LAUNCH, extra=("--swap-space", "4")), flags_of("vllm"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_has_parsers_in_both_engines(dialect: str) -> None:
    launch = replace(LAUNCH, dialect=DIALECTS[dialect])
    assert "--tool-call-parser" in vllm.arguments(launch, flags_of("vllm"))
    assert "--tool-call-parser" in sglang.arguments(launch, flags_of("sglang"))


def test_mtp_is_asked_for_in_each_engines_words() -> None:
    launch = replace(LAUNCH, drafts=1)
    assert '{"method":"mtp","num_speculative_tokens":1}' in vllm.arguments(launch, flags_of("vllm"))
    command = sglang.arguments(launch, flags_of("sglang"))
    assert command[command.index("--speculative-num-draft-tokens") + 1] == "2"


def test_fp8_checkpoints_are_not_quantised_again() -> None:
    """Their config says how they are stored; the flag would round them a second time."""
    for recipe in RECIPES.values():
        assert "--quantization" not in command_of(recipe, flags_of(recipe.engine))


def test_an_older_sglang_gets_the_older_spelling() -> None:
    old = flags_of("sglang")
    names = {name: flag for name, flag in old.flags.items() if name != "--attn-dp-size"}
    names["--enable-dp-attention"] = Flag(Takes.NOTHING)
    command = sglang.arguments(replace(LAUNCH, data=8), replace(old, flags=names))
    assert command[command.index("--dp-size") + 1] == "8"
    assert "--enable-dp-attention" in command


def test_a_second_machine_only_computes() -> None:
    recipe = RECIPES["16×H100, second machine, vllm"]
    command = command_of(recipe, flags_of("vllm"))
    assert "--headless" in command
    assert "--port" not in command


@pytest.mark.parametrize(
    ("engine", "count", "layout", "expected"),
    [
        ("vllm", 8, Layout.TENSOR, Spread(8, 1, 1)),
        ("vllm", 16, Layout.TENSOR, Spread(8, 2, 1)),
        ("sglang", 16, Layout.TENSOR, Spread(16, 1, 1)),
        ("vllm", 16, Layout.DATA, Spread(1, 1, 16)),
    ],
)
def test_v3_is_spread_as_its_makers_advise(
    engine: str, count: int, layout: Layout, expected: Spread
) -> None:
    assert spread(parse_config(V3), count, layout, engine=engine, fp8=True) == expected


def test_fp8_blocks_are_never_cut() -> None:
    """18,432 rows in 32 parts are 576 each: four blocks and a half."""
    with pytest.raises(CannotSplit, match="intermediate_size 18432 cannot be cut into 32"):
        spread(parse_config(V3), 32, Layout.TENSOR, engine="sglang", fp8=True)
    assert spread(parse_config(V3), 32, Layout.TENSOR, engine="sglang", fp8=False).tensor == 32


def test_heads_and_experts_must_divide() -> None:
    with pytest.raises(CannotSplit, match="16 heads"):
        spread(parse_config(MOONLIGHT), 3, Layout.TENSOR, engine="vllm", fp8=False)
    with pytest.raises(CannotSplit, match="64 experts"):
        spread(parse_config(MOONLIGHT), 3, Layout.DATA, engine="vllm", fp8=False)


def test_the_context_is_what_the_cache_holds() -> None:
    v3, size = parse_config(V3), measure(parse_config(V3), fp8=True)
    assert context_of(v3, fit(size, "H200", 8), Layout.TENSOR) is None
    tight = replace(fit(size, "H200", 8), cache_tokens=50_000)
    assert context_of(v3, tight, Layout.TENSOR) == 50_000
    with pytest.raises(EngineRefused, match="do not fit on 8×H100"):
        context_of(v3, fit(size, "H100", 8), Layout.TENSOR)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (f"{DEEPSEEK_V3.begins} ```json", "deepseek-v3"),
        (f"{DEEPSEEK_V3.begins} ```json <think>", "deepseek-r1"),
        (f"{DEEPSEEK_V3.begins} <think>", "deepseek-v3.1"),
        ("<|tool_calls_section_begin|>", "kimi-k2"),
        ("<tool_call>", "hermes"),
        ("plain", None),
    ],
)
def test_the_dialect_is_what_the_template_teaches(
    tmp_path: Path, template: str, expected: str | None
) -> None:
    (tmp_path / "chat_template.jinja").write_text(template, encoding="utf-8")
    found = dialect_of(tmp_path, "auto")
    assert found == (None if expected is None else DIALECTS[expected])


def test_an_unknown_dialect_is_named() -> None:
    with pytest.raises(BadConfig, match="'klingon'"):
        dialect_of(Path("m"), "klingon")


def test_the_dense_family_has_nothing_to_spread() -> None:
    dense = parse_config(
        {
            **fields("plain"),
            "model_type": "llama",
            "head_dim": 16,
            "rope_parameters": {"rope_theta": 1e4},
        }
    )
    with pytest.raises(EngineRefused, match="no experts"):
        spread(dense, 2, Layout.DATA, engine="vllm", fp8=False)
