"""Images for a model: addresses go on as they are, uploaded files become data URLs."""

import base64

from treadle.agents.errors import StepFailed
from treadle.agents.steps.turn import Turn
from treadle.integrations.errors import ErrorClass, ToolError

MAX_BYTES = 20_000_000  # what the usual endpoints take
_ADDRESSES = ("https://", "http://", "data:image/")
_KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


async def readable_image(turn: Turn, image: str) -> str:
    """The URL of an image, given as a URL or as the id of an uploaded file."""
    if image.lower().startswith(_ADDRESSES):
        return image
    context = turn.ports.tools.context(step_path=turn.path, idempotency_key="", connection=None)
    try:
        name, content = await context.files.read(image)
    except ToolError as error:
        raise StepFailed(
            f"{turn.node.template_path}: an image is a URL or an uploaded file: {error.message}",
            error_class=error.error_class,
            code=error.code,
        ) from error
    kind = next((kind for magic, kind in _KINDS.items() if content.startswith(magic)), None)
    if kind is None or len(content) > MAX_BYTES:
        raise StepFailed(
            f"{turn.node.template_path}: the file {name!r} is no PNG, JPEG, GIF or WebP image of"
            f" at most {MAX_BYTES // 1_000_000} MB",
            error_class=ErrorClass.INVALID_INPUT,
            code="not_an_image",
            may_repeat=False,
        )
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
