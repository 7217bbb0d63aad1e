"""The states that a run is measured in: the dense model, its base, the pruned one, and other rules at its budget."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from kencore.methods.table import rules
from kencore.quality.baselines import baseline_names, baseline_rule
from kencore.quality.judge_model import Bring, Judge, Key
from kencore.quality.states import State, base_state, baseline_state, pruned_state, untuned_state
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.runs.run import Run

States = dict[str, tuple[Key | None, Bring]]
"""By name: what the figures depend on, and what puts the judge's model into the state."""


def states_of(
    judge: Judge, run: Run, *, baselines: bool, threads: int | None, before: Run | None = None
) -> tuple[States, list[str]]:
    """What a run is measured in, and which of it is not a baseline; arguments as of `kencore.quality.judge.measure`."""
    steps = _steps(run, before)
    own = list(steps)
    if baselines:
        steps |= {rule: partial(baseline_state, run, rule, threads) for rule in baseline_steps(run)}
    return {step: (judge.key_of(run, step), _bringing(judge, run, state)) for step, state in steps.items()}, own


def baseline_steps(run: Run) -> list[str]:
    """The baselines that need no activations: the others are measured while pruning alone."""
    return [n for n in baseline_names(run.spec) if baseline_rule(n)[0] in rules()]


def _steps(run: Run, before: Run | None) -> dict[str, Callable[[], State]]:
    """What every run is measured in, and the parameters that then differ from the checkpoint."""
    steps: dict[str, Callable[[], State]] = {"dense": lambda: iter(())}
    if run.spec.restore == "base":
        steps["base"] = partial(base_state, run)
    steps["pruned"] = partial(pruned_state, run)
    if before is not None:
        steps["untuned"] = partial(untuned_state, run, before)
    return steps


def _bringing(judge: Judge, run: Run, state: Callable[[], State]) -> Bring:
    def bring(_: Progress) -> None:
        judge.bring(run.tuned_tensors, state())
        run.release()

    return bring
