"""The GPU kernels on a GPU: their numbers, then decode of a 16B-shaped model beside its limit.

    python benchmarks/gpu.py                     # one GPU of 80 GB; with FP8 kernels from Hopper on
    python benchmarks/gpu.py --layers 4          # less memory and time
    TRITON_INTERPRET=1 python benchmarks/gpu.py --rehearse    # no GPU: that this file runs

First each kernel is compared with plain arithmetic on the device. Then, in bfloat16 and FP8, the
same random weights are served by plain PyTorch, by our kernels launched one by one, by our kernels
in CUDA graphs, and by whichever kernels of others are installed; batch 1 and 64, context 1,024.
Beside each step stands the time that its bytes take at the bandwidth measured in the same run, and
how far its logits are from plain PyTorch's. The last line says what was met; the exit status is 1
if a number is wrong. Written where no GPU was at hand: NOT YET RUN ON ONE.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import torch
from torch import Tensor

from treadle.model_runtime.batch import Batch, Span, lay_out
from treadle.model_runtime.config import DeepseekConfig, JsonObject, parse_config
from treadle.model_runtime.kernels.gpu.choose import with_kernels
from treadle.model_runtime.kernels.gpu.wishes import Fp8Wish, Wishes
from treadle.model_runtime.kernels.report import report
from treadle.model_runtime.model import Decoder, DeepseekModel, load_deepseek
from treadle.model_runtime.plan import measure
from treadle.model_runtime.quant import BLOCK, BlockFp8, Matrix, Plain
from treadle.model_runtime.steady import Direct, SteadyModel

ROOT = Path(__file__).parent.parent
MOONLIGHT: JsonObject = {  # moonshotai/Moonlight-16B-A3B, config.json
    "model_type": "deepseek_v3",
    "vocab_size": 163840,
    "hidden_size": 2048,
    "intermediate_size": 11264,
    "moe_intermediate_size": 1408,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_experts_per_tok": 6,
    "n_group": 1,
    "topk_group": 1,
    "routed_scaling_factor": 2.446,
    "kv_lora_rank": 512,
    "q_lora_rank": None,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "first_k_dense_replace": 1,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 50000.0,
    "torch_dtype": "bfloat16",
}
SMALL: JsonObject = {
    "vocab_size": 256,
    "hidden_size": 128,
    "intermediate_size": 256,
    "moe_intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
}
KERNEL_CHECKS = (
    "latent",
    "splits",
    "narrow",
    "experts",
    "tiles",
    "activations",
    "fp8",
    "fp8_experts",
)
SIZE, STEPS, WARM_UPS = 64, 30, 5
# Of the largest logit, the median over tokens: a token whose routing turns on a rounding is far.
FARTHEST = {"bfloat16": 0.05, "fp8": 0.25}
HOPPER = (9, 0)


@dataclass(frozen=True)
class Row:
    """One way to serve, at one batch size; `share` is of the measured bandwidth."""

    weights: str
    batch: int
    way: str
    kernels: str
    median_ms: float
    limit_ms: float
    share: float
    distance: float


@dataclass(frozen=True)
class RandomSource:
    """Weights drawn on the device, the matrices in FP8 blocks if asked."""

    dtype: torch.dtype
    device: torch.device
    fp8: bool

    def tensor(self, name: str, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Norms and biases about 1, all else as wide as keeps numbers in range."""
        drawn = torch.randn(shape, device=self.device, dtype=dtype or self.dtype)
        return drawn * 0.1 + 1 if len(shape) == 1 else drawn / shape[-1] ** 0.5

    def matrix(self, name: str, out: int, into: int, *, bias: bool = False) -> Matrix:
        """One weight; heads and gates stay wide, as in FP8 checkpoints."""
        if not self.fp8 or name == "lm_head":
            return Plain(self.tensor(name, out, into))
        return self._blocks(out, into)

    def table(self, name: str, out: int, into: int) -> Matrix:
        """Wide."""
        return Plain(self.tensor(name, out, into))

    def stack(self, names: Sequence[str], out: int, into: int) -> Matrix:
        """All experts at once."""
        if self.fp8:
            return self._blocks(len(names), out, into)
        return Plain(self.tensor(names[0], len(names), out, into))

    def _blocks(self, *shape: int) -> BlockFp8:
        *stack, out, into = shape
        weight = torch.stack(
            [
                torch.randn(out, into, device=self.device).mul_(64).to(torch.float8_e4m3fn)
                for _ in range(stack[0] if stack else 1)
            ]
        )
        scale_shape = (*stack, -(-out // BLOCK), -(-into // BLOCK))
        scale = (torch.rand(scale_shape, device=self.device) + 0.5) / 64 / into**0.5
        return BlockFp8(weight if stack else weight[0], scale)


def main() -> int:
    """Check, measure, print; the line before the last is all rows as JSON."""
    arguments = parse()
    if arguments.rehearse:
        device, capability = torch.device("cpu"), HOPPER
    elif not torch.cuda.is_available():
        print("no GPU is here: nothing is checked or measured; see --rehearse")
        return 0
    else:
        device, capability = torch.device("cuda"), torch.cuda.get_device_capability()
        print(f"{torch.cuda.get_device_name()}, capability {capability}, torch {torch.__version__}")
    wrong = [] if arguments.rehearse else list(wrong_kernels(capability))
    bandwidth = read_bandwidth(device)
    print(f"measured read bandwidth {bandwidth / 1e9:.0f} GB/s")
    rows: list[Row] = []
    with torch.inference_mode():
        for weights in ("bfloat16", "fp8"):
            for row in measured(weights, arguments, device, capability, bandwidth):
                rows.append(row)
                print(tell(row), flush=True)
    wrong += [tell(row) for row in rows if not row.distance <= FARTHEST[row.weights]]
    print(json.dumps([asdict(row) for row in rows]))
    print("WRONG NUMBERS:\n" + "\n".join(wrong) if wrong else "all numbers are right")
    return 1 if wrong else 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, default=27)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rehearse", action="store_true", help="a tiny model on the CPU")
    given = parser.parse_args()
    if given.rehearse:
        given.layers, given.context, given.batches = 2, 70, [1, 3]
    return given


def wrong_kernels(capability: tuple[int, int]) -> Iterator[str]:
    """The kernels that do not give plain arithmetic's numbers on the device."""
    for name in KERNEL_CHECKS:
        if "fp8" in name and capability < HOPPER:
            print(f"kernel {name}: left out below Hopper")
            continue
        command = [sys.executable, "-m", "tests.model_runtime.gpu_run", name, "cuda"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"kernel {name}: {'right' if done.returncode == 0 else 'WRONG'}", flush=True)
        if done.returncode:
            yield f"kernel {name}: {done.stderr.strip().splitlines()[-1:]}"


def measured(
    weights: str,
    arguments: argparse.Namespace,
    device: torch.device,
    capability: tuple[int, int],
    bandwidth: float,
) -> Iterator[Row]:
    """Every way of serving one set of weights, at every batch size."""
    config = config_of(arguments)
    torch.manual_seed(0)
    # Triton's interpreter multiplies bfloat16 wrongly.
    dtype = torch.float16 if device.type == "cpu" else torch.bfloat16
    source = RandomSource(dtype, device, fp8=weights == "fp8")
    plain = load_deepseek(source, config)
    size = measure(config, fp8=weights == "fp8")
    per_request = -(-arguments.context // SIZE)
    blocks = per_request * max(arguments.batches) + 1
    cache = torch.randn(
        plain.cache_layers, blocks * SIZE, plain.cache_width, device=device, dtype=plain.dtype
    )
    for batch in arguments.batches:
        # The second finds out whether a replayed step reads what the first has left. It is the
        # longer one: what a step writes, only steps behind it may see.
        steps = [step_of(batch, arguments.context - less, config, device) for less in (37, 0)]
        wanted = [plain.logits(plain.states(step, cache)) for step in steps]
        read = size.step(batch) + batch * arguments.context * size.cache
        limit = read / bandwidth * 1e3
        for way, model in ways(plain, weights, capability, batch).items():
            found = [model.logits(model.states(step, cache)) for step in steps]
            taken = median_ms(model, steps[-1], cache)
            serving = ",".join(f"{part}={name}" for part, name in report(model).items())
            away = max(map(distance, found, wanted))
            yield Row(weights, batch, way, serving, taken, limit, limit / taken, away)


def ways(
    plain: DeepseekModel, weights: str, capability: tuple[int, int], batch: int
) -> dict[str, Decoder]:
    """The same weights, served in turn by what is there."""
    fp8: Fp8Wish = "triton" if weights == "fp8" and capability >= HOPPER else "wide"
    own = Wishes(attention="triton", fp8=fp8)
    found: dict[str, Decoder] = {
        "torch": plain,
        "ours, launched": with_kernels(plain, own, capability=capability),
    }
    if plain.device.type == "cpu":
        fixed = SteadyModel(found["ours, launched"], Direct(), most=batch)
        return found | {"ours, fixed": fixed}
    for way, wishes in {
        "ours, graphs": Wishes("triton", fp8, graphs=batch),
        "installed, graphs": Wishes(graphs=batch),
    }.items():
        model = with_kernels(plain, wishes, capability=capability)
        if not isinstance(model, SteadyModel):
            raise TypeError("no graphs were made: the model is not of fixed shapes")
        found[way] = model
    if report(found["installed, graphs"]) == report(found["ours, graphs"]):
        del found["installed, graphs"]
    return found


def config_of(arguments: argparse.Namespace) -> DeepseekConfig:
    """Moonlight's shape with so many layers, or a tiny one."""
    changes: JsonObject = SMALL if arguments.rehearse else {}
    config = parse_config({**MOONLIGHT, **changes, "num_hidden_layers": arguments.layers})
    assert isinstance(config, DeepseekConfig)
    return config


def step_of(batch: int, context: int, config: DeepseekConfig, device: torch.device) -> Batch:
    """One new token for each request, at the end of its context."""
    each = -(-context // SIZE)
    spans = [
        Span([number % config.vocab_size], context - 1, range(number * each, (number + 1) * each))
        for number in range(batch)
    ]
    return lay_out(spans, block_size=SIZE, device=device)


def median_ms(model: Decoder, batch: Batch, cache: Tensor) -> float:
    """Of one step with its logits, the host's work included."""
    steps = 3 if cache.device.type == "cpu" else STEPS
    times: list[float] = []
    for step in range(WARM_UPS + steps if cache.device.type != "cpu" else steps):
        settle(cache.device)
        begun = perf_counter()
        fresh = lay_out(batch.spans, block_size=SIZE, device=cache.device)
        model.logits(model.states(fresh, cache))
        settle(cache.device)
        if step >= WARM_UPS or cache.device.type == "cpu":
            times.append((perf_counter() - begun) * 1e3)
    return statistics.median(times)


def read_bandwidth(device: torch.device) -> float:
    """Bytes per second of copying within the device, both ways counted; the best of ten."""
    count = 1 << (24 if device.type == "cpu" else 30)
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(10):
        settle(device)
        begun = perf_counter()
        target.copy_(source)
        settle(device)
        best = min(best, perf_counter() - begun)
    return 2 * count / best


def settle(device: torch.device) -> None:
    """Wait for what was started."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def distance(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference relative to the largest logit, the median over tokens."""
    away = (ours - theirs).abs().amax(dim=-1) / theirs.abs().amax(dim=-1)
    return float(away.median())


def tell(row: Row) -> str:
    """One line."""
    return (
        f"{row.weights:8} batch {row.batch:3} {row.way:18} {row.median_ms:9.3f} ms, limit "
        f"{row.limit_ms:7.3f} ms ({row.share:4.0%}), logits {row.distance:.4f} away; {row.kernels}"
    )


if __name__ == "__main__":
    sys.exit(main())
