"""A model that is loaded once, judged in many states, and never twice in the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.quality.baselines import baseline_rule
from kencore.quality.cost import cost_of
from kencore.quality.states import State
from kencore.runs import bits
from kencore.runs.restore import to_torch
from kencore.system.progress import Progress

if TYPE_CHECKING:
    import torch

    from kencore.data.examples import Examples
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel, Windows
    from kencore.runs.run import Run

Key = tuple[Any, ...]
DENSE = ("dense",)
BYTES_AT_ONCE = 1 << 26


class Judge:
    """The tuned model of some runs, what it is measured on, and what is known already.

    A state is known again by what it hangs on: rule, rescaling, seed where entries are drawn, base,
    and how many entries of each row are kept. So a baseline of one run is not measured for the
    next one that keeps as much, nor where a run itself was pruned by that rule.

    Args:
        model: a `Classifier` or a `LanguageModel`, as loaded.
        data: what it is measured on.
    """

    def __init__(self, model: Classifier | LanguageModel, data: Examples | Windows) -> None:
        self.model: Any = model
        self.data = data
        self.known: dict[Key, dict[str, Any]] = {}
        self.cost: dict[str, Any] | None = None
        self._moved: dict[str, None] = {}  # parameters that are not as in the checkpoint
        self._budgets: tuple[Run, str] | None = None

    def figures(self, run: Run, step: str, state: Callable[[], State] | None, progress: Progress) -> dict[str, Any]:
        """Quality of the model in one state.

        Args:
            run: that the state belongs to.
            step: ``dense``, ``base``, ``pruned``, ``untuned`` or the name of a baseline.
            state: gives the parameters that differ from the checkpoint; ``None``: none do.
        """
        key = self._key(run, step)
        if key is not None and key in self.known:
            return self.known[key]
        self._bring(run, state)
        found: dict[str, Any] = self.model.quality(self.data, progress=progress)
        if key is not None:
            self.known[key] = found
        return found

    def cost_of(self, run: Run, progress: Progress) -> dict[str, Any]:
        """`kencore.quality.cost.cost_of`; what no mask changes is measured of the first run alone."""
        self._moved |= dict.fromkeys((*run.pruned, *run.changed_names))  # also if it fails
        found = cost_of(run, self.model, self.data, like=self.cost, progress=progress)
        self.cost = self.cost or found
        return found

    def _bring(self, run: Run, state: Callable[[], State] | None) -> None:
        """Put the model into a state, whatever it was in."""
        own: dict[str, None] = {}
        for part in _parts(() if state is None else state()):
            self._moved |= dict.fromkeys(part)
            self.model.replace(part)
            own |= dict.fromkeys(part)
        tensors, others = run.tuned_tensors, self._moved.keys() - own.keys()
        as_stored = ((name, to_torch(tensors.raw(name), tensors.info(name))) for name in others)
        for part in _parts(as_stored):
            self.model.replace(part)
        self._moved = own

    def _key(self, run: Run, step: str) -> Key | None:
        """What the figures of a state hang on; ``None`` where that is not only what is listed."""
        if step == "dense":
            return DENSE
        if step == "untuned" or run.tuning is not None or run.spec.streams:
            return None
        base = str((run.record.get("sources") or {}).get("base"))
        if step == "base":
            return (step, base, run.pruned)
        spec = run.spec
        method, rescale = (spec.method, spec.rescale) if step == "pruned" else baseline_rule(step)
        seed = spec.seed if method == "random" else None
        return (method, rescale, seed, base, self._budget(run))

    def _budget(self, run: Run) -> str:
        """Hash of how many entries each row of each matrix keeps."""
        if self._budgets is None or self._budgets[0] is not run:
            found = hashlib.sha256()
            for name in run.pruned:
                found.update(name.encode())
                found.update(bits.kept_per_row(run.mask_bits(name)).astype(np.int64).tobytes())
            self._budgets = (run, found.hexdigest())
        return self._budgets[1]


def _parts(state: Iterable[tuple[str, torch.Tensor]]) -> Iterator[dict[str, torch.Tensor]]:
    """A state in parts of some 64 MB, since looking up each parameter takes a while."""
    part: dict[str, torch.Tensor] = {}
    for name, tensor in state:
        part[name] = tensor
        if sum(held.nbytes for held in part.values()) >= BYTES_AT_ONCE:
            yield part
            part = {}
    if part:
        yield part
