"""What ordered the codes of a run, in words: app, report and command line say the same. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kencore.settings.together import ORDERS

if TYPE_CHECKING:
    from kencore.runs.run import Run


def order_of(run: Run) -> str:
    """What ordered the codes of a run, of `kencore.settings.together.HARMS`; of older runs what was asked for."""
    asked = run.spec.harm if run.spec.evaluation is not None else "rule"
    return _said(run)[0] or asked


def ordered(run: Run) -> str:
    """What ordered the codes, and how near the other orders came where they were compared; "" where it is not told."""
    by, found = _said(run)
    if by is None:
        return ""
    text = f"Codes are ordered by {ORDERS[by]}"
    if by not in found or len(found) < 2:
        return f"{text}."
    others = " and ".join(f"{kl:.2g} by {ORDERS[name]}" for name, kl in found.items() if name != by)
    return f"{text}: at this size that came nearest on calibration text (KL {found[by]:.2g}; {others})."


def _said(run: Run) -> tuple[str | None, dict[str, float]]:
    """The order that the record names, of those that there are, and KL by order."""
    said = run.record.get("ordered")
    if not isinstance(said, dict) or said.get("by") not in ORDERS:
        return None, {}
    kl = said.get("kl")
    found = kl if isinstance(kl, dict) else {}
    return said["by"], {name: float(found[name]) for name in ORDERS if isinstance(found.get(name), int | float)}
