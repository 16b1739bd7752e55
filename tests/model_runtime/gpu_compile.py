"""Run by the tests: compiles each Triton kernel for a GPU that need not be there.

    python -m tests.model_runtime.gpu_compile 90

What Triton's interpreter lets pass and a compiler does not shows here: types, shapes of tiles, and
the shared memory that a program takes. `ptxas`, which comes with triton, assembles the result.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from triton.backends.compiler import GPUTarget  # type: ignore[import-not-found]  # GPUs only
from triton.compiler import ASTSource, compile  # type: ignore[import-not-found]  # the same

from treadle.model_runtime.kernels.gpu import experts, fp8, fp8_experts, latent
from treadle.model_runtime.quant import BLOCK

FP8_FROM = 90
SHARED = {80: 163 * 1024, 90: 227 * 1024}  # bytes that a program may have; CUDA C guide, table 30
WIDE = "*bf16"
PRODUCT = re.compile(r"(?:wgmma\.mma_async|mma)\.sync[\w.]*")
ROWS_OF_FP8 = ["*fp8e4nv", "*fp32"]


@dataclass(frozen=True)
class Kernel:
    """A kernel with the types of its arguments in order, and its constants."""

    module: ModuleType
    name: str
    types: list[str]
    constants: Mapping[str, float]

    @property
    def kind(self) -> str:
        """What the tensor cores multiply.

        Hopper multiplies FP8 in tiles of 64 rows and more. For smaller ones triton widens to
        float16, which is exact, and sums are whole float32 then; the bytes that are read stay FP8.
        """
        if "*fp8e4nv" not in self.types:
            return ".bf16.bf16"
        return ".e4m3.e4m3" if self.constants.get("ROWS") == fp8.MOST_ROWS else ".f16.f16"


WIDTHS = {"RANK": 512, "ROPE": 64, "RANK_PADDED": 512, "ROPE_PADDED": 64}
DECODE = [WIDE, WIDE, "*i32", "*i32"]
JOINED = {"SPLITS": 16, "RANK": 512, "RANK_PADDED": 512}
LATENT = {"SIZE": 64, "HEADS": latent.HEADS, "ROWS": latent.ROWS} | WIDTHS
TILES = {"TILE": experts.TILE, "COLUMNS": experts.COLUMNS}
INNER, BLOCKS = {"INNER": experts.INNER}, {"BLOCK": BLOCK}
GROUP = {"LEAST": fp8.LEAST, "MOST": fp8.MOST, "BLOCK": BLOCK}
SORTED = ["*i64", "*i64"]
PLAIN = (
    Kernel(latent, "_decode", [*DECODE, WIDE, "fp32", *["i32"] * 3, WIDE], LATENT | {"SPLITS": 1}),
    Kernel(
        latent,
        "_decode",
        [*DECODE, "*fp32", "fp32", *["i32"] * 3, "*fp32"],
        LATENT | {"SPLITS": 16},
    ),
    Kernel(latent, "_join", ["*fp32", "*fp32", WIDE], JOINED),
    Kernel(experts, "_gate_up", [*[WIDE] * 3, *SORTED, WIDE, *["i32"] * 5], TILES | INNER),
    Kernel(experts, "_down", [WIDE, WIDE, "*fp32", *SORTED, "*fp32", *["i32"] * 4], TILES | INNER),
)
NARROW = [WIDE, *ROWS_OF_FP8, "i32", "i32"]
PRODUCTS = [*ROWS_OF_FP8 * 2, WIDE, *["i32"] * 4]
GATE_UP = [*ROWS_OF_FP8 * 3, *SORTED, WIDE, *["i32"] * 7]
DOWN = [*ROWS_OF_FP8 * 2, "*fp32", *SORTED, "*fp32", *["i32"] * 6]
FP8 = (
    Kernel(fp8, "_narrow", NARROW, GROUP | {"POWERS": False}),
    Kernel(fp8, "_narrow", NARROW, GROUP | {"POWERS": True}),
    Kernel(fp8, "_multiply", PRODUCTS, {"ROWS": 16, "COLUMNS": fp8.COLUMNS} | BLOCKS),
    Kernel(fp8, "_multiply", PRODUCTS, {"ROWS": fp8.MOST_ROWS, "COLUMNS": fp8.COLUMNS} | BLOCKS),
    Kernel(fp8_experts, "_gate_up", GATE_UP, TILES | BLOCKS),
    Kernel(fp8_experts, "_down", DOWN, TILES | BLOCKS),
)


def main(capability: int) -> None:
    """Compile all that this capability is given."""
    for kernel in (*PLAIN, *(FP8 if capability >= FP8_FROM else ())):
        function: Any = getattr(kernel.module, kernel.name)  # triton has no types
        plain = [name for name in function.arg_names if name not in kernel.constants]
        signature = dict(zip(plain, kernel.types, strict=True))
        signature |= dict.fromkeys(kernel.constants, "constexpr")
        # As at a launch: pointers and widths that 16 divides let loads be wide and run ahead.
        sixteens = {
            (place,): [["tt.divisibility", 16]]
            for place, name in enumerate(function.arg_names)
            if signature[name].startswith(("*", "i32"))
        }
        source = ASTSource(function, signature, constexprs=kernel.constants, attrs=sixteens)
        made = compile(source, target=GPUTarget("cuda", capability, 32))
        assert made.metadata.shared <= SHARED[capability]
        assert len(made.asm["cubin"]) > 0
        if kernel.name not in {"_narrow", "_join"}:
            products = PRODUCT.findall(made.asm["ptx"])
            assert products, f"{kernel.name} uses no tensor core"
            assert all(kernel.kind in product for product in products)


if __name__ == "__main__":
    main(int(sys.argv[1]))
