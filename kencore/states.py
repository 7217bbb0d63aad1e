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
    """The run's parameters pruned by another rule that keeps as many entries of each row.

    The tuned model's own values are kept, also where the run changed those that it kept.
    """
    from kencore.devices import usable_cores
    from kencore.plan import row_generator
    from kencore.select import select_rows

    for name in run.pruned:
        line, info = run.matrix(name), run.tuned_tensors.info(name)
        kept = run.rows(name)["kept"].to_numpy(np.int64)  # R
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
