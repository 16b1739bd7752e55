"""The Triton kernels give the plain model's numbers, in Triton's interpreter: no GPU is needed.

The interpreter is chosen when triton is imported, so the comparison runs in a process of its own.
It tells nothing of speed.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FUSION = "TRITON_DEFAULT_FP_FUSION"  # unset, triton 3.9 warns that its default will change
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize(
    "kernel",
    [
        "latent",
        "experts",
        "tiles",
        "model",
        pytest.param("splits", marks=pytest.mark.slow),
        pytest.param("narrow", marks=pytest.mark.slow),
        pytest.param("activations", marks=pytest.mark.slow),
        pytest.param("fp8", marks=pytest.mark.slow),
        pytest.param("fp8_experts", marks=pytest.mark.slow),
        pytest.param("fp8_model", marks=pytest.mark.slow),
        pytest.param("quiet", marks=pytest.mark.slow),
        pytest.param("choice", marks=pytest.mark.slow),
        pytest.param("shared", marks=pytest.mark.slow),
        pytest.param("steady", marks=pytest.mark.slow),
    ],
)
def test_the_kernel_gives_the_plain_numbers(kernel: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.model_runtime.gpu_run", kernel],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize("capability", [80, 90])
def test_the_kernels_compile_for_a_gpu(capability: int, tmp_path: Path) -> None:
    """To machine code, with tensor cores; on no GPU."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.model_runtime.gpu_compile", str(capability)],
        cwd=ROOT,
        env={**os.environ, FUSION: "1", "TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
