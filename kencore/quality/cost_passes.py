"""What takes passes through the model: seconds and memory of a run's model, dense and pruned, within a few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.as_torch import to_torch
from kencore.quality.cost_probe import Probe
from kencore.quality.cost_time import forward, interleaved, longest, passes, peak_memory, quartiles, timed
from kencore.quality.states import pruned_state
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.models.classifier import Classifier
    from kencore.models.embedder import Embedder
    from kencore.models.language import LanguageModel
    from kencore.runs.run import Run

    Model = Classifier | Embedder | LanguageModel

SECONDS = 5.0
"""So long timing takes, about: a slow model is timed on fewer tokens, or not at all."""
A_PASS = 0.15
TOKENS = 4  # that are tried first
SHORT = 64  # tokens of a pass that has to be run to be counted, of a slow model
PASSES = 12  # of each batch: four turns of one that warms up and two that count
NO_MEMORY = "not measured: only CUDA reports peak memory of tensors"


def of_run(run: Run, model: Model, probe: Probe, repeats: int, report: Progress) -> dict[str, Any]:
    """``latency`` and ``memory`` of a run's model, dense and pruned; afterwards it is in the pruned state."""
    swap = Swap(run, model)
    report(0.1, 1, "Timing passes")
    swap.pruned()
    latency = [
        {"batch": size, "tokens": own.tokens, **_in_turns(_pass(model, own, size), swap, repeats)}
        for own, size in sizes(model, probe)
    ]
    report(0.8, 1, "Measuring memory")
    memory: dict[str, Any] = {"reason": NO_MEMORY}
    if measures_memory(model):
        swap.dense()
        memory = {"dense": _memory(model, probe)}
        swap.pruned()
        memory["pruned"] = _memory(model, probe)
    return {"latency": latency, "memory": memory}


def of_model(model: Model, probe: Probe, repeats: int) -> dict[str, Any]:
    """The same of a model that no run is of."""
    latency = [
        {"batch": size, "tokens": own.tokens, "dense": quartiles(passes(_pass(model, own, size), repeats))}
        for own, size in sizes(model, probe)
    ]
    memory = {"dense": _memory(model, probe)} if measures_memory(model) else {"reason": NO_MEMORY}
    return {"latency": latency, "memory": memory}


def sizes(model: Model, probe: Probe) -> list[tuple[Probe, int]]:
    """Inputs and batches that can be timed within `SECONDS`: of one, and of as many as the evaluation takes.

    A model that is slow is timed on one shorter input; one that is slower still, not at all.
    """
    started = time.perf_counter()
    tokens, taken = longest(lambda n: timed(_pass(model, probe.cut(n), 1)), probe.tokens, A_PASS, first=TOKENS)
    if taken * PASSES > SECONDS:
        return []
    found = [(probe.cut(tokens), 1)]
    left = SECONDS - (time.perf_counter() - started) - taken * PASSES
    if tokens == probe.tokens and probe.batch > 1 and 2 * taken <= min(A_PASS, left / PASSES):
        at_once = min(A_PASS, left / PASSES)
        batch, _ = longest(lambda n: timed(_pass(model, probe, n)), probe.batch, at_once, first=2)
        found.append((probe, batch))
    return found


def affordable(model: Model, probe: Probe) -> Probe:
    """The input, or a short one where a pass of the whole would take more than a second or so."""
    short = probe.cut(SHORT)
    took = timed(_pass(model, short, 1))
    return probe if took * probe.tokens / short.tokens <= 1.0 else short


def measures_memory(model: Model) -> bool:
    """Whether the model is on a device that says what tensors take."""
    return str(model.device).startswith("cuda")


def _in_turns(run: Callable[[], float | None], swap: Swap, repeats: int) -> dict[str, dict[str, Any]]:
    turns = {"pruned": swap.pruned, "dense": swap.dense}
    taken = interleaved(run, turns, repeats=repeats)
    return {name: quartiles(seconds) for name, seconds in taken.items()}


def _pass(model: Model, probe: Probe, size: int) -> Callable[[], float | None]:
    return forward(model.model, probe.of(size), model.device)


def _memory(model: Model, probe: Probe) -> int | None:
    return peak_memory(_pass(model, probe, probe.batch), model.device)


class Swap:
    """Brings a model into the pruned and back into the dense state of a run, in place.

    No second copy is held: values come from the run and the checkpoints each time.
    """

    def __init__(self, run: Run, model: Model) -> None:
        self.run, self.model = run, model
        self.names: dict[str, None] = {}
        self.state = ""

    def pruned(self) -> None:
        """Give the model the values that the run gave it."""
        if self.state != "pruned":
            for name, tensor in pruned_state(self.run):
                self.names[name] = None
                self.model.replace({name: tensor})
            self.run.release()
        self.state = "pruned"

    def dense(self) -> None:
        """Give back what `pruned` has taken: call that before."""
        if self.state != "dense":
            tensors = self.run.tuned_tensors
            for name in self.names:
                tensor = to_torch(tensors.raw(name), tensors.info(name))
                self.model.replace({name: tensor})
            self.run.release()
        self.state = "dense"
