"""What a run costs to keep and to use: parameters, bytes, operations, time and memory.

Dense and pruned model are the same network with other values, so that most of this is equal for
both; it is measured for both, because nobody should have to take that on trust.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.shards import find_shards
from kencore.models.loaded import torch_threads
from kencore.quality import cost_passes
from kencore.quality.cost_flops import Flops, count_flops, count_without_weights, kept_shares
from kencore.quality.cost_probe import Probe, probe_of
from kencore.quality.cost_time import REPEATS
from kencore.system.devices import describe_device
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.classifier import Classifier
    from kencore.models.embedder import Embedder
    from kencore.models.language import LanguageModel, Windows
    from kencore.runs.run import Run

NO_FASTER = (
    "Zeros without a regular pattern do not speed up dense kernels. Fewer effective operations save time only in "
    "kernels made for them."
)
TO_ZERO = "effective: only multiply-adds with weights that were kept"
TO_BASE = "effective equals dense: entries not kept return to the base's value, not to zero"


@dataclass(slots=True)
class Once:
    """What no mask changes: measured with the first of several runs of one model, on the same data and device.

    Args:
        taken: ``latency`` and ``memory``, as in `cost_of`.
        counted: operations of a pass, and the input that they were counted on.
    """

    taken: dict[str, Any] | None = None
    counted: tuple[Flops, Probe] | None = None


def cost_of(
    run: Run,
    model: Classifier | Embedder | LanguageModel,
    data: Examples | Windows | Lines,
    *,
    repeats: int = REPEATS,
    once: Once | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What a run costs: the content of ``cost`` in its ``metrics.json``.

    Args:
        model: the run's tuned model, in any state; afterwards it is in the pruned one, but where ``once``
            knew the times.
        data: what it is evaluated on; says how long an input is and how many go in at once.
        repeats: timed passes of each state and batch, fewer where the model is slow.
        once: what is known from other runs; it is added to.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``parameters`` (total, in_pruned_tensors, kept, reset); ``bytes`` (dense weights, and the
        subnetwork file); ``flops`` of one pass over one input (dense, effective, tokens and where
        that number is from); ``latency`` (for batch 1 and a larger one: tokens of each input, and seconds
        of dense and pruned, median and quartiles, taken in turns; empty for a model that is too slow to be
        timed in a few seconds); ``memory`` (peak bytes, or the reason why there are none); ``seconds``;
        ``device``; notes.
    """
    started = time.monotonic()
    model.model.to(model.device).eval()
    report, once = progress or silent, once or Once()
    report(0, 1, "Counting operations")
    with torch_threads(model.threads):
        if once.counted is None or once.taken is None:
            probe = probe_of(model, data)
            once.counted = _counted(model, probe)
            once.taken = cost_passes.of_run(run, model, probe, repeats, report)
    flops, counted = once.counted
    to_zero = run.restore == "zero"
    kept = kept_shares(model, _kept(run)) if to_zero else {}
    return {
        "parameters": _parameters(run),
        "bytes": {"dense": _bytes(model.folder), "subnetwork": _subnetwork_bytes(run)},
        "flops": {
            "tokens": counted.tokens,
            "tokens_from": counted.what,
            "dense": flops.total,
            "effective": flops.with_kept(kept),
            "note": TO_ZERO if to_zero else TO_BASE,
        },
        **once.taken,
        "device": describe_device(model.device),
        "note": NO_FASTER,
        "seconds": round(time.monotonic() - started, 3),
    }


def cost_of_model(
    model: Classifier | Embedder | LanguageModel, data: Examples | Windows | Lines, *, repeats: int = REPEATS
) -> dict[str, Any]:
    """What a model costs that no run is of: as `cost_of`, with nothing pruned."""
    started = time.monotonic()
    model.model.to(model.device).eval()
    probe = probe_of(model, data)
    with torch_threads(model.threads):
        flops, counted = _counted(model, probe)
        taken = cost_passes.of_model(model, probe, repeats)
    return {
        "parameters": {"total": sum(p.numel() for p in model.model.parameters())},
        "bytes": {"dense": _bytes(model.folder)},
        "flops": {"tokens": counted.tokens, "tokens_from": counted.what, "dense": flops.total},
        **taken,
        "device": describe_device(model.device),
        "seconds": round(time.monotonic() - started, 3),
    }


def _counted(model: Classifier | Embedder | LanguageModel, probe: Probe) -> tuple[Flops, Probe]:
    """Operations of a pass and its input: the whole one, or a short one where the pass has to be run."""
    found = count_without_weights(model.model, probe.of(1))
    if found is not None:
        return found, probe
    own = cost_passes.affordable(model, probe)
    return count_flops(model.model, own.of(1)), own


def _parameters(run: Run) -> dict[str, int]:
    totals = run.totals
    return {
        "total": totals["params"],
        "in_pruned_tensors": totals["pruned"],
        "kept": totals["kept"],
        "reset": totals["reset"],
    }


def _kept(run: Run) -> dict[str, tuple[int, int]]:
    """Entries kept and entries of each pruned parameter, by every name it is stored under."""
    lines = run.matrices[run.matrices["status"] == "pruned"]
    return {str(line["name"]): (int(line["kept"]), int(line["params"])) for line in lines.to_dict("records")}


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in find_shards(folder).files.values())


def _subnetwork_bytes(run: Run) -> int:
    from kencore.exports.subnetwork.plan import subnetwork_bytes

    return subnetwork_bytes(run)
