"""Train the tiny checkpoint: `python -m training.train <folder>`, minutes on two cores.

Source of the recipe: DeepSeek-V3, arXiv:2412.19437, section 4.2, at a thousandth of its size.
"""

import argparse
import json
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from time import perf_counter

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from training.examples import (
    ASSISTANT,
    BEGIN,
    CALL_BEGIN,
    END,
    SEPARATOR,
    USER,
    examples,
    generator_hash,
)
from training.network import Network, Parameters, build, describe
from training.packing import Rows, rows_of
from training.vocabulary import train_vocabulary
from treadle.model_runtime.config import DeepseekConfig, parse_config

SEED = 6
ROWS, LENGTH = 16, 192
PEAK, WARM_UP = 3e-3, 60
MTP_WEIGHT = (0.3, 0.1)  # the second in the last third
BALANCE = 0.001
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    f"{{% if message.role == 'assistant' %}}{ASSISTANT}{{{{ message.content }}}}{END}"
    f"{{% else %}}{USER}{{{{ message.content }}}}{{% endif %}}"
    f"{{% endfor %}}{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
    f"{{#- calls: {CALL_BEGIN}function{SEPARATOR}NAME\n```json -#}}"
)


def main() -> None:
    """Train, then write the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=480)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    tokenizer = train_vocabulary(examples(SEED))
    ids = {"bos_token_id": number(tokenizer, BEGIN), "eos_token_id": number(tokenizer, END)}
    stated = describe(tokenizer.get_vocab_size(), ids)
    config = parse_config(json.loads(json.dumps(stated)))
    assert isinstance(config, DeepseekConfig)  # noqa: S101 - stated above
    parameters = fit(config, tokenizer, steps=arguments.steps)
    write(arguments.folder, parameters, tokenizer, stated, steps=arguments.steps)


def fit(config: DeepseekConfig, tokenizer: Tokenizer, *, steps: int) -> Parameters:
    """Train for so many steps; prints the loss now and then."""
    parameters = Parameters()
    build(parameters, config)
    optimiser = torch.optim.AdamW(
        parameters.trained(), lr=PEAK, betas=(0.9, 0.95), weight_decay=0.05, fused=True
    )
    source = rows_of(examples(SEED + 1), tokenizer, rows=ROWS, length=LENGTH)
    begun = perf_counter()
    for step, rows in enumerate(islice(source, steps)):
        for group in optimiser.param_groups:
            group["lr"] = PEAK * pace(step, steps)
        network = build(parameters, config)
        trunk, draft = losses(network, rows)
        loss = trunk + MTP_WEIGHT[step > steps * 2 // 3] * draft
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(parameters.trained(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        network.balance(BALANCE)
        if step % 20 == 0 or step == steps - 1:
            seconds = perf_counter() - begun
            line = f"{step} {seconds:.0f} s loss {trunk.item():.4f} mtp {draft.item():.4f}"
            print(line, flush=True)
    return parameters


def pace(step: int, steps: int) -> float:
    """Linear warm-up, then half a cosine down to a tenth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    share = (step - WARM_UP) / max(steps - WARM_UP, 1)
    return 0.1 + 0.45 * (1 + math.cos(math.pi * share))


def losses(network: Network, rows: Rows) -> tuple[Tensor, Tensor]:
    """Mean cross-entropy of the next token, and of the MTP module's token after next."""
    count, length = rows.tokens.shape
    states, layers = network.states(rows.batch(shift=0))
    states = states.view(count, length, -1)
    trunk = _loss(network, states[:, :-1], *rows.targets(1))
    hidden = states[:, :-1].flatten(0, 1)
    # The module's layer holds one row per pair, one less than the trunk's per row of tokens.
    layers[-1] = layers[-1][: len(hidden)]
    drafts = network.drafts(rows.batch(shift=1), hidden, layers).view(count, length - 1, -1)
    return trunk, _loss(network, drafts[:, :-1], *rows.targets(2))


def _loss(network: Network, states: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    chosen = counted.bool()
    return functional.cross_entropy(network.model.logits(states[chosen]), targets[chosen])


def number(tokenizer: Tokenizer, name: str) -> int:
    """A control token's id."""
    found = tokenizer.token_to_id(name)
    if found is None:
        raise ValueError(f"the vocabulary lacks {name!r}")
    return found


def write(
    folder: Path,
    parameters: Parameters,
    tokenizer: Tokenizer,
    config: dict[str, object],
    *,
    steps: int,
) -> None:
    """The checkpoint in bfloat16, with the generator's hash and the recipe in its metadata."""
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt", "generator": generator_hash(SEED), "seed": str(SEED)}
    metadata["steps"] = str(steps)
    state = parameters.state(torch.bfloat16)
    save_file(state, folder / "model.safetensors", metadata)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "config.json", config)
    texts = {"bos_token": BEGIN, "eos_token": END, "chat_template": TEMPLATE}
    _write_json(folder / "tokenizer_config.json", texts)


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
