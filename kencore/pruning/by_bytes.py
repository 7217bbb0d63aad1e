"""Pruning to a budget of bytes: every matrix's difference in the code that is worth its bits.

Options of every matrix first, the whole of one matrix in memory or a few rows where it is too large; then the choice,
by size or by how near the answers come; then the matrices again, coded, and the run. What the run holds is what
opening its subnetwork file gives, bit for bit.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.checkpoint.pair import open_models
from kencore.codes.choice import Choice, choose
from kencore.errors import SpecError
from kencore.pruning.coder import Coder, Made
from kencore.pruning.finished import finished_before
from kencore.pruning.nearness import nearest, take_nearest_order
from kencore.pruning.plan import seconds_to_judge
from kencore.runs.shelf import run_folder
from kencore.settings.prune import BUDGETS, HARMS, PruneSpec
from kencore.settings.together import TAKE_GRADIENTS
from kencore.system.memory import ANY, Budget, resident
from kencore.system.places import not_writable
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.language import Windows
    from kencore.quality.cost import Once
    from kencore.quality.judge_model import Judge, Key
    from kencore.quality.near import Near
    from kencore.runs.run import Run

SECONDS_PER_WEIGHT: Final = 1e-6  # only weighs the phases of the progress bar
TRIES: Final = 5  # at a size
SLACK: Final = 64  # bytes
CLOSE: Final = 0.99  # of the budget, that a file uses at least, where codes allow it
LARGE: Final = 200_000_000  # weights: gradients of more are measured only if they are asked for
BYTES_HELD: Final = 70  # of memory for each weight while they are: the model, its gradients, some thirty changes
OVERHEAD: Final = 110  # bytes of a tensor that is said of each, at first guess


def prune_bytes(
    spec: PruneSpec,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    memory: Budget | None = None,
    marks: Mapping[str, Any] | None = None,
    shared: Path | None = None,
) -> Run:
    """Prune by a method that codes differences, and write the run. Arguments and errors as `kencore.prune`.

    Args:
        marks: what the record says beside; of a sweep that it is one's point.
    """
    from kencore.quality.judge import read_data, tell
    from kencore.runs.run import Run
    from kencore.system.devices import resolve_device

    report, started = progress or silent, time.monotonic()
    report(0, 1, "Opening the checkpoints")
    device, pair = resolve_device(spec.device), open_models(spec)
    data = read_data(pair.tuned.folder, spec)
    tell(data, report)
    folder = run_folder(spec, out)
    bench = Bench(pair, data, device=device, threads=threads, memory=memory)
    prune_on_bytes(bench, spec, folder, report=report, started=started, marks=marks, shared=shared)
    return Run(folder)


class Bench:
    """What prunings of one pair to several sizes share: the options of each matrix, in what order they harm, and a
    loaded model.

    Args:
        data: what they are measured on.
        judge: a loaded model to measure with; one is loaded where it is left out.
        known, once: of the judge that is loaded.

    Attributes:
        judge: the loaded model, once there is one.
    """

    def __init__(
        self,
        pair: Pair,
        data: Examples | Windows | Lines | None,
        *,
        device: str,
        threads: int | None,
        memory: Budget | None = None,
        judge: Judge | None = None,
        known: dict[Key, dict[str, Any]] | None = None,
        once: Once | None = None,
    ) -> None:
        self.pair, self.data, self.device, self.threads, self.memory = pair, data, device, threads, memory
        self.judge, self._known, self._once = judge, known, once
        self._coders: dict[str, Coder] = {}
        self._others: tuple[str, Near, bool] | None = None

    def coder(self, spec: PruneSpec) -> tuple[Coder, bool]:
        """The pair's codes for some settings, and whether their options were looked at already."""
        known = self._coders.get(self._key(spec))
        return (Coder(self.pair, spec, self.memory), False) if known is None else (known.again(spec), True)

    def keep(self, coder: Coder) -> None:
        """What was found out serves every other budget."""
        self._coders[self._key(coder.spec)] = coder

    def load(self, *, whole: bool) -> Judge | None:
        """The loaded model, as in its checkpoint where it is loaded now; ``None`` without data.

        Args:
            whole: in memory, whatever it takes: gradients need all of it.
        """
        from kencore.quality.judge import load_judge

        if self.data is None:
            return None
        if self.judge is None or (whole and self.judge.model.pages is not None):
            room = ANY if whole else self.memory
            folder = self.pair.tuned.folder
            self.judge = load_judge(folder, self.data, device=self.device, threads=self.threads, memory=room)
            self.judge.known = self.judge.known if self._known is None else self._known
            self.judge.once = self._once or self.judge.once
        return self.judge

    def others(self, coder: Coder) -> tuple[Near, bool] | None:
        """What measures how near a choice comes on other calibration text than that which ordered codes, and whether it
        is another; ``None`` where there is but one order, or no room to measure with.
        """
        from kencore.quality.judge_model import DENSE, as_loaded
        from kencore.quality.near import Near
        from kencore.quality.second_order import other_text

        if len(coder.orders) == 1 or self.judge is None:
            return None
        key = self._key(coder.spec)
        if self._others is None or self._others[0] != key:
            self._others = None  # its logits take room
            self.judge.bring(self.pair.tuned_tensors)
            self.judge.figures(DENSE, as_loaded, silent)  # first: what is measured on finds room before this
            text = other_text(self.judge.model, self.judge.data, coder.spec)
            self._others = key, Near(self.judge, text.data), text.fresh
        _, near, fresh = self._others
        return (near, fresh) if near.possible else None

    @staticmethod
    def _key(spec: PruneSpec) -> str:
        return repr(sorted((asdict(spec) | dict.fromkeys(BUDGETS)).items()))


def prune_on_bytes(
    bench: Bench,
    spec: PruneSpec,
    folder: Path,
    *,
    report: Progress,
    started: float,
    marks: Mapping[str, Any] | None = None,
    shared: Path | None = None,
) -> None:
    """Prune a pair that was opened before, and write the run into a folder.

    Args:
        started: when the work on it began, by the monotonic clock.
        marks: what the record says beside.
        shared: see `kencore.pruning.prune.prune`.
    """
    coder, looked = bench.coder(spec)
    coder.marks = dict(marks or {})
    with finished_before(bench.pair, spec, coder.weights, shared) as coder.finished:
        judging = seconds_to_judge(coder.plan, bench.data, spec)
        if not looked:
            coder.measured = is_measured(coder, bench.data)
        coding, gradients = coder.weights * SECONDS_PER_WEIGHT, judging * (coder.measured and not looked)
        ordering = judging / 2 + 3 * coding if coder.measured and spec.harm == HARMS[0] else 0.0
        bar = Bar(report, (2 if looked else 3) * coding + judging + gradients + ordering)
        if not looked:
            coder.look(bar.phase("", coding))
        judge = bench.load(whole=coder.measured)
        if not looked:
            if coder.measured:
                _judge(coder, judge, bar.phase("", judging))
            bench.keep(coder)
        _coded_run(coder, folder, judge, bench, bar, (ordering, 2 * coding, judging), started)
    report(1, 1, "Done")


def _coded_run(
    coder: Coder,
    folder: Path,
    judge: Judge | None,
    bench: Bench,
    bar: Bar,
    work: tuple[float, float, float],
    started: float,
) -> None:
    """Choose, write and measure; ``work``: of comparing orders, of writing, and of measuring."""
    from kencore.pruning.beside import coded_baselines
    from kencore.quality.judge import measure
    from kencore.quality.near import Near, gives_answers
    from kencore.quality.states import pruned_state

    spec, data = coder.spec, bench.data
    measured = spec.kl is not None or spec.same is not None
    near = Near(judge) if measured and judge is not None and gives_answers(data) else None
    if measured:
        phase = bar.phase("", work[0] + work[1])
        made = coder.write(nearest(coder, near, phase, partial(_take_order, coder, bench, silent)), folder)
    else:
        _take_order(coder, bench, bar.phase("", work[0]), _wanted(coder) - OVERHEAD * len(coder.plan))
        made = sized(coder, folder, bar.phase("", work[1]))
    try:
        metrics = None
        if judge is not None and data is not None:
            metrics = measure(
                made.written,
                data,
                baselines=False,
                cost=spec.cost,
                device=bench.device,
                threads=bench.threads,
                judge=judge,
                special=coded_baselines(coder, judge, made.choice) if spec.baselines else None,
                progress=bar.phase("", work[2]),
                on_flips=lambda found: found.save(made.written.path),
            )
            if near is not None and "kl" not in metrics["pruned"]["versus_dense"]:  # too many answers to keep them all
                judge.bring(bench.pair.tuned_tensors, pruned_state(made.written))
                metrics["pruned"]["versus_dense"] |= near.of()
        made.run.finish(started=started, device=bench.device, metrics=metrics)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise not_writable(folder, error) from error
    finally:
        made.drop()


def is_measured(coder: Coder, data: Any) -> bool:
    """Whether codes are ordered by gradients."""
    from kencore.quality.near import gives_answers

    spec, room = coder.spec, coder.memory.most - resident()
    usual = data is not None and gives_answers(data) and coder.weights <= LARGE and BYTES_HELD * coder.weights <= room
    return spec.harm in TAKE_GRADIENTS or (spec.harm == HARMS[0] and usual)


def _judge(coder: Coder, judge: Judge | None, progress: Progress) -> None:
    """Measure what each option does to the answers, on calibration text.

    Raises:
        SpecError: the model gives no answers.
    """
    from kencore.quality.near import gives_answers, no_answers
    from kencore.quality.second_order import calibration_passes, nats, ordered_on

    if judge is None or not gives_answers(judge.data):
        raise no_answers("harm")
    judge.bring(coder.pair.tuned_tensors)  # another run may have been measured before
    passes = calibration_passes(judge.model, judge.data, coder.spec)
    coder.notes = ordered_on(judge.data, coder.spec)
    coder.judge(lambda changes: nats(judge.model, passes, changes, seed=coder.spec.seed, progress=progress))


def _take_order(coder: Coder, bench: Bench, progress: Progress, room: float) -> None:
    if len(coder.orders) > 1:
        progress(0, len(coder.orders), "Reading what the orders of codes are compared on")
    if (other := bench.others(coder)) is not None:
        near, fresh = other
        take_nearest_order(coder, near, progress, room)
        coder.compared |= {"fresh": fresh} if coder.compared else {}


def sized(coder: Coder, folder: Path, progress: Progress) -> Made:
    """A run whose subnetwork file has at most the bytes that are asked for, and nearly as many.

    Raises:
        SpecError: even the smallest file is larger.
    """
    from kencore.exports.subnetwork.plan import subnetwork_bytes

    wanted = _wanted(coder)
    fixed, size = OVERHEAD * len(coder.plan), 0
    for turn in range(TRIES):
        progress(turn, TRIES, "Coding")
        choice = _fitting(coder, wanted - fixed)
        made = coder.write(choice, folder, _part_of(progress, turn))
        size = subnetwork_bytes(made.written)
        fixed = size - coder.payload(choice)
        if CLOSE * wanted <= size <= wanted or (turn and size <= wanted):  # codes have steps: none may lie nearer
            return made
        made.drop()
        fixed += SLACK if turn else 0
        if not any(one.bits for one in choice.values()) and size > wanted:
            break
    raise SpecError(
        "bytes" if coder.spec.bytes is not None else "bits",
        got=f"{wanted:,} bytes for {coder.spec.model}",
        wanted=f"{size:,} or more, as the smallest file has",
        remedy="Ask for a larger file: names, hashes, the configuration and what the base lacks are in it, too.",
    )


def _part_of(progress: Progress, turn: int) -> Progress:
    """Progress of one of the tries."""
    return lambda done, total, message: progress(turn + done / max(total, 1), TRIES, message)


def _fitting(coder: Coder, room: int) -> Choice:
    """The best choice of at most so many bytes, by what its codes come to."""
    asked = max(0, room)
    choice = choose(coder.table, 8 * asked)
    for _ in range(TRIES):
        over = coder.payload(choice) - room
        if over <= 0 or not asked:
            break
        asked = max(0, asked - over - over // 4 - SLACK)
        choice = choose(coder.table, 8 * asked)
    return choice


def _wanted(coder: Coder) -> int:
    spec = coder.spec
    if spec.bytes is not None:
        return spec.bytes
    assert spec.bits is not None
    return int(spec.bits * coder.size / 8)
