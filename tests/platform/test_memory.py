"""What a process does not need it does not load."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def loaded_by(module: str) -> set[str]:
    """The packages that are loaded once a fresh process has imported a module."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_api_loads_nothing_that_only_workers_need() -> None:
    loaded = loaded_by("treadle.platform.supervisor.api")
    assert "fastapi" in loaded
    workers_only = {"langgraph", "langchain_core", "trafilatura", "sklearn", "numpy", "celery"}
    assert not loaded & workers_only


def test_tracing_loads_no_library_of_its_own() -> None:
    code = "import sys, treadle.workers.__main__; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(shown.stdout.split())
    assert "treadle.platform.tracing.exporter" in loaded
    assert not loaded & {"opentelemetry.sdk", "grpc", "google.protobuf"}
