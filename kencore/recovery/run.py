"""Recovery after pruning: the kept weights learn, every entry that was pruned stays where it is.

A tuned run has the masks of the run it started from, other values in them, and a record of how it
learned (``tuning.json``): the curve, and the gap between training and held-out data before pruning,
before recovery and after. Parameters are trained as float32 whatever the dtype on disk, and rounded
to it at the end: about 21 bytes per parameter (weights, gradients, AdamW's two moments, the best
weights so far, what is held), 4 more where entries go back to a base, and the activations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.errors import DivergedError, SpecError
from kencore.quality.states import pruned_state
from kencore.recovery.data import Data, Material, count, read_material, some_of
from kencore.recovery.gap import gap_of
from kencore.recovery.hold import Bits, Changed, Hold, changed_bits, kept_bits
from kencore.recovery.loop import MEASUREMENTS, OnPoint, State, Trainer, total_steps
from kencore.recovery.record import tuning_facts, tuning_record
from kencore.recovery.tasks import make_task, measured
from kencore.runs.run import Run, open_run
from kencore.runs.shelf import new_run_id, run_folder
from kencore.settings.recover import RecoverSpec, refuse_adapter
from kencore.system import people
from kencore.system.progress import Bar, Clock, Progress, silent

if TYPE_CHECKING:
    from kencore.recovery.saved import Saved

Gaps = dict[str, dict[str, Any]]
BACKWARD = 3.0  # a training step costs about three passes
ADAPTER_FILE = "adapter_config.json"


def recover(
    spec: RecoverSpec,
    out: str | Path | None = None,
    *,
    progress: Progress | None = None,
    on_point: OnPoint | None = None,
    threads: int | None = None,
) -> Run:
    """Tune a pruned model with its mask held, and write what comes out as a run of its own.

    A call that was ended in between, whatever ended it, is continued by the same call: while it
    learns it leaves a checkpoint in the store, which is removed at the end, or after a week.

    Args:
        spec: what is asked.
        out: the run folder to write; a new one in the store where it is left out.
        progress: called with (done, total, what is being done); may raise to cancel, which leaves
            nothing behind but the checkpoint.
        on_point: called with each point of the curve as soon as it is there: ``step``, ``steps``,
            ``epoch``, ``lr``, ``seconds``; ``train_loss`` (mean since the last point) but for step
            0; where held-out data were measured ``held_out_loss`` and ``held_out_accuracy`` or
            ``held_out_perplexity``.
        threads: CPU threads; torch's own number where it is left out.

    Returns:
        The finished run, opened.

    Raises:
        AdapterError: the run's model is an adapter.
        OverlapError: held-out or evaluation data that are trained on.
        DivergedError: a loss that is NaN or infinite.
        TuningBusyError: another process does the very same.
        KencoreError: others, as `kencore.quality.judge.judge` and `kencore.pruning.prune.prune`; nothing is
            written then.
    """
    from kencore.models.language import Windows
    from kencore.models.loaded import torch_threads
    from kencore.recovery.saved import Saved
    from kencore.runs.derive import content_sha256
    from kencore.runs.restore import verify
    from kencore.system.devices import resolve_device

    report, started = progress or silent, time.monotonic()
    report(0, 1, "Opening the run")
    parent = _open(spec.run)
    device = resolve_device(spec.device)
    material = read_material(parent, spec)
    for note in material.notes:
        report(0, 1, note)
    full = spec.resolved(language=isinstance(material.train, Windows))
    folder = _place(parent, out)
    report(0, 1, "Checking that the models are those of the run")
    verify(parent)
    job = _Tuning(parent, full, material, device, threads, report, on_point)
    saved = Saved(spec, {"run": content_sha256(parent), **material.facts()})
    with torch_threads(threads), saved.alone():
        try:
            state = job.train(saved)
        except DivergedError:
            saved.remove()  # it would diverge again
            raise
        run = job.write(folder, state, spec, started)
        saved.remove()
    return run


def _open(text: str) -> Run:
    if people.viewer() is None and (Path(text).expanduser() / ADAPTER_FILE).is_file():
        raise refuse_adapter(f"run {text}", "a low-rank adapter")
    return open_run(text)


def _place(parent: Run, out: str | Path | None) -> Path:
    from kencore.recovery.saved import sweep
    from kencore.runs.writer import run_exists
    from kencore.system.whole import is_taken

    sweep()
    folder = run_folder(parent.spec, out)
    if out is None:
        folder = folder.with_name(f"tuned-{new_run_id(parent.spec)}")
    if is_taken(folder):  # now, not after hours of work
        raise run_exists(folder)
    return folder


class _Tuning:
    """One tuning, with its progress and its clock."""

    def __init__(
        self,
        parent: Run,
        spec: RecoverSpec,
        material: Material,
        device: str,
        threads: int | None,
        report: Progress,
        on_point: OnPoint | None,
    ) -> None:
        assert spec.sample is not None
        self.parent, self.spec, self.material = parent, spec, material
        self.device, self.threads, self.on_point = device, threads, on_point
        self.samples = {
            "train": some_of(material.train, spec.sample, spec.seed),
            "held_out": some_of(material.held_out, spec.sample, spec.seed),
        }
        self.work = _work(spec, material, self.samples)
        whole = 3 * self.work["gap"] + self.work["training"] + self.work["quality"]
        self.bar = Bar(report, whole)
        self.clock = Clock()
        self.gaps: Gaps = {}
        self.facts: dict[str, Any]

    def train(self, saved: Saved) -> State:
        """Train, or go on from the last checkpoint; the model then holds the best weights."""
        self.bar.report(0, 1, "Loading the model")
        self.model = self._load()
        before = saved.load()
        self.gaps = {} if before is None else before[1]["extra"]["gap"]
        self._gap("dense")
        self._swap(pruned_state(self.parent))
        self._gap("untuned")
        self.hold = Hold(self.model, self.parent, self.spec.train)
        _check_any(self.hold)
        task = make_task(self.model, self.material.train, self.spec.max_length)
        self.trainer = trainer = Trainer(
            task,
            self.hold,
            self.spec,
            self.samples["held_out"],
            saved=saved,
            progress=self.bar.phase("", self.work["training"]),
            on_point=self.on_point,
        )
        trainer.extra = {"gap": self.gaps}
        if before is not None:
            trainer.restore(*before)
        self.facts = {
            "steps_asked": trainer.total,
            "steps_of_an_epoch": trainer.epoch,
            "trained": self.hold.moving,
            "fixed": self.hold.fixed,
        }
        with self.clock("training"):
            return trainer.run()

    def write(self, folder: Path, state: State, asked: RecoverSpec, started: float) -> Run:
        """Write the run: values, gap, quality and the record of the tuning."""
        from kencore.runs.derive import derived

        with derived(self.parent, folder, *self._parts(state)) as (writer, run):
            self._swap(pruned_state(run))  # as stored, rounded to its dtype
            self._gap("tuned")
            self._swap_out()
            writer.add_json("metrics.json", self._metrics(run))
            told = tuning_facts(
                self.parent,
                asked,
                self.spec,
                self.material,
                state,
                gap=self.gaps,
                seconds=self.clock.seconds,
                device=self.device,
                **self.facts,
            )
            writer.add_json("tuning.json", told)
            writer.add_json("record.json", tuning_record(self.parent, told, started))
            self.bar.report(1, 1, "Done")
            writer.finish()
        return Run(folder)

    def _parts(self, state: State) -> tuple[Callable[[str], Bits], Changed]:
        """What `derived` takes: kept values by name, and what changed of the rest."""
        tuned = self.hold if state.best_step else None  # else nothing was better than before
        changed = dict(changed_bits(tuned, self.parent))
        return (lambda name: kept_bits(tuned, self.parent, name)), changed

    # --- the model ------------------------------------------------------------------------------

    def _load(self) -> Any:
        from kencore.models.classifier import Classifier
        from kencore.models.language import LanguageModel, Windows

        kind = LanguageModel if isinstance(self.material.train, Windows) else Classifier
        folder = self.parent.tuned_tensors.folder
        return kind.load(folder, device=self.device, threads=self.threads)

    def _swap(self, state: Any) -> None:
        for name, tensor in state:
            self.model.replace({name: tensor})

    def _swap_out(self) -> None:
        """Free the model and what trained it: quality is measured on one that is loaded anew."""
        del self.model, self.hold, self.trainer

    # --- what is measured -----------------------------------------------------------------------

    def _gap(self, step: str) -> None:
        """Measure training and held-out data, where a checkpoint does not hold it already."""
        report = self.bar.phase(f"Measuring {step}", self.work["gap"])
        if step in self.gaps:
            return
        with self.clock("gap"):
            sizes = {side: count(data) for side, data in self.samples.items()}
            total, done, found = sum(sizes.values()), 0, {}
            for side, data in self.samples.items():
                first = done

                def told(i: float, of: float, text: str, first: int = first) -> None:
                    report(first + i, total, text)

                found[side] = measured(self.model, data, told)
                done += sizes[side]
        self.gaps[step] = found | gap_of(found["train"], found["held_out"])

    def _metrics(self, run: Run) -> Mapping[str, Any]:
        from kencore.quality.judge import measure, still_true

        report = self.bar.phase("", self.work["quality"])
        if self.material.evaluation is None:
            return {}
        with self.clock("quality"):
            found = measure(
                run,
                self.material.evaluation,
                baselines=self.spec.baselines,
                cost=self.spec.cost,
                device=self.device,
                threads=self.threads,
                before=self.parent,
                progress=report,
                on_flips=lambda told: told.save(run.path),
            )
        if self.spec.baselines:  # some were measured while pruning and cannot be again
            before = still_true(self.parent.metrics, found).get("baselines", {})
            found["baselines"] = before | found["baselines"]
        return found


def _check_any(hold: Hold) -> None:
    if not hold.trained:
        raise SpecError(
            "train",
            got=f"{hold.train}, of which the loaded model holds nothing by itself",
            wanted="at least one tensor on disk that is loaded one to one",
            remedy="Train all, or prune other matrices.",
        )


def _work(spec: RecoverSpec, material: Material, samples: Mapping[str, Data]) -> dict[str, float]:
    """Passes of one sentence or window by phase, about: only weighs the progress bar."""
    total, _ = total_steps(spec, count(material.train))
    checks = min(total, MEASUREMENTS if spec.every is None else total // spec.every) + 1
    judged = 0 if material.evaluation is None else count(material.evaluation)
    return {
        "gap": float(sum(count(data) for data in samples.values())),
        "training": BACKWARD * total * (spec.batch or 1) + checks * count(samples["held_out"]),
        "quality": float(judged * (9 if spec.baselines else 6)),
    }
