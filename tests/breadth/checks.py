"""What is checked of one class: every method that it takes, against plain torch.

An outcome is ``works``, ``refused`` (one of our errors says why), ``WRONG`` (no error, and a number or
a file that differs from the plain one) or ``CRASH`` (any other exception).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from kencore import PruneSpec, Run, prune
from kencore.data.examples import read_examples
from kencore.errors import KencoreError, ModelRunError
from kencore.models.classifier import Classifier
from tests.breadth import plain
from tests.breadth.models import KINDS, Made, NotBuiltError, make

METHODS = {
    "decoder": ("magnitude", "ken", "wanda"),
    "classifier": ("magnitude", "ken"),
    "encoder": ("magnitude", "ken"),
}
KEEP = 0.5
Outcome = dict[str, Any]


class WrongError(Exception):
    """A number or a file is not what plain torch says."""


def check(kind: str, model_type: str, folder: Path, *, cost: bool = False) -> Outcome:
    """All checks of one class, as one line of results; ``cost``: measure what the model costs, too."""
    line: Outcome = {"kind": kind, "type": model_type, "class": KINDS[kind].classes[model_type]}
    try:
        made = make(kind, model_type, folder)
        dense = _Plain(kind, made, made.tuned)
    except NotBuiltError as error:
        return line | {"built": str(error)}
    except Exception as error:  # noqa: BLE001 - transformers cannot read back what it wrote
        return line | {"built": f"transformers cannot load what it saved: {type(error).__name__}: {_line(error)}"}
    line |= {"built": "", "parameters": made.parameters, "checks": {}}
    checks = line["checks"]
    for method in METHODS[kind]:
        checks[method] = outcome(lambda method=method: _method(kind, method, made, dense, folder / method, cost))
    if kind == "classifier":
        checks["batched"] = outcome(lambda: _batched(made, dense))
    for found in checks.values():
        found |= {"said": found["said"].replace(f"{folder}/", "")} if "said" in found else {}
    return line


def outcome(run: Callable[[], Outcome | None]) -> Outcome:
    """What came of a check, and what it said."""
    try:
        return {"outcome": "works", **(run() or {})}
    except ModelRunError as error:  # the model runs, as plain torch has shown
        return _crash(error.__cause__ or error)
    except KencoreError as error:
        return {"outcome": "refused", "error": type(error).__name__, "said": error.reason}
    except WrongError as error:
        return {"outcome": "WRONG", "said": str(error)}
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return _crash(error)


def _crash(error: BaseException) -> Outcome:
    """Any other exception, and where it was raised: the last of our lines, and the last of all."""
    place = traceback.extract_tb(error.__traceback__)
    ours = next((f for f in reversed(place) if "/kencore/" in f.filename), place[-1])
    where = f"{Path(ours.filename).name}:{ours.lineno}, {Path(place[-1].filename).name}:{place[-1].lineno}"
    return {"outcome": "CRASH", "error": type(error).__name__, "said": f"{_line(error)} ({where})"}


class _Plain:
    """A folder as transformers alone reads it, and its figures."""

    def __init__(self, kind: str, made: Made, folder: Path) -> None:
        self.model, self.said = plain.load(KINDS[kind].auto, folder)
        self.folder = folder
        self.figures: dict[str, float] = {}
        if kind == "decoder":
            self.ids = plain.text_tokens(folder, made.data)
            self.figures = {"nll": plain.nll(self.model, self.ids)}
        elif kind == "classifier":
            sentences, labels = plain.sentences_of(made.data)
            self.logits = plain.answers(self.model, folder, sentences)
            self.figures = plain.judged(self.logits, labels)


def _method(kind: str, method: str, made: Made, dense: _Plain, folder: Path, cost: bool) -> Outcome:
    settings: dict[str, Any] = {"model": str(made.tuned), "method": method, "keep": KEEP, "baselines": False}
    settings["cost"] = cost and method == "magnitude"  # once is enough
    if method == "ken":
        settings["base"] = str(made.base)
    if kind != "encoder":
        settings["evaluation"] = str(made.data)
    if kind == "decoder":
        settings |= {"window": plain.WINDOW, "windows": plain.WINDOWS, "sequences": 4, "calibration": str(made.data)}
    run = prune(PruneSpec(**settings, device="cpu"), out=folder / "run", threads=1)
    exported = run.save_pretrained(folder / "export")
    _check_files(run, made, exported)
    sparse = _Plain(kind, made, exported)
    _check_loading(dense.said, sparse.said)
    for state, found in (("dense", dense), ("pruned", sparse)):
        _check_figures(state, run.metrics.get(state, {}), found.figures)
    found = {"share": round(run.totals["pruned"] / run.totals["params"], 3)}
    return found | (_check_norms(run, dense, sparse) if method == "wanda" else {})


def _check_files(run: Run, made: Made, exported: Path) -> None:
    """Kept entries are the tuned ones, others the base's or zero, and as many as the run says."""
    tuned, pruned, base = (plain.tensors(folder) for folder in (made.tuned, exported, made.base))
    _same(f"tensors of {exported.name}", sorted(pruned), sorted(tuned))
    lines = run.matrices.set_index("name")
    reset = 0
    for stored, whole in pruned.items():
        _same(f"shape of {stored}", tuple(whole.shape), tuple(tuned[stored].shape))
        _same(f"dtype of {stored}", whole.dtype, tuned[stored].dtype)
        # experts that lie in one tensor have a line each, with their number behind its name
        parts = {f"{stored}.{n}": n for n in range(len(whole) if whole.dim() else 0) if f"{stored}.{n}" in lines.index}
        for name, at in (parts or {stored: ...}).items():
            values, own = whole[at], tuned[stored][at]
            changed = values != own
            owner = run.owner(name)
            if owner is None:
                _same(f"changed entries of {name}, which was not pruned", int(changed.sum()), 0)
                continue
            other = base[stored][at] if run.restore == "base" else torch.zeros_like(values)
            _same(f"entries of {name} neither tuned nor reset", int((changed & (values != other)).sum()), 0)
            gone, alike = _reset(lines.loc[owner]), int((own == other).sum())  # alike: reset or not, they look the same
            if not gone - alike <= int(changed.sum()) <= gone:
                _same(f"reset entries of {name}", int(changed.sum()), gone)
            reset += gone if owner == name else 0
    _same("reset entries of the model", reset, run.totals["reset"])
    if run.spec.exact:
        _same("kept entries", run.totals["kept"], round(KEEP * run.totals["pruned"]), within=1)


def _reset(line: Any) -> int:
    return int(line["params"] - line["kept"])


def _check_loading(dense: dict[str, Any], sparse: dict[str, Any]) -> None:
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        _same(key, sorted(map(str, sparse[key])), sorted(map(str, dense[key])))


def _check_figures(state: str, found: dict[str, Any], wanted: dict[str, float]) -> None:
    for name, value in wanted.items():
        if name not in found:
            raise WrongError(f"{state}: no {name} measured")
        if not plain.close(found[name], value):
            raise WrongError(f"{state}: {name} {found[name]:.6g}, plain torch {value:.6g}")


def _check_norms(run: Run, dense: _Plain, sparse: _Plain) -> Outcome:
    """Norms of inputs, which decide Wanda's masks, in the dense and in the pruned model."""
    text = run.trace["calibration"]
    windows = torch.stack([dense.ids[o : o + text["window"]] for o in text["offsets"]])
    names = [name for name in run.pruned if run.activation_norms(name) is not None]
    compared = 0
    for side, found in enumerate((dense, sparse)):
        wanted = plain.input_norms(found.model, names, windows)
        compared = len(wanted)
        for name, norm in wanted.items():
            own = torch.from_numpy(run.activation_norms(name)[side]).double()
            worst = float((own - norm).abs().max() / (norm.abs().max() + 1e-9))
            if worst > 1e-3:
                state = ("dense", "pruned")[side]
                raise WrongError(f"{state}: inputs of {name} differ by {worst:.2g} of their norm")
    return {"slots": len(run.pruned), "compared": compared}


def _batched(made: Made, dense: _Plain) -> None:
    """Answers in batches are those of one sentence at a time."""
    predicted = Classifier.load(made.tuned).predict(read_examples(str(made.data)))
    worst = (torch.from_numpy(predicted.logits).double() - dense.logits).abs().max()
    scale = float(dense.logits.abs().max())
    if worst > 1e-4 * max(scale, 1.0):
        raise WrongError(f"answers in batches differ by {float(worst):.3g} (largest logit {scale:.3g})")


def _same(what: str, got: Any, wanted: Any, within: int = 0) -> None:
    if got == wanted or (within and abs(got - wanted) <= within):
        return
    raise WrongError(f"{what}: {_short(got)}, wanted {_short(wanted)}")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 150 else text[:150] + "..."


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:240]
