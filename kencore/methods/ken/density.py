"""The rule ``ken-density``: what the paper's words describe, not what its code does.

Keep the k entries of a row where its own density estimate (bandwidth as in `ken`) is highest.
Densities are compared to 2**-31 of the peak of one kernel, so that equal ones are ties (lowest
column first) and not ordered by float64 noise.
"""

from __future__ import annotations

import numpy as np

from kencore.methods.chunks import Rows
from kencore.methods.ken.bandwidth import bandwidth, fine_unit, tables, tame
from kencore.methods.keys import Ordered, sorted_rows, with_columns


def ken_density(rows: Rows) -> Ordered:
    """Keep the entries of highest density; a constant row keeps its first."""
    from kencore.methods.ken import kernels as kernels_ken

    tamed, _ = tame(rows.as_float32())
    h = bandwidth(tamed)
    values, columns = sorted_rows(tamed)
    widest = kernels_ken.node_offsets(values, h, np.empty(len(h) + 1, np.int64))
    ranks = np.zeros(tamed.shape, np.uint32)
    kernels_ken.density_ranks(values, columns, h, fine_unit(h), widest, tables(), ranks)
    return Ordered(with_columns(ranks))
