"""Each mistake that engines have shipped is caught by the comparison with Transformers.

A mutant is a copy of the package with one line changed. The parity tests would be worth little
if a model with such a mistake passed them.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pydantic import JsonValue
from tests.model_runtime.mtp_reference import MtpReference, drafts
from tests.model_runtime.shapes import distance, fields, logits_in_chunks, reference, tokens_of
from torch import Tensor

import treadle.model_runtime
from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.model import Decoder

pytestmark = pytest.mark.slow  # all of them together
TOLERANCE = 1e-4
TOKENS = tokens_of(97, 110)
CHUNKS = [100, *[1] * 10]


@dataclass(frozen=True)
class Mutant:
    """In `module`, `old` becomes `new`; `shape` is the config that shows it."""

    module: str
    old: str
    new: str
    shape: str = "plain"
    routing_bias: float = 0


TRUNK = {
    "rotation by halves": Mutant(
        "attention", "rotate_pairs(x, turn) if self.interleaved", "rotate_halves(x, turn) if True"
    ),
    "no rotation": Mutant("attention", "rotate_pairs(x, turn) if self.interleaved", "x if True"),
    "mscale left out": Mutant("rope", "scale *= mscale * mscale", "pass", "yarn_factor_40"),
    "mscale applied once": Mutant(
        "rope", "scale *= mscale * mscale", "scale *= mscale", "yarn_factor_40"
    ),
    "mscale on cosines": Mutant(
        "rope",
        "return _m(yarn.factor, yarn.mscale) / _m(yarn.factor, yarn.mscale_all_dim)",
        "return _m(yarn.factor, yarn.mscale_all_dim)",
        "yarn_factor_40",
    ),
    "frequencies without YaRN": Mutant(
        "rope", "return _yarn(plain, rope, rope.scaling)", "return plain", "yarn_factor_4"
    ),
    "ramp clamped at half": Mutant(
        "rope", "rope.dim - 1)", "rope.dim // 2 - 1)", "yarn_ramp_past_the_last_pair"
    ),
    "bias not used": Mutant("moe", "self._choose(scores + self.bias)", "self._choose(scores)"),
    "bias in the weights": Mutant(
        "moe", "weights = scores.gather", "weights = (scores + self.bias).gather"
    ),
    "groups ranked by their best": Mutant(
        "moe", "grouped.topk(2, dim=-1)", "grouped.topk(1, dim=-1)"
    ),
    "groups without a limit": Mutant("moe", "topk(self.top_groups", "topk(self.groups"),
    "left-out experts count as 0": Mutant(
        "moe", "left_out[:, :, None], -torch.inf", "left_out[:, :, None], 0", routing_bias=-1.5
    ),
    "softmax scores": Mutant("moe", ".sigmoid()", ".softmax(dim=-1)"),
    "weights not normalised": Mutant("moe", "if self.normalise:", "if False:"),
    "weights normalised unasked": Mutant(
        "moe", "if self.normalise:", "if True:", "weights_not_normalised"
    ),
    "no routed scaling": Mutant("moe", "weights * self.scale", "weights"),
    "no shared expert": Mutant("moe", "if self.shared is None", "if True"),
    "shared expert scaled": Mutant(
        "moe", "routed + self.shared(x)", "routed + self.shared(x) * self.gate.scale"
    ),
    "latent not normed": Mutant("attention", "self.kv_norm(latent)", "latent"),
    "rotated key normed too": Mutant(
        "attention",
        "self._rotate(key[:, None], turn)[:, 0]",
        "torch.nn.functional.rms_norm(self._rotate(key[:, None], turn)[:, 0], key.shape[1:])",
    ),
    "query rank not normed": Mutant("attention", "self.norm(self.down(x))", "self.down(x)"),
    "gate and up exchanged": Mutant(
        "layers", "silu(self.gate(x)) * self.up(x)", "silu(self.up(x)) * self.gate(x)"
    ),
    "value before key": Mutant(
        "attention",
        "[sizes.nope, sizes.value], dim=1\n    )",
        "[sizes.value, sizes.nope], dim=1\n    )[::-1]",
    ),
    "rope before nope": Mutant(
        "attention",
        "nope, rope = torch.split(q, [sizes.nope, sizes.rope], dim=-1)",
        "rope, nope = torch.split(q, [sizes.rope, sizes.nope], dim=-1)",
    ),
    "another eps": Mutant("block", "config.rms_norm_eps", "config.rms_norm_eps * 1000"),
    "gate in bf16": Mutant(
        "moe",
        "functional.linear(x.float(), self.weight.float())",
        "functional.linear(x.bfloat16(), self.weight.bfloat16()).float()",
    ),
    "scores unscaled": Mutant("attention", ".float() * self.scale", ".float()"),
}

HEADS = {
    "hidden before embedding": Mutant(
        "mtp",
        "(self.embedding_norm(embedded), self.hidden_norm(hidden))",
        "(self.hidden_norm(hidden), self.embedding_norm(embedded))",
    ),
    "norms exchanged": Mutant(
        "mtp",
        "(self.embedding_norm(embedded), self.hidden_norm(hidden))",
        "(self.hidden_norm(embedded), self.embedding_norm(hidden))",
    ),
    "hidden before the last norm": Mutant("model", "return self.norm(x)", "return x"),
    "no norm before the head": Mutant("mtp", "return self.norm(self.block(", "return (self.block("),
    "hidden not normed": Mutant("mtp", "self.hidden_norm(hidden))", "hidden)"),
}


@pytest.fixture
def mutate(tmp_path: Path) -> Iterator[Callable[[Mutant], ModuleType]]:
    """Import a changed copy of the package; forgotten afterwards."""
    name = f"mutant_{tmp_path.name}".replace("-", "_")

    def apply(mutant: Mutant) -> ModuleType:
        copy = tmp_path / name
        copy.mkdir()
        for source in Path(str(treadle.model_runtime.__file__)).parent.glob("*.py"):
            text = source.read_text(encoding="utf-8")
            if source.stem == mutant.module:
                assert text.count(mutant.old) == 1, f"{mutant.old!r} must occur once"
                text = text.replace(mutant.old, mutant.new)
            text = text.replace("treadle.model_runtime", name)
            (copy / source.name).write_text(text, encoding="utf-8")
        return importlib.import_module(f"{name}.loading")

    sys.path.insert(0, str(tmp_path))
    yield apply
    sys.path.remove(str(tmp_path))
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def load(loading: ModuleType, stored: dict[str, Tensor], shape: dict[str, JsonValue]) -> Decoder:
    """The copy has config classes of its own, and matches on them."""
    package = loading.__name__.rpartition(".")[0]
    config = importlib.import_module(f"{package}.config").parse_config(shape)
    model: Decoder = loading.load_model(MemoryArchive(stored), config)
    return model


@cache
def trunk(shape: str, routing_bias: float) -> tuple[dict[str, Tensor], Tensor]:
    theirs = reference(fields(shape), routing_bias=routing_bias)
    with torch.inference_mode():
        return dict(theirs.state_dict()), theirs(torch.tensor([TOKENS])).logits[0]


@cache
def heads() -> tuple[dict[str, Tensor], list[Tensor]]:
    theirs = MtpReference.random(reference(fields("plain")), depth=2)
    with torch.inference_mode():
        return theirs.stored(), theirs.logits(TOKENS)


@pytest.mark.parametrize("name", TRUNK)
def test_a_mistake_in_the_trunk_shows_in_the_logits(
    name: str, mutate: Callable[[Mutant], ModuleType]
) -> None:
    mutant = TRUNK[name]
    stored, expected = trunk(mutant.shape, mutant.routing_bias)
    model = load(mutate(mutant), stored, fields(mutant.shape))
    assert distance(logits_in_chunks(model, TOKENS, CHUNKS), expected) > TOLERANCE


@pytest.mark.parametrize("name", HEADS)
def test_a_mistake_in_the_modules_shows_in_their_logits(
    name: str, mutate: Callable[[Mutant], ModuleType]
) -> None:
    stored, expected = heads()
    model = load(mutate(HEADS[name]), stored, fields("plain", num_nextn_predict_layers=2))
    found = drafts(model, TOKENS, [110])
    assert max(distance(a, b) for a, b in zip(found, expected, strict=True)) > TOLERANCE


def test_the_copy_without_a_change_passes(mutate: Callable[[Mutant], ModuleType]) -> None:
    stored, expected = trunk("plain", 0)
    same = Mutant("moe", "weights * self.scale", "weights * self.scale")
    model = load(mutate(same), stored, fields("plain"))
    assert distance(logits_in_chunks(model, TOKENS, CHUNKS), expected) <= TOLERANCE
