"""Launches of the kinds of machine that deploy/ describes, and the commands written down there.

`scripts/check_engine_flags.py` and the tests hold all of them against the engines' own parsers.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from treadle.model_runtime.engines import sglang, vllm
from treadle.model_runtime.engines.flags import FlagSet
from treadle.model_runtime.engines.launch import DIALECTS, Launch, Nodes

WRITTEN = ("deploy", "docs")
SUFFIXES = frozenset({".md", ".yaml", ".yml", ".service", ".sh"})
STARTS: Mapping[str, re.Pattern[str]] = {
    "vllm": re.compile(r"(?:vllm|vllm\.entrypoints\.cli\.main) serve (?P<rest>[^`]*?)\"?$"),
    "sglang": re.compile(r"sglang(?:\.launch_server| serve) (?P<rest>[^`]*?)\"?$"),
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One launch on one engine."""

    engine: str
    launch: Launch


def command_of(recipe: Recipe, flags: FlagSet) -> list[str]:
    """The engine's arguments; raises `EngineRefused` if this version does not take them."""
    return {"vllm": vllm.arguments, "sglang": sglang.arguments}[recipe.engine](recipe.launch, flags)


def written_commands(root: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Every engine command in deploy/ and docs/: where it stands, whose it is, its arguments.

    A command goes on after a backslash at the end of a line.
    """
    for path in sorted(path for folder in WRITTEN for path in (root / folder).rglob("*")):
        if path.suffix not in SUFFIXES:
            continue
        joined = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
        for number, line in enumerate(joined.splitlines(), start=1):
            for engine, start in STARTS.items():
                if (found := start.search(line)) is not None and "--" in found["rest"]:
                    where = f"{path.relative_to(root)}, joined line {number}"
                    yield where, engine, shlex.split(found["rest"], comments=True)


V31, R1, K2 = DIALECTS["deepseek-v3.1"], DIALECTS["deepseek-r1"], DIALECTS["kimi-k2"]
_H200 = Launch(
    "/models/DeepSeek-V3.1",
    "deepseek-v3.1",
    8711,
    tensor=8,
    experts=True,
    context=65_536,
    narrow_cache=True,
    drafts=1,
    dialect=V31,
    chat_template=Path("/models/DeepSeek-V3.1/chat_template.jinja"),
)
_SPREAD = Launch("/models/DeepSeek-R1", "deepseek-r1", 8711, data=8, experts=True, dialect=R1)
_MOONLIGHT = Launch("/models/Moonlight", "moonlight", 8711, context=8192, remote_code=True)


def _two_nodes(rank: int) -> Launch:
    nodes = Nodes(count=2, rank=rank, head="10.0.0.1", port=5000)
    return Launch(
        "/models/DeepSeek-V3.1", "v3", 8711, tensor=8, pipeline=2, experts=True, nodes=nodes
    )


def _spread_nodes(rank: int) -> Launch:
    nodes = Nodes(count=2, rank=rank, head="10.0.0.1", port=5000)
    return Launch("/models/Kimi-K2", "k2", 8711, data=16, experts=True, nodes=nodes, dialect=K2)


def _both(name: str, launch: Launch) -> dict[str, Recipe]:
    return {f"{name}, {engine}": Recipe(engine, launch) for engine in ("vllm", "sglang")}


RECIPES: Mapping[str, Recipe] = {
    **_both("8×H200 with MTP, tools and an FP8 cache", _H200),
    **_both("8×H200, attention by data", _SPREAD),
    **_both("16×H100, first machine", _two_nodes(0)),
    **_both("16×H100, second machine", _two_nodes(1)),
    **_both("16×H200, attention by data, first machine", _spread_nodes(0)),
    **_both("16×H200, attention by data, second machine", _spread_nodes(1)),
    **_both("one GPU with Moonlight", _MOONLIGHT),
}
