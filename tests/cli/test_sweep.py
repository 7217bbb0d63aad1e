"""The command that prunes by a grid, as a person and a script use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kencore.cli import sweep as cli_sweep
from kencore.cli.main import app
from kencore.sweeps.shelf import Sweep, open_sweep
from kencore.system.places import runs_folder
from tests.support.sweeps import make_sweep
from tests.support.tiny_models import save_pair

runner = CliRunner()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    return make_sweep(tmp_path)


def test_the_table_gives_the_dense_model_its_interval_too(made: Sweep) -> None:
    facts = cli_sweep.sweep_facts(made)
    low, high = (f"{facts['dense'][end]:.2%}" for end in ("accuracy_low", "accuracy_high"))
    lines = cli_sweep.sweep_text(facts).splitlines()
    dense = next(line for line in lines if line.startswith("  dense "))
    assert dense.endswith(f"{facts['dense']['accuracy']:.2%} ({low} to {high})")
    delta = next(line for line in lines if line.startswith("  delta "))
    assert dense.index("%") == delta.index("%")


def test_notes_of_points_are_said_once(made: Sweep) -> None:
    done = made.points.loc[made.points["state"] == "done", "run"]
    for i, name in enumerate(done):
        for file, notes in (("record", {"notes": ["Of all."]}), ("metrics", {"data_notes": ["Of one."] * (i == 1)})):
            path = runs_folder() / name / f"{file}.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | notes))
    facts = cli_sweep.sweep_facts(open_sweep(made.id))
    assert facts["notes"] == ["Of all.", f"Of one. (1 of {len(done)} points)"]
    assert cli_sweep.sweep_text(facts).count("Note: ") == 2


def test_a_name_with_a_comma_stays_one_name_among_the_tied(made: Sweep) -> None:
    facts = cli_sweep.sweep_facts(made)
    best = facts["best"][0] | {"best": "delta", "tied": ["ken, rescaled by share", "random"]}
    text = cli_sweep.sweep_text(facts | {"best": [best]})
    assert "  delta; tied with ken, rescaled by share; random  " in text
    assert "  delta  " in cli_sweep.sweep_text(facts | {"best": [best | {"tied": []}]})


def test_a_sweep_of_which_a_pruning_failed_is_code_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """wanda needs a language model, delta does not."""
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    base, tuned = map(str, save_pair("bert", tmp_path))
    asked = ["sweep", "--model", tuned, "--base", base, "--keeps", "0.5", "--json", "--methods"]
    done = runner.invoke(app, [*asked, "delta"])
    assert (done.exit_code, json.loads(done.stdout)["done"]) == (0, 1), done.output
    failed = runner.invoke(app, [*asked, "delta,wanda"])
    facts = json.loads(failed.stdout)
    assert (failed.exit_code, facts["done"], facts["failed"]) == (1, 1, 1)


@pytest.mark.parametrize("place", ["none/table.csv", "folder"])
def test_a_table_that_cannot_be_written_is_told_before_pruning(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("kencore.sweeps.sweep.sweep", lambda *_, **__: pytest.fail("it was begun"))
    asked = ["sweep", "--model", "m", "--keeps", "0.5", "--out-csv", str(tmp_path / place)]
    done = runner.invoke(app, [*asked, "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["type"] == "StoreNotWritableError"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_interruption_says_how_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kencore.sweeps.sweep.sweep", stop)
    done = runner.invoke(app, ["sweep", "--model", "demo", "--keeps", "0.5"])
    assert (done.exit_code, done.stderr) == (130, f"{cli_sweep.STOPPED}\n")
