"""Pruning a language model by what its blocks do on calibration text, and the run on disk.

The same files as every run, and three more: what the search saw, the input norms of every matrix
before and after, and, of SparseGPT, the weights it changed.

Shapes: R rows (outputs), C columns (inputs) of a slot.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from kencore.allocate.budget import kept_of, rebalanced
from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.checkpoint.pair import open_models
from kencore.models.paging import let_go_of, shared
from kencore.pruning.plan import decide, places
from kencore.pruning.workbench import Workbench
from kencore.quality.baselines import baseline_names, baseline_rule
from kencore.quality.judge import measure, read_data
from kencore.quality.judge_model import Bring, Key, budget_hash
from kencore.quality.states import pruned_state
from kencore.runs.lines import asked, changed_dtypes, record, write_matrix
from kencore.runs.shelf import run_folder
from kencore.settings.prune import PruneSpec
from kencore.system import schema
from kencore.system.memory import give_back
from kencore.system.progress import Bar, Clock, Progress, silent

if TYPE_CHECKING:
    import torch

    from kencore.models.blocks import Streams
    from kencore.models.language import Windows
    from kencore.pruning.blocks import Pruned
    from kencore.pruning.rule import Count, Rule
    from kencore.pruning.search.allocate import Allocated
    from kencore.runs.run import Run
    from kencore.runs.writer import RunWriter

PASSES_PER_CANDIDATE = 2.0
PASSES_TO_PRUNE = 3.0


def prune_lm(
    spec: PruneSpec, *, out: str | Path | None = None, progress: Progress | None = None, threads: int | None = None
) -> Run:
    """Prune a causal language model on calibration text and write the run.

    Args and result as `kencore.pruning.prune.prune`.

    Raises:
        NotALanguageModelError: an encoder, a classifier, an encoder-decoder.
        TextTooShortError, WindowError, TextError: the calibration or the evaluation text.
        NonFiniteActivationError, DeadLayerError, FactorizationError: naming block or layer.
        KencoreError: others, as `prune`.
    """
    from kencore.models.language import check_language_task
    from kencore.system.devices import resolve_device

    report = progress or silent
    started = time.monotonic()
    report(0, 1, "Opening the model")
    device = resolve_device(spec.device)
    pair = open_models(spec)
    check_language_task(pair.tuned.folder)
    # of a language model: never labelled sentences
    windows = cast("Windows | None", read_data(pair.tuned.folder, spec))
    plan = decide(pair, spec)
    folder = run_folder(spec, out)
    report(0, 1, "Loading the model")
    bench = Workbench(pair, plan, windows, device=device, threads=threads)
    return prune_on(bench, spec, folder, threads=threads, started=started, progress=report)


def prune_on(
    bench: Workbench,
    spec: PruneSpec,
    folder: Path,
    *,
    threads: int | None,
    started: float,
    progress: Progress,
    marks: Mapping[str, Any] | None = None,
) -> Run:
    """Prune a model that is loaded already, write the run, and leave it in some pruned state.

    Args:
        folder: of the run.
        started: what `time.monotonic` said when the work on it began.
        marks: further entries of ``record.json``, which then has ``totals`` too.
    """
    import pandas as pd

    from kencore.models.loaded import torch_threads
    from kencore.runs.run import Run, totals_of
    from kencore.runs.writer import RunWriter

    job = _Job(bench, spec, progress)
    shapes = {slot.name: (slot.rows, slot.cols) for slot in bench.slots}
    values = changed_dtypes({name: bench.chosen[name] for name in shapes}, spec)
    with torch_threads(threads), RunWriter(folder, shapes, values=values) as writer:
        found, streams = job.allocate()
        lines = job.write(writer, streams, found)
        writer.add_matrices(lines)
        writer.add_json("spec.json", asked(spec, bench.pair.layout))
        notes = _notes(found, job.unseen, len(shapes))
        said = record(bench.pair, started=started, device=bench.device, seconds_by_matrix={}, notes=notes)
        if marks:
            said |= {"totals": totals_of(pd.DataFrame(lines)), **marks}
        writer.add_json("record.json", said)
        writer.add_json("metrics.json", {})
        assert writer.folder is not None
        writer.add_json("metrics.json", job.measured(Run(writer.folder, folder.name), streams, found))
        writer.add_json("trace.json", job.trace(found))
        said["seconds"] = round(time.monotonic() - started, 3)
        writer.add_json("record.json", said)
        progress(1, 1, "Done")
        writer.finish()
    return Run(folder)


class _Job:
    """One pruning of one model, with its progress and its clock."""

    def __init__(self, bench: Workbench, spec: PruneSpec, report: Progress) -> None:
        self.bench, self.spec = bench, spec
        self.calibration = calibration = bench.calibration(spec)
        self.rule = bench.rule(
            spec.method, refine=spec.refine, rescale=spec.rescale, seed=spec.seed, published=spec.published
        )
        self.baselines = _baselines(spec) if spec.baselines and bench.windows is not None else ()
        self.unseen: list[str] = []  # what no calibration token was given to, once it is pruned
        self.clock = Clock()
        self.sparsity = cast(float, spec.sparsity)  # a published run's own, once it is known
        # work is measured in tokens that go through the model
        self.pruning = PASSES_TO_PRUNE * calibration.ids.numel()
        self.searching = self._candidates() * PASSES_PER_CANDIDATE * self._search_ids().numel()
        models = 3 + len(self.baselines) + (bench.pair.base_tensors is not None)
        windows = 0 if bench.windows is None else bench.windows.ids.numel()
        self.judging = models * windows + len(self.baselines) * self.pruning
        self.bar = Bar(report, self.searching + self.pruning + self.judging)

    def _candidates(self) -> int:
        """How many allocations will be measured, about."""
        row = ALLOCATIONS[self.spec.allocation]
        both = "step" in row.options and self.spec.step == "both"
        return row.candidates * (2 if both else 1)

    def _search_ids(self) -> torch.Tensor:
        """The sequences to search on (S, T): a few, or all where one pass is all it takes."""
        ids = self.calibration.ids
        return ids if ALLOCATIONS[self.spec.allocation].measures == "scores" else ids[: self.spec.search_sequences]

    def allocate(self) -> tuple[Allocated, Streams]:
        """Share the sparsity out; and the streams of all calibration text, to prune on."""
        from kencore.pruning.search.allocate import allocate
        from kencore.pruning.search.session import AllocationSettings

        searched = len(self._search_ids()) if ALLOCATIONS[self.spec.allocation].reads_text else None
        with self.clock("capture"):
            streams = self.bench.streams(searched or self.calibration.sequences)
        self.bench.restore()
        at = self.bar.phase("", self.searching)
        with self.clock("search"):
            found = allocate(self.bench.blocks, streams, self.rule, AllocationSettings.of(self.spec), progress=at)
            found = self._balanced(found)
        with self.clock("capture"):
            return found, self.bench.streams(self.calibration.sequences)

    def _balanced(self, found: Allocated) -> Allocated:
        """The allocation after the balance; what it asks for is then what each row keeps."""
        if not self.spec.balance:
            return found
        slots = self.bench.slots
        kept = rebalanced(slots, kept_of(slots, found.counts), self.spec.balance, places(self.bench.plan))
        return replace(
            found,
            counts=dict(kept_of(slots, kept)),
            sparsities={slot.name: 1 - kept[slot.name] / slot.cols for slot in slots},
        )

    def write(self, writer: RunWriter, streams: Streams, found: Allocated) -> list[dict[str, Any]]:
        """Prune, write each matrix as it is done, and return the lines of all parameters."""
        pair, lines = self.bench.pair, self.bench.lines()
        norms: dict[str, NDArray[np.float32]] = {}
        at, several = self.bar.phase("", self.pruning), shared(self.bench.blocks.blocks)
        with self.clock("prune"):
            for pruned in self.bench.prune(
                streams, found.rule, found.counts, propagate=self.spec.propagate, progress=at
            ):
                name = pruned.slot.name
                lines[name] |= self._write_one(writer, pruned)
                # a share may lie outside of 0 ... 1 before rounding (AlphaPruning's do)
                lines[name]["target_keep"] = 1 - float(np.clip(found.sparsities[name], 0, 1).mean())
                norms |= _norms(pruned)
                self.unseen += [name] if pruned.unseen else []
                pair.release()
                if pruned.slot is self.bench.blocks.by_block[pruned.slot.block][-1]:
                    block = self.bench.blocks.blocks[pruned.slot.block]
                    let_go_of(block, but=several)  # the run has it: it is brought from there
                    give_back()
        writer.add_activations(norms)
        if self.spec.published:  # its rounding misses the target: baselines prune as much
            own = [lines[slot.name] for slot in self.bench.slots]
            self.sparsity = 1 - sum(line["kept"] for line in own) / sum(line["params"] for line in own)
        return list(lines.values())

    def _write_one(self, writer: RunWriter, pruned: Pruned) -> dict[str, Any]:
        name = pruned.slot.name
        decision, keep = self.bench.chosen[name], pruned.keep.numpy()
        base = None
        if self.bench.pair.base_tensors is not None:
            base = self.bench.base(name).numpy()
        stored = pruned.weight.to(self.bench.blocks.dtype(name)) if self.spec.updates else None  # (R, C)
        kept = None if stored is None else stored.float().numpy()
        columns = write_matrix(writer, decision, self.bench.original(name), base, keep, kept)
        if stored is not None:
            writer.add_values(name, _bits(stored[pruned.keep]))
        return columns

    def measured(self, run: Run, streams: Streams, found: Allocated) -> Mapping[str, Any]:
        """``metrics.json``: quality of the dense, the base and the pruned model and of the baselines, and the cost.

        The model is left in some pruned state.
        """
        if self.bench.windows is None:
            return {}
        pruned = self._key(found.rule, found.counts, self.spec.propagate)
        special = {"pruned": (pruned, lambda _: self.bench.judge.bring(run.tuned_tensors, pruned_state(run)))}
        special |= {name: self._baseline(name, streams) for name in self.baselines}
        with self.clock("evaluate"):
            return measure(
                run,
                self.bench.windows,
                baselines=False,
                cost=self.spec.cost,
                device=self.bench.device,
                threads=None,
                judge=self.bench.judge,
                special=special,
                progress=self.bar.phase("", self.judging),
            )

    def _baseline(self, name: str, streams: Streams) -> tuple[Key | None, Bring]:
        """Another method, or this one, with the same share everywhere."""
        from kencore.allocate.budget import uniform_counts

        spec = self.spec
        if name == UNIFORM:
            rule = self.bench.rule(spec.method, seed=spec.seed, refine=spec.refine, rescale=spec.rescale)
        else:
            method, rescale = baseline_rule(name)
            rule = self.bench.rule(method, rescale=rescale, seed=spec.seed)
        counts = uniform_counts(self.bench.slots, self.sparsity)
        return (self._key(rule, counts, "pruned"), lambda at: self.bench.prune_all(streams, rule, counts, progress=at))

    def _key(self, rule: Rule, counts: Mapping[str, Count], propagate: str) -> Key | None:
        """What the figures of a pruned state depend on; ``None`` for published ones, which differ
        in more than is listed.
        """
        if rule.published:
            return None
        rows = (
            (slot.name, slot.cols - np.broadcast_to(np.asarray(counts[slot.name], np.int64), (slot.rows,)))
            for slot in self.bench.slots
        )
        seed = rule.seed if rule.needs or rule.row.draws else None
        base = self.bench.pair.base
        words = (rule.method, rule.refine, rule.rescale, rule.ties, propagate)
        return ("blocks", *words, seed, None if base is None else str(base.folder), budget_hash(rows))

    def trace(self, found: Allocated) -> dict[str, Any]:
        """The content of ``trace.json``: what the search saw, on what text, and the seconds."""
        c = self.calibration
        seconds = {**found.trace["seconds"], **self.clock.seconds}
        return {
            **found.trace,
            "version": schema.current("trace"),
            "calibration": {
                "source": c.source,
                "sha256": c.sha256,
                "seed": c.seed,
                "window": c.window,
                "sequences": c.sequences,
                "offsets": list(c.offsets),
                "search_sequences": len(self._search_ids()),
            },
            "seconds": {name: round(value, 3) for name, value in seconds.items()},
        }


def _baselines(spec: PruneSpec) -> tuple[str, ...]:
    """What is measured beside the run: other methods, and the same method spread evenly."""
    names = baseline_names(spec)
    plain = spec.allocation == UNIFORM and not spec.published
    return names if plain else (*names, UNIFORM)


def _notes(found: Allocated, unseen: list[str], matrices: int) -> tuple[str, ...]:
    """What a person should know of the inputs of some matrices."""
    from kencore.pruning.rule import UNSEEN

    notes = []
    if dead := found.trace.get("dead") or []:
        notes.append(f"Zero on every calibration token, so without influence on the search: {_some(dead)}.")
    if unseen:
        notes.append(
            f"No calibration token was sent to {len(unseen)} of {matrices} matrices, so {UNSEEN} decided there "
            f"(more calibration text may reach them): {_some(unseen)}."
        )
    return tuple(notes)


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _norms(pruned: Pruned) -> dict[str, NDArray[np.float32]]:
    if pruned.dense_norm is None or pruned.sparse_norm is None or pruned.unseen:
        return {}
    name = pruned.slot.name
    return {f"{name}.dense": pruned.dense_norm.numpy(), f"{name}.sparse": pruned.sparse_norm.numpy()}


def _bits(values: Any) -> NDArray[np.generic]:
    """Storage bits of a tensor (K,)."""
    import torch

    size = values.element_size()
    bits: NDArray[np.generic] = values.view(getattr(torch, f"int{8 * size}")).numpy()
    return bits
