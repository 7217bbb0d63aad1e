"""Where and when a run was made, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kencore.errors import CorruptRunError, SchemaError
from kencore.words import numbers as wording
from kencore.words import run as facts

if TYPE_CHECKING:
    from kencore.runs.run import Run


def origin(run: Run) -> dict[str, str]:
    """What a reader asks first: when, how long, where, what was pruned, with which seed, and on
    what text activations were taken."""
    record = run.record
    said = {
        "Made": f"{str(record.get('created', ''))[:19].replace('T', ' ')} UTC",
        "Took": wording.seconds(float(record.get("seconds") or 0)),
        "On": str(record.get("device", "unknown")),
        "Pruned": facts.scope(run.spec),
        "Seed": str(run.spec.seed),
    }
    return said | ({"Calibrated on": calibrated(run)} if run.spec.streams else {})


def calibrated(run: Run) -> str:
    """The text that activations came from, and how much of it."""
    spec = run.spec
    found = _trace(run).get("calibration") or {}
    window = found.get("window") or spec.window
    length = f" of {wording.exact(window)} tokens" if window else ""
    text = wording.text_source(spec.calibration)
    return f"{text}, {wording.plural(spec.sequences, 'sequence')}{length}"


def _trace(run: Run) -> dict[str, Any]:
    try:
        return run.trace or {}
    except (CorruptRunError, SchemaError):  # the Sparsity page says so
        return {}
