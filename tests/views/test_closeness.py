"""Every measured run of a model by the size of its file and how near its answers come."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from app.charts import closeness as charts
from kencore.runs.run import Run
from kencore.runs.shelf import list_runs
from kencore.views.closeness import by_bytes, expected, of_files, smallest
from kencore.words.palette import LIGHT
from kencore.words.spent import expectation
from tests.support.runs import make_run

BYTES = {"near": 400_000, "small": 90_000, "far": 60_000}
SAME = {"near": 0.99, "small": 0.975, "far": 0.9}
KL = {"near": 0.0, "small": 0.008, "far": 0.3}


def metrics(name: str, data: str = "a", **more: Any) -> dict[str, Any]:
    versus = {"kl": KL[name], "same_answer": SAME[name]}
    return {
        "task": "classification",
        "data": "some.tsv",
        "data_sha256": data,
        "dense": {"accuracy": 0.8},
        "pruned": {"accuracy": 0.79, "versus_dense": versus},
        "cost": {"bytes": {"subnetwork": BYTES[name], "dense": 10**6}},
    } | more


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    made = make_run(tmp_path / "made").path
    found = {name: metrics(name) for name in BYTES} | {
        "other-data": metrics("far", data="b"),
        "unmeasured": {},
        "twice": metrics("far"),
    }
    for name, said in found.items():
        shutil.copytree(made, home / "runs" / name)
        (home / "runs" / name / "metrics.json").write_text(json.dumps(said))
    monkeypatch.setenv("KENVIZ_HOME", str(home))
    monkeypatch.setenv("KENVIZ_ASSETS", str(tmp_path / "none"))
    return home / "runs"


def test_runs_of_one_model_on_one_data_by_size(runs: Path) -> None:
    table = by_bytes(list_runs(), Run(runs / "near"))
    assert list(table["bytes"]) == [60_000, 90_000, 400_000]  # what came to the same stands once
    assert list(table["same_answer"]) == [0.9, 0.975, 0.99]
    weights = Run(runs / "near").totals["params"]
    assert table["bits"].tolist() == pytest.approx([8 * size / weights for size in table["bytes"]])


def test_the_smallest_that_is_near_enough(runs: Path) -> None:
    table = by_bytes(list_runs(), Run(runs / "near"))
    assert smallest(table, 0.97)["bytes"] == 90_000
    assert smallest(table, 0.98)["bytes"] == 400_000
    assert smallest(table, 0.999) is None
    assert "90\u00a0kB: the smallest of those measured with 97" in charts.bytes_plot(table, LIGHT, "kl").finding
    assert (
        charts.bytes_plot(table.iloc[:1], LIGHT, "kl").finding == "No file here keeps 97\u00a0% of the answers the same"
    )


def files(**kl: float) -> pd.DataFrame:
    """Measured files, by size."""
    sizes = [int(name.removeprefix("b")) for name in kl]
    found = {"bytes": sizes, "kl": list(kl.values()), "same_answer": [1 - one / 10 for one in kl.values()]}
    return pd.DataFrame(found).sort_values("bytes")


def test_what_to_expect_lies_between_two_measured_files() -> None:
    table = files(b1000=1.0, b4000=0.01, b16000=0.0001)
    found = expected(table, 2000)
    assert found is not None
    assert math.isclose(found.kl, 0.1)  # half of the way by logarithms
    assert found.same == (0.9, 0.999)
    assert found.sizes == (1000, 4000)
    at = expected(table, 16000)
    assert at is not None
    assert math.isclose(at.kl, 0.0001)
    assert expected(table, 999) is None
    assert expected(table, 16001) is None
    assert expected(table.iloc[:1], 1000) is None
    assert expected(table.iloc[:0], 1000) is None
    assert expectation(table, 2000) == (
        "Expect a KL of about 0.1 nats and 90.0\u00a0% to 99.9\u00a0% same answers: between measured files of "
        "1\u00a0kB and 4\u00a0kB."
    )
    assert "from 1\u00a0kB to 16\u00a0kB: of this size nothing" in expectation(table, 500)
    assert "once two sizes" in expectation(table.iloc[:1], 1000)


def test_files_of_a_model_are_those_measured_on_what_most_were(runs: Path) -> None:
    coded = ("near", "small", "other-data", "twice")
    plain = {"method": "bytes", "scope": ["all"], "code": None}
    listed = [replace(run, spec={**run.spec, **plain}) if run.id in coded else run for run in list_runs()]
    like = Run(runs / "far").spec
    assert list(of_files(listed, like.model, like.base)["bytes"]) == [
        60_000,
        90_000,
    ]  # nothing is on a line to a KL of 0
    forced = [replace(run, spec={**run.spec, "code": "signs"}) for run in listed]
    assert of_files(forced, like.model, like.base).empty
    assert of_files(listed, like.model, None).empty
    assert of_files(list_runs(), like.model, like.base).empty


def test_a_divergence_of_zero_stands_below_all_others(runs: Path) -> None:
    table = by_bytes(list_runs(), Run(runs / "near"))
    figure = charts.bytes_plot(table, LIGHT, "kl").figure
    drawn = {x: y for trace in figure.data for x, y in zip(trace.x, trace.y, strict=True)}
    assert drawn == {60_000: 0.3, 90_000: 0.008, 400_000: 0.004}
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    low, high = figure.layout.xaxis.range
    assert 10**low < 60_000
    assert 10**high > 400_000
    alike = charts.bytes_plot(table.assign(bytes=[64_210, 64_220, 64_230]), LIGHT, "kl").figure.layout.xaxis
    assert alike.ticktext == ("64.2\u00a0kB",)
    assert sorted(charts.known(table)) == ["kl", "quality", "same_answer"]
    assert math.isclose(charts.bytes_plot(table, LIGHT, "same_answer").figure.data[0].y[0], 90)
