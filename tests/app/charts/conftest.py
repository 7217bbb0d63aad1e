"""Data for charts: small tables and a row, made by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kencore.views import tables as summaries


def line(name: str, block: int | None, role: str, **rest: object) -> dict[str, object]:
    """One line of a run's table of matrices, pruned, 4 x 5 with 10 kept."""
    return {
        "name": name,
        "block": block,
        "stack": "blocks" if block is not None else "",
        "role": role,
        "rows": 4,
        "cols": 5,
        "params": 20,
        "status": "pruned",
        "reason": "",
        "kept": 10,
        "diff_rms": 0.1,
        "diff_share_kept": 0.5,
        "diff_lost": 0.5,
        "part": "attention",
    } | rest


@pytest.fixture
def matrices() -> pd.DataFrame:
    """Two blocks with q and k, embeddings and a head that was not pruned."""
    return pd.DataFrame(
        [
            line("embed", None, "embedding", params=100, kept=40, diff_rms=0.3),
            line("layer.0.q", 0, "q"),
            line("layer.0.k", 0, "k", kept=5, diff_share_kept=0.2, diff_lost=0.8),
            line("layer.1.q", 1, "q", diff_rms=0.2),
            line("layer.1.k", 1, "k"),
            line(
                "head",
                None,
                "head",
                status="unprunable",
                reason="no base",
                kept=20,
                diff_rms=np.nan,
                diff_share_kept=np.nan,
                diff_lost=np.nan,
            ),
        ]
    )


@pytest.fixture
def cells(matrices: pd.DataFrame) -> pd.DataFrame:
    return summaries.model_cells(matrices)


@pytest.fixture
def row() -> np.ndarray:
    return np.random.default_rng(5).normal(scale=0.05, size=64).astype(np.float32)
