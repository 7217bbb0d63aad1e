"""Runs that ship without their masks: what they keep is what the whole run says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kencore.errors import CorruptRunError, ThinRunError
from kencore.exports.subnetwork.plan import known_bytes
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.runs.run import Run, open_run
from kencore.runs.texts import Continued, read_texts, write_texts
from kencore.runs.thin import thinned
from kencore.views import tiles
from kencore.views.window import window
from tests.support.runs import make_run


@pytest.fixture(scope="module")
def whole() -> Run:
    return open_run("demo-lm")


@pytest.fixture(scope="module")
def thin(whole: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return thinned(whole, tmp_path_factory.mktemp("runs") / "thin")


def test_cells_count_what_masks_hold(whole: Run, thin: Run) -> None:
    assert thin.thin
    assert not whole.thin
    for name in whole.pruned:
        keep = whole.keep(name)
        (height, width), counts = thin.stored_cells.counts(name, whole.shape(name))
        assert max(counts.shape) <= 64
        assert counts[-1, -1] == keep[(len(counts) - 1) * height :, (counts.shape[1] - 1) * width :].sum()
        assert counts.sum() == keep.sum()
        np.testing.assert_array_equal(thin.rows(name)["kept"], keep.sum(axis=1))


def test_windows_are_exact_down_to_the_cells(whole: Run, thin: Run) -> None:
    name = whole.pruned[0]
    cell = thin.stored_cells.counts(name, thin.shape(name))[0]
    larger = cell[0] * 2, cell[1] * 2
    for size in (cell, larger):
        np.testing.assert_array_equal(
            window(thin, name, "kept", cell=size).count, window(whole, name, "kept", cell=size).count
        )
    for seen, wanted in zip(tiles.atlas(thin), tiles.atlas(whole), strict=True):
        assert (seen.name, seen.cell) == (wanted.name, wanted.cell)
        np.testing.assert_array_equal(seen.share, wanted.share)


def test_finer_than_the_cells_is_refused_with_the_command(thin: Run) -> None:
    name = thin.pruned[0]
    for ask in (lambda: thin.keep(name), lambda: window(thin, name, "kept", cell=(1, 1)), thin.apply):
        with pytest.raises(ThinRunError, match="kencore gallery thin --whole"):
            ask()


def test_norms_are_close(whole: Run, thin: Run) -> None:
    for name in whole.pruned[:3]:
        before, after = whole.activation_norms(name), thin.activation_norms(name)
        assert before is not None
        assert after is not None
        for a, b in zip(before, after, strict=True):
            np.testing.assert_allclose(b, a, rtol=2.5e-4)


def test_the_size_of_its_file_stays_known(tmp_path: Path) -> None:
    whole = make_run(tmp_path / "whole", method="delta")
    size = known_bytes(whole)
    assert size == write_subnetwork(whole, tmp_path / "file").stat().st_size
    assert known_bytes(thinned(whole, tmp_path / "thin")) is None
    told = thinned(whole, tmp_path / "told", size=size)
    assert known_bytes(told) == size
    assert told.record == {**whole.record, "subnetwork_bytes": size}


def test_it_is_small(whole: Run, thin: Run) -> None:
    sizes = [sum(file.stat().st_size for file in run.path.iterdir()) for run in (whole, thin)]
    assert sizes[1] < sizes[0] / 3


def test_cells_of_another_run_are_refused(thin: Run, tmp_path: Path) -> None:
    other = thinned(open_run("demo"), tmp_path / "other")
    (other.path / "cells.parquet").write_bytes((thin.path / "cells.parquet").read_bytes())
    with pytest.raises(CorruptRunError, match="cells and the table of matrices disagree"):
        Run(other.path)


def test_texts_come_back(tmp_path: Path) -> None:
    texts = (Continued(text="a", dense=("b", "ü"), pruned=("b",), departs=1),)
    write_texts(tmp_path, texts)
    assert read_texts(tmp_path) == texts
    (tmp_path / "texts.json").write_text('{"version": 1, "texts": [{"text": "a"}]}')
    with pytest.raises(CorruptRunError, match=r"texts\.json"):
        read_texts(tmp_path)


@pytest.mark.parametrize(
    ("column", "damage"),
    [
        ("height", lambda value: 0),
        ("width", lambda value: None),
        ("counts", lambda value: value[1:]),
        ("counts", lambda value: [None, *value[1:]]),
        ("kept", lambda value: value[1:]),
        ("kept", lambda value: None),
    ],
)
def test_cells_that_are_damaged_are_told(thin: Run, tmp_path: Path, column: str, damage: Callable[[Any], Any]) -> None:
    folder = shutil.copytree(thin.path, tmp_path / "other")
    table = pq.read_table(thin.path / "cells.parquet")
    lines = [line | {column: damage(line[column])} for line in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(lines, schema=table.schema), folder / "cells.parquet")
    name, other = thin.pruned[0], Run(folder)
    with pytest.raises(CorruptRunError):
        (other.stored_cells.counts(name, thin.shape(name)), other.rows(name))
