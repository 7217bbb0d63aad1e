"""Codes of a pair's matrices: what can be chosen for each, and what a choice makes of it.

A matrix is worked on some rows at a time; only low rank needs the whole. What comes out is the same to the bit whether
the difference fits into memory or is read again and again.

Shapes: R rows (outputs), C columns (inputs), r rows of one piece.
"""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import to_torch
from kencore.checkpoint.header import BITS
from kencore.checkpoint.tensors import STORAGE
from kencore.codes.choice import Choice, Draw, Option, best, between, code_with, compared, judged, options
from kencore.codes.coded import Coded, Matrix
from kencore.codes.levels import pieces
from kencore.codes.lowrank import Spectrum
from kencore.codes.names import NAMES
from kencore.codes.table import decode
from kencore.methods.rows import select_rows
from kencore.pruning.by_slices import SliceRun
from kencore.pruning.difference import Difference
from kencore.pruning.finished import Finished
from kencore.pruning.plan import chosen, decide
from kencore.runs.lines import Decision, matrix_line
from kencore.runs.restore import as_matrix, as_stored, coded_bits
from kencore.settings.prune import HARMS, PruneSpec
from kencore.system.memory import Budget, budget, give_back, in_units, resident
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.pair import Pair
    from kencore.quality.second_order import Changes
    from kencore.runs.run import Run

FIXED: Final = 300 << 20  # bytes of memory for the pieces that codes work on
HELD: Final = 1 << 30  # entries of changes that are measured together, two bytes each
CODED_A_WEIGHT: Final = 3  # bytes of memory of a matrix's symbols and of what they are coded to

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A run that is being made, as it can be read already, and the choice that it is made of."""

    run: SliceRun
    written: Run
    choice: Choice

    def drop(self) -> None:
        """Throw it away."""
        self.run.__exit__(None, None, None)


class Coder:
    """The pair, what can be chosen for each of its matrices, and what a choice makes of it.

    Args:
        memory: how much this process may hold: a difference that fits is read once, another one again and again.
        finished: what an earlier process found out; what this one does is added.

    Attributes:
        compared: where orders were compared: ``bits`` per weight, ``kl`` of each order's choice, and whether the text
            was ``fresh``: no gradient was taken on it.
        plan: what happens to every parameter; chosen: those that are coded, by name.
        orders: options of each, by what says how much they harm, once `look` has tried them: ``rule``, or what `judge`
            measured; order, table: which of them is taken, and its options.
        measured: their harm is measured by `judge`, not told by the rule; to be set before `look`.
        notes: what a person should know of the choice; marks: what the record says beside.

    Raises:
        NotEnoughMemoryError: the largest matrix cannot be coded in it.
    """

    def __init__(self, pair: Pair, spec: PruneSpec, memory: Budget | None = None) -> None:
        self.pair, self.spec = pair, spec
        self.memory = memory or budget()
        self.finished: Finished | None = None
        self.measured = False
        self.notes: tuple[str, ...] = ()
        self.marks: dict[str, Any] = {}
        self.plan = decide(pair, spec)
        self.chosen = chosen(self.plan)
        self.orders: dict[str, dict[str, list[Option]]] = {}
        self.order = "rule"
        self.compared: dict[str, Any] = {}
        self.table: dict[str, list[Option]] = {}
        self.moved: dict[str, tuple[float, float, int]] = {}
        self.bytes_of: dict[tuple[str, Option], int] = {}
        self.lines: dict[str, dict[str, Any]] = {}
        self.codes = NAMES if spec.code is None else (spec.code,)
        self.memory.need(FIXED + CODED_A_WEIGHT * max(one.size for one in self.chosen.values()))

    def again(self, spec: PruneSpec) -> Coder:
        """The same for other settings that differ in their budget alone: what was found out is shared."""
        found = copy.copy(self)
        found.spec, found.compared = spec, {}
        found.take(next(iter(self.orders)))
        return found

    def take(self, order: str) -> None:
        """Choose by another order."""
        self.order, self.table = order, self.orders[order]

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

    def difference(self, name: str) -> Matrix:
        """Tuned minus base of a matrix (R, C): in memory where it fits, else as it lies in the files."""
        found = Difference(self.pair, self.chosen[name].parameter)
        room = self.memory.most - resident() - FIXED - CODED_A_WEIGHT * found.size
        return found.whole() if found.size * 4 <= room else found

    def look(self, progress: Progress) -> None:
        """Try every code on every matrix."""
        self.look_at(list(self.chosen), progress)
        if not self.measured:
            self.orders = {"rule": compared(self.table, self.moved)}
            self.take("rule")

    def look_at(self, names: Sequence[str], progress: Progress) -> None:
        """Try every code on some matrices: what each leaves undone is not yet told in one unit with the others."""
        done, total = 0, sum(self.chosen[name].size for name in names)
        for name in names:
            decision = self.chosen[name]
            progress(done, total, f"Trying codes on {name} ({self._share(done)})")
            if not self._noted(name):
                self.table[name] = self._options(decision)
                self._note(name)
            self.pair.release()
            give_back()
            done += decision.size

    def judge(self, measured: Callable[[dict[str, Changes]], dict[str, NDArray[np.float64]]]) -> None:
        """Order options by how far they would move the answers, as measured; by that and the rule together; and by the
        rule: those of the settings.

        Args:
            measured: mean KL (K,) of K changes of each parameter; none of a parameter that the model does not hold.
        """
        found: dict[str, NDArray[np.float64]] = {}
        names = [name for name, options in self.table.items() if len(options) > 1]
        for group in _groups({name: len(self.table[name]) * self.chosen[name].size for name in names}):
            found |= measured({name: self._changes(name) for name in group})
        rule = compared(self.table, self.moved)
        most = sum(max(one.harm for one in rule[name]) for name in found)
        usual = sum(float(harms.max()) for harms in found.values()) / max(most, 1e-300)  # nats of a harm by the rule
        gradients = {
            name: judged(options, list(found[name]) if name in found else [usual * one.harm for one in options])
            for name, options in rule.items()
        }
        orders = {"gradients": best(gradients), "both": between(gradients, rule), "rule": best(rule)}
        self.orders = {name: one for name, one in orders.items() if self.spec.harm in (name, HARMS[0])}
        self.take(next(iter(self.orders)))

    def _changes(self, name: str) -> Changes:
        """What each option of a matrix leaves undone, as on disk: its coded difference less the real one."""
        from kencore.quality.second_order import Changes

        parameter, d = self.chosen[name].parameter, self.difference(name)[:]
        shape = tuple(self.pair.tuned_tensors.info(name).shape)
        held = Changes(shape, len(self.table[name]))
        spectrum = Spectrum(d) if any(option.code == "lowrank" for option in self.table[name]) else None
        for option in self.table[name]:
            coded = None if option.code == "exact" else code_with(d, option, self.draw(name), spectrum)
            change = np.zeros_like(d) if coded is None else decode(coded)[0] - d
            held.add((change.T if parameter.transposed else change).reshape(shape))
        self.pair.release()
        return held

    def _share(self, done: int) -> str:
        """How far the work is, in bytes of both checkpoints."""
        total = sum(tensors.nbytes for tensors in self.pair.opened)
        return f"{in_units(total * done // max(1, self.weights))} of {in_units(total)}"

    def _noted(self, name: str) -> bool:
        """Take over what was found out of a matrix before; say whether it was."""
        said = None if self.finished is None else self.finished.noted(name)
        if said is None or said.get("each") != self.measured:
            return False
        self.moved[name] = tuple(said["moved"])  # type: ignore[assignment]
        self.table[name] = [Option(**one) for one in said["options"]]
        return True

    def _note(self, name: str) -> None:
        if self.finished is not None:
            said = {
                "each": self.measured,
                "moved": list(self.moved[name]),
                "options": [asdict(one) for one in self.table[name]],
            }
            self.finished.note(name, said)

    def _options(self, decision: Decision) -> list[Option]:
        parameter, size = decision.parameter, float(decision.size)
        width = BITS[parameter.dtype]
        whole = Option(code="exact", value=1.0, bits=width * size, harm=0.0)
        if decision.common is not None or not decision.size:  # rows that the base lacks are kept
            self.moved[parameter.name] = (0.0, 0.0, decision.size)
            return [whole]
        squares = weights = 0.0
        matrix = Difference(self.pair, parameter)
        for rows in pieces(matrix.shape):
            tuned, base = matrix.sides(rows)
            squares += float(np.square(tuned - base, dtype=np.float64).sum())
            weights += float(np.square(tuned, dtype=np.float64).sum())
        self.moved[parameter.name] = (squares, weights, decision.size)
        return options(
            self.difference(parameter.name),
            weights,
            width,
            vector=len(parameter.shape) == 1,
            draw=self.draw(parameter.name),
            codes=self.codes,
            room=self.memory.need if self.memory.asked else None,
            each=self.measured,
        )

    def coded(self, name: str, option: Option) -> Coded | None:
        """A matrix as an option codes it; ``None`` where its values are stored as they are."""
        if option.code == "exact":
            return None
        parameter, said = self.chosen[name].parameter, asdict(replace(option, harm=0.0))  # one code in every order
        found = None if self.finished is None else self.finished.code(name, said, (parameter.rows, parameter.cols))
        if found is None:
            found = code_with(self.difference(name), option, self.draw(name))
            if self.finished is not None:
                self.finished.keep_code(name, said, found)
        return found

    def payload(self, choice: Choice) -> int:
        """Bytes of all coded matrices, and of those that are stored as they are."""
        total = 0
        for name, option in choice.items():
            key = (name, replace(option, harm=0.0))
            if key not in self.bytes_of:
                if option.code in ("exact", "none"):
                    self.bytes_of[key] = int(option.bits) // 8
                else:
                    coded = self.coded(name, option)
                    assert coded is not None
                    self.bytes_of[key] = len(coded.data)
                    del coded
                    self.pair.release()
                    give_back()
            total += self.bytes_of[key]
        return total

    def pieces(
        self, name: str, option: Option, coded: Coded | None
    ) -> Iterator[tuple[slice, tuple[Floats, Floats], NDArray[np.bool_], NDArray[np.generic]]]:
        """Rows, both sides, mask and storage bits (r, C) of what a matrix becomes, the bits where the mask holds."""
        parameter = self.chosen[name].parameter
        matrix = Difference(self.pair, parameter)
        for rows in pieces(matrix.shape):
            sides = tuned, base = matrix.sides(rows)
            if coded is not None:
                values, keep = decode(coded, rows)
                yield rows, sides, keep, coded_bits(base, values, keep, parameter.dtype, name=name, first=rows.start)
                continue
            stored = as_matrix(self.pair.tuned_tensors.raw(name), transposed=parameter.transposed)
            if option.value == 1:
                keep = np.ones(tuned.shape, np.bool_)
            else:
                k = min(max(1, round(option.value * parameter.cols)), parameter.cols)
                keep = select_rows(tuned, base, k, "delta", name=name)
            yield rows, sides, keep, np.ascontiguousarray(stored[rows])

    def state(self, choice: Choice) -> Iterator[tuple[str, torch.Tensor]]:
        """Every coded parameter as a choice makes it, in its dtype on disk."""
        from kencore.runs.restore import base_bits

        for name, decision in self.chosen.items():
            parameter, info = decision.parameter, self.pair.tuned_tensors.info(name)
            found = np.empty((parameter.rows, parameter.cols), STORAGE[info.dtype])
            for rows, (_, base), mask, bits in self.pieces(name, choice[name], self.coded(name, choice[name])):
                found[rows] = np.where(mask, bits, base_bits("F32", parameter.dtype, base))
            yield name, to_torch(as_stored(found, parameter.transposed, info.shape), info)
            self.pair.release()

    def write(self, choice: Choice, folder: Path, progress: Progress = silent) -> Made:
        """A run of a choice, whole but for its quality and its name. The caller leaves its context."""
        marks = self.marks | {"ordered": {"by": self.order, **self.compared}}
        run = SliceRun(self.pair, self.spec, folder, marks, notes=self.notes)
        run.__enter__()
        try:
            self._write(run, choice, progress)
            return Made(run=run, written=run.write_tables(), choice=choice)
        except BaseException as error:
            run.__exit__(type(error), error, error.__traceback__)
            raise

    def _write(self, run: SliceRun, choice: Choice, progress: Progress) -> None:
        done = 0
        for decision in run.plan:
            name = decision.parameter.name
            if name not in self.lines:
                self.lines[name] = matrix_line(self.pair, decision)
            run.lines.append(dict(self.lines[name]))
            if decision.status != "pruned":
                continue
            started = time.monotonic()
            progress(done, self.weights, f"Coding {name} ({self._share(done)})")
            run.begin(name)
            coded = self.coded(name, choice[name])
            for rows, sides, keep, bits in self.pieces(name, choice[name], coded):
                run.add(rows, sides, keep, bits)
            if coded is not None:
                run.writer.add_code(name, coded)
            run.end(time.monotonic() - started, None if coded is None else len(coded.data))
            del coded
            self.pair.release()
            give_back()
            done += decision.size


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Names whose changes are held at once: about `HELD` entries."""
    group: list[str] = []
    held = 0
    for name, size in sizes.items():
        if group and held + size > HELD:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group
