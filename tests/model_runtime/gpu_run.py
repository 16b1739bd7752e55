"""One kernel against the plain model's arithmetic.

Run by the tests with TRITON_INTERPRET=1, and by `benchmarks/gpu.py` on a GPU.
"""

import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch
from tests.model_runtime.serving import small_model
from tests.model_runtime.shapes import distance, fields, logits_in_chunks, reference, tokens_of
from tests.model_runtime.steps import deaf, step_on
from torch import Tensor
from torch.nn import functional

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.attention import LatentAttention, Sizes
from treadle.model_runtime.batch import Paging, Span, lay_out
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.kernels.gpu.choose import are_powers_of_two, on_kernels, with_kernels
from treadle.model_runtime.kernels.gpu.experts import TILE, mixed_experts, sort_picks
from treadle.model_runtime.kernels.gpu.fp8 import narrow_activations
from treadle.model_runtime.kernels.gpu.fp8_experts import mixed_fp8_experts
from treadle.model_runtime.kernels.gpu.latent import decode, splits_for
from treadle.model_runtime.kernels.gpu.layers import (
    KernelSharedMixture,
    NarrowFp8,
    own_product,
)
from treadle.model_runtime.kernels.gpu.wishes import Fp8Wish, Wishes
from treadle.model_runtime.kernels.report import report
from treadle.model_runtime.layers import Norm
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.model import Decoder, DeepseekModel
from treadle.model_runtime.moe import Experts, Gate, MixtureOfExperts
from treadle.model_runtime.parts import rebuilt
from treadle.model_runtime.quant import BlockFp8, Plain, narrow_blocks
from treadle.model_runtime.sharding import SharedMixture
from treadle.model_runtime.steady import Direct, SteadyModel

FP8_TOLERANCE = 0.15  # of the largest logit: three bits of each activation, through two layers
DEVICE = sys.argv[2] if len(sys.argv) > 2 else "cpu"
# A GPU sums in another order, and 128 FP8 products in about 14 bits.
TOLERANCE, OF_FP8 = (1e-5, 1e-5) if DEVICE == "cpu" else (1e-4, 2e-3)

# Sixteen bits wide; Triton's interpreter multiplies bfloat16 wrongly.
NARROW = torch.float16 if DEVICE == "cpu" else torch.bfloat16
OF_NARROW = 2e-3 if DEVICE == "cpu" else 2e-2


def apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def latent() -> None:
    """Odd widths, more heads than a block, contexts from one row to several blocks of rows."""
    shapes = ((4, 32, 8, [1, 33, 70], 0), (20, 40, 16, [5, 64], 0), (4, 32, 8, [2, 33, 70], 1))
    for heads, rank, rope, lengths, first in shapes:
        sizes = Sizes(heads, nope=16, rope=rope, value=12, kv_rank=rank)
        cache = torch.randn(200, rank + rope)
        paging = paged(lengths, first=first)
        nope = torch.randn(len(lengths), 1, heads, 16)
        turned = torch.randn(len(lengths), 1, heads, rope)
        key_up, value_up = torch.randn(heads, 16, rank), torch.randn(heads, 12, rank)
        attention = _attention(sizes, key_up, value_up)
        rows = cache[paging.table()]
        plain = attention.absorbed(nope, turned, rows, paging.mask())
        lifted = torch.einsum("rshn,hnk->rshk", nope, key_up)
        query = torch.cat((lifted, turned), dim=-1)[:, 0]
        mixed = decode(query, cache, paging, kv_rank=rank, scale=0.2)
        ours = torch.einsum("rhk,hvk->rhv", mixed, value_up)
        assert apart(ours, plain[:, 0]) <= TOLERANCE


def splits() -> None:
    """Contexts cut into parts, some of them empty, give the same numbers."""
    assert splits_for(1, 100) == 1
    assert splits_for(1, 10_000) == 16
    assert splits_for(64, 10_000) == 2
    assert splits_for(200, 10_000) == 1
    for lengths, first in (([1, 700, 33], 0), ([2, 1400], 1), ([64], 0)):
        paging = paged(lengths, first=first, size=5, room=1500)
        assert splits_for(len(lengths), paging.blocks.shape[1] * 5) > 1
        cache, query = torch.randn(200, 40), torch.randn(len(lengths), 20, 40)
        ours = decode(query, cache, paging, kv_rank=32, scale=0.2)
        rows = cache[paging.table()]
        scores = (query @ rows.transpose(1, 2) * 0.2).masked_fill(~paging.mask(), -torch.inf)
        assert apart(ours, scores.softmax(dim=-1) @ rows[..., :32]) <= TOLERANCE


def paged(lengths: list[int], *, first: int, size: int = 5, room: int = 0) -> Paging:
    """Requests of these lengths in 40 blocks, in any order; with `room`, some of them twice."""
    width = -(-max(*lengths, room) // size)
    blocks = torch.stack([torch.randperm(width) % 40 for _ in lengths]).int()
    positions = torch.tensor(lengths)[:, None] - 1
    return Paging(blocks, positions, size, first, max(lengths))


def narrow() -> None:
    """Weights, rows and queries of sixteen bits; sums are kept in float32."""
    sizes = Sizes(16, nope=16, rope=64, value=12, kv_rank=512)
    paging = paged([1, 33, 150], first=0)
    cache, query = torch.randn(200, 576).to(NARROW), torch.randn(3, 16, 576).to(NARROW)
    mixed = decode(query, cache, paging, kv_rank=sizes.kv_rank, scale=0.04)
    rows = cache[paging.table()].float()
    scores = query.float() @ rows.transpose(1, 2) * 0.04
    weights = scores.masked_fill(~paging.mask(), -torch.inf).softmax(dim=-1)
    assert apart(mixed.float(), weights @ rows[..., :512]) <= OF_NARROW
    gate, up = (torch.randn(2, 8, 40, 48) / 7).to(NARROW)
    down = (torch.randn(8, 48, 40) / 6).to(NARROW)
    x, shares = torch.randn(5, 48).to(NARROW), torch.rand(5, 3)
    chosen = torch.stack([torch.randperm(8)[:3] for _ in range(5)])
    ours = mixed_experts(x, gate, up, down, shares, chosen)
    wide = Experts(Plain(gate.float()), Plain(up.float()), Plain(down.float()))
    assert apart(ours, wide(x.float(), shares, chosen)) <= OF_NARROW


def _attention(sizes: Sizes, key_up: Tensor, value_up: Tensor) -> LatentAttention:
    """Only what `absorbed` reads is there."""
    none = Plain(torch.empty(0))
    norm = None
    return LatentAttention(
        sizes=sizes,
        queries=norm,  # type: ignore[arg-type]  # not read
        kv_down=none,
        kv_norm=norm,  # type: ignore[arg-type]  # not read
        key_up=key_up,
        value_up=value_up,
        out=none,
        scale=0.2,
        interleaved=True,
    )


def experts() -> None:
    """Experts without a token, with one, with more than a tile; odd widths."""
    for tokens, count, hidden, width in ((1, 8, 48, 40), (20, 3, 70, 33)):
        gate, up = torch.randn(2, count, width, hidden)
        down = torch.randn(count, hidden, width)
        x, weights = torch.randn(tokens, hidden), torch.rand(tokens, 3)
        chosen = torch.stack([torch.randperm(count)[:3] for _ in range(tokens)])
        ours = mixed_experts(x, gate, up, down, weights, chosen)
        plain = Experts(Plain(gate), Plain(up), Plain(down))(x, weights, chosen)
        assert apart(ours, plain) <= TOLERANCE
        alone = mixed_experts(x[:1], gate, up, down, weights[:1], chosen[:1])
        assert torch.equal(alone, ours[:1]), "a token's sum depends on the others"
        elsewhere = chosen.masked_fill(chosen == 1, count)
        kept = weights.masked_fill(chosen == 1, 0)
        without = Experts(Plain(gate), Plain(up), Plain(down))(x, kept, chosen)
        assert apart(mixed_experts(x, gate, up, down, weights, elsewhere), without) <= TOLERANCE


def tiles() -> None:
    """Every pick has one place, and a tile one expert."""
    chosen = torch.randint(0, 5, (37, 2))
    found = sort_picks(chosen, 6)
    held = found.pick < chosen.numel()
    assert sorted(found.pick[held].tolist()) == list(range(chosen.numel()))
    owners = found.expert.repeat_interleave(TILE)[held]
    assert torch.equal(owners, chosen.flatten()[found.pick[held]])
    fewer = sort_picks(chosen, 3)
    owners = fewer.expert.repeat_interleave(TILE)[fewer.pick < chosen.numel()]
    theirs = chosen.flatten()[fewer.pick[fewer.pick < chosen.numel()]]
    assert torch.equal(owners, theirs.clamp(max=3)), "another rank's expert has a tile here"


def activations() -> None:
    """To the last bit as the formulas say: plain scales and powers of two, zeros, odd widths."""
    x = torch.randn(37, 300) * torch.logspace(-6, 3, 37)[:, None]
    x[3] = 0
    x[5, :200] = torch.linspace(-448, 448, 200)  # every kind of rounding
    x[6, :200] = torch.linspace(-0.02, 0.02, 200)
    x[6, 0] = 448
    for powers in (False, True):
        for given in (x, x.bfloat16()):
            narrow, scale = narrow_activations(given, powers=powers)
            theirs, their_scale = narrowed(given, powers=powers)
            assert torch.equal(scale, their_scale)
            assert torch.equal(narrow.float(), theirs.float())
            if powers:
                assert are_powers_of_two(scale)


def narrowed(x: Tensor, *, powers: bool) -> tuple[Tensor, Tensor]:
    """The formulas: s = max(|x|, 1e-4) / 448 over 128 channels, and 2^ceil(log2 s) if asked."""
    tokens, width = x.shape
    wide = functional.pad(x.float(), (0, -width % 128)).view(tokens, -1, 128)
    scale = wide.abs().amax(-1).clamp(min=1e-4) / 448
    if powers:
        scale = torch.exp2(torch.ceil(torch.log2(scale)))
    narrow = (wide / scale[..., None]).clamp(-448, 448).flatten(1)[:, :width]
    return narrow.to(torch.float8_e4m3fn), scale


def spoken(narrow: Tensor, scale: Tensor) -> Tensor:
    """What rounded activations stand for, float32."""
    return narrow.float() * scale.repeat_interleave(128, dim=1)[:, : narrow.shape[1]]


def fp8() -> None:
    """Rows and columns that fill no block, one token and more than a tile of them."""
    for tokens, out, inner in ((1, 576, 128), (5, 576, 300), (70, 130, 257), (17, 64, 64)):
        weight, scale = narrow_blocks(torch.randn(out, inner))
        x = torch.randn(tokens, inner)
        bias = torch.randn(out)
        layer = NarrowFp8(weight, scale, bias, powers=False, product=own_product)
        plain = spoken(*narrowed(x, powers=False)) @ BlockFp8(weight, scale).widen(x.dtype).T
        assert apart(layer(x), plain + bias) <= OF_FP8
        if DEVICE == "cpu":  # a tensor core's tile of another height may sum in another order
            assert torch.equal(layer(x[:1]), layer(x)[:1]), "a token's sum depends on the others"


def fp8_experts() -> None:
    """Both products see rounded activations."""
    for tokens, count, hidden, width in ((1, 8, 300, 140), (20, 3, 130, 260)):
        gate, up = (fp8_stack(count, width, hidden) for _ in range(2))
        down = fp8_stack(count, hidden, width)
        x, weights = torch.randn(tokens, hidden), torch.rand(tokens, 3)
        chosen = torch.stack([torch.randperm(count)[:3] for _ in range(tokens)])
        ours = mixed_fp8_experts(x, gate, up, down, weights, chosen, powers=True)
        wide = [stack.widen(torch.float32) for stack in (gate, up, down)]
        plain = torch.zeros(tokens, hidden)
        seen = spoken(*narrowed(x, powers=True))
        for token, place in product(range(tokens), range(3)):
            g, u, d = (stack[chosen[token, place]] for stack in wide)
            middle = functional.silu(g @ seen[token]) * (u @ seen[token])
            middle = spoken(*narrowed(middle[None], powers=True))[0]
            plain[token] += weights[token, place] * (d @ middle)
        # A value on the edge between two FP8 numbers may fall to either side.
        assert float((ours - plain).norm() / plain.norm()) <= 3e-3 + OF_FP8


def fp8_stack(count: int, out: int, inner: int) -> BlockFp8:
    parts = [narrow_blocks(torch.randn(out, inner)) for _ in range(count)]
    weights, scales = zip(*parts, strict=True)
    return BlockFp8(torch.stack(weights), torch.stack(scales))


def model() -> None:
    """The whole model on the kernels, a prompt and then token by token."""
    shape = fields("plain", num_hidden_layers=2)
    plain = load_model(MemoryArchive(reference(shape).state_dict()), parse_config(shape))
    tokens, chunks = tokens_of(97, 12), [9, 1, 1, 1]
    theirs = logits_in_chunks(plain, tokens, chunks)
    ours = with_kernels(plain, Wishes(), capability=(8, 0))
    assert report(ours)["attention"] == report(ours)["experts"] == "triton"
    assert distance(logits_in_chunks(ours, tokens, chunks), theirs) <= TOLERANCE


def fp8_model() -> None:
    """On Hopper both FP8 kernels serve; the logits move by what rounding activations moves them."""
    shape = fields("plain", num_hidden_layers=2)
    stored = reference(shape).state_dict()
    config = parse_config(shape)
    wide = load_model(MemoryArchive(stored), config)
    assert isinstance(wide, DeepseekModel)
    kept = rebuilt(wide, _in_blocks)
    tokens, chunks = tokens_of(97, 12), [9, 1, 1, 1]
    ours = with_kernels(kept, Wishes(), capability=(9, 0))
    assert report(ours) == {
        "attention": "triton",
        "experts": "triton-fp8",
        "dense": "triton-fp8",
        "steps": "launched",
    }
    theirs = logits_in_chunks(kept, tokens, chunks)
    assert 1e-6 < distance(logits_in_chunks(ours, tokens, chunks), theirs) <= FP8_TOLERANCE
    asked = with_kernels(kept, Wishes(fp8="wide"), capability=(9, 0))
    assert distance(logits_in_chunks(asked, tokens, chunks), theirs) <= TOLERANCE


def _in_blocks(part: object) -> object | None:
    match part:
        case Gate() | Norm():
            return part
        case Plain() if part.weight.dim() == 3:
            parts = [narrow_blocks(weight) for weight in part.weight]
            weights, scales = zip(*parts, strict=True)
            return BlockFp8(torch.stack(weights), torch.stack(scales))
        case Plain() if part.weight.shape[0] != 97:  # not embeddings and head
            return BlockFp8(*narrow_blocks(part.weight), part.bias)
        case _:
            return None


@dataclass(frozen=True)
class Alone:
    """One of two ranks, whose sums are its own."""

    rank: int
    size: int = 2

    def summed(self, x: Tensor) -> Tensor:
        return x

    def joined(self, x: Tensor) -> Tensor:
        return x


def shared() -> None:
    """The sums of two ranks' experts on the kernel are those of all experts."""
    whole = load_model(
        MemoryArchive(reference(fields("plain")).state_dict()), parse_config(fields("plain"))
    )
    assert isinstance(whole, DeepseekModel)
    config = whole.config
    mixture = whole.blocks[-1].mlp
    assert isinstance(mixture, MixtureOfExperts)
    x, count = torch.randn(9, config.hidden_size), config.experts // 2
    parts: list[Tensor] = []
    for rank in range(2):
        own = range(rank * count, (rank + 1) * count)
        stacks = (mixture.experts.gate, mixture.experts.up, mixture.experts.down)
        gate, up, down = (Plain(stack.widen(x.dtype)[own.start : own.stop]) for stack in stacks)
        ours = SharedMixture(mixture.gate, Experts(gate, up, down), None, own, Alone(rank))
        part = rebuilt(ours, on_kernels(()))
        assert isinstance(part, KernelSharedMixture)
        parts.append(part(x))
        assert apart(parts[-1], ours(x)) <= TOLERANCE
    assert apart(parts[0] + parts[1], replace(mixture, shared=None)(x)) <= TOLERANCE


def steady() -> None:
    """Steps of fixed shape on the kernels give the plain model's numbers."""
    shape = fields("plain", num_hidden_layers=2)
    plain = load_model(MemoryArchive(reference(shape).state_dict()), parse_config(shape))
    fixed = SteadyModel(with_kernels(plain, Wishes(), capability=(8, 0)), Direct(), most=4)
    spans = [Span(tokens_of(97, 1, seed=length), length, range(length, 10)) for length in (2, 0, 1)]
    spans = [Span(span.tokens, span.start, list(span.blocks)) for span in spans]
    batch = lay_out(spans, block_size=4)
    caches = [torch.randn(2, 12 * 4, plain.cache_width).fill_(0.3) for _ in range(2)]
    with torch.inference_mode():
        found, wanted = fixed.states(batch, caches[0]), plain.states(batch, caches[1])
    assert fixed.replayed == 1
    assert distance(found, wanted) <= TOLERANCE


def quiet() -> None:
    """A step on the kernels asks nothing of the host, with FP8 weights or without."""
    plain = small_model()
    assert isinstance(plain, DeepseekModel)
    for model in (plain, rebuilt(plain, _in_blocks)):
        ours = with_kernels(model, Wishes(), capability=(9, 0))
        assert isinstance(ours, DeepseekModel)
        assert report(ours)["experts"].startswith("triton")
        for module in (False, True):
            step = step_on(ours, module=module)
            with torch.inference_mode(), deaf():
                step()


def choice() -> None:
    """Which kernels serve: those of others where they are installed and fit, ours otherwise."""
    sys.path.insert(0, str(Path(__file__).with_name("standins")))
    shape = fields(
        "plain", num_hidden_layers=2, kv_lora_rank=512, qk_rope_head_dim=64, hidden_size=128
    )
    stored = MemoryArchive(reference({**shape, "intermediate_size": 256}).state_dict())
    config = parse_config({**shape, "intermediate_size": 256})
    model = load_model(stored, config, dtype=torch.bfloat16)
    wide = load_model(stored, config, dtype=torch.float32)
    hopper, ampere, blackwell = (9, 0), (8, 0), (10, 0)

    def attention(on: Decoder, capability: tuple[int, int], block_size: int = 64) -> str:
        wishes = Wishes(block_size=block_size)
        return report(with_kernels(on, wishes, capability=capability))["attention"]

    assert attention(model, hopper) == "flashmla"
    assert attention(model, hopper, block_size=16) == "flashinfer"
    assert attention(model, ampere) == attention(model, blackwell) == "flashinfer"
    assert attention(wide, hopper) == "triton"
    assert isinstance(model, DeepseekModel)
    kept = rebuilt(model, _in_blocks)
    cases: tuple[tuple[tuple[int, int], Fp8Wish, str, str], ...] = (
        (hopper, "auto", "deepgemm-fp8", "triton-fp8"),
        (hopper, "triton", "triton-fp8", "triton-fp8"),
        (blackwell, "auto", "triton-fp8", "triton-fp8"),
        (ampere, "auto", "torch-widened-fp8", "torch"),
        (hopper, "wide", "torch-widened-fp8", "torch"),
    )
    for capability, wish, dense, experts_on in cases:
        found = report(with_kernels(kept, Wishes("triton", wish), capability=capability))
        assert (found["dense"], found["experts"]) == (dense, experts_on)


KERNELS = (latent, splits, narrow, experts, tiles, activations, fp8, fp8_experts)
CHECKS = (*KERNELS, model, fp8_model, shared, steady, quiet, choice)

if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_default_device(DEVICE)
    {check.__name__: check for check in CHECKS}[sys.argv[1]]()
