"""The command ``compare``: the same numbers as the library's, for people, as JSON and as CSV."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from kencore.cli.main import app
from kencore.runs.run import Run
from kencore.views.compare.masks import compare
from tests.support.runs import make_run


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, words)])


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("trio")
    return [make_run(folder, "ken"), make_run(folder, "delta"), make_run(folder, "random")]


def test_json_has_every_pair_and_csv_every_matrix(home: Path, trio: list[Run], tmp_path: Path) -> None:
    table = tmp_path / "overlap.csv"
    answer = call(*(run.path for run in trio), "--json", "--csv", table)
    assert answer.exit_code == 0
    facts = json.loads(answer.stdout)
    found = compare(trio)
    assert [(pair["a"], pair["b"]) for pair in facts["pairs"]] == [
        ("ken-0.5", "delta-0.5"),
        ("ken-0.5", "random-0.5"),
        ("delta-0.5", "random-0.5"),
    ]
    whole = found.overall(1, 2)
    assert facts["pairs"][2]["both"] == whole.both
    assert facts["pairs"][2]["jaccard"] == whole.jaccard
    assert facts["settings"] == {"method": ["ken", "delta", "random"], "seed": [None, None, 0]}
    assert facts["pairs"][0]["quality"] == {"not_comparable": "neither was measured"}
    written = pd.read_csv(table)
    assert len(written) == 3 * len(found.matrices)
    assert written["both"].sum() == found.pairs["both"].sum()


def test_text_for_people(home: Path, trio: list[Run]) -> None:
    answer = call(trio[0].path, trio[1].path)
    found = compare(trio[:2])
    whole = found.overall()
    assert f"both keep {whole.both:,}, only ken-0.5 {whole.only_a:,}" in answer.stdout
    assert f"overlap (Jaccard) {whole.jaccard:.2%}, by chance {whole.chance:.2%}" in answer.stdout
    assert "method: ken, delta" in answer.stdout


def test_models_of_different_kinds_are_refused(home: Path) -> None:
    answer = call("demo", "demo-lm")
    assert answer.exit_code == 1
    assert "no matrix that all of them pruned" in answer.stderr


def test_mistakes_are_messages(home: Path, trio: list[Run], tmp_path: Path) -> None:
    alone = call(trio[0].path)
    assert alone.exit_code == 1
    assert "wanted two or more runs" in alone.stderr
    (tmp_path / "no folder").write_text("")
    nowhere = call(trio[0].path, trio[1].path, "--csv", tmp_path / "no folder" / "a.csv")
    assert nowhere.exit_code == 1
    assert "wanted a place that can be written" in nowhere.stderr
