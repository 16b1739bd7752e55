"""The model's logits are Transformers' logits."""

from dataclasses import replace

import pytest
import torch
from tests.model_runtime.shapes import (
    SHAPES,
    distance,
    fields,
    logits_in_chunks,
    reference,
    tokens_of,
)
from torch import Tensor

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.attention import Form
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import DeepseekModel

TOLERANCE = 1e-4
LENGTH = 110
CHUNKS = [64, 1, 1, 7, 30, 1, 6]


def both(shape: str, form: Form, chunks: list[int]) -> tuple[Tensor, Tensor]:
    theirs = reference(fields(shape))
    config = parse_config(fields(shape))
    ours = load_model(MemoryArchive(theirs.state_dict()), config)
    assert isinstance(ours, DeepseekModel)
    tokens = tokens_of(config.vocab_size, LENGTH)
    with torch.inference_mode():
        expected = theirs(torch.tensor([tokens])).logits[0]
    return logits_in_chunks(in_form(ours, form), tokens, chunks), expected


def in_form(model: DeepseekModel, form: Form) -> DeepseekModel:
    blocks = tuple(
        replace(block, attention=replace(block.attention, form=form)) for block in model.blocks
    )
    return replace(model, blocks=blocks)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", [Form.PLAIN, Form.ABSORBED])
def test_a_whole_prompt_gives_the_reference_logits(shape: str, form: Form) -> None:
    ours, theirs = both(shape, form, [LENGTH])
    assert distance(ours, theirs) <= TOLERANCE


@pytest.mark.parametrize("shape", SHAPES)
def test_chunks_and_single_tokens_give_the_reference_logits(shape: str) -> None:
    ours, theirs = both(shape, Form.AUTO, CHUNKS)
    assert distance(ours, theirs) <= TOLERANCE
