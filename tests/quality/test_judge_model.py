"""Where a judge's model lies before and after it is measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kencore.quality.judge_model import Judge


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_goes_back_to_main_memory_however_measuring_ends(fails: bool) -> None:
    moved: list[str] = []

    def quality(windows: Any, progress: Any) -> dict[str, Any]:
        moved.append("measured")
        if fails:
            raise ArithmeticError
        return {"nll": 1.0}

    model: Any = SimpleNamespace(model=SimpleNamespace(to=moved.append), quality=quality, device="cuda:0", pages=None)
    judge = Judge(model, None, rest="cpu")
    if fails:
        with pytest.raises(ArithmeticError):
            judge.quality()
    else:
        assert judge.quality() == {"nll": 1.0}
    assert moved == ["cuda:0", "measured", "cpu"]


def test_a_state_that_is_known_is_neither_brought_nor_measured() -> None:
    brought: list[str] = []
    model: Any = SimpleNamespace(
        model=SimpleNamespace(to=lambda device: None),
        quality=lambda data, progress: {"of": brought[-1]},
        device="cpu",
        pages=None,
    )
    judge = Judge(model, None)
    for key, name in ((("a",), "first"), (("a",), "again"), (None, "nameless"), (None, "nameless")):
        judge.figures(key, lambda _, name=name: brought.append(name), lambda *_: None)
    assert brought == ["first", "nameless", "nameless"]
    assert judge.known == {("a",): {"of": "first"}}
