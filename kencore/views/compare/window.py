"""What a picture of two runs' masks shows: which entries both, one or none keep, at any zoom.

At one weight per cell it is exact; a larger cell has the share of each. No torch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kencore.runs import bits
from kencore.runs.run import Run
from kencore.views import window as views
from kencore.views.compare.masks import check_shape
from kencore.views.tiles import count_bits, kept_counts
from kencore.views.window import Window

Shares = dict[str, NDArray[np.float32]]


class _Both:
    """The entries that both of two runs keep."""

    def __init__(self, a: Run, b: Run) -> None:
        self._a, self._b = a, b

    def shape(self, name: str) -> tuple[int, int]:
        return self._a.shape(name)

    def mask_bits(self, name: str, rows: slice = slice(None)) -> bits.Bits:
        return self._a.mask_bits(name, rows) & self._b.mask_bits(name, rows)

    def keep(self, name: str, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.bool_]:
        return self._a.keep(name, rows, columns) & self._b.keep(name, rows, columns)


def window(
    run: Run,
    other: Run,
    name: str,
    r0: int = 0,
    r1: int | None = None,
    c0: int = 0,
    c1: int | None = None,
    *,
    cell: tuple[int, int] = (1, 1),
) -> tuple[Window, Shares]:
    """A window of the layer ``overlap``, as `views.window`, and the shares ``both``, ``only_a``
    (``run``) and ``only_b`` (``other``) of each cell.

    Returns:
        The window's ``data`` is the share that only one of the two keeps, float32, and ``count``
        what ``run`` keeps.

    Raises:
        IncomparableRunsError: another shape.
        MatrixNotFoundError: no such pruned matrix in one of them, or a window outside of it.
    """
    check_shape(run, other, name)
    rows, cols = views.edges(run, name, (r0, r1), (c0, c1), cell)
    first, second = (kept_counts(of, name, cell, rows, cols) for of in (run, other))
    both = count_bits(_Both(run, other), name, cell, rows, cols)
    sizes = bits.cell_sizes(rows.stop - rows.start, cols.stop - cols.start, cell)
    counts = {"both": both, "only_a": first - both, "only_b": second - both}
    shares = {who: (count / sizes).astype(np.float32) for who, count in counts.items()}
    found = Window(
        layer="overlap",
        rows=(rows.start, rows.stop),
        cols=(cols.start, cols.stop),
        cell=cell,
        data=shares["only_a"] + shares["only_b"],
        count=first,
    )
    return found, shares


def kept_by_other(run: Run, other: Run, name: str, rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Which entries of a window the other run keeps, (rows, columns) uint8 0/1. Raises as
    `window`.
    """
    check_shape(run, other, name)
    return other.keep(name, rows, columns).view(np.uint8)
