"""A model on two ranks answers as on one.

Sums over ranks are taken in another order than on one rank, so logits differ in their last bits:
the tests assert how little, and that no choice was so close that it could be turned by that.
"""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TypedDict

import pytest
import torch
from pydantic import JsonValue
from tests.model_runtime.shapes import SHAPES, distance, fields, reference
from tests.model_runtime.shared_run import report, stored_model
from tests.model_runtime.test_weights import WIDE, checkpoint, narrowed
from torch import Tensor
from typing_extensions import override

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.errors import BadCheckpoint, CannotSplit
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder
from treadle.model_runtime.ranks import decoded, encoded
from treadle.model_runtime.sharding import Cut, cut_of, sharded_builder
from treadle.model_runtime.weights import Storage

ROOT = Path(__file__).parents[2]


class Answers(TypedDict):
    tokens: dict[str, list[int]]
    gap: float
    accepted: int


class Report(TypedDict):
    logits: list[list[float]]
    plain: Answers
    drafted: Answers


def on_ranks(size: int, family: str, folder: Path) -> Report:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = folder / "report.json"
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.model_runtime.shared_run"]
            + [str(part) for part in (rank, size, port, family, output)],
            cwd=ROOT,
        )
        for rank in range(size)
    ]
    codes = [process.wait(timeout=200) for process in started]
    assert codes == [0] * size
    found: Report = json.loads(output.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("family", ["deepseek", "biased", "llama"])
def test_two_ranks_answer_as_one(tmp_path: Path, family: str) -> None:
    tensors, config = stored_model(family)
    alone = report(load_model(MemoryArchive(tensors), parse_config(config)))
    one: Report = json.loads(json.dumps(alone))
    two = on_ranks(2, family, tmp_path)
    apart = (torch.tensor(two["logits"]) - torch.tensor(one["logits"])).abs().max()
    assert distance(torch.tensor(two["logits"]), torch.tensor(one["logits"])) <= 1e-5
    # Log-probabilities of the two best move by at most twice what a logit moves.
    assert one["plain"]["gap"] > 4 * float(apart)
    assert two["plain"]["tokens"] == one["plain"]["tokens"]
    assert two["drafted"]["tokens"] == one["plain"]["tokens"]
    assert two["drafted"]["accepted"] == one["drafted"]["accepted"]


class Alone:
    """One of several ranks, the others computed one after the other in this process."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def summed(self, x: Tensor) -> Tensor:
        return x

    def joined(self, x: Tensor) -> Tensor:
        return x


def share(
    tensors: dict[str, Tensor],
    config: dict[str, JsonValue],
    rank: int,
    size: int = 2,
    storage: Storage = Storage.WIDE,
) -> Decoder:
    """One rank's part of a model."""
    return load_model(
        MemoryArchive(tensors),
        parse_config(config),
        storage=storage,
        builder=sharded_builder(Alone(rank, size)),
    )


def test_cuts_follow_names() -> None:
    assert cut_of("model.layers.1.self_attn.q_b_proj.weight") is Cut.ROWS
    assert cut_of("model.layers.1.self_attn.q_b_proj.weight_scale_inv") is Cut.ROWS
    assert cut_of("model.layers.1.self_attn.o_proj.weight") is Cut.COLUMNS
    assert cut_of("model.layers.1.self_attn.o_proj.bias") is Cut.WHOLE
    assert cut_of("model.layers.1.self_attn.kv_a_proj_with_mqa.weight") is Cut.WHOLE
    assert cut_of("model.layers.1.mlp.experts.3.down_proj.weight") is Cut.WHOLE
    assert cut_of("model.layers.1.mlp.shared_experts.down_proj.weight") is Cut.COLUMNS
    assert cut_of("model.embed_tokens.weight") is Cut.WHOLE


@pytest.mark.parametrize(
    ("changes", "ranks", "reason"),
    [
        ({}, 3, "4 heads cannot be shared by 3"),
        ({"n_routed_experts": 6, "n_group": 1, "topk_group": 1}, 4, "6 experts"),
        ({"intermediate_size": 98}, 4, "intermediate_size 98"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    changes: dict[str, JsonValue], ranks: int, reason: str
) -> None:
    config = fields("plain", **changes)
    with pytest.raises(CannotSplit, match=reason):
        share(reference(config).state_dict(), config, 0, ranks)


def test_fp8_blocks_are_cut_whole() -> None:
    """Two ranks of 128 rows each get their own blocks; 160 columns would cut one in two."""
    shape = {**WIDE, "intermediate_size": 256, "moe_intermediate_size": 256, "vocab_size": 96}
    shape |= {"qk_nope_head_dim": 48, "qk_rope_head_dim": 16, "v_head_dim": 64}
    stored = narrowed(checkpoint(reference(shape)), powers_of_two=False)
    config = parse_config(shape)
    parts = [share(stored, shape, rank, storage=Storage.KEPT) for rank in range(2)]
    whole = load_model(MemoryArchive(stored), config, storage=Storage.KEPT)
    for name in ("gate", "up"):
        halves = [getattr(part.blocks[0].mlp, name).widen(torch.float32) for part in parts]  # type: ignore[attr-defined]  # of the plain model
        expected = getattr(whole.blocks[0].mlp, name).widen(torch.float32)  # type: ignore[attr-defined]  # of the plain model
        assert torch.equal(torch.cat(halves), expected)
    halves = [part.blocks[0].attention.out.widen(torch.float32) for part in parts]  # type: ignore[attr-defined]  # of the plain model
    assert torch.equal(torch.cat(halves, dim=1), whole.blocks[0].attention.out.widen(torch.float32))  # type: ignore[attr-defined]  # of the plain model
    with pytest.raises(CannotSplit, match="whole FP8 blocks"):
        share(narrowed(checkpoint(reference(WIDE)), powers_of_two=False), WIDE, 0)


def test_every_rank_misses_what_any_of_them_needs() -> None:
    config = fields("plain", vocab_size=96)
    stored = checkpoint(reference(config))
    del stored["model.layers.1.mlp.experts.7.up_proj.weight"]
    with pytest.raises(BadCheckpoint, match=r"experts\.7\.up_proj"):
        share(stored, config, 0)


def test_a_rank_reads_its_part_and_no_more() -> None:
    """All but embedding, gates, norms and latents is halved."""
    config = fields("plain", vocab_size=96)
    stored = checkpoint(reference(config))
    taken = Counting(stored)
    load_model(taken, parse_config(config), builder=sharded_builder(Alone(0, 2)))
    cut = [name for name in stored if cut_of(name) is not Cut.WHOLE]
    experts = [name for name in stored if ".mlp.experts." in name]
    assert {name for name in taken.names if name in experts} == {
        name for name in experts if int(name.split(".")[5]) < 4
    }
    assert set(cut) <= taken.names


class Counting(MemoryArchive):
    """Notes what is read."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__(tensors)
        self.names: set[str] = set()

    @override
    def read(self, name: str) -> Tensor:
        self.names.add(name)
        return super().read(name)


def test_a_batch_is_the_same_after_its_way_to_another_rank() -> None:
    spans = [
        Span([1, 2, 3], 0, [0, 1]),
        Span([4], 9, [2, 3, 4]),
        Span([5], 3, [7, 8]),
        Span([6, 7], 2, [9, 10], first=1),
    ]
    batch = lay_out(spans, block_size=4)
    found = decoded(encoded(batch), torch.device("cpu"))
    for mine, sent in zip(found.groups, batch.groups, strict=True):
        assert (mine.rows, mine.new) == (sent.rows, sent.new)
        seen = sent.mask.any(dim=1)  # blocks that are not seen yet are not sent
        assert torch.equal(mine.table * seen, sent.table * seen)
        assert torch.equal(mine.mask, sent.mask)
    for name in ("tokens", "positions", "slots"):
        assert torch.equal(getattr(found, name), getattr(batch, name))


def test_every_shape_with_divisible_parts_loads_on_two_ranks() -> None:
    for shape in SHAPES:
        stated = fields(shape, vocab_size=96)
        config = parse_config(stated)
        if config.heads % 2:
            continue
        theirs = reference(stated)
        for rank in range(2):
            model = share(theirs.state_dict(), stated, rank)
            assert model.cache_width == config.kv_lora_rank + config.rope_dim  # type: ignore[union-attr]  # of this family
