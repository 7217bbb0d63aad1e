"""What a picture of two runs' masks shows: which entries both, one or none keep, at any zoom.

At one weight per cell it is exact; a larger cell has the share of each. No torch.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kencore.runs import bits
from kencore.runs.run import Run
from kencore.views import window as views
from kencore.views.compare.masks import check_shape
from kencore.views.window import Window

Shares = dict[str, NDArray[np.float32]]


class _Both:
    """The entries that both of two runs keep, as far as `views.window` asks for the kept ones."""

    def __init__(self, a: Run, b: Run) -> None:
        self._a, self._b = a, b

    def shape(self, name: str) -> tuple[int, int]:
        return self._a.shape(name)

    def mask_bits(self, name: str, rows: slice = slice(None)) -> bits.Bits:
        return self._a.mask_bits(name, rows) & self._b.mask_bits(name, rows)

    def keep(self, name: str, rows: slice, columns: slice) -> NDArray[np.bool_]:
        return self._a.keep(name, rows, columns) & self._b.keep(name, rows, columns)


def window(run: Run, other: Run, name: str, **limits: Any) -> tuple[Window, Shares]:
    """A window of the layer ``overlap``, and the shares ``both``, ``only_a`` (``run``) and
    ``only_b`` (``other``) of each cell.

    Args:
        limits: r0, r1, c0, c1, max_rows and max_cols of `views.window`.

    Returns:
        The window's ``data`` is the share that only one of the two keeps, float32, and ``kept``
        that of ``run``.

    Raises:
        IncomparableRunsError: another shape.
        MatrixNotFoundError: no such pruned matrix in one of them, or a window outside of it.
    """
    check_shape(run, other, name)
    first, second = (views.window(of, name, "kept", **limits) for of in (run, other))
    both = views.window(cast(Run, _Both(run, other)), name, "kept", **limits)
    shares = {"both": both.kept, "only_a": first.kept - both.kept, "only_b": second.kept - both.kept}
    found = Window(
        layer="overlap",
        rows=first.rows,
        cols=first.cols,
        cell=first.cell,
        data=shares["only_a"] + shares["only_b"],
        kept=first.kept,
    )
    return found, shares


def kept_by_other(run: Run, other: Run, name: str, rows: slice, columns: slice) -> NDArray[np.uint8]:
    """Which entries of a window the other run keeps, (rows, columns) uint8 0/1. Raises as
    `window`."""
    check_shape(run, other, name)
    return other.keep(name, rows, columns).view(np.uint8)
