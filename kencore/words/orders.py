"""What ordered the codes of a run, in words: app, report and command line say the same. Light to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kencore.settings.together import ORDERS

if TYPE_CHECKING:
    from kencore.runs.run import Run


def ordered(run: Run) -> str:
    """What ordered the codes, and how near the other orders came where they were compared; "" where it is not told."""
    said = run.record.get("ordered") or {}
    by = said.get("by")
    if by not in ORDERS:
        return ""
    text = f"Codes are ordered by {ORDERS[by]}"
    found = {name: kl for name in ORDERS if (kl := (said.get("kl") or {}).get(name)) is not None}
    if len(found) < 2 or by not in found or said.get("bits") is None:
        return f"{text}."
    others = " and ".join(f"{kl:.2g} by {ORDERS[name]}" for name, kl in found.items() if name != by)
    where = "other calibration text" if said.get("fresh") else "the text that ordered them"
    came = "that came nearest" if found[by] == min(found.values()) else "no other came nearer beyond chance"
    return f"{text}: at {said['bits']:.3g} bits per weight {came} on {where} (KL {found[by]:.2g}; {others})."
