"""Other packages' kernels are called as they want to be, and by their real signatures.

The packages need a GPU. Stand-ins check what they are given and compute it in plain PyTorch; what
they take is compared with what was read out of the packages' sources.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tests.model_runtime.serving import small_model
from tests.model_runtime.shapes import distance, tokens_of
from torch import Tensor

from treadle.model_runtime.attention import LatentAttention
from treadle.model_runtime.batch import Batch, Span, lay_out
from treadle.model_runtime.errors import BadConfig
from treadle.model_runtime.kernels.gpu.choose import with_kernels
from treadle.model_runtime.kernels.gpu.installed import (
    DeepGemm,
    FlashInfer,
    FlashMla,
    is_installed,
    listed_blocks,
)
from treadle.model_runtime.kernels.gpu.layers import KernelAttention, LatentKernel
from treadle.model_runtime.kernels.gpu.signatures import (
    Signature,
    Sources,
    calls_here,
    problems,
    read_sources,
)
from treadle.model_runtime.kernels.gpu.wishes import AttentionWish, Fp8Wish, Wishes
from treadle.model_runtime.model import DeepseekModel
from treadle.model_runtime.moe import Experts, MaskedExperts
from treadle.model_runtime.parts import rebuilt
from treadle.model_runtime.quant import BlockFp8, narrow_blocks
from treadle.model_runtime.settings import RuntimeSettings
from treadle.model_runtime.steady import Direct, Planner, SteadyModel

HERE = Path(__file__).parent
SIZE, BLOCKS = 64, 8
PACKAGES = ("flash_mla", "flashinfer", "deep_gemm")
BF16_TOLERANCE = 0.03  # of the largest value: eight bits, through two layers


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "standins"))


@pytest.fixture(scope="module")
def model() -> DeepseekModel:
    """Rows of 512 and 64 values in bfloat16, the shape that these packages are built for."""
    made = small_model(kv_lora_rank=512, qk_rope_head_dim=64)
    assert isinstance(made, DeepseekModel)
    narrow = rebuilt(made, _narrowed)
    assert narrow.dtype == torch.bfloat16
    return narrow


def _narrowed(part: object) -> object | None:
    if isinstance(part, Tensor) and part.dtype == torch.float32 and part.dim() > 1:
        return part.bfloat16()
    if isinstance(part, Tensor) and part.shape in {(64,), (24,), (512,)}:  # norms
        return part.bfloat16()
    return None


def on(model: DeepseekModel, kernel: LatentKernel) -> DeepseekModel:
    """Attention on this kernel, and experts of fixed shape."""

    def changed(part: object) -> object | None:
        match part:
            case LatentAttention():
                return KernelAttention(
                    part.sizes,
                    part.queries,
                    part.kv_down,
                    part.kv_norm,
                    part.key_up,
                    part.value_up,
                    part.out,
                    part.scale,
                    part.interleaved,
                    kernels=(kernel,),
                )
            case Experts():
                return MaskedExperts(part.gate, part.up, part.down, model.config.experts)
            case _:
                return None

    return rebuilt(model, changed)


def flashinfer_for(model: DeepseekModel) -> FlashInfer:
    attention = model.blocks[0].attention
    return FlashInfer(
        heads=attention.sizes.heads,
        scale=attention.scale,
        dtype=torch.bfloat16,
        device=torch.device("cpu"),
        hopper=True,
    )


def batches() -> Iterator[Batch]:
    """Steps of one size and other lengths, so that a plan of the step before would show."""
    for lengths in ([70, 3, 129], [5, 64, 63], [191, 0, 1]):
        free = iter(torch.randperm(BLOCKS - 1).tolist())
        spans = [
            Span(
                tokens_of(97, 1, seed=length),
                length,
                [next(free) for _ in range(length // SIZE + 1)],
            )
            for length in lengths
        ]
        yield lay_out(spans, block_size=SIZE)


def cache_of(model: DeepseekModel) -> Tensor:
    shape = (model.cache_layers, BLOCKS * SIZE, model.cache_width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5)).bfloat16()


@pytest.mark.parametrize("package", ["flash_mla", "flashinfer"])
@pytest.mark.parametrize("fixed", [False, True])
@torch.inference_mode()
def test_attention_gives_the_plain_numbers(model: DeepseekModel, package: str, fixed: bool) -> None:
    torch.manual_seed(2)
    kernel = FlashMla() if package == "flash_mla" else flashinfer_for(model)
    planners: list[Planner] = [kernel] if isinstance(kernel, FlashInfer) else []
    ours = on(model, kernel)
    cache, plain_cache = cache_of(model), cache_of(model)
    steady = SteadyModel(ours, Direct(), most=4 if fixed else 0, planners=planners)
    for batch in batches():
        found, wanted = steady.states(batch, cache), model.states(batch, plain_cache)
        assert distance(found, wanted) <= BF16_TOLERANCE
    assert steady.replayed == (3 if fixed else 0)


def test_blocks_are_listed_request_after_request() -> None:
    blocks = torch.tensor([[4, 5, 6], [7, 0, 0], [1, 2, 0]], dtype=torch.int32)
    begins, listed = listed_blocks(blocks, torch.tensor([9, 4, 5], dtype=torch.int32), 4)
    assert begins.tolist() == [0, 3, 4, 6]
    assert listed.tolist() == [4, 5, 6, 7, 1, 2]


def test_deepgemm_multiplies_what_the_blocks_stand_for() -> None:
    weight, scale = narrow_blocks(torch.randn(576, 256))
    x = torch.randn(3, 256).to(torch.float8_e4m3fn)
    x_scale = torch.rand(3, 2)
    out = torch.empty(3, 576)
    DeepGemm()(x, x_scale, weight, scale, out)
    wide = x.float() * x_scale.repeat_interleave(128, 1)
    assert distance(out, wide @ BlockFp8(weight, scale).widen(torch.float32).T) <= 1e-5


@pytest.mark.parametrize(("out", "inner", "takes"), [(576, 256, True), (576, 300, False)])
def test_deepgemm_is_left_what_it_takes(out: int, inner: int, takes: bool) -> None:
    assert DeepGemm.takes(torch.empty(out, inner)) is takes


def test_a_package_too_old_is_not_there() -> None:
    assert is_installed("flashinfer.mla", "MLAPlanMetadata")
    assert not is_installed("flashinfer.mla", "NothingLikeThis")
    assert not is_installed("no_such_package.mla", "anything")


@pytest.mark.parametrize(
    ("attention", "fp8", "capability", "reason"),
    [
        ("flashmla", "auto", (8, 0), "compute capability 9|triton"),
        ("flashmla", "auto", (10, 0), "compute capability 9|triton"),
        ("auto", "deepgemm", (8, 9), "DeepGEMM cannot be used|triton"),
    ],
)
def test_what_is_asked_for_by_name_and_cannot_be_had_is_an_error(
    model: DeepseekModel,
    attention: AttentionWish,
    fp8: Fp8Wish,
    capability: tuple[int, int],
    reason: str,
) -> None:
    with pytest.raises(BadConfig, match=reason):
        with_kernels(model, Wishes(attention, fp8), capability=capability)


def test_settings_say_what_is_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_RUNTIME_GPU_FP8", "wide")
    cpu, gpu = RuntimeSettings(device="cpu"), RuntimeSettings(device="cuda")
    assert (cpu.cache_block_size, gpu.cache_block_size) == (16, 64)
    assert gpu.engine_options(mtp=False).block_size == 64
    assert gpu.gpu_wishes == Wishes("auto", "wide", graphs=64, block_size=64)
    assert RuntimeSettings(device="cuda", block_size=32).gpu_wishes.block_size == 32
    with pytest.raises(ValidationError, match="gpu_graphs"):
        RuntimeSettings(gpu_graphs=257)


def kept(package: str) -> Sources:
    text = (HERE / "signatures" / f"{package}.json").read_text(encoding="utf-8")
    return Sources.from_json(text)


def test_every_call_of_a_package_is_one_that_it_takes() -> None:
    sources = [kept(package) for package in PACKAGES]
    calls = calls_here()
    assert calls.keys() == {name for each in sources for name in each.functions}
    assert [problem for each in sources for problem in problems(each, calls)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_stand_ins_take_nothing_that_the_packages_do_not(package: str) -> None:
    source = kept(package)
    folder = HERE / "standins" / package
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name in source.functions:
                real = source.functions[node.name]
                names = [each.arg for each in (*node.args.args, *node.args.kwonlyargs)]
                assert {*names} - {"self", "cls"} <= {*real.required, *real.optional}


def test_a_call_that_a_package_refuses_is_found() -> None:
    sources = Sources("p", "1", {"run": Signature(("query",), ("out",))})
    source = "self._package.run(cache=1)\nwrapper.other(x)\nelsewhere.run(1)"
    calls = calls_here(source)
    assert calls == {"run": ("cache",), "other": ("?",)}
    assert list(problems(sources, calls)) == ["run wants query", "run knows no cache"]
    assert list(problems(Sources("p", "1", {"other": Signature(("x",), ())}), calls)) == [
        "other wants x",
        "other knows no ?",
    ]


def test_bindings_and_methods_are_read(tmp_path: Path) -> None:
    checkout = tmp_path / "DeepGEMM"
    (checkout / "csrc" / "apis").mkdir(parents=True)
    (checkout / "deep_gemm").mkdir()
    (checkout / "deep_gemm" / "__init__.py").write_text("__version__ = '9.1'\n")
    (checkout / "csrc" / "apis" / "gemm.hpp").write_text(
        'm.def("one", &one, py::arg("a"),\n  py::arg("b") = std::make_tuple(1, 2));\n'
        'm.attr("two") = m.attr("one");\n'
    )
    found = read_sources(checkout)
    assert found == Sources(
        "deep_gemm", "9.1", dict.fromkeys(("one", "two"), Signature(("a",), ("b",)))
    )
    assert Sources.from_json(found.to_json()) == found
    with pytest.raises(BadConfig, match="cannot be read"):
        read_sources(tmp_path)
