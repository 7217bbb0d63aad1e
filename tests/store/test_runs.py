"""Names of runs in lists."""

from __future__ import annotations

import pytest

from kencore.store.runs import describe


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ({"model": "demo", "method": "ken", "keep": 0.5}, "demo encoder · ken 50 %"),
        ({"model": "/data/bert-sst2", "method": "delta", "k": 40}, "bert-sst2 · delta k = 40"),
        (
            {"model": "/data/bert/tuned", "method": "random", "keep": 0.25, "scope": ["q", "down"]},
            "bert/tuned · random 25 % · q + down",
        ),
        ({"model": "tuned", "method": "ken", "keep": 1}, "tuned · ken 100 %"),
        ({"model": "org/name", "method": "ken", "k": 1, "scope": ["all"]}, "name · ken k = 1"),
    ],
)
def test_labels_say_model_method_and_budget(spec: dict[str, object], label: str) -> None:
    assert describe(spec) == label
