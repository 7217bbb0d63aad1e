"""Which matrices moved the answer: the gradient of its log-odds, times what pruning changed.

Shapes: L labels or V vocabulary, T tokens, R rows (outputs) and C columns (inputs) of a matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kencore.explain.maths import effects
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kencore.explain.watch import Pass
    from kencore.runs.run import Run

MOST_BYTES: Final = 1 << 30  # that a pass may keep for its gradient
EXPERTS: Final = 8  # of a block, that a token passes at most
TOO_LONG: Final = "the text is too long for a model of this size"
NO_GRADIENT: Final = "the model has no finite gradient here"
ROWS: Final = 10  # neurons that moved the answer most, of each matrix


class Odds:
    """The log-odds ``ln(p / (1 - p))`` of the answer that the first model asked likes best."""

    def __init__(self, *, language: bool) -> None:
        """``language``: the answer is the next token (V), else a label (L)."""
        self._language = language
        self._answer: int | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """Log-odds of that answer, float64 (), from (1, L) or (1, T, V)."""
        import torch

        last = (logits[0, -1] if self._language else logits[0]).float().cpu().double()  # not every device has float64
        if self._answer is None:
            self._answer = int(last.argmax())
        rest = torch.cat([last[: self._answer], last[self._answer + 1 :]])  # L - 1
        return last[self._answer] - rest.logsumexp(0)


def why_not(config: Any, blocks: Sequence[nn.Module], tokens: int) -> str:
    """Why no gradient is taken through a model, in words that follow a colon; "" where it is.

    Whatever is asked, it goes back through all blocks: what they read and give is kept, and how they attend.
    """
    shapes = [tuple(weight.shape) for block in blocks for weight in block.parameters() if weight.dim() > 1]
    kept = 2 * sum(min(math.prod(shape[:-2]), EXPERTS) * (shape[-2] + shape[-1]) for shape in shapes)
    layers, heads = (int(getattr(config, f"num_{what}", None) or 0) for what in ("hidden_layers", "attention_heads"))
    kept *= max(1, layers // len(blocks))  # several layers may be one module
    kept += heads * tokens * max(layers, len(blocks))
    return TOO_LONG if 4 * tokens * kept > MOST_BYTES else ""


def moved(
    run: Run, seen: dict[str, Pass], biases: dict[str, dict[str, Tensor]], odds: Odds, answer: str, progress: Progress
) -> dict[str, Any] | str:
    """What the changed weights of every matrix did to the log-odds, as plain values, or why that is not told.

    Args:
        seen: the passes of the dense and of the pruned model, with their gradients.
        biases: of either model, (R,) by the name of their matrix.
        odds: what the gradients are of.
        answer: in words.
        progress: called with (matrices done, matrices, what is being done).

    Returns:
        ``answer``; ``dense`` and ``pruned``, its log-odds; ``matrices``: by name ``effect`` and ``rows`` (``row``,
        ``effect`` and the ``token`` on which it is largest; the strongest first); ``entry`` and ``biases``: what
        another input of the first block, and other biases of these matrices, did; ``others``: all the rest, norms,
        head and matrices that are not listed, and what first order misses.
    """
    import torch

    from kencore.models.loaded import torch_threads

    dense, pruned = seen["dense"], seen["pruned"]
    if not (len(dense.entry) and len(pruned.entry)):
        return NO_GRADIENT
    names = [name for name in dense.gradients if name in pruned.gradients]
    found, of_biases = {}, 0.0
    for done, name in enumerate(names):
        progress(done, len(names), "Comparing")
        change = torch.from_numpy(run.values(name, "pruned") - run.values(name, "tuned"))  # R, C
        with torch_threads(1):  # small products: beside other work, threads would wait for each other
            steps = [(side.inputs[side.reads[name]] @ change.T).numpy() for side in (dense, pruned)]  # T, R
        gradients = [side.gradients[name].numpy() for side in (dense, pruned)]  # T, R
        found[name] = _strongest(effects((steps[0], steps[1]), (gradients[0], gradients[1])))
        if name in biases["dense"]:
            step = biases["pruned"][name] - biases["dense"][name]  # R
            of_biases += _along(step.expand_as(dense.gradients[name]), dense.gradients[name], pruned.gradients[name])
        run.release()
    entry = _along(pruned.hidden[0] - dense.hidden[0], dense.entry, pruned.entry)
    before, after = (float(odds(side.logits)) for side in (dense, pruned))
    told = sum(one["effect"] for one in found.values()) + entry + of_biases
    if not math.isfinite(after - before - told):
        return NO_GRADIENT
    return {
        "answer": answer,
        "dense": before,
        "pruned": after,
        "matrices": found,
        "entry": entry,
        "biases": of_biases,
        "others": after - before - told,
    }


def _along(step: Tensor, *gradients: Tensor) -> float:
    """What a step moved, by the mean of the gradients at both of its ends."""
    return float(sum((step.double() * gradient.double()).sum() for gradient in gradients)) / len(gradients)


def _strongest(each: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """The effect of one matrix and of its strongest neurons, from (T, R)."""
    rows = each.sum(axis=0)  # R
    top = np.argsort(-np.abs(rows), kind="stable")[:ROWS]
    tokens = np.abs(each[:, top]).argmax(axis=0)  # ROWS
    return {
        "effect": float(rows.sum()),
        "rows": [
            {"row": int(row), "effect": float(rows[row]), "token": int(token)}
            for row, token in zip(top, tokens, strict=True)
        ],
    }
