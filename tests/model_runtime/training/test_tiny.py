"""The tiny checkpoint: what it promises about itself, and drafts that come true."""

from itertools import islice
from pathlib import Path

import pytest
from safetensors import safe_open

from training.evaluate import TINY, figures, held_out, parsed
from training.examples import Example, examples, generator_hash
from treadle.model_runtime.acceleration import build_fastest
from treadle.model_runtime.checkpoint import load_checkpoint


def test_it_was_trained_on_what_the_generator_makes_today() -> None:
    with safe_open(TINY / "model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["generator"] == generator_hash(int(metadata["seed"]))


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in Path(TINY).iterdir()) < 10_000_000


def test_the_same_seed_makes_the_same_requests() -> None:
    def first(seed: int) -> list[Example]:
        return list(islice(examples(seed), 20))

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_an_answer_is_read_back_as_its_calls() -> None:
    for example in islice(examples(5), 50):
        assert list(parsed(example.answer)) == [(c.name, c.arguments) for c in example.calls]


def test_what_is_not_json_has_no_arguments() -> None:
    example = next(examples(5))
    broken = example.answer.replace("{", "", 1)
    assert next(parsed(broken))[1] is None


@pytest.mark.slow
def test_it_writes_calls_and_its_drafts_come_true() -> None:
    checkpoint = load_checkpoint(TINY, builder=build_fastest)
    found = figures(checkpoint, list(islice(held_out(), 8)), temperature=0.0)
    assert found["right tool"] >= 0.9
    assert found["valid JSON"] >= 0.9
    assert found["acceptance"] >= 0.85
