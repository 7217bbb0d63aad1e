"""A sentence through the dense, the pruned and the base model of a run: one load, three passes.

Shapes: T tokens, R rows (outputs) and C columns (inputs) of a matrix, L labels, V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kencore.errors import (
    ModelRunError,
    NonFiniteActivationError,
    NotEnoughMemoryError,
    SpecError,
    TaskMismatchError,
    WindowError,
)
from kencore.explain.effects import Odds, moved, why_not
from kencore.explain.maths import compare
from kencore.explain.result import Explanation
from kencore.settings.explain import ExplainSpec
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from kencore.explain.watch import Pass
    from kencore.models.blocks.linears import Linear
    from kencore.models.loaded import LoadedModel
    from kencore.runs.run import Run

MOST_BYTES: Final = 1 << 28  # of inputs and outputs of matrices, in one pass
MOST_TOKENS: Final = 512
NEXT: Final = 5  # likeliest next tokens of each state
ROWS: Final = 10  # neurons that changed most, of each matrix
AT_ONCE: Final = 16  # parameters put into the model together
HASHED, LOADED, PUT = 1e9, 5e8, 2e8  # bytes a second, about: they only weigh the phases of the progress bar
SHORTEST: Final = 0.3  # seconds of a phase of a small model


def explain(spec: ExplainSpec, *, threads: int | None = None, progress: Progress | None = None) -> Explanation:
    """Run a sentence through the models of a run and compare what happens inside.

    Args:
        threads: processor threads.
        progress: called with (done, total, what is being done); may raise.

    Raises:
        RunNotFoundError, CorruptRunError: no such run.
        CheckpointChangedError, SourceNotFoundError: the models are not those of the run, or gone.
        TaskMismatchError: neither a classifier nor a causal language model, or several stacks of
            blocks.
        SpecError: a block that the model does not have.
        WindowError: the sentence has no token to read.
        NonFiniteActivationError: an answer is NaN or infinite.
    """
    from kencore.models.loaded import torch_threads
    from kencore.quality.states import base_state, pruned_state
    from kencore.runs.restore import verify
    from kencore.runs.run import open_run
    from kencore.system.devices import resolve_device

    start, device = time.monotonic(), resolve_device(spec.device)
    run = open_run(spec.run)
    phases = Phases(run, progress or silent, readings=3 if run.restore == "base" else 2, comparing=True)
    verify(run, phases.check())
    phases.load()
    model, language = _load(run, device, threads)
    given, cut = _read(model, language, spec.text)
    ids = given["input_ids"]
    blocks, linears, refused = _parts(model, run, spec.block)
    states: dict[str, Callable[[], Iterable[tuple[str, Tensor]]]] = {
        "dense": lambda: (),
        "pruned": lambda: pruned_state(run),
    }
    if run.restore == "base":
        states["base"] = lambda: base_state(run)
    reason = why_not(model.model.config, blocks, ids.shape[1])
    odds = Odds(language=language)
    seen: dict[str, Pass] = {}
    biases: dict[str, dict[str, Tensor]] = {}
    with torch_threads(threads):
        for name, state in states.items():
            phases.read(f"Reading the sentence: {name} model")
            left = iter(state())
            while part := dict(islice(left, AT_ONCE)):
                model.replace(part)
                phases.put(len(part))
            watched = linears if name != "base" else {}
            of = odds if name != "base" and not reason else None
            seen[name] = _pass(model, language, given, blocks, watched, of)
            biases[name] = _biases(watched)
        answers = (_next if language else _labels)(model, seen)
        effects = reason or moved(run, seen, biases, odds, answers[0]["text"], phases.compare())
    phases.end("Comparing")
    asked = {"run": run.id, "text": spec.text, "block": spec.block, "device": device}
    facts = {
        **asked,
        "task": "language" if language else "classification",
        "tokens": _tokens(model, ids),
        "cut": cut,
        "states": list(states),
        "answers": answers,
        "effects": effects,
        "loss": {name: _loss(one.logits, ids) for name, one in seen.items()} if language else None,
        "distance": _distance(seen),
        "matrices": _matrices(run, seen),
        "left_out": refused | seen["dense"].left_out | seen["pruned"].left_out,
        "seconds": round(time.monotonic() - start, 3),
    }
    return Explanation(facts=facts, arrays=_arrays(seen, biases))


class Phases:
    """The progress of questions to the models of a run: the check, the load, then a reading by one model after the
    other, weighed by the seconds that each may take.
    """

    def __init__(self, run: Run, report: Progress, *, readings: int, comparing: bool = False) -> None:
        """``readings``: models that read; ``comparing``: their weights are read once more at the end."""
        size = float(run.totals["bytes_dense"])
        self._check = max(SHORTEST, size * (2 if run.restore == "base" else 1) / HASHED)
        self._load = max(SHORTEST, size / LOADED)
        self._read, self._parts = SHORTEST + size / PUT, max(1, len(run.pruned))
        self._compare = max(SHORTEST, 2 * size / LOADED) if comparing else 0.0
        self._bar = Bar(report, self._check + self._load + readings * self._read + self._compare)
        self._at: Progress = silent
        self._words, self._put = "", 0

    def check(self) -> Progress:
        """For `kencore.runs.restore.verify`."""
        return self._bar.phase("", self._check)

    def load(self) -> None:
        """The model is being loaded."""
        self._bar.phase("", self._load)(0, 1, "Loading the model")

    def read(self, words: str) -> None:
        """The next model is being made, then reads."""
        self._words, self._put, self._at = words, 0, self._bar.phase("", self._read)
        self.put(0)

    def put(self, parameters: int) -> None:
        """So many more parameters of that model are in place."""
        self._put += parameters
        self._at(min(self._put, self._parts), self._parts, self._words)

    def compare(self) -> Progress:
        """For `kencore.explain.effects.moved`."""
        return self._bar.phase("", self._compare)

    def end(self, words: str) -> None:
        """All have read."""
        self._bar.report(1, 1, words)


def _load(run: Run, device: str, threads: int | None) -> tuple[LoadedModel, bool]:
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel, is_language_model

    folder = Path(run.tuned_tensors.folder)
    if is_language_model(folder):
        return LanguageModel.load(folder, device=device, threads=threads), True
    return Classifier.load(folder, device=device, threads=threads), False


def _read(model: Any, language: bool, text: str) -> tuple[dict[str, Tensor], int]:
    """What the model is given, ``input_ids`` (1, T) and what goes with them, and how many tokens were cut."""
    import torch

    from kencore.models.batches import read_rows, stacked
    from kencore.models.classifier import longest_input
    from kencore.models.tokenizer import check_model_rows

    if language:
        every = model.tokens(text)
        ids = every[-min(model.positions or MOST_TOKENS, MOST_TOKENS) :]  # a text is continued where it ends
        cut, row = len(every) - len(ids), {"input_ids": ids.tolist()}
    else:
        whole = read_rows(model, [text], None, None)[0]
        row = read_rows(model, [text], None, min(longest_input(model), MOST_TOKENS))[0]
        cut = len(whole["input_ids"]) - len(row["input_ids"])
    if not row["input_ids"]:
        raise WindowError(
            "text", got="nothing that the tokenizer reads", wanted="one token or more", remedy="Type words."
        )
    check_model_rows(model, [row], "the sentence")
    given = stacked([row], model.device)
    return {"attention_mask": torch.ones_like(given["input_ids"])} | given, cut


def _parts(
    model: LoadedModel, run: Run, block: int | None
) -> tuple[list[nn.Module], dict[str, Linear], dict[str, str]]:
    """Blocks in order, the pruned matrices in them by name, and why others cannot be watched."""
    from kencore.checkpoint.layout import read_layout
    from kencore.errors import NotALanguageModelError
    from kencore.models.blocks.linears import find_blocks, find_linears

    layout = read_layout(model.folder, run.tuned_tensors)
    try:
        path, found = find_blocks(model.model, layout)
    except NotALanguageModelError as error:
        raise TaskMismatchError(
            error.subject,
            got=error.got,
            wanted="a model with one stack of blocks",
            remedy="An encoder with a decoder cannot be explained block by block.",
        ) from None
    if block is not None and block >= len(found):
        raise SpecError("block", got=str(block), wanted=f"0 to {len(found) - 1}", remedy="Leave it out for all.")
    linears, refused = find_linears(model.model, layout, path)
    pruned = set(run.pruned)
    kept = {name: linear for name, linear in linears.items() if name in pruned and block in (None, linear.slot.block)}
    refused = {name: reason for name, reason in refused.items() if name in pruned}
    return list(found), kept, refused


def _pass(
    model: LoadedModel,
    language: bool,
    given: dict[str, Tensor],
    blocks: list[nn.Module],
    linears: dict[str, Linear],
    of: Odds | None,
) -> Pass:
    import torch

    from kencore.explain.watch import watch
    from kencore.models.seam import forward

    def read() -> Tensor:
        more = {"use_cache": False} if language else {}
        logits: Tensor = forward(model.model, **given, **more).logits
        return logits

    model.model.eval()
    asked: dict[str, Any] = {"tokens": given["input_ids"].shape[1], "most_bytes": MOST_BYTES}
    try:
        found = watch(read, blocks, linears, **asked, of=of)
    except (ModelRunError, NotEnoughMemoryError):
        if of is None:
            raise
        found = watch(read, blocks, linears, **asked)  # its answer may be had without a gradient
    if not bool(torch.isfinite(found.logits).all()):
        raise NonFiniteActivationError(
            f"Model {model.folder}",
            got="NaN or infinity in its answer",
            wanted="finite numbers",
            remedy="Look for NaN or infinity in the weights.",
        )
    return found


def _tokens(model: LoadedModel, ids: Tensor) -> list[dict[str, Any]]:
    from kencore.models.tokenizer import piece

    unknown = model.tokenizer.unk_token_id
    return [{"text": piece(model.tokenizer, number), "unknown": number == unknown} for number in ids[0].tolist()]


def _labels(model: LoadedModel, seen: dict[str, Pass]) -> list[dict[str, Any]]:
    """Every label with its probability in each state, the dense model's first choice first."""
    chances = {name: one.logits[0].double().softmax(0) for name, one in seen.items()}  # L
    names = model.model.config.id2label
    return [
        {"text": str(names.get(number, number)), **{name: float(chance[number]) for name, chance in chances.items()}}
        for number in chances["dense"].argsort(descending=True, stable=True).tolist()
    ]


def _next(model: LoadedModel, seen: dict[str, Pass]) -> list[dict[str, Any]]:
    """The likeliest next tokens of every state, with their probability in each."""
    from kencore.models.tokenizer import piece

    chances = {name: one.logits[0, -1].double().softmax(0) for name, one in seen.items()}  # V
    best = {number for chance in chances.values() for number in chance.topk(min(NEXT, len(chance))).indices.tolist()}
    dense = chances["dense"]
    return [
        {"text": piece(model.tokenizer, number), **{name: float(chance[number]) for name, chance in chances.items()}}
        for number in sorted(best, key=lambda number: (-float(dense[number]), number))
    ]


def _loss(logits: Tensor, ids: Tensor) -> float | None:
    """Nats per token of the sentence, the first one given; ``None`` for a single token."""
    from torch.nn.functional import cross_entropy

    if ids.shape[1] < 2:
        return None
    return float(cross_entropy(logits[0, :-1].double(), ids[0, 1:].cpu()))


def _distance(seen: dict[str, Pass]) -> dict[str, Any]:
    found = compare(seen["dense"].hidden.numpy(), seen["pruned"].hidden.numpy())
    return {name: _plain(values) for name, values in asdict(found).items()}


def _plain(values: np.ndarray[Any, Any]) -> list[Any]:
    """Lists, with ``None`` for what is not a number."""
    if values.ndim > 1:
        return [_plain(part) for part in values]
    return [float(v) if np.isfinite(v) else None for v in values]


def _matrices(run: Run, seen: dict[str, Pass]) -> dict[str, Any]:
    dense, pruned, found = seen["dense"], seen["pruned"], {}
    for name in _in_both(seen):
        place = dense.reads[name]
        change = (pruned.outputs[name] - dense.outputs[name]).square().mean(dim=0).sqrt()  # R
        top = change.argsort(descending=True, stable=True)[:ROWS].tolist()
        line = run.matrix(name)
        found[name] = {
            "block": int(line["block"]),
            "role": str(line["role"]),
            "input": place,
            "rows": [{"row": row, "change": float(change[row])} for row in top],
        }
    return found


def _biases(linears: dict[str, Linear]) -> dict[str, torch.Tensor]:
    """Copies of the biases as they are now, float32 (R,)."""
    found = {}
    for name, linear in linears.items():
        bias = getattr(linear.module, "bias", None)
        if bias is not None:
            found[name] = bias.detach().float().cpu().clone()
    return found


def _in_both(seen: dict[str, Pass]) -> list[str]:
    """Matrices that were watched in both models: routing may differ."""
    return [name for name in seen["dense"].reads if name in seen["pruned"].reads]


def _arrays(seen: dict[str, Pass], biases: dict[str, dict[str, Tensor]]) -> dict[str, Any]:
    arrays = {}
    for side in ("dense", "pruned"):
        for name in _in_both(seen):
            place = seen["dense"].reads[name]  # what is read by several is written once
            arrays[f"{place}.{side}"] = seen[side].inputs[seen[side].reads[name]].numpy()
            if name in biases[side]:
                arrays[f"{name}.bias.{side}"] = biases[side][name].numpy()
    return arrays
