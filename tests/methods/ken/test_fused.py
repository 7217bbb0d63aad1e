"""The kernels of Triton for KEN: the same masks, in Triton's interpreter; without them torch's own path."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from kencore.methods.ken import cuda

SCRIPT = """
import numpy as np
import torch
from kencore.methods.ken import cuda, fused
from kencore.methods.select import select_batched, select_rows

used = []
def on_a_card(name, batched, rows, *rest):
    used.append(name)
    return getattr(fused, name)(rows, *rest)
cuda._fused_or = on_a_card
rng = np.random.default_rng(0)
for rows, columns in ((1, 1), (3, 2), (5, 31), (4, 128), (2, 700)):
    drawn = rng.standard_normal((rows, columns)).astype(np.float32)
    for weight in (drawn, np.rint(drawn), drawn * 1e-30, drawn * 5e37, np.zeros_like(drawn)):
        k = rng.integers(1, columns + 1, rows)
        for rule in ("ken", "ken-density"):
            found = select_batched(torch.from_numpy(weight), None, k, rule).numpy()
            assert np.array_equal(found, select_rows(weight, None, k, rule)), (rule, weight.shape, k)
assert set(used) == {"take_nearest", "kernel_sums"}
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: pip install triton")
def test_the_masks_are_those_of_the_compiled_path() -> None:
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, check=False)
    assert found.returncode == 0, found.stderr


class OnACard:
    """Rows that say they lie on a card."""

    is_cuda, shape = True, (2, 3)

    def __len__(self) -> int:
        return self.shape[0]


def test_a_kernel_that_fails_is_told_once_and_torch_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def fails(rows: Any) -> Any:
        tried.append(rows)
        raise RuntimeError("no C compiler")

    rows: Any = OnACard()
    monkeypatch.setattr(cuda, "_kernels", lambda: SimpleNamespace(take_nearest=fails, WIDEST=3))
    monkeypatch.setattr(cuda, "_failed", [])
    with pytest.warns(UserWarning, match="take_nearest failed, torch's own run in its place: no C compiler"):
        assert cuda._fused_or("take_nearest", lambda found: found, rows) is rows  # type: ignore[arg-type, misc]
    assert cuda._fused_or("take_nearest", lambda found: found, rows) is rows  # type: ignore[arg-type, misc]
    assert tried == [rows]


def test_a_card_without_memory_is_no_failed_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(rows: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(cuda, "_kernels", lambda: SimpleNamespace(take_nearest=full, WIDEST=3))
    rows: Any = OnACard()
    with pytest.raises(torch.OutOfMemoryError):
        cuda._fused_or("take_nearest", lambda found: found, rows)  # type: ignore[arg-type, misc]
    assert cuda._failed == []


def test_too_wide_a_row_and_another_device_take_the_batched_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "_kernels", lambda: SimpleNamespace(WIDEST=2))
    for rows in (OnACard(), torch.from_numpy(np.zeros((2, 2), np.float32))):
        assert cuda._fused_or("take_nearest", lambda found: found, rows) is rows  # type: ignore[arg-type, misc]
