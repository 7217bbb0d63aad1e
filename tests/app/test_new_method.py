"""A method, and an allocation, is a function and a row of a table: every room then knows it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.main import get_command

from kencore import select
from kencore.allocate import Slot, Sparsities
from kencore.allocate.slot import per_block
from kencore.allocate.table import Allocation
from kencore.allocate.table import registered as allocation_registered
from kencore.cli import main as cli
from kencore.live.setting import Setting, budgets
from kencore.methods.chunks import Rows
from kencore.methods.keys import Ordered, with_columns
from kencore.methods.table import Method, registered
from kencore.report.build import build
from kencore.report.page import html
from kencore.runs.run import Run
from kencore.views import example as telling
from kencore.views.guide import guide
from kencore.words import story
from tests.app.app_pages.test_prune import FakeJobs, start, store_of_jobs  # noqa: F401 - a fixture
from tests.app.conftest import OpenPage
from tests.support import tuned_cases


def smallest(rows: Rows) -> Ordered:
    """Keep the entries that are nearest to zero."""
    return Ordered(with_columns(np.abs(rows.as_float32()).view(np.uint32)))


SMALLEST = Method(
    name="smallest",
    label="Smallest size",
    color="#7A5C2E",
    explained="Keeps what is nearest to zero.",
    story=("This rule keeps the weights that are nearest to zero.",),
    rule=smallest,
)


def deep(slots: Sequence[Slot], sparsity: float) -> Sparsities:
    """The first block is pruned less, all others alike."""
    blocks = 1 + max(slot.block for slot in slots)
    return per_block(slots, np.where(np.arange(blocks) == 0, sparsity / 2, sparsity))


DEEP = Allocation(
    name="deep", label="First block spared", explained="The first block keeps more.", measures="nothing", shares=deep
)


@pytest.fixture
def method() -> Iterator[Method]:
    with registered(SMALLEST) as row:
        yield row


@pytest.fixture
def run(method: Method, tmp_path: Path) -> Run:
    return tuned_cases.make_run(tmp_path, method=method.name, keep=0.25)


def test_select(method: Method) -> None:
    weight = torch.tensor([[0.5, -0.1, 0.3, 0.0], [1.0, 1.0, -2.0, 3.0]])
    keep = select(weight, 2, rule=method.name)
    assert keep.tolist() == [[False, True, False, True], [True, True, False, False]]


def test_a_run_is_made_and_moves_under_the_slider(run: Run, method: Method) -> None:
    name = str(run.matrices.loc[run.matrices["status"] == "pruned", "name"].iloc[0])
    keep, sizes = run.keep(name), np.abs(run.values(name, "tuned"))
    assert np.where(keep, sizes, -1).max(axis=1) == pytest.approx(
        np.sort(sizes)[np.arange(len(sizes)), keep.sum(1) - 1]
    )
    more = budgets(run, Setting(keep=0.5))[name]
    assert (more > keep.sum(axis=1)).all()


def test_the_story_and_the_report_tell_of_it(run: Run, method: Method) -> None:
    told = story.steps(run, guide(run.matrices), telling.example(run))
    steps = {step.key: " ".join((step.title, *step.words)) for step in told}
    assert method.story[0] in steps["row"]
    assert method.label in steps["model"]
    page = html(build(run))
    assert f"{method.label}: {method.explained}" in page


def test_the_form_offers_it(method: Method, open_page: OpenPage, store_of_jobs: FakeJobs) -> None:  # noqa: F811
    test = open_page("prune")
    radio = test.radio(key="prune_method_demo_base")
    assert method.label in radio.options
    radio.set_value(method.name).run()
    assert not start(test).exception
    assert store_of_jobs.found["job0"].params["method"] == method.name


def test_the_command_line_names_it() -> None:
    with registered(SMALLEST):
        assert SMALLEST.name in _help("--method")
    assert SMALLEST.name not in _help("--method")


def _help(option: str) -> str:
    """What a command line that starts now says of an option of ``prune``."""
    command = get_command(importlib.reload(cli).app).commands["prune"]  # type: ignore[attr-defined]
    return next(str(parameter.help) for parameter in command.params if option in parameter.opts)


def test_it_is_gone_afterwards() -> None:
    with registered(SMALLEST), pytest.raises(ValueError, match="a row smallest already"), registered(SMALLEST):
        pass
    with pytest.raises(Exception, match="'smallest'; wanted one of ken, "):
        select(torch.ones(1, 2), 1, rule=SMALLEST.name)


def test_an_allocation_is_a_row_too(tmp_path: Path) -> None:
    with allocation_registered(DEEP):
        settings = {"method": "magnitude", "keep": 0.5, "allocation": "deep", "sequences": 2, "restore": "zero"}
        run = tuned_cases.make_run(tmp_path, "llama", **settings)
        blocks = run.matrices.query("status == 'pruned'").groupby("block")[["kept", "params"]].sum()
        share = blocks["kept"] / blocks["params"]
        assert share.iloc[0] > share.iloc[1:].max() + 0.1
        assert f"{DEEP.label}: {DEEP.explained}" in html(build(run))
        found = budgets(run, Setting.of(run.spec))
        assert sum(int(rows.sum()) for rows in found.values()) == run.totals["kept"]
