"""Where the bytes of a file went, in words: app and report say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from kencore.views.closeness import expected
from kencore.views.spent import PARTS as KINDS
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.views.spent import Spent

PARTS: Final = {
    "symbols": "symbols (levels, signs)",
    "scales": "scales",
    "values": "values as they are",
    "said": "names, hashes, configuration",
}
"""What bytes are, as a legend says it."""
REST: Final = "what every file says"
EXPLAINED: Final = (
    "Symbols say how far each weight moved, scales what a symbol is worth. Norms and biases take a byte a weight, or "
    "nothing where the base's do; what only the tuned model has, such as a new head, is stored as it is."
)


def expectation(measured: pd.DataFrame, size: float) -> str:
    """How near the answers of a file of so many bytes will come, by those of a model that were measured.

    Args:
        measured: `kencore.views.closeness.of_files`.
    """
    found = expected(measured, size)
    if found is not None:
        low, high = (wording.percent(share) for share in sorted(found.same))
        same = low if low == high else f"{low} to {high}"
        sizes = " and ".join(wording.size(one) for one in found.sizes)
        return f"Expect a KL of about {found.kl:.2g} nats and {same} same answers: between measured files of {sizes}."
    if len(measured) < 2:
        return "How near its answers will come shows once two sizes of this model are measured."
    sizes = f"{wording.size(measured['bytes'].min())} to {wording.size(measured['bytes'].max())}"
    return f"Files of this model were measured from {sizes}: of this size nothing is known yet."


def labels(roles: pd.DataFrame) -> list[str]:
    """The roles of `kencore.views.spent.by_role` as people read them, and behind them `REST`."""
    return [*(wording.ROLES_EXPLAINED.get(role, role) for role in roles["role"]), REST]


def table(found: Spent, roles: pd.DataFrame) -> pd.DataFrame:
    """Bytes of each line of `labels` (``what``), by `PARTS`."""
    bars = pd.DataFrame({"what": labels(roles)} | {part: [*roles[part], 0] for part in KINDS})
    return bars.assign(said=[*[0] * len(roles), found.files + found.said])


def finding(found: Spent, roles: pd.DataFrame) -> str:
    """The title of the picture: which part, and which role, takes most."""
    whole = found.whole
    sums = {name: int(found.matrices[name].sum()) for name in KINDS}
    sums["said"] = found.files + found.said
    part = max(sums, key=lambda name: sums[name])
    share = wording.percent(sums[part] / whole, 0)
    text = f"{wording.size(whole)}: {share} {PARTS[part].split(' (')[0]}"
    if roles.empty:
        return text
    top = roles.iloc[0]
    role = wording.ROLES_EXPLAINED.get(str(top["role"]), str(top["role"]))
    return f"{text}; most for {role} ({wording.percent(top['bytes'] / whole, 0)})"
