"""Models and data of a server lie in its folders, wherever a path says that it leads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from kencore.checkpoint.source import resolve
from kencore.data.examples import read_examples
from kencore.data.text import read_text
from kencore.errors import KencoreError, NotAllowedError, SpecError
from kencore.system import roots
from tests.support.people import looking
from tests.support.runs import make_run


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A root with a model, and a folder outside it with another."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    for place in (root, outside):
        for side in ("base", "tuned"):
            (place / "pair" / side).mkdir(parents=True)
            (place / "pair" / side / "config.json").write_text("{}")
            save_file({"w": np.zeros((2, 2), np.float32)}, place / "pair" / side / "model.safetensors")
        (place / "data.tsv").write_text("sentence\tlabel\na\t0\n")
        (place / "text.txt").write_text("some text")
    (root / "link").symlink_to(outside)
    (root / "file.tsv").symlink_to(outside / "data.tsv")
    monkeypatch.setenv(roots.ROOTS, json.dumps([str(root)]))
    return root, outside


def test_paths_outside_are_refused_there_or_not(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root, outside = places
    monkeypatch.chdir(outside)
    assert resolve(str(root / "pair/tuned")).kind == "folder"
    assert len(read_examples(root / "data.tsv")) == 1
    assert read_text(root / "text.txt", part="evaluation").text == "some text"
    bad = (outside, root / ".." / "outside", root / "link", Path("/proc/self/root") / str(outside)[1:], Path("/nope"))
    for place in bad:
        for read in (
            lambda place: resolve(str(place / "pair/tuned")),
            lambda place: read_examples(place / "data.tsv"),
            lambda place: read_text(place / "text.txt", part="evaluation"),
        ):
            with pytest.raises(NotAllowedError, match="outside the folders"):
                read(place)
    for read in (lambda: read_examples(root / "file.tsv"), lambda: resolve("./pair/tuned"), lambda: resolve("~")):
        with pytest.raises(NotAllowedError):
            read()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "deeper/tokenizer.json"])
def test_a_link_in_a_folder_of_a_model_leads_nowhere_else(places: tuple[Path, Path], name: str) -> None:
    root, outside = places
    folder = root / "pair" / "tuned"
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(outside / "pair/tuned/model.safetensors")
    with pytest.raises(NotAllowedError, match="outside the folders"):
        resolve(str(folder))
    (folder / name).unlink()
    (folder / name).symlink_to(root / "pair" / "base" / "model.safetensors")  # within the roots it may
    roots.check_folder(folder, "model", written=str(folder))


def test_where_roots_are_set_a_name_is_never_looked_for_here(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a folder of the server's own is there makes no difference to what is said, nor is its place told."""
    monkeypatch.chdir(places[1].parent)
    monkeypatch.setenv(roots.HUBS, "[]")
    said = []
    for name in ("outside/pair", "outside/none"):
        with pytest.raises(NotAllowedError) as error:
            resolve(name)
        said.append(str(error.value).replace(name, "NAME"))
    assert said[0] == said[1]
    with pytest.raises(NotAllowedError) as error:
        resolve("~/models/x")
    assert str(Path("~").expanduser()) + "/models" not in str(error.value)


def test_the_demo_and_its_data_are_always_there(places: tuple[Path, Path]) -> None:
    assert resolve("demo").kind == "demo"
    assert len(read_examples("demo")) > 100


def test_hub_ids_by_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(roots.HUBS, json.dumps(["org/*"]))
    roots.check_hub("org/model")
    for name in ("other/model", "org", "Org/model", "x/org/model"):
        with pytest.raises(NotAllowedError, match="hub id"):
            roots.check_hub(name)
    with pytest.raises(NotAllowedError):
        resolve("other/model")
    monkeypatch.setenv(roots.HUBS, "org/*")
    with pytest.raises(SpecError, match=roots.HUBS):
        roots.check_hub("org/model")


def test_without_a_list_a_server_takes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(roots.ROOTS, raising=False)
    roots.check_path(tmp_path, "model")
    with looking("ann"), pytest.raises(NotAllowedError):
        roots.check_path(tmp_path, "model")


def test_the_models_of_a_server_are_listed(places: tuple[Path, Path]) -> None:
    root, _ = places
    assert roots.models() == [str(root / "pair/base"), str(root / "pair/tuned")]
    assert roots.models(depth=0) == []


def test_a_run_of_a_model_outside_shows_no_weight(places: tuple[Path, Path], tmp_path: Path) -> None:
    run = make_run(tmp_path / "elsewhere", "magnitude")
    assert run.keep(run.pruned[0]).any()
    with pytest.raises(KencoreError, match="outside the folders"):
        run.values(run.pruned[0])
