"""What a run costs to keep and to use: parameters, bytes, operations, time and memory.

Dense and pruned model are the same network with other values, so that most of this is equal for
both; it is measured for both, because nobody should have to take that on trust.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.models.language import Windows
from kencore.models.loaded import torch_threads
from kencore.models.names import weight_files
from kencore.quality.cost_flops import count_flops, kept_shares
from kencore.quality.cost_probe import Probe, sentence_probe, window_probe
from kencore.quality.cost_semi import is_two_of_four, semi_structured
from kencore.quality.cost_time import REPEATS, forward, interleaved, passes, peak_memory, quartiles
from kencore.quality.states import pruned_state
from kencore.runs.restore import to_torch
from kencore.system.devices import describe_device
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    from kencore.data.examples import Examples
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel
    from kencore.runs.run import Run

NO_FASTER = (
    "Zeros without a regular pattern do not speed up dense kernels: the pruned model takes as long "
    "as the dense one. Fewer effective operations become less time only in kernels made for them."
)
TO_ZERO = "effective: only multiply-adds with weights that were kept"
TO_BASE = (
    "effective is dense: what was not kept goes back to the base's value, not to zero, and is "
    "multiplied with all the same"
)
NO_MEMORY = "not measured: only CUDA tells how much memory tensors took at most"


def cost_of(
    run: Run,
    model: Classifier | LanguageModel,
    data: Examples | Windows,
    *,
    repeats: int = REPEATS,
    like: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What a run costs: the content of ``cost`` in its ``metrics.json``.

    Args:
        model: the run's tuned model, in any state; afterwards it is in the pruned one, but for
            ``like``.
        data: what it is evaluated on; says how long an input is and how many go in at once.
        repeats: timed passes of each state and batch, fewer where the model is slow.
        like: the cost of another run of the same model on the same data and device: its times and
            its memory, which do not hang on the mask, are taken over where no kernel for sparse
            weights could be used.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``parameters`` (total, in_pruned_tensors, kept, reset); ``bytes`` (dense weights, and the
        subnetwork file); ``flops`` of one pass over one input (dense, effective, tokens and where
        that number is from); ``latency`` (for batch 1 and a larger one: seconds of
        dense and pruned, median and quartiles, taken in turns); ``memory`` (peak bytes, or the
        reason why there are none); ``semi_structured`` (see there); ``seconds``; ``device``; notes.
    """
    started = time.monotonic()
    model.model.to(model.device).eval()
    probe = _probe(model, data)
    swap = _Swap(run, model)
    report = progress or silent
    report(0, 1, "Counting operations")
    to_zero = run.restore == "zero"
    with torch_threads(model.threads):
        if like is not None and not model.device.startswith("cuda"):
            measured = {name: like[name] for name in ("latency", "memory", "semi_structured")}
        else:
            measured = _measured(run, model, probe, swap, repeats, report)
        flops = count_flops(model.model, probe.of(1))
    kept = kept_shares(model, _kept(run)) if to_zero else {}
    return {
        "parameters": _parameters(run),
        "bytes": {"dense": _bytes(model.folder), "subnetwork": _subnetwork_bytes(run)},
        "flops": {
            "tokens": probe.tokens,
            "tokens_from": probe.what,
            "dense": flops.total,
            "effective": flops.with_kept(kept),
            "note": TO_ZERO if to_zero else TO_BASE,
        },
        **measured,
        "device": describe_device(model.device),
        "note": NO_FASTER,
        "seconds": round(time.monotonic() - started, 3),
    }


def _measured(
    run: Run, model: Classifier | LanguageModel, probe: Probe, swap: _Swap, repeats: int, report: Progress
) -> dict[str, Any]:
    """What takes many passes: times, memory, and kernels for sparse weights."""
    latency = []
    for size in sorted({1, probe.batch}):
        report(0.1 if size == 1 else 0.3, 1, f"Timing passes of batch {size}")
        latency.append({"batch": size, **_taken(model, probe, size, swap, repeats)})
    report(0.8, 1, "Measuring memory")
    swap.dense()
    memory = {"dense": _memory(model, probe)}
    swap.pruned()
    memory["pruned"] = _memory(model, probe)
    semi = semi_structured(model.model, probe, model.device, _two_of_four(run, model), repeats=repeats)
    return {
        "latency": latency,
        "memory": memory if memory["dense"] is not None else {"reason": NO_MEMORY},
        "semi_structured": semi,
    }


def cost_of_model(
    model: Classifier | LanguageModel, data: Examples | Windows, *, repeats: int = REPEATS
) -> dict[str, Any]:
    """What a model costs that no run is of: as `cost_of`, with nothing pruned."""
    started = time.monotonic()
    model.model.to(model.device).eval()
    probe = _probe(model, data)
    with torch_threads(model.threads):
        flops = count_flops(model.model, probe.of(1))
        latency = [
            {"batch": size, "dense": quartiles(passes(_pass(model, probe, size), repeats))}
            for size in sorted({1, probe.batch})
        ]
        memory = _memory(model, probe)
    return {
        "parameters": {"total": sum(p.numel() for p in model.model.parameters())},
        "bytes": {"dense": _bytes(model.folder)},
        "flops": {"tokens": probe.tokens, "tokens_from": probe.what, "dense": flops.total},
        "latency": latency,
        "memory": {"reason": NO_MEMORY} if memory is None else {"dense": memory},
        "device": describe_device(model.device),
        "seconds": round(time.monotonic() - started, 3),
    }


class _Swap:
    """Brings a model into the pruned and back into the dense state of a run, in place.

    No second copy is held: values come from the run and the checkpoints each time.
    """

    def __init__(self, run: Run, model: Classifier | LanguageModel) -> None:
        self.run, self.model = run, model
        self.names: dict[str, None] = {}

    def pruned(self) -> None:
        for name, tensor in pruned_state(self.run):
            self.names[name] = None
            self.model.replace({name: tensor})
        self.run.release()

    def dense(self) -> None:
        tensors = self.run.tuned_tensors
        for name in self.names:
            tensor = to_torch(tensors.raw(name), tensors.info(name))
            self.model.replace({name: tensor})
        self.run.release()


def _probe(model: Any, data: Examples | Windows) -> Probe:
    if isinstance(data, Windows):
        return window_probe(model, data)
    return sentence_probe(model, data)


def _pass(model: Classifier | LanguageModel, probe: Probe, size: int) -> Callable[[], None]:
    return forward(model.model, probe.of(size), model.device)


def _taken(
    model: Classifier | LanguageModel, probe: Probe, size: int, swap: _Swap, repeats: int
) -> dict[str, dict[str, Any]]:
    turns = {"pruned": swap.pruned, "dense": swap.dense}  # only then are all names known
    taken = interleaved(_pass(model, probe, size), turns, repeats=repeats)
    return {name: quartiles(seconds) for name, seconds in taken.items()}


def _memory(model: Classifier | LanguageModel, probe: Probe) -> int | None:
    return peak_memory(_pass(model, probe, probe.batch), model.device)


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


def _two_of_four(run: Run, model: Classifier | LanguageModel) -> set[str]:
    """Parameters of the loaded model whose mask is 2:4 and whose other entries are zero."""
    if run.restore != "zero":
        return set()
    return {
        home
        for name in run.pruned
        if not run.matrix(name)["transposed"] and is_two_of_four(run.mask_bits(name), run.shape(name)[1])
        for home in model.parameters.get(name, ())
    }


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in weight_files(folder))


def _subnetwork_bytes(run: Run) -> int:
    from kencore.exports.subnetwork.open import subnetwork_bytes

    return subnetwork_bytes(run)
