"""The rule ``ken``, as published: github.com/itsmattei/KEN, with the roundings of numpy 2.

Per row of C values: bandwidth 1.06 * std * C ** (-1/5); a Gaussian density estimate at k points
of ``linspace(min, max, k)``, rounded to whole numbers; points visited by falling density (ties
left to right), each taking the nearest value not yet taken.
Published code differs: it keeps by value, so that ties keep too many and a kept 0.0 is lost, and
it crashes on a constant row and for k > C. Here entries are kept by index (lowest first among
equally near ones), a constant row keeps its first k, and a row of at most k values is kept whole.

Shapes: R rows, C columns.
"""

from __future__ import annotations

import numpy as np

from kencore.methods.chunks import Budget, Mask, Rows
from kencore.methods.ken.bandwidth import Float32, bandwidth, density_unit, tables, tame
from kencore.methods.keys import sorted_rows


class SortedRows:
    """Rows sorted, with their density at the coarse nodes: all that does not depend on k.

    About 8 bytes per entry plus, per row, 8 per node (32 to some 400 nodes).
    """

    def __init__(self, rows: Float32) -> None:
        """``rows``: finite float32 (R, C)."""
        from kencore.methods.ken import kernels as kernels_ken

        rows, _ = tame(rows)
        self._h = bandwidth(rows)
        self._unit = density_unit(self._h)
        self._values, self._columns = sorted_rows(rows)
        self._offsets = np.empty(len(rows) + 1, np.int64)
        self._widest = kernels_ken.node_offsets(self._values, self._h, self._offsets)
        self._nodes = kernels_ken.coarse_nodes(self._values, self._h, self._offsets, self._widest, tables())

    def keep(self, budget: Budget) -> Mask:
        """The keep mask (R, C) for ``budget`` (R,), 1 <= budget <= C."""
        from kencore.methods.ken import kernels as kernels_ken

        keep = np.zeros(self._values.shape, np.bool_)
        kernels_ken.keep_sorted(
            self._values,
            self._columns,
            self._h,
            self._unit,
            self._offsets,
            self._widest,
            self._nodes,
            budget,
            tables(),
            keep,
        )
        return keep


def ken(rows: Rows) -> SortedRows:
    """Keep what an evenly spaced grid over the row's range takes, densest points first."""
    return SortedRows(rows.as_float32())
