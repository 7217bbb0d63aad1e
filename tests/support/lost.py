"""What a run says it lost, against its weights."""

from __future__ import annotations

import numpy as np
import pytest

from kencore.runs.run import Run


def check_lost(run: Run) -> None:
    """``diff_lost`` of every pruned matrix is sum((tuned - pruned)^2) / sum((tuned - base)^2)."""
    assert run.pruned
    for name in run.pruned:
        tuned, base, pruned = (run.values(name, which).astype(np.float64) for which in ("tuned", "base", "pruned"))
        wanted = np.square(tuned - pruned).sum() / np.square(tuned - base).sum()
        assert run.matrix(name)["diff_lost"] == pytest.approx(wanted, rel=1e-4)
