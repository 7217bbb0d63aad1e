"""The command ``compare``: the same numbers as the library's, for people, as JSON and as CSV."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from kencore.cli.main import app
from kencore.runs.run import Run, open_run
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
    assert facts["pairs"][0]["quality"] == {
        "not_comparable": "neither was measured",
        "said": "Quality cannot be compared: neither was measured.",
    }
    assert facts["best"] == ""
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


def test_runs_without_masks_are_compared_by_quality(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KENVIZ_GALLERY")
    names = [f"smollm2-{method}-60" for method in ("magnitude", "wanda", "sparsegpt")]
    facts = json.loads(call(*names, "--json").stdout)
    assert facts["without_masks"] == names
    assert "matrices" not in facts
    best = min(names, key=lambda name: open_run(name).metrics["pruned"]["perplexity"])
    assert best == "smollm2-sparsegpt-60"
    for pair in facts["pairs"]:
        assert pair["quality"]["change"] == pytest.approx(
            open_run(pair["b"]).metrics["pruned"]["nll"] - open_run(pair["a"]).metrics["pruned"]["nll"]
        )
    said = call(*names).stdout.replace("\n", " ")
    reached = open_run(best).metrics["pruned"]["perplexity"]
    assert f"SparseGPT measured best, perplexity {reached:.1f}" in said.replace("\xa0", " ")
    assert "better than Wanda and Largest magnitude" in said
    table = call(*names, "--csv", tmp_path / "a.csv")
    assert table.exit_code == 1
    assert "without its masks" in table.stderr


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
