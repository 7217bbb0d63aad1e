"""The command that writes a report, as a person and a script use it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kencore.cli.main import app
from kencore.runs.run import Run
from tests.support.runs import make_run

runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"))


def test_a_report_beside_another_run(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    asked = ["report", str(run.path), "--out", str(out), "--compare", "demo", "--json"]
    failed = runner.invoke(app, asked)
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["error"]["type"] == "IncomparableRunsError"
    assert not out.exists()
    other = make_run(tmp_path / "other", method="random")
    asked[asked.index("demo")] = str(other.path)
    facts = json.loads(runner.invoke(app, asked).stdout)
    assert facts["bytes"] == out.stat().st_size
    assert f"Beside {other.id}" in out.read_text("utf-8")


def test_what_is_there_stays_unless_forced(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = runner.invoke(app, ["report", str(run.path)])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1].startswith("Wrote ken-0.5.report.html (")
    again = runner.invoke(app, ["report", str(run.path), "--json"])
    assert json.loads(again.stdout)["error"]["type"] == "RunExistsError"
    forced = runner.invoke(app, ["report", str(run.path), "--force", "--figures", "pictures"])
    assert forced.exit_code == 0, forced.output
    assert "files of pictures and tables to pictures" in forced.stdout
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["ken-0.5.report.html", "pictures"]
