"""Where the model lies before and after it is measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kencore.pruning.workbench import Workbench


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_goes_back_to_main_memory_however_measuring_ends(fails: bool) -> None:
    moved: list[str] = []

    def quality(windows: Any, progress: Any = None) -> dict[str, Any]:
        assert bench.language.device == "cuda:0"
        moved.append("measured")
        if fails:
            raise ArithmeticError
        return {"nll": 1.0}

    bench = Workbench.__new__(Workbench)
    bench.device = "cuda:0"
    fake: Any = SimpleNamespace(model=SimpleNamespace(to=moved.append), quality=quality, device="cpu")
    bench.language = fake
    if fails:
        with pytest.raises(ArithmeticError):
            bench.quality(None)  # type: ignore[arg-type]
    else:
        assert bench.quality(None) == {"nll": 1.0}  # type: ignore[arg-type]
    assert moved == ["cuda:0", "measured", "cpu"]
