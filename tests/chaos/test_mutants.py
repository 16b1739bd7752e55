"""The suite is worth what it catches: an engine with one promise removed must fail it.

Each patch of `mutants/` says in its first lines what it breaks and which tests see it.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
MUTANTS = sorted((Path(__file__).parent / "mutants").glob("*.patch"))
PARTS = ("platform", "agents", "integrations", "workers", "templates", "tests", "pyproject.toml")
PACKAGES = ("platform", "agents", "integrations", "workers")
_CAUGHT_BY = re.compile(r"^Caught by: (\S+) (.+)$", re.MULTILINE)
_WITHIN_S = 900


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 8


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree."""
    copy = tmp_path_factory.mktemp("mutants") / "original"
    skip = shutil.ignore_patterns("node_modules", "__pycache__", ".venv")
    for part in PARTS:
        source = REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=skip)
        else:
            shutil.copy(source, copy / part)
    return copy


@pytest.fixture
def mutant(request: pytest.FixtureRequest, original: Path, tmp_path: Path) -> Path:
    """A copy with one patch applied."""
    tree = tmp_path / "tree"
    shutil.copytree(original, tree)
    applied = apply(request.param, tree)
    assert applied.returncode == 0, applied.stderr
    return tree


@pytest.mark.parametrize("patch", MUTANTS, ids=lambda one: one.stem)
def test_a_mutant_still_applies(patch: Path) -> None:
    applied = apply(patch, REPOSITORY, "--check")
    assert applied.returncode == 0, applied.stderr
    assert _CAUGHT_BY.search(patch.read_text(encoding="utf-8")), "it says what catches it"


def apply(patch: Path, tree: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Apply a patch to a tree, which need not be a repository."""
    return subprocess.run(
        ["/usr/bin/env", "git", "apply", "-p1", "--whitespace=nowarn", *options, str(patch)],
        cwd=tree,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.chaos
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.stem, indirect=True)
def test_a_mutant_fails_the_suite(mutant: Path, request: pytest.FixtureRequest) -> None:
    patch: Path = request.node.callspec.params["mutant"]
    found = _CAUGHT_BY.search(patch.read_text(encoding="utf-8"))
    assert found is not None, f"{patch.name} does not say what catches it"
    module, expression = found.groups()
    result = suite(mutant, module, expression)
    assert result.returncode == 1, result.stdout[-4000:]
    assert re.search(r"^FAILED ", result.stdout, re.MULTILINE), result.stdout[-4000:]
    assert not re.search(r"^ERROR ", result.stdout, re.MULTILINE), result.stdout[-4000:]


def suite(tree: Path, module: str, expression: str) -> "subprocess.CompletedProcess[str]":
    """Run a part of this suite on another tree."""
    return subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
            "-o", f"faulthandler_timeout={_WITHIN_S}",
            "--chaos-full", f"tests/chaos/{module}", "-k", expression,
        ],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(tree / one) for one in PACKAGES)},
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )  # fmt: skip
