"""What stands in deploy/ and docs/ can be typed as it stands."""

import re
import shlex
from pathlib import Path

import pytest
from tests.model_runtime.engines.flagsets import ENGINES, flags_of

from treadle.model_runtime.__main__ import parser_of
from treadle.model_runtime.engines.recipes import written_commands
from treadle.model_runtime.settings import RuntimeSettings

ROOT = Path(__file__).parents[3]
# At the start of a line, behind variables, or in a unit's or a compose file's command.
OURS = re.compile(
    r'^(?:[A-Z_]+=\S+ |ExecStart=/opt/treadle/bin/|\s+command: ")?'
    r'treadle runtime (?P<rest>(?:serve|plan) [^`"\n]*)',
    re.MULTILINE,
)
PAGES = [*sorted((ROOT / "deploy" / "models").iterdir()), ROOT / "docs" / "deploy-model.md"]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_command_is_taken_by_its_parser(engine: str) -> None:
    flags = flags_of(engine)
    written = [(where, found) for where, of, found in written_commands(ROOT) if of == engine]
    problems = {where: list(flags.problems(command)) for where, command in written}
    assert len(written) >= 6
    assert {where: found for where, found in problems.items() if found} == {}


def ours() -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for page in PAGES:
        text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
        found += [(page.name, shlex.split(match["rest"])) for match in OURS.finditer(text)]
    return found


def test_every_command_of_ours_is_taken_by_our_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_RUNTIME_KEYS", "k")
    written = ours()
    assert len(written) >= 12
    for where, command in written:
        given = vars(parser_of().parse_args(command))
        if given.pop("command") == "serve":
            settings = RuntimeSettings(**{key: value for key, value in given.items() if value})
            assert settings.model, where
