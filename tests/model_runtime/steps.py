"""Decode steps of fixed shape for tests, and a guard that no step asks the host for anything."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import cast

import torch
from tests.model_runtime.serving import VOCABULARY
from tests.model_runtime.shapes import tokens_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from treadle.model_runtime.batch import Span
from treadle.model_runtime.model import DeepseekModel
from treadle.model_runtime.steady import Inputs, laid_out

SIZE, BLOCKS = 8, 64


def spans_of(lengths: list[int], new: int = 1, *, first: int = 0) -> list[Span]:
    """Requests of these lengths in blocks that are dealt out at random."""
    blocks = torch.randperm(BLOCKS - 1, generator=torch.Generator().manual_seed(3)).tolist()
    spans: list[Span] = []
    for number, length in enumerate(lengths):
        tokens = tokens_of(VOCABULARY, new, seed=number)
        count = -(-(length + new) // SIZE)
        spans.append(Span(tokens, length, [blocks.pop() for _ in range(count)], first))
    return spans


def step_on(model: DeepseekModel, *, module: bool = False) -> Callable[[], Tensor]:
    """One step of four rows, its inputs laid out beforehand."""
    inputs = Inputs.empty(4, width=4, model=model)
    first = int(module)
    inputs.fill(laid_out(spans_of([9, 17], first=first), 4, size=SIZE, spare=BLOCKS - 1))
    shape = (model.cache_layers, BLOCKS * SIZE, model.cache_width)
    cache = torch.zeros(shape, device=model.device)

    def step() -> Tensor:
        batch = inputs.batch(4, size=SIZE, first=first)
        if module:
            return model.draft_states(batch, inputs.hidden, cache)
        return model.logits(model.states(batch, cache))

    return step


class Deaf(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Refuses what would ask the device for a number, or bring it one of the host's."""

    NUMBERS = ("item", "local_scalar_dense", "is_nonzero", "equal", "resolve_conj")
    SHAPES = ("nonzero", "masked_select", "unique", "bincount", "self_Tensor")
    COPIES = ("lift_fresh",)

    @override
    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        name = str(func)
        asks = (*self.NUMBERS, *self.SHAPES, *self.COPIES)
        if any(f".{asked}." in f".{name}." for asked in asks):
            raise AssertionError(f"a step of fixed shape asks the host: {name}")
        if "index" in name and any(_is_mask(part) for part in _flat(args)):
            raise AssertionError(f"a step of fixed shape chooses rows by a mask: {name}")
        return func(*args, **(kwargs or {}))


def deaf() -> AbstractContextManager[object]:
    return Deaf()  # type: ignore[no-untyped-call]  # torch's own


def _flat(args: object) -> Iterator[object]:
    if isinstance(args, list | tuple):
        for part in cast("tuple[object, ...]", args):
            yield from _flat(part)
    else:
        yield args


def _is_mask(part: object) -> bool:
    return isinstance(part, Tensor) and part.dtype == torch.bool
