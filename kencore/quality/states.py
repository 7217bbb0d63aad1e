"""The weights that quality is measured on: of a run, of its base, and of other rules at its budget.

Each function yields parameters one at a time, under their names and in their dtype on disk. Shapes:
R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.as_torch import to_torch
from kencore.methods.table import METHODS
from kencore.quality.baselines import baseline_rule
from kencore.runs.bits import kept_per_row
from kencore.runs.restore import Floats, Mask, as_matrix, as_stored, pruned_chunks, rescaled_bits, reset_bits

if TYPE_CHECKING:
    import torch

    from kencore.runs.run import Run

State = Iterator[tuple[str, "torch.Tensor"]]


def pruned_state(run: Run, only: Sequence[str] | None = None) -> State:
    """The pruned parameters of a run, and those that tuning afterwards changed; or some of them alone."""
    for name in (*run.pruned, *run.changed_names) if only is None else only:
        chunks = list(pruned_chunks(run, name))
        whole = np.concatenate(chunks) if chunks[0].ndim else chunks[0]
        yield name, to_torch(whole, run.tuned_tensors.info(name))
        run.release()


def untuned_state(run: Run, before: Run) -> State:
    """The parameters of a tuned run as they were in the run that it was tuned from."""
    yield from pruned_state(before)
    for name in run.changed_names:
        if name not in before.changed_names:
            yield name, to_torch(run.tuned_tensors.raw(name), run.tuned_tensors.info(name))


def base_state(run: Run) -> State:
    """The parameters that the run pruned, with nothing of them kept."""
    for name in run.pruned:
        bits = reset_bits(run, run.matrix(name), run.tuned_tensors.raw(name))
        yield name, to_torch(bits, run.tuned_tensors.info(name))
        run.release()
    yield from _as_before(run)


def baseline_state(run: Run, baseline: str, threads: int | None) -> State:
    """The run's parameters pruned by another rule, to the same number of entries in all.

    The rule keeps as many entries of each row as the run did. Where the run shared sparsity out
    it keeps the same share everywhere, as when the run was made: else the rule would profit from
    the run's own search. The tuned model's own values are kept, also where the run changed those
    that it kept; only ``dare`` rescales them.
    """
    from kencore.methods.random import row_generator
    from kencore.methods.rows import select_rows
    from kencore.system.devices import usable_threads

    even = _even_budgets(run) if run.spec.streams else None
    rule, rescale = baseline_rule(baseline)
    for name in run.pruned:
        own = kept_per_row(run.mask_bits(name)).astype(np.int64)  # R
        kept = own if even is None else even[name]
        tuned = run.values(name, "tuned")
        base = run.values(name, "base") if METHODS[rule].compares or rescale != "none" else None
        keep = select_rows(
            tuned,
            base,
            np.maximum(kept, 1),
            rule,
            rng=row_generator(run.spec.seed, name),
            threads=threads or usable_threads(),
            name=name,
        )
        keep[kept == 0] = False  # a rule keeps at least one entry of a row
        yield name, _restored(run, name, keep, (tuned, base), rescale)
        run.release()
    yield from _as_before(run)


def _restored(run: Run, name: str, keep: Mask, sides: tuple[Floats, Floats | None], rescale: str) -> torch.Tensor:
    """A parameter pruned by a mask (R, C), from tuned and, to rescale, base values (R, C)."""
    line, info = run.matrix(name), run.tuned_tensors.info(name)
    raw = run.tuned_tensors.raw(name)
    kept = raw
    if rescale != "none":
        tuned, base = sides
        assert base is not None
        turned = as_matrix(raw, transposed=bool(line["transposed"]))
        bits = rescaled_bits(turned, (tuned, base), keep, rescale, info.dtype, name=name)
        kept = as_stored(bits, line["transposed"], info.shape)
    mask = as_stored(keep, line["transposed"], info.shape)
    return to_torch(np.where(mask, kept, reset_bits(run, line, raw)), info)


def _as_before(run: Run) -> State:
    """What recovery after pruning changed of parameters that were not pruned, as it was before."""
    for name in run.changed_names:
        info = run.tuned_tensors.info(name)
        yield name, to_torch(run.tuned_tensors.raw(name), info)


def _even_budgets(run: Run) -> dict[str, NDArray[np.int64]]:
    """Entries that each row keeps, (R,) by name, with the run's total and one share for all."""
    from kencore.allocate.budget import kept_evenly
    from kencore.allocate.slot import Slot

    slots = []
    for name in run.pruned:
        line, (rows, columns) = run.matrix(name), run.shape(name)
        block, role = int(line["block"]), str(line["role"])
        slots.append(Slot(name=name, block=block, role=role, rows=rows, cols=columns))
    totals, sparsity = run.totals, run.spec.sparsity
    if run.spec.published or sparsity is None:  # the share is met only about
        sparsity = totals["reset"] / totals["pruned"]
    return kept_evenly(slots, sparsity=sparsity)
