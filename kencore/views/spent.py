"""Where the bytes of a subnetwork file go: by matrix, and by what they are.

From the plan of the file, so it adds up to the file itself. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from kencore.checkpoint.header import BITS
from kencore.codes.table import parts_of
from kencore.exports.subnetwork.plan import plan, subnetwork_bytes
from kencore.runs.reading import corrupt
from kencore.views.tables import role_rank

if TYPE_CHECKING:
    from kencore.exports.subnetwork.records import Stored
    from kencore.runs.run import Run

PARTS: Final = ("symbols", "scales", "values")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Bytes of a subnetwork file.

    Attributes:
        matrices: a line for each tensor that takes any: ``name stack block role params symbols scales values bytes``;
            ``values`` are stored as they are, with a mask where not all are.
        files: deflated configuration and tokenizer.
        said: names, hashes and everything else that the file says of itself.
    """

    matrices: pd.DataFrame
    files: int
    said: int

    @property
    def whole(self) -> int:
        """Bytes of the file."""
        return int(self.matrices["bytes"].sum()) + self.files + self.said


def spent(run: Run) -> Spent:
    """Where the bytes of a run's subnetwork file go.

    Raises:
        SourceNotFoundError: a checkpoint that the run was made from is gone.
        CorruptRunError: a code cannot be read.
    """
    content, packed = plan(run)
    lines = {str(line["name"]): line for line in run.matrices.to_dict("records")}
    found: list[dict[str, Any]] = []
    for name, stored in content.tensors.items():
        owner = name if name in lines else run.owner(name)
        line = lines.get(str(owner))
        parts = _parts(run, str(owner), stored)
        size = sum(parts.values())
        if line is not None and size:
            place = {key: line[key] for key in ("stack", "block", "role", "params")}
            found.append({"name": name, **place, **parts, "bytes": size})
    columns = ["name", "stack", "block", "role", "params", *PARTS, "bytes"]
    table = pd.DataFrame(found, columns=columns)
    files = sum(map(len, packed.values()))
    return Spent(matrices=table, files=files, said=subnetwork_bytes(run) - files - int(table["bytes"].sum()))


def by_role(found: Spent) -> pd.DataFrame:
    """Bytes of each role, ``role symbols scales values bytes``, the most first."""
    summed = found.matrices.groupby("role", sort=False)[[*PARTS, "bytes"]].sum().reset_index()
    ranks = summed["role"].map(role_rank)
    return summed.assign(rank=ranks).sort_values(["bytes", "rank"], ascending=[False, True]).drop(columns="rank")


def _parts(run: Run, owner: str, stored: Stored) -> dict[str, int]:
    none = dict.fromkeys(PARTS, 0)
    if stored.how == "coded":
        try:
            return none | parts_of(run.codes[owner])
        except (KeyError, ValueError) as error:
            raise corrupt(run.path, f"the code of {owner} cannot be read ({error})") from error
    if stored.how == "dense":
        return none | {"values": stored.nbytes}
    if stored.how == "values":
        kept: Any = stored.kept
        return none | {"values": -(-stored.size // 8) + int(kept) * BITS[stored.dtype] // 8}
    return none
