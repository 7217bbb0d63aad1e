"""A tuning on what cannot be used, or of a run whose model became such, ends with the message before it trains."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kencore import Run
from kencore.errors import KencoreError
from kencore.recovery import RecoverSpec, recover
from tests.support.bad_models import BAD, edit
from tests.support.tuned_cases import make_run, write_data

DATA = [kind for kind in BAD if kind in ("vocabulary", "labels two ways", "two texts", "encoding")]
MODELS = ["packed", "packed, with scales", "adapter", "adapter beside a model", "own code", "shapes"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A classifier's run and a language model's."""
    return {
        name: make_run(tmp_path_factory.mktemp(name), name, restore="zero", baselines=False)
        for name in ("bert", "llama")
    }


@pytest.fixture(autouse=True)
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kencore.recovery.run._Tuning.train", lambda *_: pytest.fail("it was begun"))


def put(folder: Path, place: Path) -> None:
    """A folder, or what it holds, in the place of another."""
    shutil.rmtree(place)
    shutil.copytree(folder, place)


@pytest.mark.parametrize("kind", DATA)
def test_data(kind: str, runs: dict[str, Run], tmp_path: Path) -> None:
    run, typed = runs["bert"], BAD[kind].make(tmp_path)
    place, kept = Path(run.spec.model), tmp_path / "kept"
    shutil.copytree(place, kept)
    try:
        if kind in ("vocabulary", "labels two ways"):  # whose tokenizer or config says it
            put(Path(str(typed["model"])), place)
        for asked in (
            {"data": typed["evaluation"]},
            {"data": str(write_data(tmp_path, "bert")), "held_out": typed["evaluation"]},
        ):
            with pytest.raises(KencoreError) as caught:
                recover(
                    RecoverSpec(run=str(run.path), evaluation=None, device="cpu", **asked), tmp_path / "out", threads=1
                )
            assert type(caught.value).__name__ == BAD[kind].error
            assert BAD[kind].said in str(caught.value)
    finally:
        put(kept, place)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", MODELS)
def test_models(kind: str, runs: dict[str, Run], tmp_path: Path) -> None:
    run = runs["llama"]
    place, kept = Path(run.spec.model), tmp_path / "kept"
    shutil.copytree(place, kept)
    data = write_data(tmp_path, "llama")
    try:
        put(Path(str(BAD[kind].make(tmp_path / "bad")["model"])), place)
        with pytest.raises(KencoreError) as caught:
            recover(
                RecoverSpec(run=str(run.path), data=str(data), evaluation=None, device="cpu"),
                tmp_path / "out",
                threads=1,
            )
        assert caught.value.remedy
    finally:
        put(kept, place)
    assert not (tmp_path / "out").exists()


def test_the_model_as_it_was_is_no_mistake(runs: dict[str, Run], tmp_path: Path) -> None:
    """The others fail for their reason alone."""
    run, data = runs["bert"], write_data(tmp_path, "bert")
    edit(Path(run.spec.model))  # writes it anew, unchanged
    with pytest.raises(pytest.fail.Exception, match="it was begun"):
        recover(
            RecoverSpec(run=str(run.path), data=str(data), evaluation=None, device="cpu"), tmp_path / "out", threads=1
        )
