"""One beginning of a text, continued by the dense and by the pruned model, always with the likeliest token.

# T tokens of the beginning, N tokens that are added
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.errors import NonFiniteActivationError, WindowError
from kencore.settings.explain import ContinueSpec
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    from torch import Tensor

    from kencore.models.language import LanguageModel

READ: Final = 512  # tokens of the beginning at most
AT_ONCE: Final = 16  # parameters put into the model together


def departure(first: Sequence[int], second: Sequence[int]) -> int | None:
    """Place of the first token that differs, the end of the shorter one counting as one; ``None``: both are alike."""
    for place, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return place
    return None if len(first) == len(second) else min(len(first), len(second))


def greedy(
    step: Callable[[list[int]], int], start: Sequence[int], count: int, ends: frozenset[int] = frozenset()
) -> list[int]:
    """The tokens that follow a beginning.

    Args:
        step: the likeliest next token of a beginning.
        start: the beginning.
        count: N at most.
        ends: tokens that end the text; the one that does is part of it.
    """
    found: list[int] = []
    while len(found) < count and not (found and found[-1] in ends):
        found.append(step([*start, *found]))
    return found


def continue_text(
    spec: ContinueSpec, *, threads: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Let both models of a run continue a text.

    Returns:
        Plain values: ``run text device``; ``read``: tokens that were read, ``cut``: how many at the beginning were not;
        ``dense`` and ``pruned``: the pieces of text that each added, token by token; ``departs``: see `departure`.

    Raises:
        RunNotFoundError, CorruptRunError: no such run.
        CheckpointChangedError, SourceNotFoundError: the models are not those of the run, or gone.
        NotALanguageModelError: its model does not continue a text.
        WindowError: nothing to read.
        NonFiniteActivationError: an answer is NaN or infinite.
    """
    from kencore.models.language import LanguageModel
    from kencore.models.loaded import torch_threads
    from kencore.models.tokenizer import piece
    from kencore.quality.states import pruned_state
    from kencore.runs.restore import verify
    from kencore.runs.run import open_run
    from kencore.system.devices import resolve_device

    report, start = progress or silent, time.monotonic()
    run, device = open_run(spec.run), resolve_device(spec.device)
    total = 2 + 2 * spec.tokens
    verify(run, lambda done, every, words: report(done / max(1, every), total, words))
    report(1, total, "Loading the model")
    model = LanguageModel.load(Path(run.tuned_tensors.folder), device=device, threads=threads)
    ids, cut = read_beginning(model, spec.text)
    states: dict[str, Callable[[], Iterable[tuple[str, Tensor]]]] = {
        "dense": lambda: (),
        "pruned": lambda: pruned_state(run),
    }
    found: dict[str, list[int]] = {}
    with torch_threads(threads):
        for turn, (name, state) in enumerate(states.items()):
            left = iter(state())
            while part := dict(islice(left, AT_ONCE)):
                model.replace(part)

            def told(done: int, name: str = name, turn: int = turn) -> None:
                report(2 + turn * spec.tokens + done, total, f"Continuing: {name} model")

            found[name] = continued(model, ids, spec.tokens, told)
    return {
        "run": run.id,
        "text": spec.text,
        "device": device,
        "read": len(ids),
        "cut": cut,
        **{name: [piece(model.tokenizer, number) for number in numbers] for name, numbers in found.items()},
        "departs": departure(found["dense"], found["pruned"]),
        "seconds": round(time.monotonic() - start, 3),
    }


def continued(model: LanguageModel, ids: list[int], count: int, told: Callable[[int], None] | None = None) -> list[int]:
    """The tokens that a loaded model adds to a beginning, as it is now.

    Args:
        ids: the beginning, see `read_beginning`.
        count: N at most.
        told: called with how many tokens were added.

    Raises:
        NonFiniteActivationError: an answer is NaN or infinite.
    """
    return greedy(_step(model, len(ids), told or (lambda _: None)), ids, count, _ends(model))


def read_beginning(model: LanguageModel, text: str) -> tuple[list[int], int]:
    """The last tokens of a beginning, and how many were cut."""
    every = model.tokens(text).tolist()
    end = model.tokenizer.eos_token_id
    if len(every) > 1 and every[-1] == end:  # some tokenizers end each text
        every = every[:-1]
    ids = every[-READ:]
    if not ids:
        raise WindowError(
            "text", got="nothing that the tokenizer reads", wanted="one token or more", remedy="Type words."
        )
    return ids, len(every) - len(ids)


def _ends(model: LanguageModel) -> frozenset[int]:
    end = model.tokenizer.eos_token_id
    return frozenset() if end is None else frozenset({int(end)})


def _step(model: LanguageModel, read: int, told: Callable[[int], None]) -> Callable[[list[int]], int]:
    import torch

    from kencore.models.seam import forward

    model.model.eval()

    def step(ids: list[int]) -> int:
        told(len(ids) - read)
        seen = ids if model.positions is None else ids[-model.positions :]
        with torch.inference_mode():
            given = torch.tensor([seen], device=model.device)  # 1, T
            logits = forward(model.model, input_ids=given, use_cache=False).logits[0, -1].float()  # V
        if not bool(torch.isfinite(logits.max())):
            raise NonFiniteActivationError(
                f"Model {model.folder}",
                got="NaN or infinity in its answer",
                wanted="finite numbers",
                remedy="Look for NaN or infinity in the weights.",
            )
        return int(logits.argmax())

    return step
