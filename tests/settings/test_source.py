"""The text that names a model: one form, so that ids and names made of it agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kencore.settings.jobs import EvaluateAsked, InspectAsked
from kencore.settings.prune import PruneSpec
from kencore.settings.source import same_source, tidy_source
from kencore.settings.sweep import SweepSpec


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("org/name/ ", "org/name"),
        ("\torg.x/name-v1.0//", "org.x/name-v1.0"),
        (" demo ", "demo"),
        ("demo/", "demo/"),  # the folder, not the demo
        ("/m/tuned/", "/m/tuned/"),
        ("./name/", "./name/"),
        ("~/name/", "~/name/"),
        ("a/b/c/", "a/b/c/"),
        ("C:/m/", "C:/m/"),
        ("/", "/"),
        ("org/two words/", "org/two words/"),
    ],
)
def test_the_form_in_which_it_is_kept(text: str, kept: str) -> None:
    assert tidy_source(text) == kept
    assert tidy_source(kept) == kept
    assert PruneSpec(model=text, keep=0.5, method="random").model == kept
    assert PruneSpec(model="org/other", base=text, keep=0.5).base == kept
    assert InspectAsked(model=text, base=text) == InspectAsked(model=kept, base=kept)
    assert EvaluateAsked(model=text, examples="demo").model == kept


def test_sweeps_of_one_model_are_one_sweep() -> None:
    spec = SweepSpec(model="org/name", base="org/base", keeps=(0.5,), model_revision="v1")
    typed = replace(spec, model=" org/name/", base="org/base/ ", model_revision=" v1 ")
    assert (typed, typed.id) == (spec, spec.id)
    assert typed.point_id(typed.points()[0]) == spec.point_id(spec.points()[0])


def test_one_folder_in_two_ways_is_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    assert same_source("model", str(tmp_path / "model"))
    assert same_source("demo", " demo ")
    assert same_source("org/name", "org/name/")
    assert not same_source("model", "other")
    assert not same_source("model", "no such folder")
