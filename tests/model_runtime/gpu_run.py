"""Run by the tests with TRITON_INTERPRET=1: one kernel against the plain model's arithmetic."""

import sys

import torch
from tests.model_runtime.shapes import distance, fields, logits_in_chunks, reference, tokens_of
from torch import Tensor

from treadle.model_runtime.archives import MemoryArchive
from treadle.model_runtime.attention import LatentAttention, Sizes
from treadle.model_runtime.config import parse_config
from treadle.model_runtime.kernels.gpu.choose import with_kernels
from treadle.model_runtime.kernels.gpu.experts import TILE, mixed_experts, sort_picks
from treadle.model_runtime.kernels.gpu.latent import decode
from treadle.model_runtime.loading import load_model
from treadle.model_runtime.moe import Experts
from treadle.model_runtime.quant import Plain

TOLERANCE = 1e-5


def apart(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max())


def latent() -> None:
    """Odd widths, more heads than a block, contexts from one row to several blocks of rows."""
    for heads, rank, rope, lengths in ((4, 32, 8, [1, 33, 70]), (20, 40, 16, [5, 64])):
        sizes = Sizes(heads, nope=16, rope=rope, value=12, kv_rank=rank)
        context = max(lengths)
        cache = torch.randn(200, rank + rope)
        table = torch.stack([torch.randperm(200)[:context] for _ in lengths])
        visible = torch.tensor(lengths, dtype=torch.int32)
        nope = torch.randn(len(lengths), 1, heads, 16)
        turned = torch.randn(len(lengths), 1, heads, rope)
        key_up, value_up = torch.randn(heads, 16, rank), torch.randn(heads, 12, rank)
        mask = torch.arange(context) < visible[:, None, None]
        plain = _attention(sizes, key_up, value_up).absorbed(nope, turned, cache[table], mask)
        lifted = torch.einsum("rshn,hnk->rshk", nope, key_up)
        query = torch.cat((lifted, turned), dim=-1)[:, 0]
        mixed = decode(query, cache, table, visible, kv_rank=rank, scale=0.2)
        ours = torch.einsum("rhk,hvk->rhv", mixed, value_up)
        assert apart(ours, plain[:, 0]) <= TOLERANCE


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


def tiles() -> None:
    """Every pick has one place, and a tile one expert."""
    chosen = torch.randint(0, 5, (37, 2))
    found = sort_picks(chosen, 6)
    held = found.pick < chosen.numel()
    assert sorted(found.pick[held].tolist()) == list(range(chosen.numel()))
    owners = found.expert.repeat_interleave(TILE)[held]
    assert torch.equal(owners, chosen.flatten()[found.pick[held]])


def model() -> None:
    """The whole model on the kernels, a prompt and then token by token."""
    shape = fields("plain", num_hidden_layers=2)
    plain = load_model(MemoryArchive(reference(shape).state_dict()), parse_config(shape))
    tokens, chunks = tokens_of(97, 12), [9, 1, 1, 1]
    theirs = logits_in_chunks(plain, tokens, chunks)
    assert distance(logits_in_chunks(with_kernels(plain), tokens, chunks), theirs) <= TOLERANCE


if __name__ == "__main__":
    torch.manual_seed(0)
    {"latent": latent, "experts": experts, "tiles": tiles, "model": model}[sys.argv[1]]()
