"""What a run costs to keep and to use: parameters, bytes, operations, time and memory.

Dense and pruned model are the same network with other values, so that most of this is equal for
both; it is measured for both, because nobody should have to take that on trust.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.checkpoint.shards import find_shards
from kencore.models.language import Windows
from kencore.models.loaded import torch_threads
from kencore.quality.cost_flops import count_flops, kept_shares
from kencore.quality.cost_time import REPEATS, forward, interleaved, passes, peak_memory, quartiles
from kencore.quality.states import pruned_state
from kencore.runs.restore import to_torch
from kencore.system.devices import describe_device
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from kencore.data.examples import Examples
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel
    from kencore.runs.run import Run

TOKENS_AT_ONCE = 4096
NO_FASTER = (
    "Zeros without a regular pattern do not speed up dense kernels. Fewer effective operations save time only in "
    "kernels made for them."
)
TO_ZERO = "effective: only multiply-adds with weights that were kept"
TO_BASE = "effective equals dense: entries not kept return to the base's value, not to zero"
NO_MEMORY = "not measured: only CUDA reports peak memory of tensors"


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
            its memory, which do not depend on the mask, are taken over.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``parameters`` (total, in_pruned_tensors, kept, reset); ``bytes`` (dense weights, and the
        subnetwork file); ``flops`` of one pass over one input (dense, effective, tokens and where
        that number is from); ``latency`` (for batch 1 and a larger one: seconds of
        dense and pruned, median and quartiles, taken in turns); ``memory`` (peak bytes, or the
        reason why there are none); ``seconds``; ``device``; notes.
    """
    started = time.monotonic()
    model.model.to(model.device).eval()
    probe = _probe(model, data)
    swap = _Swap(run, model)
    report = progress or silent
    report(0, 1, "Counting operations")
    to_zero = run.restore == "zero"
    with torch_threads(model.threads):
        if like is not None:
            measured = {name: like[name] for name in ("latency", "memory")}
        else:
            measured = _measured(model, probe, swap, repeats, report)
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
    model: Classifier | LanguageModel, probe: Probe, swap: _Swap, repeats: int, report: Progress
) -> dict[str, Any]:
    """What takes many passes: times and memory."""
    latency = []
    for size in sorted({1, probe.batch}):
        report(0.1 if size == 1 else 0.3, 1, f"Timing passes of batch {size}")
        latency.append({"batch": size, **_taken(model, probe, size, swap, repeats)})
    report(0.8, 1, "Measuring memory")
    swap.dense()
    memory = {"dense": _memory(model, probe)}
    swap.pruned()
    memory["pruned"] = _memory(model, probe)
    return {"latency": latency, "memory": memory if memory["dense"] is not None else {"reason": NO_MEMORY}}


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Inputs of a forward pass.

    Args:
        one: of a batch of one, on the model's device.
        tokens: T, tokens of it.
        batch: how many of these the evaluation takes at once, at most 4,096 tokens of them.
        what: where the number of tokens is from.
    """

    one: dict[str, torch.Tensor | bool]
    tokens: int
    batch: int
    what: str

    def of(self, size: int) -> dict[str, torch.Tensor | bool]:
        """The same input so many times: (size, T)."""
        return {
            name: value if isinstance(value, bool) else value.expand(size, -1).contiguous()
            for name, value in self.one.items()
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
    return _window_probe(model, data) if isinstance(data, Windows) else _sentence_probe(model, data)


def _window_probe(model: LanguageModel, windows: Windows) -> Probe:
    """The first window of a text."""
    from kencore.models.perplexity import windows_at_once

    count, tokens = windows.ids.shape
    one: dict[str, torch.Tensor | bool] = {"input_ids": windows.ids[:1].to(model.device)}
    batch = _batch(tokens, min(count, windows_at_once(model.model, tokens)))
    return Probe(one=one | {"use_cache": False}, tokens=tokens, batch=batch, what="one window")


def _sentence_probe(model: Classifier, examples: Examples) -> Probe:
    """The sentence, or pair, whose number of tokens is nearest to the mean."""
    import torch

    from kencore.models.classifier import BATCH

    rows, _ = model.tokens(examples)
    lengths = np.array([len(row["input_ids"]) for row in rows])  # N
    row = rows[int(np.abs(lengths - lengths.mean()).argmin())]
    one: dict[str, torch.Tensor | bool] = {
        name: torch.tensor([values], device=model.device) for name, values in row.items()
    }
    mean = f"the mean of {len(rows):,} sentences is {lengths.mean():.1f}"
    tokens = len(row["input_ids"])
    batch = _batch(tokens, min(len(rows), model.batch_size(BATCH)))
    return Probe(one=one, tokens=tokens, batch=batch, what=mean)


def _batch(tokens: int, evaluated: int) -> int:
    return max(1, min(evaluated, TOKENS_AT_ONCE // tokens))


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


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in find_shards(folder).files.values())


def _subnetwork_bytes(run: Run) -> int:
    from kencore.exports.subnetwork.plan import subnetwork_bytes

    return subnetwork_bytes(run)
