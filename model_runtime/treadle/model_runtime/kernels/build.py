"""Build the CPU kernels once per machine, when a C++ compiler is there.

A plain shared library, called through ctypes: no header of torch, so that it builds in seconds,
belongs to no version of torch, and needs no ninja. Cached by a hash of sources, flags and compiler.
"""

import fcntl
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from treadle.model_runtime.kernels.abi import Library

log = logging.getLogger(__name__)

# No -march: each variant names its own target and is chosen at run time, so that a copied cache
# never meets an unknown instruction. No -ffast-math: it would flush denormals in the whole process.
FLAGS = (
    *("-std=c++20", "-O3", "-fPIC", "-Wno-psabi"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"),
)
VARIANTS = {"x86_64": ("avx512", "avx2", "plain"), "AMD64": ("avx512", "avx2", "plain")}
BUILD_TIMEOUT_S = 600


class BuildFailed(Exception):
    """No compiler, or it refused the sources; the plain path serves instead."""


@cache
def library() -> Library | None:
    """The kernels of this machine, built if need be; `None` with one log line if they cannot be."""
    try:
        return Library(built())
    except (BuildFailed, OSError) as error:
        log.warning("kernels.unavailable", extra={"reason": str(error)})
        return None


def built() -> Path:
    """The shared library's file; raises `BuildFailed`."""
    compiler = find_compiler()
    with as_file(files("treadle.model_runtime.kernels") / "cpu") as sources:
        folder = cache_folder() / _digest(sources, compiler)
        target = folder / "kernels.so"
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "lock").open("w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not target.exists():
                    _build(sources, compiler, target)
    return target


def find_compiler() -> str:
    """`$CXX`, g++ or clang++; raises `BuildFailed` naming what to install."""
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and shutil.which(name):
            return name
    raise BuildFailed("no C++ compiler found: install g++ 12 or newer for the fast CPU kernels")


def cache_folder() -> Path:
    """Where built kernels are kept: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "treadle" / "kernels"


def _digest(sources: Path, compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True).stdout
    digest = hashlib.sha256(" ".join((*FLAGS, platform.machine())).encode() + version)
    for file in sorted(sources.iterdir()):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:32]


def _build(sources: Path, compiler: str, target: Path) -> None:
    """Compile every variant side by side, link, and move the result into place at once."""
    names = (*VARIANTS.get(platform.machine(), ("plain",)), "entry", "pool")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        objects = [f"{scratch}/{name}.o" for name in names]
        jobs = [
            [compiler, *FLAGS, "-c", f"{sources}/{name}.cpp", "-o", made]
            for name, made in zip(names, objects, strict=True)
        ]
        running = [subprocess.Popen(job, stderr=subprocess.PIPE, text=True) for job in jobs]
        for job in running:
            _, errors = job.communicate(timeout=BUILD_TIMEOUT_S)
            if job.returncode:
                raise BuildFailed(f"{compiler} refused the kernels: {errors.strip()[-400:]}")
        linked = f"{scratch}/kernels.so"
        link = [compiler, "-shared", *objects, "-o", linked, "-pthread"]
        done = subprocess.run(link, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BuildFailed(
                f"{compiler} could not link the kernels: {done.stderr.strip()[-400:]}"
            )
        Path(linked).replace(target)
