"""``cells.parquet``: what a run that ships without its masks keeps of them, enough for pictures from afar.

One line per pruned matrix. A cell is h x w weights, both powers of two, and the last cells may be cut short.
No torch.

Shapes: R rows (outputs), C columns (inputs) of a matrix.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kencore.errors import ThinRunError
from kencore.runs import CELLS, bits
from kencore.runs.extras import Norms
from kencore.runs.reading import corrupt
from kencore.settings.demo import DEMOS
from kencore.settings.packaged import PACKAGED
from kencore.system.plain_parquet import read_parquet

if TYPE_CHECKING:
    from kencore.runs.run import Run

MOST: Final = 64  # cells down and across
DIGITS: Final = 12  # bits of a norm's fraction that are stored: 0.02 %
COLUMNS: Final = pa.schema(
    [
        ("name", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("counts", pa.list_(pa.int32())),  # kept weights of each cell, row by row of cells
        ("kept", pa.list_(pa.int32())),  # of each row (R,)
        ("dense_norm", pa.list_(pa.float32())),  # of each input (C,), where the run recorded them
        ("sparse_norm", pa.list_(pa.float32())),
    ]
)


class Cells:
    """The file of one run, read when something of it is asked for.

    Raises, in all methods:
        CorruptRunError: it cannot be read, or does not know the matrix.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def _lines(self) -> dict[str, dict[str, Any]]:
        try:
            table = read_parquet(self.folder / CELLS).select(COLUMNS.names).cast(COLUMNS)
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise corrupt(self.folder, f"{CELLS} cannot be read ({error})") from error
        names = table["name"].to_pylist()
        return {name: {"table": table, "at": at} for at, name in enumerate(names)}

    @property
    def names(self) -> list[str]:
        """The matrices that it knows."""
        return list(self._lines)

    def counts(self, name: str, shape: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.int32]]:
        """A cell (h, w), and the kept weights of each of a matrix's cells, (ceil(R / h), ceil(C / w))."""
        cell = int(self._value(name, "height") or 0), int(self._value(name, "width") or 0)
        if min(cell) < 1:
            raise corrupt(self.folder, f"{CELLS} has cells of {cell[0]} x {cell[1]} weights of {name}")
        down, across = -(-shape[0] // cell[0]), -(-shape[1] // cell[1])
        found = self._array(name, "counts", np.int32)
        if len(found) != down * across:
            raise corrupt(self.folder, f"{CELLS} has other cells of {name} than its shape asks for")
        return cell, found.reshape(down, across)

    def kept(self, name: str) -> NDArray[np.int32]:
        """Kept weights of each row (R,)."""
        return self._array(name, "kept", np.int32)

    def norms(self, name: str) -> Norms | None:
        """Input norms (C,) in the dense and in the pruned model; ``None`` where there are none."""
        if self._value(name, "dense_norm") is None:
            return None
        return self._array(name, "dense_norm", np.float32), self._array(name, "sparse_norm", np.float32)

    def _value(self, name: str, column: str) -> Any:
        if name not in self._lines:
            raise corrupt(self.folder, f"{CELLS} knows no matrix {name}")
        line = self._lines[name]
        return line["table"][column][line["at"]].as_py()

    def _array(self, name: str, column: str, dtype: type[np.generic]) -> NDArray[Any]:
        try:
            return np.array(self._value(name, column), dtype)
        except (TypeError, ValueError) as error:  # nothing there, or a gap in a list
            raise corrupt(self.folder, f"{CELLS} lacks {column} of {name}") from error


def write_cells(run: Run, folder: Path, *, most: int = MOST, norms: bool = True) -> None:
    """Write the file for a run that has its masks.

    Args:
        run: a whole run.
        folder: where to.
        most: cells down and across a matrix.
        norms: also the input norms, as exact as `DIGITS` says.
    """
    table = pa.Table.from_pylist(list(_written(run, most, norms)), schema=COLUMNS)
    pq.write_table(table, folder / CELLS, compression="zstd", compression_level=19)


def _written(run: Run, most: int, norms: bool) -> Iterator[dict[str, Any]]:
    for name in run.pruned:
        shape, packed = run.shape(name), run.mask_bits(name)
        cell = cell_of(shape, most)
        found = run.activation_norms(name) if norms else None
        yield {
            "name": name,
            "height": cell[0],
            "width": cell[1],
            "counts": bits.kept_per_cell(packed, shape[1], cell).ravel(),
            "kept": bits.kept_per_row(packed),
            "dense_norm": None if found is None else _short(found[0]),
            "sparse_norm": None if found is None else _short(found[1]),
        }


def cell_of(shape: tuple[int, int], most: int) -> tuple[int, int]:
    """The smallest powers of two (h, w) with at most ``most`` x ``most`` cells."""
    sides = [1, 1]
    for axis, length in enumerate(shape):
        while -(-length // sides[axis]) > most:
            sides[axis] *= 2
    return sides[0], sides[1]


def _short(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers rounded to so many bits that they take little room once compressed."""
    fraction, exponent = np.frexp(values)
    found: NDArray[np.float32] = np.ldexp(np.round(np.ldexp(fraction, DIGITS)), exponent - DIGITS).astype(np.float32)
    return found


def thin_error(run: Run, what: str) -> ThinRunError:
    """The error for what needs the masks of a run that ships without them.

    Args:
        what: was asked for.
    """
    package = PACKAGED.get(run.spec.model)
    first = "" if package is None else f"{package.install}, then "
    remedy = f"Make it whole on this machine: {first}python -m kencore gallery {run.id} --whole."
    if package is None and run.spec.model not in DEMOS:
        remedy = "Its tuned model is not published: look at single weights of another run."
    return ThinRunError(
        what, got=f"the run {run.id}, which ships without its masks and weights", wanted="a whole run", remedy=remedy
    )
