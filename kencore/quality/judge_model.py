"""A model that is loaded once, judged in many states, and never twice in the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import to_torch
from kencore.methods.table import METHODS
from kencore.models.fingerprint import Hashes, hashes_of
from kencore.models.language import Windows
from kencore.quality.baselines import baseline_rule
from kencore.quality.cost import Once, cost_of
from kencore.quality.same_state import confirm, differing, exported_hashes
from kencore.quality.states import State
from kencore.runs import bits
from kencore.system.progress import Bar, Progress, silent
from kencore.system.shard import Shard

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.tensors import Tensors
    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.classifier import Classifier
    from kencore.models.embedder import Embedder
    from kencore.models.held import HeldLogits
    from kencore.models.language import LanguageModel
    from kencore.models.said import Said
    from kencore.runs.run import Run

Key = tuple[Any, ...]
Bring = Callable[[Progress], None]
"""Puts the judge's model into a state."""
DENSE = ("dense",)
BYTES_AT_ONCE = 1 << 26


def as_loaded(progress: Progress) -> None:
    """Bring the weights that a model was loaded with: none are brought."""


class Judge:
    """One loaded model, what it is measured on, and what is known already.

    A state is known again by what it depends on: rule, rescaling, seed where entries are drawn, base,
    and how many entries of each row are kept. So a baseline of one run is not measured for the
    next one that keeps as much, nor where a run itself was pruned by that rule.

    Args:
        model: a `Classifier`, an `Embedder` or a `LanguageModel`, as loaded.
        data: what it is measured on; ``None`` where it never is.
        known: figures of states that were measured before; it is added to.
        once: what is known of the cost of its runs; it is added to.
        rest: where the model lies while it is not measured; ``None``: where it is measured.

    Attributes:
        moved: parameters that are not as in the checkpoint.
        held: hashes of what the model held when it was measured, of states that a run may turn out to be in.
    """

    def __init__(
        self,
        model: Classifier | Embedder | LanguageModel,
        data: Examples | Windows | Lines | None,
        *,
        known: dict[Key, dict[str, Any]] | None = None,
        once: Once | None = None,
        rest: str | None = None,
    ) -> None:
        self.model: Any = model
        self.data: Any = data
        self.rest = rest
        self.known = {} if known is None else known
        self.once = once or Once()
        self.held: dict[Key, Hashes] = {}
        self.moved: dict[str, None] = {}
        self._budgets: tuple[Run, str] | None = None

    def figures(
        self,
        key: Key | None,
        bring: Bring,
        progress: Progress,
        *,
        work: float = 0.0,
        run: Run | None = None,
        hold: bool = False,
    ) -> dict[str, Any]:
        """Quality of the model in one state.

        Args:
            key: what the figures depend on, as `key_of` or `state_key` say; ``None``: on more than can be told.
            bring: puts the model into the state.
            work: of that, measuring being 1.
            run: whose export the state must be, to the last bit.
            hold: remember what the model held: a later run may be in the same state.

        Raises:
            OtherStateError: it is not.
        """
        if key is not None and key in self.known and (run is None or self._was(key, run)):
            return self.known[key]
        bar = Bar(progress, 1 + work)
        bring(bar.phase("", work))
        found: dict[str, Any] = self.quality(bar.phase("", 1), dense=key == DENSE)
        held = confirm(self.model, run) if run is not None else None
        if key is not None:
            self.known[key] = found
            if held or hold:
                self.held[key] = held or hashes_of(self.model)
        return found

    def _was(self, key: Key, run: Run) -> bool:
        """Whether the state that was measured under a key is what the run's export would be."""
        held = self.held.get(key)
        return held is not None and not differing(held, exported_hashes(self.model, run))

    def quality(self, progress: Progress = silent, *, dense: bool = False) -> Any:
        """Quality of the model as it is now, `Figures`.

        Args:
            dense: it is the dense model: a language model's logits are held, and every other state is compared.
        """
        more = {}
        if isinstance(self.data, Windows):
            more = {"hold": dense, "against": None if dense else getattr(self.known.get(DENSE), "held", None)}
        return self.quality_on(self.data, progress=progress, **more)

    def quality_on(self, data: Examples | Windows, **more: Any) -> Any:
        """Quality of the model as it is now on any data, `Figures`; ``more``: as `quality` of the model."""
        with self._placed():
            return self.model.quality(data, **more)

    def part(self, shard: Shard, progress: Progress = silent, *, held: HeldLogits | None, dense: bool) -> Said:
        """What the model as it is now says of a shard of the data.

        Args:
            held: of a text: keeps the dense model's logits, or is what other states are compared with.
        """
        more: dict[str, Any] = {} if held is None else {"hold" if dense else "against": held}
        with self._placed():
            found: Said = self.model.part(self.data, shard, progress=progress, **more)
        return found

    def holder(self, *, most: int | None = None) -> HeldLogits | None:
        """What holds the dense model's logits of a text, see `kencore.models.held.HeldLogits`."""
        if not isinstance(self.data, Windows):
            return None
        found: HeldLogits = self.model.holder(self.data, most=most)
        return found

    def cost_of(self, run: Run, progress: Progress) -> dict[str, Any]:
        """`kencore.quality.cost.cost_of`; what no mask changes is measured of the first run alone."""
        self.moved |= dict.fromkeys((*run.pruned, *run.changed_names))  # also if it fails
        with self._placed():
            return cost_of(run, self.model, self.data, once=self.once, progress=progress)

    def bring(self, tensors: Tensors, state: State | None = None) -> None:
        """Put the model into a state, whatever it was in.

        Args:
            tensors: the checkpoint that it was loaded from.
            state: parameters that differ from it; ``None``: none do.
        """
        own: dict[str, None] = {}
        for part in _parts(() if state is None else state):
            self.moved |= dict.fromkeys(part)
            self._replace(part)
            own |= dict.fromkeys(part)
        others = self.moved.keys() - own.keys()
        as_stored = ((name, to_torch(tensors.raw(name), tensors.info(name))) for name in others)
        for part in _parts(as_stored):
            self._replace(part)
            tensors.release()
        self.moved = own

    def _replace(self, part: dict[str, torch.Tensor]) -> None:
        self.model.replace(part)
        if self.model.pages is not None:
            self.model.pages.let_go()

    def key_of(self, run: Run, step: str) -> Key | None:
        """What the figures of ``dense``, ``base``, ``pruned`` or a baseline that needs no activations depend on."""
        if step == "dense":
            return DENSE
        if step == "untuned" or run.tuning is not None:
            return None
        base = (run.record.get("sources") or {}).get("base")
        if step == "base":
            return (step, str(base), tuple(sorted(run.pruned)))
        if run.spec.streams:
            return None
        spec = run.spec
        method, rescale = (spec.method, spec.rescale) if step == "pruned" else baseline_rule(step)
        seed = spec.seed if METHODS[method].draws else None
        return (method, rescale, seed, str(base), self._budget(run))

    def _budget(self, run: Run) -> str:
        if self._budgets is None or self._budgets[0] is not run:
            rows = ((name, bits.kept_per_row(run.mask_bits(name)).astype(np.int64)) for name in run.pruned)
            self._budgets = (run, budget_hash(rows))
        return self._budgets[1]

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Around what runs the whole model: it lies on its device, or on pages of a file."""
        self.model.model.to(self.model.device)
        try:
            with nullcontext() if self.model.pages is None else self.model.pages.running():
                yield
        finally:
            if self.rest is not None:
                self.model.model.to(self.rest)


def budget_hash(rows: Iterable[tuple[str, NDArray[np.int64]]]) -> str:
    """Hash of how many entries each row (R,) of each matrix keeps."""
    found = hashlib.sha256()
    for name, kept in rows:
        found.update(name.encode() + kept.tobytes())
    return found.hexdigest()


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
