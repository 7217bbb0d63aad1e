"""The table of demos: what a row says is there, and everybody who asks for a demo finds that row."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from app.forms.model import KINDS
from kencore import open_run
from kencore.checkpoint.source import resolve
from kencore.cli.main import app
from kencore.data.examples import read_examples
from kencore.models.language import is_language_model
from kencore.runs.naming import short_name
from kencore.runs.shelf import list_runs
from kencore.settings.demo import DEMOS, ENCODER, MODEL_FORMS, SHIPPED, TUNED, base_of, place, sentences_file
from kencore.settings.prune import PruneSpec


@pytest.mark.parametrize("name", DEMOS)
def test_the_files_of_a_demo_are_what_its_row_says(name: str) -> None:
    source = resolve(name)
    assert source.folder == place(DEMOS[name].folder)
    assert is_language_model(source.folder) == DEMOS[name].language
    assert short_name(name) == DEMOS[name].short


@pytest.mark.parametrize("name", TUNED)
def test_a_demo_has_a_base_of_its_kind(name: str) -> None:
    demo = TUNED[name]
    assert demo.base is not None
    base = DEMOS[demo.base]
    assert base.base is None
    assert base.language == demo.language
    shapes = [json.loads((resolve(one).folder / "config.json").read_text("utf-8")) for one in (name, demo.base)]
    assert shapes[0]["hidden_size"] == shapes[1]["hidden_size"]


def test_the_shipped_runs_are_runs_of_their_demos() -> None:
    assert [run.id for run in list_runs()][: len(SHIPPED)] == list(SHIPPED)
    for name in SHIPPED:
        run = open_run(name)
        assert run.spec.model == name
        assert run.language == DEMOS[name].language
        assert run.metrics["data"] == DEMOS[name].data


def test_the_sentences_ship_under_their_name() -> None:
    assert ENCODER.data is not None
    assert read_examples(ENCODER.data).texts == read_examples(sentences_file()).texts


@pytest.mark.parametrize(
    ("model", "method", "rescale", "base"),
    [
        ("demo", "magnitude", "none", "demo-base"),
        ("demo", "sparsegpt", "none", None),
        ("demo-lm", "magnitude", "none", None),
        ("demo-lm", "magnitude", "share", "demo-lm-base"),
        ("demo-lm", "delta", "none", "demo-lm-base"),
        ("demo-base", "delta", "none", None),
        ("org/name", "delta", "share", None),
    ],
)
def test_a_base_comes_along_where_the_settings_can_use_one(
    model: str, method: str, rescale: str, base: str | None
) -> None:
    assert base_of(model, method=method, rescale=rescale) == base


def test_forms_and_command_line_offer_the_demos() -> None:
    assert list(KINDS.values())[:-1] == list(TUNED)
    assert [label for label in KINDS if KINDS[label] in TUNED] == [demo.label for demo in TUNED.values()]
    shown = CliRunner().invoke(app, ["inspect", "--help"], env={"COLUMNS": "200"}).output
    assert MODEL_FORMS in " ".join(shown.split())
    assert PruneSpec(model=ENCODER.name, keep=0.5).base == ENCODER.base
