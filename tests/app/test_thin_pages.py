"""Every page with a run that ships without its masks: pictures from afar, and words where masks are missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.data.atlas import atlas_bytes
from kencore.data.examples import read_examples
from kencore.errors import ThinRunError
from kencore.exports.subnetwork.plan import known_bytes, subnetwork_bytes
from kencore.runs.run import open_run
from kencore.runs.shelf import list_runs
from kencore.runs.texts import Continued, write_texts
from kencore.runs.thin import thinned
from kencore.settings.demo import SENTENCES, TRAINING, place
from kencore.sweeps.shelf import list_sweeps
from kencore.system.places import assets_folder, gallery_folder
from tests.app.conftest import OpenPage
from tests.app.data.test_answers import decode
from tests.pruning.test_by_bytes import coded
from tests.support.tuned_cases import write_sentences

PAGES = ("overview", "map", "layers", "sparsity", "flips", "compare", "story", "tradeoff")
MISSING = ("matrix", "row", "explain", "tune", "recover")
SAID = "ships without its masks and weights"


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demos, and each of their runs as one of the gallery."""
    folder = tmp_path_factory.mktemp("assets")
    shutil.copytree(assets_folder() / "demo", folder / "demo")
    for demo, run in (("demo", "run"), ("demo-lm", "run-lm")):
        made = thinned(open_run(place(run)), folder / "gallery" / "runs" / f"thin-{demo}")
        if demo == "demo-lm":
            write_texts(made.path, [Continued(text="It is", dense=(" a", " b"), pruned=(" a", " c"), departs=1)])
    pair = tmp_path_factory.mktemp("bytes")
    run = coded(pair, bits=14, evaluation=str(write_sentences(pair / "sentences.tsv", 60)), cost=False)
    thinned(run, folder / "gallery" / "runs" / "thin-bytes", size=known_bytes(run))
    return folder


@pytest.mark.parametrize("run", ["thin-demo", "thin-demo-lm", "thin-bytes"])
@pytest.mark.parametrize("page", PAGES)
def test_pages_open(page: str, run: str, assets: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_ASSETS", str(assets))
    monkeypatch.delenv("KENVIZ_GALLERY")
    test = open_page(page, run=run)
    assert not test.exception
    assert [error.value for error in test.error] == []
    assert "Explain it" not in [link.value for link in test.get("page_link")]  # it would lead to what is missing


def test_a_thin_run_of_bytes_says_its_size(assets: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run(assets / "gallery" / "runs" / "thin-bytes")
    assert run.codes == {}
    assert known_bytes(run) == run.record["subnetwork_bytes"]
    with pytest.raises(ThinRunError, match="coded difference"):
        subnetwork_bytes(run)
    monkeypatch.setenv("KENVIZ_ASSETS", str(assets))
    monkeypatch.delenv("KENVIZ_GALLERY")
    test = open_page("overview", run="thin-bytes")
    assert not test.exception
    assert "Size of the file" in [metric.label for metric in test.metric]
    assert "Where the bytes went" not in [header.value for header in test.header]


def test_a_map_asks_for_no_cells_finer_than_those_that_are_there(assets: Path) -> None:
    run = open_run(assets / "gallery" / "runs" / "thin-demo")
    header, _ = decode(atlas_bytes(run))
    pruned = [line for line in header["matrices"] if line["reason"] is None]
    assert pruned
    for line in pruned:
        cell, _ = run.stored_cells.counts(line["name"], run.shape(line["name"]))
        assert line["finest"] == {"h": line["cell"][0], "w": line["cell"][1]}
        assert all(shown % held == 0 for shown, held in zip(line["cell"], cell, strict=True))
    whole, _ = decode(atlas_bytes(open_run("demo")))
    assert not any("finest" in line for line in whole["matrices"])


@pytest.mark.parametrize("page", MISSING)
def test_pages_that_take_single_weights_say_what_is_missing(
    page: str, assets: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KENVIZ_ASSETS", str(assets))
    monkeypatch.delenv("KENVIZ_GALLERY")
    test = open_page(page, run="thin-demo")
    assert not test.exception
    assert any(SAID in info.value for info in test.info)


def test_the_overview_leads_to_the_others(assets: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_ASSETS", str(assets))
    monkeypatch.delenv("KENVIZ_GALLERY")
    test = open_page("overview", run="thin-demo")
    assert [header.value for header in test.header].count("Real models, already pruned") == 1
    (shown,) = [text.value for text in test.markdown if text.value.endswith(":small[shown]")]
    assert shown.startswith(":small[50\xa0% sparse]")


def test_kept_texts_are_shown(assets: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_ASSETS", str(assets))
    monkeypatch.delenv("KENVIZ_GALLERY")
    test = open_page("flips", run="thin-demo-lm")
    assert [text.value for text in test.markdown if "part after" in text.value] == ["**The models part after 1 token**"]


def test_what_ships_is_whole_and_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KENVIZ_GALLERY")
    listed = [run for run in list_runs(points=True) if gallery_folder() in run.path.parents]
    assert listed
    assert [run.problem for run in listed if run.problem] == []
    [sweep] = list_sweeps()
    assert (sweep.done, sweep.failed) == (sweep.planned, 0)
    files = [file for file in gallery_folder().rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 15_000_000
    own = [file for file in files if file.suffix == ".json" and str(Path.home()) in file.read_text("utf-8")]
    assert own == []


def test_the_recovery_that_ships_won_quality_back() -> None:
    run = open_run(assets_folder() / "gallery" / "runs" / "demo-recovered")
    assert run.tuning is not None
    assert run.tuning["train"]["data"] == TRAINING
    measured = set(read_examples(SENTENCES).texts)
    assert not measured & set(read_examples(TRAINING).texts)
    before, after, dense = (run.metrics[step]["accuracy"] for step in ("untuned", "pruned", "dense"))
    assert before < after <= dense
