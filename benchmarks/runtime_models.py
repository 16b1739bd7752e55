"""Figures of the two real models: drafts of the tiny checkpoint, and SmolLM2 in 4 and 8 bits."""

from collections.abc import Callable
from time import perf_counter

import torch
from runtime_timing import undisturbed
from transformers import AutoModelForCausalLM, LlamaConfig

from training.evaluate import TINY, held_out
from treadle.model_runtime.acceleration import build_fastest
from treadle.model_runtime.batch import Span, lay_out
from treadle.model_runtime.checkpoint import Checkpoint, load_checkpoint
from treadle.model_runtime.config import DenseConfig
from treadle.model_runtime.embedded import embedded_model
from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.gguf import GgufFile
from treadle.model_runtime.model import Reader, Wanted
from treadle.model_runtime.quant import gguf_blocks
from treadle.model_runtime.request import Limits, Request, Sampling
from treadle.model_runtime.speculate import Speculation

ROUNDS = 2_000
QUESTION = "Write a long story about a weaver and her loom."


def draft_figures(*, real_time: bool) -> dict[str, float]:
    """The gain of MTP drafts at batch 1: in the kernel, by its steps, and through the engine."""
    checkpoint = load_checkpoint(TINY, builder=build_fastest)
    model = checkpoint.model
    assert isinstance(model, Reader), "this measures the fused kernels"
    assert model.reads_ahead
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    vocabulary = model.config.vocab_size
    cache = torch.randn(model.cache_layers, 512, model.cache_width)
    one = lay_out([Span([1], 96, range(256))])
    best = int(model.read(one, cache, [1])[1].argmax())
    two = lay_out([Span([1, best], 96, range(256))])  # the draft holds: the module reads both
    assert model.read(two, cache, [2], [Wanted(1)], tokens=vocabulary)[2][0].held == 2
    with undisturbed(real_time):
        plain, verify, draft = _best(
            lambda: model.read(one, cache, [1]),
            lambda: model.read(two, cache, [2]),
            lambda: model.read(two, cache, [2], [Wanted(1)], tokens=vocabulary),
        )
    engines = [
        _Run(checkpoint, EngineOptions(speculation=Speculation.OFF)),
        _Run(checkpoint, EngineOptions(speculation=Speculation.MTP)),
        _Run(checkpoint, EngineOptions(speculation=Speculation.MTP, mtp_tokens=1)),
    ]
    for _ in range(3):
        for run in engines:
            with undisturbed(real_time):
                run.answer()
    torch.set_num_threads(threads)
    accepted = engines[2].accepted_per_step
    return {
        "plain_ms": plain * 1e3,
        "verify_two_ms": verify * 1e3,
        "verify_two_and_draft_ms": draft * 1e3,
        "accepted_per_step_of_one_draft": accepted,
        "gain_in_the_kernel": (1 + accepted) * plain / draft,
        "plain_tokens_per_s": engines[0].rate,
        "mtp_tokens_per_s": engines[1].rate,
        "mtp_of_one_draft_tokens_per_s": engines[2].rate,
        "mtp_tokens_per_step": engines[1].tokens_per_step,
        "gain_in_the_engine": engines[1].rate / engines[0].rate,
    }


class _Run:
    """The best rate at which an engine answers twenty requests, one after the other."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions) -> None:
        self._checkpoint, self._options = checkpoint, options
        self.rate = self.accepted_per_step = self.tokens_per_step = 0.0

    def answer(self) -> None:
        """Once more."""
        tokens, seconds, steps, accepted = 0, 0.0, 0, 0
        source = held_out()
        for number in range(20):
            engine = Engine(
                self._checkpoint.model,
                self._options,
                tokenizer=self._checkpoint.tokenizer,
            )
            prompt = self._checkpoint.tokenizer.encode(next(source).prompt)
            limits = Limits(max_tokens=300)
            engine.submit(Request(str(number), prompt, Sampling(temperature=0), limits))
            begun = perf_counter()
            while not engine.idle:
                engine.step()
            seconds += perf_counter() - begun
            tokens += engine.counts.answered
            steps += engine.counts.steps - 1  # the first reads the prompt
            accepted += engine.counts.accepted
        self.rate = max(self.rate, tokens / seconds)
        self.accepted_per_step = accepted / steps
        self.tokens_per_step = (tokens - 20) / steps


def embedded_figures(*, real_time: bool) -> dict[str, float]:
    """SmolLM2 at batch 1, 64 tokens: ours from its blocks, Transformers on widened float32."""
    checkpoint = load_checkpoint(embedded_model(), builder=build_fastest)
    theirs = _transformers(GgufFile(embedded_model()))
    prompt = checkpoint.tokenizer.encode(QUESTION)
    threads = torch.get_num_threads()
    ours_best = theirs_best = 1e9
    for _ in range(4):
        torch.set_num_threads(1)
        engine = Engine(checkpoint.model, EngineOptions(), tokenizer=checkpoint.tokenizer)
        limits = Limits(max_tokens=64, ignore_eos=True)
        engine.submit(Request("a", prompt, Sampling(temperature=0), limits))
        with undisturbed(real_time):
            begun = perf_counter()
            while not engine.idle:
                engine.step()
            ours_best = min(ours_best, perf_counter() - begun)
        torch.set_num_threads(threads)
        with undisturbed(real_time):
            begun = perf_counter()
            theirs.generate(
                torch.tensor([prompt]), max_new_tokens=64, min_new_tokens=64, do_sample=False
            )
            theirs_best = min(theirs_best, perf_counter() - begun)
    return {
        "ours_tokens_per_s": 64 / ours_best,
        "transformers_tokens_per_s": 64 / theirs_best,
        "ratio": theirs_best / ours_best,
    }


def _transformers(file: GgufFile) -> AutoModelForCausalLM:
    config = file.config()
    assert isinstance(config, DenseConfig)
    theirs = AutoModelForCausalLM.from_config(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.hidden_size,
            intermediate_size=config.intermediate_size,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.max_positions,
            rms_norm_eps=config.rms_norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope.theta},
            tie_word_embeddings=True,
        )
    )
    state = {}
    for name, entry in file.entries.items():
        stored = file.read(name)
        blocks = entry.dtype in {"Q4_1", "Q8_0"}
        state[name] = gguf_blocks(stored, entry.dtype).widen(torch.float32) if blocks else stored
    theirs.load_state_dict(state, strict=False)
    theirs.tie_weights()
    return theirs.train(mode=False)


def _best(*steps: Callable[[], object]) -> list[float]:
    """Seconds of each, the best of many, by turns."""
    best = [1e9] * len(steps)
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for number, step in enumerate(steps):
                begun = perf_counter()
                step()
                best[number] = min(best[number], perf_counter() - begun)
    return best
