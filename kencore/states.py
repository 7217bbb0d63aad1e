"""The weights that quality is measured on: of a run, of its base, and of other rules at its budget.

Each function yields parameters one at a time, under their names and in their dtype on disk. Shapes:
R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.store.export import pruned_chunks, reset_bits, to_torch

if TYPE_CHECKING:
    import torch

    from kencore.store.run import Run

State = Iterator[tuple[str, "torch.Tensor"]]


def pruned_state(run: Run) -> State:
    """The pruned parameters of a run."""
    for name in run.pruned:
        whole = np.concatenate(list(pruned_chunks(run, name)))
        yield name, to_torch(whole, run.tuned_tensors.info(name))


def base_state(run: Run) -> State:
    """The parameters that the run pruned, with nothing of them kept."""
    for name in run.pruned:
        bits = reset_bits(run, run.matrix(name), run.tuned_tensors.raw(name))
        yield name, to_torch(bits, run.tuned_tensors.info(name))


def baseline_state(run: Run, rule: str, threads: int | None) -> State:
    """The run's parameters pruned by another rule, to the same number of entries in all.

    The rule keeps as many entries of each row as the run did. Where the run shared sparsity out
    it keeps the same share everywhere, as when the run was made: else the rule would profit from
    the run's own search. The tuned model's own values are kept, also where the run changed those
    that it kept.
    """
    from kencore.devices import usable_cores
    from kencore.select import select_rows
    from kencore.select.random import row_generator

    even = _even_budgets(run) if run.spec.streams else None
    for name in run.pruned:
        line, info = run.matrix(name), run.tuned_tensors.info(name)
        own = run.rows(name)["kept"].to_numpy(np.int64)  # R
        kept = own if even is None else even[name]
        keep = select_rows(
            run.values(name, "tuned"), _base(run, name, rule), np.maximum(kept, 1), rule,
            rng=row_generator(run.spec.seed, name), threads=threads or usable_cores(),
            name=name,
        )  # fmt: skip
        keep[kept == 0] = False  # a rule keeps at least one entry of a row
        mask = keep.T if line["transposed"] else keep
        raw = run.tuned_tensors.raw(name)
        values = np.where(mask.reshape(info.shape), raw, reset_bits(run, line, raw))
        yield name, to_torch(values, info)


def _base(run: Run, name: str, rule: str) -> NDArray[np.float32] | None:
    return run.values(name, "base") if rule == "delta" else None


def _even_budgets(run: Run) -> dict[str, NDArray[np.int64]]:
    """Entries that each row keeps, (R,) by name, with the run's total and one share for all."""
    from kencore.allocate.budget import uniform_counts
    from kencore.allocate.slot import Slot

    slots = []
    for name in run.pruned:
        line, (rows, columns) = run.matrix(name), run.shape(name)
        block, role = int(line["block"]), str(line["role"])
        slots.append(Slot(name=name, block=block, role=role, rows=rows, cols=columns))
    totals, sparsity = run.totals, run.spec.sparsity
    if run.spec.published or sparsity is None:  # the share is met only about
        sparsity = totals["reset"] / totals["pruned"]
    counts = uniform_counts(slots, sparsity)
    return {slot.name: slot.cols - counts[slot.name] for slot in slots}
