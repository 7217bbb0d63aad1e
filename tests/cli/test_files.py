"""Commands that make files of a run, and models of files, as a person and a script use them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from kencore import Run
from kencore.cli.main import app
from kencore.exports.subnetwork.read import is_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from tests.support.runs import make_run

runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("run"), "delta", 0.25)


def call(*arguments: str | Path, code: int = 0) -> Any:
    """Run a command with ``--json`` and return what it printed."""
    done = runner.invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.parametrize("zstd", [(), ("--zstd",)])
def test_export_inspect_and_open_a_subnetwork(run: Run, zstd: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "file"
    written = call("export", run.path, file, "--as", "subnetwork", *zstd)
    assert written["bytes"] == file.stat().st_size
    facts = call("inspect", file)
    assert facts["kind"] == "subnetwork"
    assert facts["compressed"] == bool(zstd)
    assert facts["kept"] == run.totals["kept"]
    assert call("open", file, tmp_path / "model")["folder"] == str(tmp_path / "model")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    for name, tensor in run.apply().items():
        assert torch.equal(saved[name], tensor)
    moved = tmp_path / "base"
    moved.symlink_to(str(run.spec.base))
    call("open", file, tmp_path / "again", "--base", moved)
    words = runner.invoke(app, ["inspect", str(file)]).stdout
    for part in (
        f"{written['bytes']:,} bytes",
        f"keep {run.totals['kept']:,}",
        "pruned by delta",
        f"Needs its base: {run.spec.base}",
    ):
        assert part in words
    assert ("one zstd frame" in words) == bool(zstd)


def test_export_of_a_folder_and_of_masks(run: Run, tmp_path: Path) -> None:
    folder = call("export", run.path, tmp_path / "model")
    assert (folder["form"], folder["folder"]) == ("folder", str(tmp_path / "model"))
    masks = call("export", run.path, tmp_path / "masks", "--as", "masks")
    assert masks["file"] == str(tmp_path / "masks")
    assert load_file(tmp_path / "masks").keys() == set(run.pruned)
    done = runner.invoke(app, ["export", str(run.path), str(tmp_path / "more"), "--as", "masks"])
    assert done.stdout == f"Wrote {tmp_path / 'more'} ({masks['bytes']:,} bytes)\n"


def test_mistakes_are_messages(run: Run, tmp_path: Path) -> None:
    file = write_subnetwork(run, tmp_path / "file")
    damaged = tmp_path / "damaged"
    damaged.write_bytes(file.read_bytes()[:-1])
    empty = tmp_path / "empty.subnetwork"
    empty.touch()
    tuned = run.spec.model
    for arguments, kind in (
        (("export", run.path, tmp_path / "x", "--as", "pickle"), "SpecError"),
        (("export", run.path, tmp_path / "x", "--zstd"), "SpecError"),
        (("export", run.path, file, "--as", "subnetwork"), "RunExistsError"),
        (("export", "no-such-run", tmp_path / "x"), "RunNotFoundError"),
        (("inspect", damaged), "CorruptSubnetworkError"),
        (("inspect", empty), "CorruptSubnetworkError"),
        (("inspect", file, "--base", run.spec.base), "SpecError"),
        (("inspect", f"{tuned}/model.safetensors"), "SourceNotFoundError"),
        (("open", damaged, tmp_path / "x"), "CorruptSubnetworkError"),
        (("open", f"{tuned}/model.safetensors", tmp_path / "x"), "CorruptSubnetworkError"),
        (("open", tmp_path / "none", tmp_path / "x"), "CorruptSubnetworkError"),
        (("open", file, tmp_path / "x", "--base", tuned), "WrongBaseError"),
        (("open", file, tmp_path / "x", "--base", "./nowhere"), "SourceNotFoundError"),
        (("open", file, tuned), "RunExistsError"),
    ):
        error = call(*arguments, code=1)["error"]
        assert error["type"] == kind, arguments
        assert "Traceback" not in runner.invoke(app, [str(word) for word in arguments]).output
    assert not (tmp_path / "x").exists()


STOPPED = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from kencore.cli import main as cli
from kencore.checkpoint import write as stream
folder, number, after = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
write, calls = stream.SafetensorsWriter.write, []
def stop(self, name, values):
    write(self, name, values)
    calls.append(name)
    if len(calls) == after:
        assert any(name.startswith(".") for name in os.listdir(folder))
        os.kill(os.getpid(), number)
        for _ in range(1000):  # another thread may receive the signal first
            time.sleep(0.01)
stream.SafetensorsWriter.write = stop
sys.argv = ["kencore", *sys.argv[4:]]
cli.main()
"""


@pytest.mark.parametrize(
    ("number", "code", "what"),
    [(signal.SIGINT, 130, "export"), (signal.SIGTERM, 143, "export"), (signal.SIGTERM, 143, "open")],
)
def test_what_is_stopped_in_the_middle_leaves_nothing(
    run: Run, number: int, code: int, what: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    if what == "export":
        asked = ["export", str(run.path), str(place / "file"), "--as", "subnetwork"]
    else:
        file = write_subnetwork(run, tmp_path / "file")
        assert is_subnetwork(file)
        asked = ["open", str(file), str(place / "model")]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(place), str(int(number)), "20", *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert list(place.iterdir()) == []


def test_convert_packed_weights_and_prune_them(tmp_path: Path) -> None:
    from tests.support.packed import save_packed
    from tests.support.tiny_models import save_pair

    packed = save_packed(save_pair("llama", tmp_path / "plain")[1], tmp_path / "packed", "fp8 by block")
    prune = ("prune", "--model", packed, "--method", "magnitude", "--sparsity", "0.5", "--out", tmp_path / "run")
    refused = call(*prune, code=1)["error"]
    assert refused["type"] == "PackedWeightsError"
    assert "inspect" not in call("inspect", packed)["notes"][-1]
    facts = call("convert", packed, tmp_path / "out", "--dtype", "bfloat16")
    assert facts["dtype"] == "bfloat16"
    assert 0 < facts["rounded"] <= facts["unpacked"] < facts["parameters"]
    call("prune", "--model", tmp_path / "out", *prune[3:])
    said = runner.invoke(app, ["convert", str(packed), str(tmp_path / "again")]).stdout
    assert f"{facts['unpacked']:,} of them unpacked from fp8" in said
    assert call("convert", packed, tmp_path / "out", code=1)["error"]["type"] == "RunExistsError"


def test_inspect_says_what_labels_mean_and_fails_where_data_cannot_be_used(tmp_path: Path) -> None:
    from tests.support.bad_models import BAD, edit

    typed = BAD["labels two ways"].make(tmp_path)
    model, data = str(typed["model"]), str(typed["evaluation"])
    found = call("inspect", model, "--data", data, code=1)["data"]
    assert (found["notes"], found["problem"]["type"]) == ([], "AmbiguousLabelsError")
    words = runner.invoke(app, ["inspect", model, "--data", data]).output
    assert f"data cannot be used: {found['problem']['message']}" in words
    edit(Path(model), id2label={"0": "bad", "1": "good"}, label2id={"bad": 0, "good": 1})
    told = ["2 labeled sentences.", "Labels: label 0 = class 'bad', label 1 = class 'good'."]
    assert call("inspect", model, "--data", data)["data"] == {"data": data, "notes": told, "problem": None}
    assert "data" not in call("inspect", model)
