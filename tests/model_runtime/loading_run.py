"""Loads a checkpoint in a process of its own and prints what memory it took, in bytes.

`python -m tests.model_runtime.loading_run <folder> <storage> <fused or plain>`
"""

import json
import sys
from pathlib import Path

from training.evaluate import TINY
from treadle.model_runtime.acceleration import build_fastest
from treadle.model_runtime.kernels.fused import FusedModel
from treadle.model_runtime.loading import build, load_folder
from treadle.model_runtime.pages import return_freed_memory
from treadle.model_runtime.weights import Storage

RESET_PEAK = "5"  # proc(5), clear_refs


def status(name: str) -> int:
    """A field of this process's status that counts memory; pages of mapped files included."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def main(folder: Path, storage: Storage, builder: str) -> None:
    """Load a small one first, for what is needed only once, then measure."""
    chosen = build_fastest if builder == "fused" else build
    load_folder(TINY, storage=storage, builder=chosen)
    Path("/proc/self/clear_refs").write_text(RESET_PEAK, encoding="ascii")
    before = status("VmRSS")
    model = load_folder(folder, storage=storage, builder=chosen)
    peak = status("VmHWM") - before
    return_freed_memory()
    kept = status("VmRSS") - before
    fused = isinstance(model, FusedModel)
    print(json.dumps({"peak": peak, "kept": kept, "fused": fused}))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), Storage(sys.argv[2]), sys.argv[3])
