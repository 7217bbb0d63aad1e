"""How near a model's answers are to the dense model's, in whatever state its weights are.

# N examples, L labels
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.data.examples import Examples
from kencore.errors import SpecError
from kencore.models.language import Windows
from kencore.quality.answers import divergence, finite, log_chances
from kencore.system.places import not_writable, runs_folder
from kencore.system.progress import silent

if TYPE_CHECKING:
    from kencore.quality.judge_model import Judge


def gives_answers(data: object) -> bool:
    """Whether data ask for answers: labelled sentences, and windows of a text."""
    return isinstance(data, Examples | Windows)


def no_answers(setting: str = "kl") -> SpecError:
    """The error for a setting that needs answers, and a model or a job without any."""
    return SpecError(
        setting,
        got="an encoder without a head, or no evaluation data",
        wanted="a model that answers: a classifier or a language model",
        remedy="Name evaluation data, or give bits or bytes by the rule instead.",
    )


def nearness(dense: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float | None]:
    """``kl``: mean KL(dense || other) of answers in nats; ``same_answer``: share of examples told alike.

    Args:
        dense, other: logits (N, L).
    """
    kl = divergence(log_chances(dense), log_chances(other))
    return {"kl": finite(kl.mean()), "same_answer": float((dense.argmax(axis=1) == other.argmax(axis=1)).mean())}


class Near:
    """The dense model's answers, held; `of` compares those of the same model with other weights.

    Of a language model as many windows are compared as are held, see `kencore.models.held.HeldLogits`.

    Args:
        judge: with a model that `gives_answers`, as in its checkpoint.
        data: what is answered, whatever its labels; ``None``: what the judge measures on.
    """

    def __init__(self, judge: Judge, data: Examples | Windows | None = None) -> None:
        from kencore.quality.judge_model import DENSE

        self.judge = judge
        self.data: Any = judge.data if data is None else data
        self.sentences = isinstance(self.data, Examples)
        self.dense: Any
        if self.sentences:
            self.dense = judge.model.logits(self.data)
        elif data is None:
            self.dense = judge.figures(DENSE, lambda progress: None, silent)
        else:
            self.dense = judge.quality_on(data, hold=True)

    @property
    def possible(self) -> bool:
        """Whether there is something to compare with: not where a language model's logits found no room."""
        return self.sentences or self.dense.held.count > 0

    def of(self) -> dict[str, Any]:
        """``kl`` and ``same_answer`` of the judge's model as it is now.

        Raises:
            StoreNotWritableError: a language model's logits could not be held.
            NonFiniteWeightError: an answer is NaN or infinite.
        """
        if self.sentences:
            return nearness(self.dense, self.judge.model.logits(self.data))
        found: dict[str, Any] = self._windows().said()
        return found

    def each(self) -> NDArray[np.float64]:
        """KL (N,) of each sentence, or mean KL of each window's tokens. Raises as `of`."""
        if self.sentences:
            return divergence(log_chances(self.dense), log_chances(self.judge.model.logits(self.data)))
        return np.asarray(self._windows().kl, np.float64)

    def _windows(self) -> Any:
        if not self.possible:
            raise not_writable(runs_folder(), "no room for the logits of one window")
        held = self.dense.held
        windows = replace(self.data, ids=self.data.ids[: held.count])
        return self.judge.quality_on(windows, against=held).near
