"""A folder as it is downloaded, from its files to an answer, and what is said when it is none."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from safetensors.torch import save_file
from tests.model_runtime.mtp_reference import MtpReference
from tests.model_runtime.serving import GREEDY, drain
from tests.model_runtime.shapes import fields, reference
from tests.model_runtime.vocabulary import CHATML, backend, tokenizer

from treadle.model_runtime.__main__ import build, main
from treadle.model_runtime.archives import MemoryArchive, UnpackedExperts
from treadle.model_runtime.checkpoint import load_checkpoint
from treadle.model_runtime.engine import Engine
from treadle.model_runtime.request import Limits, Request
from treadle.model_runtime.settings import RuntimeSettings
from treadle.model_runtime.speculate import Speculation

WIDTH = tokenizer().size


def folder_of(path: Path, *, mtp: int = 1) -> Path:
    """A whole checkpoint of random weights with an MTP module."""
    shape = fields("plain", vocab_size=WIDTH + 5, num_hidden_layers=2)
    theirs = MtpReference.random(reference(shape), depth=mtp)
    archive = UnpackedExperts(MemoryArchive(theirs.stored()))
    tensors = {name: archive.read(name).clone() for name in archive.entries}
    save_file(tensors, path / "model.safetensors")
    config = {**shape, "num_nextn_predict_layers": mtp, "eos_token_id": 1}
    texts = {
        "config.json": json.dumps(config),
        "tokenizer.json": backend().to_str(),
        "tokenizer_config.json": json.dumps(
            {"eos_token": {"content": "<|im_end|>"}, "chat_template": CHATML}
        ),
        "generation_config.json": json.dumps({"eos_token_id": [2, 3], "temperature": 0.6}),
    }
    for name, text in texts.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


def test_a_folder_is_loaded_with_its_template_and_its_end_tokens(tmp_path: Path) -> None:
    found = load_checkpoint(folder_of(tmp_path))
    end = found.tokenizer.id_of("<|im_end|>")
    assert found.tokenizer.end_tokens == {1, 2, 3, end}
    assert found.tokenizer.size == WIDTH
    assert found.model.mtp_depth == 1
    assert found.defaults == {"temperature": 0.6}
    assert found.template is not None
    assert found.template.source == CHATML


def test_a_template_beside_the_others_comes_first(tmp_path: Path) -> None:
    folder_of(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("own", encoding="utf-8")
    template = load_checkpoint(tmp_path).template
    assert template is not None
    assert template.source == "own"


@pytest.mark.parametrize("kernels", [True, False])
def test_the_parts_of_a_server_fit_together(tmp_path: Path, *, kernels: bool) -> None:
    settings = RuntimeSettings(model=folder_of(tmp_path), kernels=kernels, cache_tokens=256)
    checkpoint = build(settings).checkpoint
    options = settings.engine_options(mtp=checkpoint.model.mtp_depth > 0)
    assert options.speculation is Speculation.MTP
    engine = Engine(checkpoint.model, options, tokenizer=checkpoint.tokenizer)
    prompt = checkpoint.tokenizer.encode("<|im_start|>user\nHello<|im_end|>\n")
    engine.submit(Request("r", prompt, GREEDY, Limits(max_tokens=20, ignore_eos=True)))
    ended = drain(engine)[-1]
    assert ended.usage.completion == 20
    assert ended.usage.drafted > 0


def test_a_missing_folder_is_named_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--model", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_without_keys_only_loopback_is_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TREADLE_RUNTIME_KEYS", raising=False)
    assert RuntimeSettings(host="::1").host == "::1"
    with pytest.raises(ValidationError, match="loopback only"):
        RuntimeSettings(host="0.0.0.0")  # noqa: S104 - to be refused
    monkeypatch.setenv("TREADLE_RUNTIME_KEYS", "one, two")
    assert RuntimeSettings(host="0.0.0.0").key_list == ["one", "two"]  # noqa: S104
