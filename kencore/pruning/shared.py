"""What all prunings of one language model share: the model, its text, its streams, its figures.

One pruning uses each of them once. A sweep loads the model and reads the calibration text once for
all of its points, and measures no state of the model twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.pruning.lines import matrix_line
from kencore.pruning.plan import Decision, chosen
from kencore.pruning.workbench import Workbench

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.data.calibration import Calibration
    from kencore.models.blocks import Streams
    from kencore.models.language import Windows
    from kencore.pruning.blocks import Count, Rule
    from kencore.quality.judge_model import Key
    from kencore.settings.prune import PruneSpec


class Shared:
    """A loaded model with what was found out about it.

    Args:
        pair: the opened checkpoints.
        plan: what happens to every parameter; it is the same for every job with activations that
            differs in nothing but method, allocation, share, rescaling and seed.
        windows: what perplexity is measured on, if it is.
        device, threads: see `Workbench`.
        known: figures of states that were measured before, by what they hang on; it is added to.
        hold: keep streams for the next pruning; otherwise those of the search are let go.

    Attributes:
        plan: with what the loaded model turned out not to have as linear layers.
        dense: whether every slot has its own weights.
        cost: what the first run costs, if it was measured, see `kencore.quality.cost.cost_of`.
    """

    def __init__(
        self,
        pair: Pair,
        plan: list[Decision],
        windows: Windows | None,
        *,
        device: str,
        threads: int | None,
        known: dict[Key, dict[str, Any]] | None = None,
        hold: bool = False,
    ) -> None:
        self.bench = Workbench(pair, chosen(plan), device=device, threads=threads)
        self.plan = [_really(decision, self.bench) for decision in plan]
        self.windows, self.hold, self.dense = windows, hold, True
        self.known = {} if known is None else known
        self.cost: dict[str, Any] | None = None
        self._lines: dict[str, dict[str, Any]] = {}
        self._calibration: Calibration | None = None
        self._streams: dict[int, Streams] = {}

    def lines(self) -> dict[str, dict[str, Any]]:
        """The lines of all parameters by name, hashed once; a new dictionary each time."""
        if not self._lines:
            self._lines = {d.parameter.name: matrix_line(self.bench.pair, d) for d in self.plan}
        return {name: dict(line) for name, line in self._lines.items()}

    def calibration(self, spec: PruneSpec) -> Calibration:
        """The windows of calibration text of a seed.

        Raises:
            TextTooShortError, WindowError, TextError: see `calibration_windows`.
        """
        if self._calibration is None or self._calibration.seed != spec.seed:
            self._streams.clear()
            self._calibration = _calibration(self.bench, spec)
        return self._calibration

    def streams(self, sequences: int) -> Streams:
        """Streams of the first so many windows of the text that was read last."""
        assert self._calibration is not None
        if sequences not in self._streams:
            if not self.hold:  # or they would be held twice
                self._streams.clear()
            self.restore()
            self._streams[sequences] = self.bench.capture(self._calibration.ids[:sequences])
        return self._streams[sequences]

    def restore(self) -> None:
        """Give every slot its own weights again, where one has others."""
        if not self.dense:
            self.bench.restore()
            self.dense = True

    def base_key(self) -> Key:
        """What the figures of the base hang on."""
        return ("base", self._base, tuple(slot.name for slot in self.bench.slots))

    def key(self, rule: Rule, counts: Mapping[str, Count], propagate: str) -> Key | None:
        """What the figures of a pruned state hang on; ``None`` for published ones, which differ
        in more than is listed."""
        if rule.published:
            return None
        found = hashlib.sha256()
        for slot in self.bench.slots:
            pruned = np.broadcast_to(np.asarray(counts[slot.name], np.int64), (slot.rows,))
            found.update(slot.name.encode() + pruned.tobytes())
        seed = rule.seed if rule.needs or rule.method == "random" else None
        words = ("pruned", rule.method, rule.refine, rule.rescale, rule.ties, propagate)
        return (*words, seed, self._base, found.hexdigest())

    @property
    def _base(self) -> str | None:
        base = self.bench.pair.base
        return None if base is None else str(base.folder)


def _really(decision: Decision, bench: Workbench) -> Decision:
    """The decision, unless the loaded model has no linear layer of that weight."""
    name = decision.parameter.name
    if decision.status != "pruned" or name in bench.blocks.linears:
        return decision
    reason = bench.blocks.refused.get(name, "not a linear layer of a block")
    return replace(decision, status="unprunable", reason=reason, k=None)


def _calibration(bench: Workbench, spec: PruneSpec) -> Calibration:
    from kencore.data.calibration import calibration_windows
    from kencore.models.language import usual_window

    positions = bench.language.positions
    return calibration_windows(
        bench.language.tokenizer,
        spec.calibration,
        sequences=spec.sequences,
        window=spec.window or usual_window(positions),
        seed=spec.seed,
        positions=positions,
    )
