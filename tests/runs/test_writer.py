"""What a run's writer refuses, and what it writes for numbers that JSON has not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kencore.runs.writer import RunWriter

SHAPES = {"b": (2, 3), "a": (4, 5)}


def lines(*names: str) -> list[dict[str, Any]]:
    left_alone = {"name": "norm", "status": "untouched"}
    return [left_alone, *({"name": name, "status": "pruned"} for name in names)]


@pytest.mark.parametrize("names", [("a", "b"), ("b",), ("b", "a", "c")])
def test_lines_come_in_the_order_of_the_matrices(tmp_path: Path, names: tuple[str, ...]) -> None:
    out = tmp_path / "run"
    with pytest.raises(ValueError, match="order"), RunWriter(out, SHAPES) as writer:
        writer.add_matrices(lines(*names))
    assert list(tmp_path.iterdir()) == []


def test_json_has_no_nan(tmp_path: Path) -> None:
    data = {"costs": [1.5, float("nan")], "row": {"best": float("inf")}, "pair": (1, None, "x")}
    with RunWriter(tmp_path / "run", SHAPES) as writer:
        assert writer.folder is not None
        writer.add_json("trace.json", data)
        text = (writer.folder / "trace.json").read_text()

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(text, parse_constant=refuse) == {
        "costs": [1.5, None],
        "row": {"best": None},
        "pair": [1, None, "x"],
    }
