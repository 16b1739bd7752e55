"""The MTP modules predict what the report's equations predict."""

import pytest
import torch
from tests.model_runtime.mtp_reference import MtpReference, drafts
from tests.model_runtime.shapes import distance, fields, reference, tokens_of

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.errors import BadCheckpoint
from treadle.model_runtime.loading import load_model

TOKENS = tokens_of(97, 110)


@pytest.mark.parametrize("shape", ["plain", "yarn_factor_4", "no_query_rank"])
@pytest.mark.parametrize("chunks", [[110], [50, 1, 1, 58]])
def test_two_modules_predict_as_the_report_says(shape: str, chunks: list[int]) -> None:
    theirs = MtpReference.random(reference(fields(shape)), depth=2)
    config = parse_config(fields(shape, num_nextn_predict_layers=2))
    ours = load_model(MemoryArchive(theirs.stored()), config)
    with torch.inference_mode():
        expected = theirs.logits(TOKENS)
    found = drafts(ours, TOKENS, chunks)
    assert len(found) == len(expected) == 2
    assert all(distance(a, b) <= 1e-4 for a, b in zip(found, expected, strict=True))


def test_a_checkpoint_without_its_modules_loads_without_them() -> None:
    archive = MemoryArchive(reference(fields("plain")).state_dict())
    config = parse_config(fields("plain", num_nextn_predict_layers=1))
    assert load_model(archive, config).mtp_depth == 0


def test_a_checkpoint_with_half_a_module_is_refused() -> None:
    stored = MtpReference.random(reference(fields("plain")), depth=1).stored()
    del stored["model.layers.3.eh_proj.weight"]
    config = parse_config(fields("plain", num_nextn_predict_layers=1))
    with pytest.raises(BadCheckpoint, match=r"1 missing: model\.layers\.3\.eh_proj\.weight"):
        load_model(MemoryArchive(stored), config)


def test_modules_that_are_switched_off_are_no_surplus() -> None:
    stored = MtpReference.random(reference(fields("plain")), depth=1).stored()
    assert load_model(MemoryArchive(stored), parse_config(fields("plain"))).mtp_depth == 0
