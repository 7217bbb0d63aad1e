"""A matrix selected again under a moving slider, exactly as `prune` would, without torch.

The rows are ranked once, on a thread of their own; a mask is then made part by part, only where it
is looked at. `live_run` gives something that reads like the run, with that mask in its place.

Shapes: R rows (outputs), C columns (inputs), r rows of one part.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.errors import GettingReady, KencoreError, MatrixNotFoundError, SpecError
from kencore.live.setting import Setting, budgets, check, why_worker
from kencore.methods.registry import load
from kencore.methods.table import METHODS
from kencore.runs import bits
from kencore.runs.cells import thin_error
from kencore.runs.run import Run

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

Mask = NDArray[np.bool_]
Wanted = Callable[[], bool]
MOST_BYTES: Final = 1 << 30  # of all rankings held
MASKS: Final = 8  # of one ranking
PATIENCE: Final = 0.3  # seconds that a request waits for a ranking
PARTS_AT_ONCE: Final = 64
SORTED_BYTES: Final = 12  # of an entry, about, of a rule that is not nested; others: 2


def why_not_live(run: Run, setting: Setting, name: str) -> str | None:
    """Why the mask of a matrix follows only from a worker's run; ``None``: it is selected here.

    Raises:
        SpecError: a setting that the run cannot have.
    """
    spec = check(run, setting)
    reason = why_worker(run, setting)
    if reason is not None:
        return reason
    if run.tuning is not None:
        return "the run was tuned after pruning, and another mask would undo that"
    if spec.refine != "none":
        return "DSnoT swaps weights by what the pruned model does on calibration text"
    row = METHODS[spec.method]
    if row.rule is not None:
        return None
    if row.row_score is None:
        return f"{spec.method} scores weights by products that only the worker computes exactly"
    block = run.matrix(name)["block"]
    if spec.propagate == "dense" or block == 0:
        return None if run.activation_norms(name) is not None else "the run kept no input norms"
    return f"{row.label} scores a block on what the pruned blocks before it give, and these change with the setting"


class LiveRun(Run):
    """A run with another mask of one matrix; all else is the run's."""

    def __init__(self, run: Run, name: str, mask: LiveMask, spec: PruneSpec, setting: str, wanted: Wanted) -> None:
        for checkpoint in ("tuned_tensors", *(["base_tensors"] if run.restore == "base" else [])):
            getattr(run, checkpoint)  # opened once, for all settings
        self.__dict__ |= run.__dict__
        self.spec, self.mask_id = spec, f"{name}|{setting}"
        if spec.rescale == "none":  # else `values` computes what they become
            self.kept_values = None
        self._first = {}
        self._stored, self._name, self._mask, self._wanted = run, name, mask, wanted

    @property
    def stored(self) -> Run:
        """The run as it is stored."""
        return self._stored

    def mask_bits(self, name: str, rows: slice = slice(None)) -> bits.Bits:
        """As `Run.mask_bits`, selected again."""
        if name != self._name:
            raise MatrixNotFoundError(
                f"setting of {self._name}", got=name, wanted=self._name, remedy="One matrix is selected at a time."
            )
        return self._mask.bits(rows, self._wanted)

    def values(
        self, name: str, which: Any = "tuned", rows: slice = slice(None), columns: slice = slice(None)
    ) -> NDArray[np.float32]:
        """As `Run.values`; what is kept is rescaled where the run's method does so."""
        if which != "pruned" or self.spec.rescale == "none":
            return super().values(name, which, rows, columns)
        from kencore.checkpoint.tensors import round_to
        from kencore.methods.rescale import rescaled

        tuned, base = (super(LiveRun, self).values(name, side, rows) for side in ("tuned", "base"))
        keep, dtype = self.keep(name, rows), str(self.matrix(name)["dtype"])
        larger = round_to(rescaled(tuned, base, keep, self.spec.rescale), dtype)
        whole = keep.all(axis=1, keepdims=True)
        return np.where(whole, tuned, larger)[:, columns]


class LiveMask:
    """One mask of a ranking, made part by part when rows are asked for."""

    def __init__(self, ranking: Ranking, budget: NDArray[np.int64]) -> None:
        self._ranking, self._budget = ranking, budget
        rows, cols = ranking.shape
        self._bits = np.zeros((rows, -(-cols // 8)), np.uint8)
        self._done = np.zeros(ranking.parts, np.bool_)

    def bits(self, rows: slice, wanted: Wanted) -> bits.Bits:
        """Packed rows (r, bytes).

        Raises:
            GettingReady: ``wanted`` said no between two parts.
        """
        from kencore.methods.chunks import in_order
        from kencore.system.devices import usable_threads

        first, last, _ = rows.indices(len(self._bits))
        height = max(1, self._ranking.height)
        parts = range(first // height, min(-(-last // height), len(self._done)))
        if self._done[parts.start : parts.stop].all():
            return self._bits[first : max(first, last)]
        with self._ranking.turn:  # one mask at a time: the cores are shared out inside
            missing = [part for part in parts if not self._done[part]]
            for start in range(0, len(missing), PARTS_AT_ONCE):
                if not wanted():
                    raise _ready_soon("mask", "nobody waits for it any more")
                in_order(self._fill, missing[start : start + PARTS_AT_ONCE], usable_threads())
        return self._bits[first : max(first, last)]

    def _fill(self, part: int) -> None:
        own = self._ranking.part(part)
        self._bits[own] = bits.pack(self._ranking.keep(part, self._budget[own]))
        self._done[part] = True


class Ranking:
    """The rows of one matrix ranked by one rule: any budget is then a comparison away.

    Attributes:
        done: share that is ranked already; error: why it cannot be.
        nbytes: about, once it is ready.
    """

    def __init__(self, run: Run, name: str, spec: PruneSpec) -> None:
        self.shape = run.shape(name)
        self.ready, self.done = threading.Event(), 0.0
        self.error: KencoreError | None = None
        self.masks: OrderedDict[bytes, LiveMask] = OrderedDict()
        self.turn, self._lock = threading.Lock(), threading.Lock()
        self._ranks: NDArray[np.uint16] | NDArray[np.uint32] | None = None
        self._index: Any = None
        self.height, self.parts = self.shape[0], 1
        rows, cols = self.shape
        each = (2 if cols <= 1 << 16 else 4) if METHODS[spec.method].nested else SORTED_BYTES
        self.nbytes = rows * cols * (each + MASKS // 8)
        work = threading.Thread(target=self._work, args=(run, name, spec), daemon=True)
        work.start()

    def _work(self, run: Run, name: str, spec: PruneSpec) -> None:
        try:
            self._rank(run, name, spec)
        except KencoreError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - said to whoever asks, never lost in a thread
            self.error = KencoreError(
                f"ranking of {name}",
                got=f"{type(error).__name__}: {error}",
                wanted="ranked rows",
                remedy="Reload the page; if the error remains, report it.",
            )
        self.ready.set()

    def _rank(self, run: Run, name: str, spec: PruneSpec) -> None:
        from kencore.methods.chunks import Matrix, in_order
        from kencore.methods.random import draw, row_generator
        from kencore.methods.rows import RowIndex
        from kencore.system.devices import usable_threads

        tuned = run.values(name, "tuned")
        threads = usable_threads()
        row = METHODS[spec.method]
        if not row.nested:
            self._index = RowIndex(tuned, rule=spec.method, threads=threads, name=name)
            self.height, self.parts = self._index.part(0).stop, self._index.parts
            return
        base = run.values(name, "base") if row.compares else None
        scored = spec.streams and row.score is not None
        if scored and row.row_score is not None:
            norms = run.activation_norms(name) if row.activations else None
            dense = None if norms is None else norms[0][None, :]  # 1, C: of the dense model's inputs
            tuned = row.row_score(tuned, base, dense)
        draws = draw(row_generator(spec.seed, name), self.shape) if row.draws else None
        matrix = Matrix(tuned=tuned, base=base, draws=draws, name=name)
        kind = np.uint16 if self.shape[1] <= 1 << 16 else np.uint32
        ranks = np.empty(self.shape, kind)
        rule = None if row.rule is None else load(row.rule)

        def fill(first: int) -> None:
            own = slice(first, first + matrix.height)
            rows = matrix.rows(first)
            ranks[own] = _scored(rows.tuned, kind) if scored or rule is None else _ranks(rule(rows), kind)
            self.done += len(rows.tuned) / self.shape[0]

        in_order(fill, matrix.starts, threads)
        self.height, self.parts = matrix.height, len(matrix.starts)
        self._ranks = ranks

    def part(self, number: int) -> slice:
        """The rows of one part."""
        first = number * self.height
        return slice(first, min(first + self.height, self.shape[0]))

    def keep(self, part: int, budget: NDArray[np.int64]) -> Mask:
        """The keep mask (r, C) of one part, for a budget (r,) of 0 to C."""
        if self._ranks is not None:
            ranks: NDArray[Any] = self._ranks[self.part(part)]
            most = int(np.iinfo(ranks.dtype).max)
            keep = np.less(ranks, np.minimum(budget, most).astype(ranks.dtype)[:, None])
            keep[budget > most] = True
            return np.asarray(keep, np.bool_)
        keep = self._index.keep_part(part, np.maximum(budget, 1))
        keep[budget == 0] = False
        return np.asarray(keep, np.bool_)

    def mask(self, budget: NDArray[np.int64]) -> LiveMask:
        """The mask of a budget (R,); the last few are remembered."""
        key = budget.tobytes()
        with self._lock:
            if key not in self.masks:
                self.masks[key] = LiveMask(self, budget)
            self.masks.move_to_end(key)
            while len(self.masks) > MASKS:
                self.masks.popitem(last=False)
            return self.masks[key]


def _ranks(prepared: Any, kind: Any) -> NDArray[Any]:
    """Places (r, C) in the order in which a rule keeps the entries of a row."""
    return _places(prepared.columns(), kind)


def _scored(scores: NDArray[np.float32], kind: Any) -> NDArray[Any]:
    """Places by falling score; of equal ones the highest column first, as a stable ascending sort
    prunes the lowest first (`kencore.methods.scored`).
    """
    from kencore.methods.keys import Ordered
    from kencore.methods.ranked import falling

    order = Ordered(falling(np.abs(scores[:, ::-1]))).columns()
    return _places(scores.shape[1] - 1 - order, kind)


def _places(order: NDArray[np.int64], kind: Any) -> NDArray[Any]:
    ranks = np.empty(order.shape, kind)
    places = np.broadcast_to(np.arange(order.shape[1], dtype=kind), order.shape)
    np.put_along_axis(ranks, order, places, axis=1)
    return ranks


# --- what is held ----------------------------------------------------------------------------

_held: OrderedDict[tuple[str, ...], Ranking] = OrderedDict()
_lock = threading.Lock()


def live_run(
    run: Run, name: str, setting: Setting, *, patience: float = PATIENCE, wanted: Wanted = lambda: True
) -> LiveRun:
    """The run as it would be at a setting, as far as one matrix goes.

    Args:
        patience: seconds to wait for a ranking that is not there yet.
        wanted: asked now and then while rows are selected: whether anybody still waits for them.

    Raises:
        GettingReady: the rows are still being ranked: ask again.
        SpecError: a setting that the run cannot have, or that only a worker can make.
        KencoreError: the checkpoint is gone, changed or not finite.
    """
    reason = why_not_live(run, setting, name)
    if reason is not None:
        raise SpecError(
            "setting",
            got=reason,
            wanted="a mask that follows from the weights alone",
            remedy="Measure it: the map is painted when the worker is done.",
        )
    spec = setting.spec(run.spec)
    ranking = _ranking(run, name, spec)
    if not ranking.ready.wait(patience):
        raise _ready_soon(name, f"ranking rows, {ranking.done:.0%}")
    if ranking.error is not None:
        raise ranking.error
    budget = budgets(run, setting)[name]
    return LiveRun(run, name, ranking.mask(budget), spec, setting.text, wanted)


def _ready_soon(subject: str, got: str) -> GettingReady:
    return GettingReady(subject, got=got, wanted="ranked rows", remedy="Wait; it is retried automatically.")


def warm(run: Run, name: str, setting: Setting) -> None:
    """Start ranking a matrix now, so that it is ready when a slider is moved. Never raises for a
    setting that cannot be.
    """
    try:
        if why_not_live(run, setting, name) is None:
            _ranking(run, name, setting.spec(run.spec))
    except KencoreError:
        return


def _ranking(run: Run, name: str, spec: PruneSpec) -> Ranking:
    """The ranking of a matrix, begun where there is none; the ones used last are held."""
    if run.thin:
        raise thin_error(run, f"Another choice of {name}")
    stamp = str(run.written)
    seed = str(spec.seed) if METHODS[spec.method].draws else ""
    key = (str(run.path), stamp, name, spec.method, seed)
    with _lock:
        found = _held.get(key)
        if found is None or (found.ready.is_set() and found.error is not None):
            found = _held[key] = Ranking(run, name, spec)
        _held.move_to_end(key)
        while len(_held) > 1 and sum(r.nbytes for r in _held.values()) > MOST_BYTES:
            _held.popitem(last=False)
        return found
