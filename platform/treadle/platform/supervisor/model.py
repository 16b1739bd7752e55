"""Which model an installation answers with: the one it names, else the embedded one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.program import Program
from treadle.platform.embedded.runtime import (
    INSTALL,
    MODEL,
    REAL_MODEL,
    missing_parts,
    prepare_runtime,
)
from treadle.platform.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What is said about the model, and what is needed for it.

    Attributes:
        env: How the other processes find it, where the settings do not say.
        url: Of the embedded model, if it is started.
    """

    notice: str
    programs: tuple[Program, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str | None = None


def choose_model(settings: Settings, home: Home) -> ModelChoice:
    """Take what is named, then the embedded model, then none."""
    if settings.model_url is not None:
        return ModelChoice(f"{settings.model_name or 'default'} at {settings.model_url}")
    models_file = home.root / "models.yaml"
    if models_file.exists():
        return ModelChoice(f"as {models_file} says")
    if not settings.embedded_model:
        return ModelChoice(f"none (TREADLE_EMBEDDED_MODEL is off); {REAL_MODEL}")
    if missing := missing_parts():
        return ModelChoice(f"none: {', '.join(missing)} not installed ({INSTALL}); {REAL_MODEL}")
    return _embedded(home)


def _embedded(home: Home) -> ModelChoice:
    runtime = prepare_runtime(home)
    return ModelChoice(
        notice=f"{MODEL}, a demonstrator that invents facts, loads meanwhile; {REAL_MODEL}",
        programs=(runtime.program(),),
        env={
            "TREADLE_MODEL_URL": runtime.url,
            "TREADLE_MODEL_API_KEY": runtime.key,
            "TREADLE_MODEL_NAME": MODEL,
        },
        url=runtime.url,
    )
