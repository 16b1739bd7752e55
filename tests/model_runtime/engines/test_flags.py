"""A command is compared with the parser it is for, and the parsers are read from source."""

from pathlib import Path

import pytest
from tests.model_runtime.engines.flagsets import ENGINES, flags_of

from treadle.model_runtime.engines.flags import Flag, FlagSet, Takes
from treadle.model_runtime.engines.parsers import read_flags
from treadle.model_runtime.errors import EngineRefused

SWITCH = Flag(Takes.NOTHING)
FLAGS = FlagSet(
    "vllm",
    "1.0",
    {
        "--size": Flag(),
        "--fast": SWITCH,
        "--kind": Flag(choices=("a", "b")),
        "--names": Flag(Takes.VALUES),
        "--old": Flag(Takes.NOTHING, deprecated=True),
        "--draft": Flag(),
    },
    {"--draft": ("method", "tokens")},
)


@pytest.mark.parametrize(
    "command",
    [
        ["model", "--size", "8", "--fast", "--kind", "b", "--names", "x", "y"],
        ["--size=8", "--draft", '{"method": "mtp", "tokens": 1}'],
    ],
)
def test_what_the_parser_takes_is_taken(command: list[str]) -> None:
    FLAGS.check(command)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["--sise", "8"], "no flag '--sise'"),
        (["--size", "--fast"], "--size wants a value"),
        (["--fast=yes"], "--fast takes no value"),
        (["--kind", "c"], "--kind does not take 'c', only a, b"),
        (["--old"], "--old is deprecated"),
        (["--draft", "mtp"], "--draft wants a JSON object"),
        (["--draft", '{"methods": "mtp"}'], "--draft knows no 'methods'"),
    ],
)
def test_what_it_does_not_take_is_named(command: list[str], problem: str) -> None:
    with pytest.raises(EngineRefused, match=problem):
        FLAGS.check(command)


def test_all_problems_come_at_once() -> None:
    assert len(list(FLAGS.problems(["--sise", "8", "--kind", "c", "--old"]))) == 3


def test_written_flags_are_read_back() -> None:
    assert FlagSet.from_json(FLAGS.to_json()) == FLAGS


VLLM = {
    "engine/arg_utils.py": """
class EngineArgs:
    @staticmethod
    def add_cli_args(parser):
        model_kwargs = get_kwargs(ModelConfig)
        group = parser.add_argument_group("model")
        group.add_argument("--max-model-len", **model_kwargs["max_model_len"])
        group.add_argument("--eager", "-e", **model_kwargs["eager"])
        group.add_argument("--kind", **model_kwargs["kind"])
        group.add_argument("--back", choices=["x", "y"])

class AsyncEngineArgs(EngineArgs):
    @staticmethod
    def add_cli_args(parser):
        parser.add_argument("--log", action=argparse.BooleanOptionalAction)
""",
    "entrypoints/common/cli_args.py": """
class BaseFrontendArgs:
    tool_call_parser: str | None = None
    auto: bool = False
class FrontendArgs(BaseFrontendArgs):
    hosts: list[str] | None = None
def make_arg_parser(parser):
    parser.add_argument("model_tag", nargs="?")
    parser.add_argument("--headless", action="store_true")
""",
    "config/model.py": """
Kind = Literal["one", "two"]
class ModelConfig:
    max_model_len: int = 0
    eager: bool = False
    kind: Kind = "one"
""",
    "config/speculative.py": "class SpeculativeConfig:\n    method: str\n    tokens: int\n",
    "tool_parsers/__init__.py": '_LAZY = {"deepseek_v3": ("file", "Class")}',
    "reasoning/__init__.py": '_LAZY = {"deepseek_r1": ("file", "Class")}',
}
SGLANG = {
    "srt/server_args.py": """
class ServerArgs:
    def add_cli_args(parser):
        parser.add_argument("--gone", action=DeprecatedStoreTrueAction, help="")
""",
    "srt/arg_groups/choices.py": 'KINDS = ["one", "two"]',
    "srt/arg_groups/fields/parallel.py": """
class Parallel:
    tp_size: A[int, Arg(help="", aliases=["--tensor-parallel-size"])] = 1
    metrics: A[bool, "help"] = False
    kind: A[Optional[str], Arg(help="", choices=KINDS)] = None
    ports: A[Optional[List[int]], Arg(help="")] = None
    hidden: A[bool, Arg(no_cli=True)] = False
    by_hand: Optional[str] = None
    rank: A[int, Derived("set at run time")]
""",
    "srt/parser/reasoning_parser_names.py": 'REASONING_PARSER_NAMES = ["deepseek-r1"]',
    "srt/function_call/parser_names.py": 'TOOL_CALL_PARSER_NAMES = ["deepseekv3"]',
}


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_vllm_makes_flags_of_fields_and_calls(tmp_path: Path) -> None:
    found = read_flags("vllm", written(tmp_path, VLLM), "1.0")
    assert dict(found.flags) == {
        "--max-model-len": Flag(),
        "--eager": SWITCH,
        "--no-eager": SWITCH,
        "--kind": Flag(choices=("one", "two")),
        "--back": Flag(choices=("x", "y")),
        "--log": SWITCH,
        "--no-log": SWITCH,
        "--auto": SWITCH,
        "--no-auto": SWITCH,
        "--hosts": Flag(Takes.VALUES),
        "--headless": SWITCH,
        "--tool-call-parser": Flag(choices=("deepseek_v3",)),
        "--reasoning-parser": Flag(choices=("deepseek_r1",)),
    }
    assert found.json_keys == {"--speculative-config": ("method", "tokens")}


def test_sglang_makes_flags_of_annotated_fields(tmp_path: Path) -> None:
    found = read_flags("sglang", written(tmp_path, SGLANG), "1.0")
    assert dict(found.flags) == {
        "--tp-size": Flag(),
        "--tensor-parallel-size": Flag(),
        "--metrics": SWITCH,
        "--kind": Flag(choices=("one", "two")),
        "--ports": Flag(Takes.VALUES),
        "--gone": Flag(Takes.NOTHING, deprecated=True),
        "--reasoning-parser": Flag(choices=("auto", "deepseek-r1")),
        "--tool-call-parser": Flag(choices=("auto", "deepseekv3")),
    }


def test_a_package_laid_out_otherwise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="cannot be read"):
        read_flags("vllm", tmp_path, "9.9")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_kept_flags_are_those_of_a_whole_parser(engine: str) -> None:
    """Flags that the engines' own documentation names."""
    kept = flags_of(engine)
    named = {
        "vllm": {"--max-model-len": Takes.VALUE, "--enable-expert-parallel": Takes.NOTHING},
        "sglang": {"--context-length": Takes.VALUE, "--enable-metrics": Takes.NOTHING},
    }[engine]
    assert {name: kept.flags[name].takes for name in named} == named
    assert len(kept.flags) > 300
