"""What one request asks for is no matter of the others in its batch."""

from dataclasses import replace

import pytest
from pydantic import JsonValue
from tests.model_runtime.serving import OPTIONS, VOCABULARY, Letters, drain, request, small_model
from tests.model_runtime.shapes import tokens_of
from tests.model_runtime.vocabulary import tokenizer

from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.grammar import Grammar, GrammarCompiler
from treadle.model_runtime.request import Choice, FinishReason, Progress, Request, Sampling
from treadle.model_runtime.speculate import Speculation

TOKENIZER = tokenizer()
COMPILER = GrammarCompiler(
    TOKENIZER.to_json(), vocabulary=TOKENIZER.size, end_tokens=sorted(TOKENIZER.end_tokens)
)
WRITER = small_model(vocab_size=TOKENIZER.size)
MODEL = small_model()
EVERYTHING = Sampling(
    temperature=0.8,
    top_p=0.95,
    top_k=40,
    min_p=0.01,
    repetition_penalty=1.1,
    presence_penalty=0.2,
    frequency_penalty=0.1,
    logit_bias={3: 1.5, 7: -100.0},
    seed=7,
    logprobs=2,
)


def serve(engine: Engine, items: list[Request]) -> dict[str, list[Progress]]:
    """All at once; what each of them gained."""
    for item in items:
        engine.submit(item)
    gained: dict[str, list[Progress]] = {item.id: [] for item in items}
    for progress in drain(engine):
        gained[progress.id].append(progress)
    return gained


def tokens(gained: list[Progress]) -> list[int]:
    return [choice.token for progress in gained for choice in progress.choices]


def fanned_out() -> Grammar:
    """Objects that forty descriptions fit at once: small, and compiled without complaint."""
    kinds: list[JsonValue] = [
        {
            "type": "object",
            "properties": {
                f"k{kind}{part}": {"type": "string", "pattern": f"^(a|b)*{kind}$"}
                for part in range(3)
            },
        }
        for kind in range(40)
    ]
    return COMPILER.json_schema({"type": "array", "items": {"anyOf": kinds}})


def test_a_grammar_that_becomes_too_costly_ends_its_own_request_alone() -> None:
    options = replace(OPTIONS, blocks=64)
    prompt = TOKENIZER.encode("the inn in the")
    calm = [request(f"calm{number}", prompt, max_tokens=20) for number in range(3)]
    alone = serve(Engine(WRITER, options, tokenizer=TOKENIZER), calm)
    hostile = replace(request("hostile", prompt, max_tokens=20), grammar=fanned_out().matcher())
    engine = Engine(WRITER, options, tokenizer=TOKENIZER)
    together = serve(engine, [hostile, *calm])
    assert together["hostile"][-1].finish is FinishReason.ERROR
    assert engine.pool.free == options.blocks
    for item in calm:
        assert tokens(together[item.id]) == tokens(alone[item.id])


@pytest.mark.parametrize("speculation", [Speculation.OFF, Speculation.MTP])
def test_all_that_shapes_a_choice_is_the_requests_own(speculation: Speculation) -> None:
    options = EngineOptions(blocks=256, block_size=8, step_tokens=64, speculation=speculation)
    item = request("r", sampling=EVERYTHING, max_tokens=24)
    (alone,) = serve(Engine(MODEL, options, tokenizer=Letters()), [item]).values()
    others = [request(f"o{seed}", sampling=Sampling(seed=seed)) for seed in range(8)]
    together = serve(Engine(MODEL, options, tokenizer=Letters()), [*others, item])["r"]
    assert tokens(together) == tokens(alone)
    assert 7 not in tokens(alone)
    for mine, same in zip(_choices(alone), _choices(together), strict=True):
        assert len(mine.likeliest) == 2
        assert mine.logprob == pytest.approx(same.logprob, abs=1e-4)


def _choices(gained: list[Progress]) -> list[Choice]:
    return [choice for progress in gained for choice in progress.choices]


def test_several_answers_to_one_prompt_read_it_once() -> None:
    prompt = tokens_of(VOCABULARY, 40)
    engine = Engine(MODEL, OPTIONS, tokenizer=Letters())
    engine.submit(request("0", prompt, sampling=Sampling(seed=0)))
    first = engine.step()
    for seed in (1, 2):
        engine.submit(request(str(seed), prompt, sampling=Sampling(seed=seed)))
    gained = [*first, *drain(engine)]
    by_seed = [tokens([item for item in gained if item.id == str(seed)]) for seed in range(3)]
    assert len({tuple(answer) for answer in by_seed}) == 3
    cached = {item.id: item.usage.cached for item in gained}
    assert cached == {"0": 0, "1": 32, "2": 32}


def test_look_up_reads_several_tokens_at_once_where_the_text_repeats() -> None:
    prompt = tokens_of(VOCABULARY, 6) * 4
    item = request("r", prompt, max_tokens=60)
    bias = dict.fromkeys(prompt[:2], 50.0)
    item = replace(item, sampling=Sampling(temperature=0, logit_bias=bias))
    plain = Engine(MODEL, OPTIONS, tokenizer=Letters())
    expected = tokens(serve(plain, [item])["r"])
    options = replace(OPTIONS, speculation=Speculation.LOOKUP)
    guessing = Engine(MODEL, options, tokenizer=Letters())
    assert tokens(serve(guessing, [item])["r"]) == expected
    assert guessing.counts.accepted > 0
    assert guessing.counts.steps < plain.counts.steps
