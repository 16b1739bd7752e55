"""Installs the stand-in for an engine: a package found, read and started as the engine is."""

import sys
from pathlib import Path

from tests.model_runtime.engines.flagsets import FOLDER, flags_of

from treadle.model_runtime.engines.flags import Flag, FlagSet, Takes

SERVER = Path(__file__).with_name("standin_server.py")
STARTS = {"vllm": "entrypoints/cli/main.py", "sglang": "launch_server.py"}
EMPTY_VLLM = {
    "entrypoints/common/cli_args.py": "class BaseFrontendArgs: ...\nclass FrontendArgs: ...\n"
    "def make_arg_parser(parser): ...\n",
    "config/speculative.py": "class SpeculativeConfig:\n    method: str\n"
    "    num_speculative_tokens: int\n",
}
EMPTY_SGLANG = {"srt/arg_groups/fields/none.py": "", "srt/arg_groups/choices.py": ""}


def install(folder: Path, engine: str) -> tuple[Path, Path]:
    """An interpreter beside which the engine is found, and the folder of its state."""
    state, package = folder / "state", folder / "site" / engine
    state.mkdir()
    for name, text in _sources(engine).items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    server = SERVER.read_text(encoding="utf-8")
    for mark, value in {"KIND": engine, "FLAGS": FOLDER / f"{engine}.json", "STATE": state}.items():
        server = server.replace(f"%{mark}%", str(value))
    (package / STARTS[engine]).parent.mkdir(parents=True, exist_ok=True)
    (package / STARTS[engine]).write_text(server, encoding="utf-8")
    for inner in {"vllm": ("", "entrypoints", "entrypoints/cli"), "sglang": ("",)}[engine]:
        (package / inner / "__init__.py").write_text("", encoding="utf-8")
    about = folder / "site" / f"{engine}-{flags_of(engine).version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {engine}\nVersion: {flags_of(engine).version}\n",
        encoding="utf-8",
    )
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONPATH={folder / "site"} exec {sys.executable} "$@"\n', encoding="utf-8"
    )
    python.chmod(0o755)
    return python, state


def _sources(engine: str) -> dict[str, str]:
    """The least that a parser is read from: every flag by hand."""
    kept = flags_of(engine)
    calls = "".join(f"        parser.add_argument({_call(name, kept)})\n" for name in kept.flags)
    body = f"    def add_cli_args(parser):\n{calls}"
    tools, thoughts = (kept.flags[f"--{kind}-parser"] for kind in ("tool-call", "reasoning"))
    if engine == "vllm":
        return {
            **EMPTY_VLLM,
            "engine/arg_utils.py": f"class EngineArgs:\n{body}\nclass AsyncEngineArgs: ...\n",
            "tool_parsers/__init__.py": f"LAZY = {dict.fromkeys(tools.choices, 1)!r}\n",
            "reasoning/__init__.py": f"LAZY = {dict.fromkeys(thoughts.choices, 1)!r}\n",
        }
    return {
        **EMPTY_SGLANG,
        "srt/server_args.py": f"class ServerArgs:\n{body}",
        "srt/parser/reasoning_parser_names.py": f"REASONING_PARSER_NAMES = {[*thoughts.choices]}\n",
        "srt/function_call/parser_names.py": f"TOOL_CALL_PARSER_NAMES = {[*tools.choices]}\n",
    }


def _call(name: str, kept: FlagSet) -> str:
    flag: Flag = kept.flags[name]
    words = {
        Takes.NOTHING: ", action='store_true'",
        Takes.VALUES: ", nargs='+'",
    }.get(flag.takes, "")
    return f"{name!r}{words}" + (f", choices={[*flag.choices]!r}" if flag.choices else "")
