"""What a tuned run says of how it came to be: ``tuning.json`` and ``record.json``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from kencore.runs.lines import PACKAGES
from kencore.system import schema

if TYPE_CHECKING:
    from kencore.recovery.data import Material
    from kencore.recovery.loop import State
    from kencore.runs.run import Run
    from kencore.settings.recover import RecoverSpec

STEPS = ("dense", "untuned", "tuned")


def tuning_facts(
    parent: Run,
    asked: RecoverSpec,
    spec: RecoverSpec,
    material: Material,
    state: State,
    *,
    gap: Mapping[str, Any],
    seconds: Mapping[str, float],
    device: str,
    steps_asked: int,
    steps_of_an_epoch: int,
    trained: int,
    fixed: Sequence[str],
) -> dict[str, Any]:
    """The content of ``tuning.json``.

    Args:
        asked, spec: as asked, and with the defaults of the task filled in.
        gap: see `kencore.recovery.gap.gap_of`, with the figures, by step: dense, untuned, tuned.
        trained: how many entries could move.
        fixed: stored names that were held because the model has them in no parameter of their own.
    """
    from kencore._version import __version__

    return {
        "version": schema.current("tuning"),
        "asked": asdict(asked),
        "spec": asdict(spec),
        "parent": {"id": parent.id, "folder": str(parent.path.resolve())},
        "task": "language" if "nll" in gap["dense"]["train"] else "classification",
        **material.facts(),
        "steps": state.step,
        "steps_asked": steps_asked,
        "steps_of_an_epoch": steps_of_an_epoch,
        "stopped_early": state.stopped,
        "best_step": state.best_step,
        "best_held_out_loss": state.best_loss,
        "trained": trained,
        "curve": state.curve,
        "gap": {step: gap[step] for step in STEPS},
        "seconds": {name: round(value, 3) for name, value in seconds.items()}
        | {"training": round(state.seconds, 3)},  # of every attempt together
        "device": device,
        "versions": {"kencore": __version__} | {name: version(name) for name in PACKAGES},
        "notes": _notes(parent, material, state, fixed),
    }


def tuning_record(parent: Run, told: Mapping[str, Any], started: float) -> dict[str, Any]:
    """The content of ``record.json``; ``started`` is what `time.monotonic` said at the start."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": round(time.monotonic() - started, 3),
        "seconds_by_matrix": {},
        "device": told["device"],
        "sources": parent.record["sources"],
        "notes": [*parent.record.get("notes", []), *told["notes"]],
        "tuned": {"from": parent.id, "steps": told["steps"], "best_step": told["best_step"]},
    }


def _notes(parent: Run, material: Material, state: State, fixed: Sequence[str]) -> list[str]:
    notes = list(material.notes)
    if not state.best_step:
        notes.append("No step lowered the held-out loss: the weights are unchanged.")
    if fixed:
        more = f" and {len(fixed) - 3} more" if len(fixed) > 3 else ""
        notes.append(
            "Left unchanged, because the loaded model has no parameter of its own for them: "
            f"{', '.join(fixed[:3])}{more}."
        )
    if (parent.path / "activations.safetensors").is_file():
        notes.append("Input norms were measured before recovery and were not copied.")
    return notes
