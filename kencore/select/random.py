"""The rule ``random``: a budget's worth of entries of each row, each set as likely as any other.

One stream per matrix; a chunk jumps to its place in it, so chunks and threads change nothing.
"""

from __future__ import annotations

import numpy as np

from kencore.select.chunks import Rows
from kencore.select.keys import Ordered, with_columns


def random(rows: Rows) -> Ordered:
    """Keep the entries that drew the smallest of 32-bit numbers. The weights are not looked at."""
    assert rows.seed is not None
    height, columns = rows.tuned.shape
    stream = np.random.PCG64(rows.seed).advance(rows.first * columns)
    draws = stream.random_raw(height * columns).reshape(height, columns)  # (R, C)
    return Ordered(with_columns((draws >> np.uint64(32)).astype(np.uint32)))
