"""Pruning to a budget of bytes: every matrix's difference in the code that is worth its bits.

Options of every matrix first, a few rows or the whole of one matrix in memory; then the choice, by size or by how near
the answers come; then the matrices again, coded, and the run. What the run holds is what opening its subnetwork file
gives, bit for bit.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import to_torch
from kencore.checkpoint.header import BITS
from kencore.checkpoint.pair import open_models
from kencore.codes.choice import Choice, Draw, Option, choose, code_with, compared, options
from kencore.codes.coded import Coded
from kencore.codes.levels import pieces
from kencore.codes.names import NAMES
from kencore.codes.table import decode
from kencore.errors import SpecError
from kencore.methods.rows import select_rows
from kencore.pruning.by_slices import SliceRun
from kencore.pruning.plan import chosen, decide, seconds_to_judge
from kencore.runs.lines import Decision, matrix_line
from kencore.runs.restore import as_matrix, as_stored, coded_bits
from kencore.runs.shelf import run_folder
from kencore.settings.prune import PruneSpec
from kencore.system.progress import Bar, Progress, silent

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.pair import Pair
    from kencore.quality.near import Near
    from kencore.runs.run import Run

SECONDS_PER_WEIGHT: Final = 1e-6  # only weighs the phases of the progress bar
TRIES: Final = 5  # at a size
SLACK: Final = 64  # bytes
CLOSE: Final = 0.99  # of the budget, that a file uses at least, where codes allow it
STEPS: Final = 9  # of the search for a divergence
LEAST_BITS, MOST_BITS = 0.002, 16.0  # per weight, between which a divergence is searched
OVERHEAD: Final = 110  # bytes of a tensor that is said of each, at first guess

Floats = NDArray[np.float32]


def prune_bytes(
    spec: PruneSpec, *, out: str | Path | None = None, progress: Progress | None = None, threads: int | None = None
) -> Run:
    """Prune by a method that codes differences, and write the run. Arguments and errors as `kencore.prune`."""
    from kencore.quality.judge import load_judge, measure, read_data, tell
    from kencore.quality.near import Near, gives_answers
    from kencore.quality.states import pruned_state
    from kencore.runs.run import Run
    from kencore.system.devices import resolve_device

    report, started = progress or silent, time.monotonic()
    report(0, 1, "Opening the checkpoints")
    device, pair = resolve_device(spec.device), open_models(spec)
    data = read_data(pair.tuned.folder, spec)
    tell(data, report)
    folder = run_folder(spec, out)
    coder = Coder(pair, spec)
    judging = seconds_to_judge(coder.plan, data, spec)
    bar = Bar(report, 3 * coder.weights * SECONDS_PER_WEIGHT + judging)
    coder.look(bar.phase("Trying codes", coder.weights * SECONDS_PER_WEIGHT))
    judge = None if data is None else load_judge(pair.tuned.folder, data, device=device, threads=threads)
    phase = bar.phase("", 2 * coder.weights * SECONDS_PER_WEIGHT)
    near = None if judge is None or not gives_answers(data) else Near(judge)
    made = sized(coder, folder, phase) if spec.kl is None else coder.write(nearest(coder, near, phase), folder)
    try:
        metrics = None
        if judge is not None and data is not None:
            metrics = measure(
                made.written,
                data,
                baselines=False,
                cost=spec.cost,
                device=device,
                threads=threads,
                judge=judge,
                progress=bar.phase("", judging),
                on_flips=lambda found: found.save(made.written.path),
            )
            if near is not None:
                judge.bring(pair.tuned_tensors, pruned_state(made.written))
                metrics["pruned"]["versus_dense"] |= near.of()
        report(1, 1, "Done")
        made.run.finish(started=started, device=device, metrics=metrics)
    finally:
        made.drop()
    return Run(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A run that is being made, and as it can be read already."""

    run: SliceRun
    written: Run

    def drop(self) -> None:
        """Throw it away."""
        self.run.__exit__(None, None, None)


class Coder:
    """The pair, what can be chosen for each of its matrices, and what a choice makes of it.

    Attributes:
        plan: what happens to every parameter; chosen: those that are coded, by name.
        table: options of each, once `look` has tried them.
    """

    def __init__(self, pair: Pair, spec: PruneSpec) -> None:
        self.pair, self.spec = pair, spec
        self.plan = decide(pair, spec)
        self.chosen = chosen(self.plan)
        self.table: dict[str, list[Option]] = {}
        self.moved: dict[str, tuple[float, float, int]] = {}
        self.bytes_of: dict[tuple[str, Option], int] = {}
        self.lines: dict[str, dict[str, Any]] = {}
        self.codes = NAMES if spec.code is None else (spec.code,)

    @property
    def weights(self) -> int:
        """Entries of all that is coded."""
        return sum(one.size for one in self.chosen.values())

    @property
    def size(self) -> int:
        """Entries of the whole model."""
        return sum(one.size for one in self.plan)

    def draw(self, name: str) -> Draw:
        """What random choices of a matrix start from."""
        stream = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
        return Draw(seed=self.spec.seed, stream=stream)

    def sides(self, name: str) -> tuple[Floats, Floats]:
        """Tuned and base values of a whole matrix (R, C)."""
        parameter = self.chosen[name].parameter
        nothing = np.zeros((parameter.rows, parameter.cols), np.float32)
        for _, tuned, base in self.pair.rows(parameter, max(1, parameter.rows)):
            return tuned, base
        return nothing, nothing

    def look(self, progress: Progress) -> None:
        """Try every code on every matrix."""
        done = 0
        for name, decision in self.chosen.items():
            progress(done, self.weights, f"Trying codes on {name}")
            self.table[name] = self._options(decision)
            self.pair.release()
            done += decision.size
        self.table = compared(self.table, self.moved)

    def _options(self, decision: Decision) -> list[Option]:
        parameter, size = decision.parameter, float(decision.size)
        width = BITS[parameter.dtype]
        whole = Option(code="exact", value=1.0, bits=width * size, harm=0.0)
        if decision.common is not None or not decision.size:  # rows that the base lacks are kept
            self.moved[parameter.name] = (0.0, 0.0, decision.size)
            return [whole]
        tuned, base = self.sides(parameter.name)
        squares, weights = (float(np.square(side, dtype=np.float64).sum()) for side in (tuned - base, tuned))
        self.moved[parameter.name] = (squares, weights, decision.size)
        return options(
            tuned - base,
            weights,
            width,
            vector=len(parameter.shape) == 1,
            draw=self.draw(parameter.name),
            codes=self.codes,
        )

    def coded(self, name: str, option: Option, sides: tuple[Floats, Floats]) -> Coded | None:
        """A matrix as an option codes it; ``None`` where its values are stored as they are."""
        if option.code == "exact":
            return None
        return code_with(sides[0] - sides[1], option, self.draw(name))

    def payload(self, choice: Choice) -> int:
        """Bytes of all coded matrices, and of those that are stored as they are."""
        total = 0
        for name, option in choice.items():
            key = (name, option)
            if key not in self.bytes_of:
                if option.code in ("exact", "none"):
                    self.bytes_of[key] = int(option.bits) // 8
                else:
                    coded = self.coded(name, option, self.sides(name))
                    assert coded is not None
                    self.bytes_of[key] = len(coded.data)
                    self.pair.release()
            total += self.bytes_of[key]
        return total

    def pieces(
        self, name: str, option: Option, coded: Coded | None, sides: tuple[Floats, Floats]
    ) -> Iterator[tuple[slice, NDArray[np.bool_], NDArray[np.generic]]]:
        """Rows, mask and storage bits (r, C) of what a matrix becomes, the bits where the mask holds."""
        parameter, (tuned, base) = self.chosen[name].parameter, sides
        if coded is not None:
            for rows in pieces(coded.shape):
                values, mask = decode(coded, rows)
                yield rows, mask, coded_bits(base[rows], values, mask, parameter.dtype, name=name, first=rows.start)
            return
        stored = as_matrix(self.pair.tuned_tensors.raw(name), transposed=parameter.transposed)
        for rows in pieces((parameter.rows, parameter.cols)):
            if option.value == 1:
                keep = np.ones(tuned[rows].shape, np.bool_)
            else:
                k = min(max(1, round(option.value * parameter.cols)), parameter.cols)
                keep = select_rows(tuned[rows], base[rows], k, "delta", name=name)
            yield rows, keep, np.ascontiguousarray(stored[rows])

    def state(self, choice: Choice) -> Iterator[tuple[str, torch.Tensor]]:
        """Every coded parameter as a choice makes it, in its dtype on disk."""
        from kencore.runs.restore import base_bits

        for name, decision in self.chosen.items():
            sides, parameter = self.sides(name), decision.parameter
            found = base_bits("F32", parameter.dtype, sides[1])
            for rows, mask, bits in self.pieces(name, choice[name], self.coded(name, choice[name], sides), sides):
                found[rows] = np.where(mask, bits, found[rows])
            info = self.pair.tuned_tensors.info(name)
            yield name, to_torch(as_stored(found, parameter.transposed, info.shape), info)
            self.pair.release()

    def write(self, choice: Choice, folder: Path, progress: Progress = silent) -> Made:
        """A run of a choice, whole but for its quality and its name. The caller leaves its context."""
        run = SliceRun(self.pair, self.spec, folder)
        run.__enter__()
        try:
            self._write(run, choice, progress)
            return Made(run=run, written=run.write_tables())
        except BaseException as error:
            run.__exit__(type(error), error, error.__traceback__)
            raise

    def _write(self, run: SliceRun, choice: Choice, progress: Progress) -> None:
        coded: dict[str, Coded] = {}
        done = 0
        for decision in run.plan:
            name = decision.parameter.name
            if name not in self.lines:
                self.lines[name] = matrix_line(self.pair, decision)
            run.lines.append(dict(self.lines[name]))
            if decision.status != "pruned":
                continue
            started = time.monotonic()
            progress(done, self.weights, f"Coding {name}")
            run.begin(name)
            sides = self.sides(name)
            one = self.coded(name, choice[name], sides)
            for rows, keep, bits in self.pieces(name, choice[name], one, sides):
                run.add(rows, (sides[0][rows], sides[1][rows]), keep, bits)
            if one is not None:
                coded[name] = one
            run.end(time.monotonic() - started, None if one is None else len(one.data))
            self.pair.release()
            done += decision.size
        run.writer.add_codes(coded)


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
        made = coder.write(choice, folder)
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


def nearest(coder: Coder, near: Near | None, progress: Progress) -> Choice:
    """The smallest choice whose answers are as near to the tuned model's as is asked for, as measured.

    Raises:
        SpecError: no choice comes so near, or the model gives no answers.
    """
    most = coder.spec.kl
    assert most is not None
    if near is None:
        from kencore.quality.near import no_answers

        raise no_answers()
    low, high = LEAST_BITS, MOST_BITS
    best: Choice | None = None
    found: float | None = None
    for turn in range(STEPS + 1):
        middle = high if turn == 0 else float(np.sqrt(low * high))
        choice = choose(coder.table, middle * coder.size)
        progress(turn, STEPS + 1, f"Measuring at {middle:.3g} bits per weight")
        near.judge.bring(coder.pair.tuned_tensors, coder.state(choice))
        kl = near.of()["kl"]
        if kl is not None and kl <= most:
            best, high = choice, middle
        elif turn == 0:
            found = kl
            break
        else:
            low = middle
    if best is None:
        raise SpecError(
            "kl",
            got=f"{most:g} nats",
            wanted=f"what {MOST_BITS:g} bits per weight reach: {found if found is not None else float('nan'):.3g}",
            remedy="Ask for a larger divergence" + (", or leave code out." if coder.spec.code else "."),
        )
    return best


def _wanted(coder: Coder) -> int:
    spec = coder.spec
    if spec.bytes is not None:
        return spec.bytes
    assert spec.bits is not None
    return int(spec.bits * coder.size / 8)
