"""Which model an installation answers with."""

from pathlib import Path

import pytest

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.runtime import MODEL, missing_parts
from treadle.platform.settings import Settings
from treadle.platform.supervisor.model import choose_model


def test_a_model_that_is_named_is_the_one(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, model_url="http://models.example/v1", model_name="big")
    choice = choose_model(settings, Home.at(tmp_path))
    assert (choice.notice, choice.programs) == ("big at http://models.example/v1", ())


def test_models_yaml_is_the_one(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text("big: {url: 'http://models.example'}", encoding="utf-8")
    choice = choose_model(Settings(home=tmp_path), Home.at(tmp_path))
    assert not choice.programs
    assert "models.yaml" in choice.notice


def test_without_either_the_embedded_one_is_started_if_it_is_installed(tmp_path: Path) -> None:
    choice = choose_model(Settings(home=tmp_path), Home.at(tmp_path))
    assert "TREADLE_MODEL_URL" in choice.notice
    if missing_parts():
        pytest.skip("the embedded model is not installed")
    assert [program.name for program in choice.programs] == ["runtime"]
    assert choice.env["TREADLE_MODEL_NAME"] == MODEL
    assert "demonstrator that invents facts" in choice.notice


def test_it_can_be_left_out(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, embedded_model=False)
    choice = choose_model(settings, Home.at(tmp_path))
    assert not choice.programs
    assert not choice.env
