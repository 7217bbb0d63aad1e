"""A folder that is damaged is named with its problem; the others are listed as ever."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.requests import Request

from app.data import answers
from app.frame import state
from kencore.errors import CorruptRunError, KencoreError, RunNotFoundError, SweepNotFoundError
from kencore.runs.run import Run, open_run
from kencore.runs.shelf import find_run, find_stored_run, list_runs
from kencore.settings.sweep import SweepSpec
from kencore.sweeps import journal
from kencore.sweeps.shelf import list_sweeps, open_sweep
from kencore.system.places import assets_folder, runs_folder, sweeps_folder
from kencore.system.plain_json import DEEPEST, fits, parse_json, read_json
from kencore.views.tables import totals
from kencore.words import cards
from kencore.words import run as facts
from kencore.words.verdict import verdict
from tests.faults import mutate

DAMAGE: dict[str, bytes] = {
    "deep": b"[" * 100_000,
    "deep and whole": b'{"a":' * 900 + b"1" + b"}" * 900,
    "half a character": b'{"created": "\\ud800", "spec": {"model": "\\ud800"}}',
    "no text": b"\xff\xfe\x00",
    "another type": b"[1, 2]",
    "a huge number": b'{"version": ' + b"9" * 5000 + b"}",
    "beyond 64 bits": b'{"version": 99999999999999999999999}',
    "empty": b"",
    "cut off": b'{"spec": {"model": "x"',
    "wrong inside": b'{"created": 5, "sources": 3, "spec": [], "tuned": "x", "notes": 1, "dense": 3, "fingerprint": 1}',
}


def copied(name: str, shipped: str = "run") -> Path:
    """A run of the store like one of the demos."""
    return shutil.copytree(assets_folder() / "demo" / shipped, runs_folder() / name)


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
@pytest.mark.parametrize("file", ["record.json", "spec.json", "metrics.json", "trace.json"])
def test_a_broken_run_never_hides_the_others(file: str, damage: str) -> None:
    copied("good")
    bad = copied("bad", "run-lm")
    (bad / file).write_bytes(DAMAGE[damage])
    listed = {run.id: run for run in list_runs()}
    assert {"demo", "demo-lm", "good", "bad"} <= set(listed)
    assert listed["good"].problem is None
    if file in ("record.json", "spec.json"):
        assert listed["bad"].problem
        assert not [run for run in listed.values() if "\ud800" in f"{run.label}{run.created}"]
    with pytest.raises(CorruptRunError):
        _ = open_run("bad").trace


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_broken_sweep_never_hides_the_others(damage: str) -> None:
    for name in ("bad", "link"):
        (sweeps_folder() / name).mkdir()
    spec = SweepSpec(model="demo", keeps=(0.5,))
    good = sweeps_folder() / spec.id
    good.mkdir()
    asked = {"version": 1, "spec": json.loads(spec.to_json()), "created": "2026-01-01"}
    (good / "sweep.json").write_text(json.dumps(asked))
    (sweeps_folder() / "bad" / "sweep.json").write_bytes(DAMAGE[damage])
    listed = {sweep.id: sweep.problem for sweep in list_sweeps()}
    assert listed[spec.id] is None
    assert listed["bad"]
    with pytest.raises(KencoreError):
        open_sweep("bad")


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_line_of_a_journal_that_cannot_be_read_is_passed_over(damage: str, tmp_path: Path) -> None:
    journal.note(tmp_path, "failed", "a", {"message": "why"})
    with (tmp_path / journal.NAME).open("ab") as file:
        file.write(
            DAMAGE[damage].replace(b"\n", b" ")
            + b'\n{"event": 1, "point": []}\n{"event": "x", "point": "y", "error": 3}\n'
        )
    journal.note(tmp_path, "failed", "b", {"message": "because"})
    assert journal.failures(journal.read(tmp_path)) == {"a": "why", "b": "because"}


def test_the_bounds_of_json(tmp_path: Path) -> None:
    nested = "[" * DEEPEST + "]" * DEEPEST
    assert parse_json(nested)
    for text in (f"[{nested}]", "[1,2", '"\\udc00"', "[" + "1," * 1_000_001 + "1]", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
    assert parse_json('["\\ud83d\\ude00", NaN, 1e999]', ours=True) == ["😀", None, None]
    with pytest.raises(ValueError, match="64 bits"):
        parse_json("[9223372036854775808]", ours=True)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"."):
            read_json(path)


def test_a_form_knows_a_number_from_a_switch() -> None:
    form = {"a": float, "b": [{"c": int}], ...: str}
    assert fits({"a": 1, "b": [{"c": 2}, None], "d": "x", "e": None}, form)
    for wrong in ({"a": True}, {"b": {}}, {"b": [{"c": 1.5}]}, {"d": 1}, []):
        assert not fits(wrong, form)


def ask(name: str, **query: object) -> int:
    text = "&".join(f"{key}={value}" for key, value in query.items())
    scope = {"type": "http", "method": "GET", "path": f"/kenviz/{name}", "query_string": text.encode(), "headers": []}
    return answers.answer(name, Request(scope)).status_code


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "file", ["masks.safetensors", "rows.parquet", "matrices.parquet", "record.json", "flips.parquet"]
)
def test_a_damaged_run_is_told_on_data_routes(file: str) -> None:
    bad = copied("bad")
    cut(bad / file)
    name = "bert.encoder.layer.0.attention.self.key.weight"
    for route in ("window", "cell", "mask_npy", "atlas", "window_csv"):
        told = ask(route, run="bad", matrix=name, **({"row": 0, "col": 0} if route == "cell" else {}))
        assert told in (200, 400, 409), (file, route)
    if file in ("masks.safetensors", "matrices.parquet", "record.json"):
        assert ask("window", run="bad", matrix=name) == 409


def test_a_file_that_shrinks_while_it_is_looked_at_is_told() -> None:
    run = Run(copied("bad"))
    cut(run.path / "masks.safetensors")
    with pytest.raises(CorruptRunError, match="masks.safetensors"):
        run.keep(run.pruned[-1])


def other_rows(table: pa.Table) -> pa.Table:
    return table.slice(0, 20)


def twice(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(0, 1)])


def as_words(table: pa.Table) -> pa.Table:
    return table.set_column(table.column_names.index("rows"), "rows", pa.array(["x"] * len(table)))


def repeated(table: pa.Table) -> pa.Table:
    return pa.table({"name": pa.array(["x"]).take(pa.array([0] * 3_000_000))})


@pytest.mark.parametrize("change", [other_rows, twice, as_words, repeated])
def test_a_table_of_matrices_that_does_not_fit_is_refused(change: Callable[[pa.Table], pa.Table]) -> None:
    bad = copied("bad")
    pq.write_table(change(pq.read_table(bad / "matrices.parquet")), bad / "matrices.parquet")
    with pytest.raises(CorruptRunError):
        open_run("bad")


def test_an_id_never_leads_out_of_the_store(tmp_path: Path) -> None:
    outside = shutil.copytree(assets_folder() / "demo" / "run", tmp_path / "elsewhere")
    (runs_folder() / "link").symlink_to(outside)
    inside = copied("inside")
    (inside / "metrics.json").unlink()
    (inside / "metrics.json").symlink_to(outside / "metrics.json")
    for name in ("link", "inside"):
        for find in (find_run, find_stored_run):
            with pytest.raises(RunNotFoundError, match="link"):
                find(name)
    assert "link" not in {run.id for run in list_runs()}
    assert find_run(str(outside)) == outside
    (sweeps_folder() / "aaaaaaaaaaaa").symlink_to(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    assert list_sweeps() == []
    with pytest.raises(SweepNotFoundError):
        open_sweep("aaaaaaaaaaaa")
    with pytest.raises(RunNotFoundError):
        find_stored_run("a\x00b")


@pytest.mark.parametrize("shipped", ["run", "run-lm"])
def test_whatever_a_run_says_it_opens_or_is_refused(shipped: str) -> None:
    """Opened, listed, and said in words: only our own errors. The long form is `python -m tests.faults fuzz run`."""
    bad, rng = copied("bad", shipped), random.Random(1)
    texts = {name: (bad / name).read_text() for name in ("record.json", "metrics.json", "spec.json")}
    refused = 0
    for _ in range(150):
        name = rng.choice(sorted(texts))
        (bad / name).write_bytes(mutate.damaged_json(texts[name], rng))
        refused += not looked_at(bad)
        (bad / name).write_text(texts[name])
    assert looked_at(bad)
    assert 20 < refused < 150


def test_a_column_whose_name_is_no_text() -> None:
    bad = copied("bad")
    rows = (bad / "rows.parquet").read_bytes()
    assert b"bandwidth" in rows
    (bad / "rows.parquet").write_bytes(rows.replace(b"bandwidth", b"ba\xe6dwidth"))
    run = Run(bad)
    with pytest.raises(CorruptRunError, match=r"rows\.parquet"):
        run.rows(run.pruned[0])


def test_a_perplexity_below_one_is_none() -> None:
    """Nothing is divided by a perplexity that is shown as 0."""
    bad = copied("bad", "run-lm")
    metrics = json.loads((bad / "metrics.json").read_text())
    assert looked_at(bad)
    for side in ("dense", "pruned"):
        damaged = metrics | {side: metrics[side] | {"perplexity": 0.004}}
        (bad / "metrics.json").write_text(json.dumps(damaged))
        with pytest.raises(CorruptRunError, match=f"no {side}.perplexity of 1 or more"):
            Run(bad)


def looked_at(folder: Path) -> bool:
    """Whether a run could be opened; what it says is put into words."""
    assert folder.name in {run.id for run in list_runs()}
    try:
        run = Run(folder)
        verdict(run.metrics, run.spec.method)
        cards.quality(run.metrics)
        cards.baseline(run.metrics, run.spec.method)
        facts.headline(run.spec, totals(run.matrices), run.metrics)
        facts.origin(run)
        facts.best_baseline(run.metrics)
    except KencoreError:
        return False
    state.stamp(folder)
    return True
