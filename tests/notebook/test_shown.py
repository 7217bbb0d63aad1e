"""What a run says of itself in Python: printed, in a notebook, as figures."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from typer.testing import CliRunner

from app.charts.named import FIGURES
from kencore import list_runs, open_run
from kencore.cli.main import app as cli
from kencore.errors import FigureError, MatrixNotFoundError, RunNotFoundError, ThinRunError
from kencore.notebook import html


class _Closed(HTMLParser):
    """Every tag that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "td":
            self.cells.append(data)


def test_a_run_is_printed_with_its_verdict() -> None:
    run = open_run("demo-lm")
    assert run.verdict is not None
    text = str(run)
    assert run.verdict.text in text
    assert "perplexity 23.3 → 33.3" in text
    assert repr(run) == "<Run demo-lm>"


def test_a_notebook_shows_the_share_of_every_cell() -> None:
    run = open_run("demo-lm")
    page = _Closed()
    page.feed(run._repr_html_())
    assert page.open == []
    shares = run.cells()["share"]
    assert sorted(page.cells) == sorted(f"{100 * share:.0f}\u00a0%" for share in shares)


def test_what_a_notebook_shows_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    run = open_run("demo")
    run.id = "<script>x</script>"
    assert "<script>" not in html.summary(run)


def test_a_map_shows_the_mask_cell_by_cell() -> None:
    run = open_run("demo")
    name = "bert.encoder.layer.1.attention.self.key.weight"
    figure = run.map(name)
    heat = figure.data[0]
    shares = np.asarray(heat.z, np.float64)
    keep = run.keep(name)
    assert keep.shape == shares.shape  # small enough for a cell per weight
    np.testing.assert_array_equal(shares, keep)
    assert f"{100 * keep.mean():.1f}" in figure.layout.title.text
    assert figure.layout.yaxis.autorange == "reversed"  # rows run down


def test_a_row_shows_every_weight() -> None:
    run = open_run("demo")
    name = "bert.encoder.layer.1.attention.self.key.weight"
    drawn = run.row(name, 3)
    kept = int(run.keep(name, slice(3, 4)).sum())
    assert f"row 3: {kept} of {run.shape(name)[1]}" in drawn.layout.title.text


def test_changed_answers_are_those_that_the_run_holds() -> None:
    run = open_run("demo")
    table = run.flips()
    lost = (table["dense_right"] & ~table["pruned_right"]).sum()
    won = (~table["dense_right"] & table["pruned_right"]).sum()
    versus = run.metrics["pruned"]["versus_dense"]
    assert (lost, won) == (versus["lost"], versus["won"])


@pytest.mark.parametrize(("shipped", "missing"), [("demo", {"search", "tuned"}), ("demo-lm", {"tuned"})])
def test_every_figure_that_a_run_has_is_drawn(shipped: str, missing: set[str]) -> None:
    run = open_run(shipped)
    for name in FIGURES.keys() - missing:
        figure = run.figure(name)
        assert figure.layout.title.text
        assert figure.data
    for name in missing:
        with pytest.raises(FigureError, match="wanted a run that has it"):
            run.figure(name)


def test_a_run_without_masks_draws_what_it_has_and_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KENVIZ_GALLERY")
    run = open_run("smollm2-neuroal-60")
    figures = {name: run.figure(name) for name in FIGURES.keys() - {"tuned", "row"}}
    assert all(figure.layout.title.text for figure in figures.values())
    name = (
        run.matrices.query("status == 'pruned'").sort_values("params", ascending=False, kind="stable")["name"].iloc[0]
    )
    line = run.matrices.set_index("name").loc[name]
    title = figures["map"].layout.title.text
    assert title.startswith(f"{name}: {100 * line['kept'] / line['params']:.1f}\u00a0%")
    for needed in (lambda: run.row(name, 0), lambda: run.keep(name), run.apply):
        with pytest.raises(ThinRunError, match="python -m kencore gallery"):
            needed()


def test_what_cannot_be_drawn_is_said() -> None:
    run = open_run("demo")
    with pytest.raises(FigureError, match=r"no such figure.*cells"):
        run.figure("cell")
    with pytest.raises(FigureError, match="colour"):
        run.figure("cells", colour="red")
    with pytest.raises(FigureError, match="a row from 0 to 127"):
        run.row("bert.encoder.layer.1.attention.self.key.weight", 128)
    with pytest.raises(MatrixNotFoundError):
        run.map("nothing")


def test_a_mistyped_run_is_told_what_is_near() -> None:
    assert [run.id for run in list_runs()] == ["demo", "demo-lm"]
    with pytest.raises(RunNotFoundError, match=re.escape("Did you mean demo or demo-lm?")):
        open_run("demmo")


def test_names_of_the_version_before_still_work_and_say_what_they_are_called() -> None:
    import kencore
    from kencore.settings.recover import RecoverSpec

    with pytest.warns(DeprecationWarning, match=re.escape("kencore.TuneSpec is now kencore.RecoverSpec")):
        assert kencore.TuneSpec is RecoverSpec
    with pytest.warns(DeprecationWarning, match=re.escape("kencore.tune is now kencore.recover")):
        assert kencore.tune is kencore.recover
    told = CliRunner().invoke(cli, ["tune", "nosuchrun", "--data", "demo", "--device", "cpu"])
    assert told.stderr.startswith("`tune` is now `recover`.")
    assert told.exit_code == 1
