"""One recorded case of each kind; `python tests/golden/replay.py FOLDER` replays them all."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.golden.replay import Models, main, replay

CASES = (
    "tiny-opt__wanda__uniform__s60",
    "tiny-opt__wanda__owl__s60",
    "tiny-opt__sparsegpt__uniform__s60",
    "tiny-opt__magnitude__neuroal-block__s60",
    "tiny-llama__multiflow__alpha__s70",
    "tiny-llama__wanda__DSnoT__s70",
    "tiny-llama__magnitude__neuroal-both__s70",
)


@pytest.fixture(scope="module")
def recorded(shared: Path) -> Path:
    return shared / "golden" / "neuroal"


@pytest.fixture(scope="module")
def models(recorded: Path) -> Models:
    torch.set_num_threads(1)
    return Models(recorded)


@pytest.mark.parametrize("name", CASES)
def test_recorded_case(recorded: Path, models: Models, name: str) -> None:
    assert replay(recorded / f"{name}.npz", models).misses == []


def test_another_mask_is_a_miss(recorded: Path, models: Models, tmp_path: Path) -> None:
    with np.load(recorded / f"{CASES[0]}.npz") as case:
        data = {key: case[key].copy() for key in case.files}
    data["mask_first16rows"][7] ^= 1
    np.savez(tmp_path / "changed.npz", **data)
    result = replay(tmp_path / "changed.npz", models)
    assert result.misses == [f"1 bits of {8 * data['mask_first16rows'].size}"]


def test_a_broken_file_is_a_miss_and_stops_nothing(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").symlink_to(recorded / "models")
    (tmp_path / "tiny-opt__a__broken__s60.npz").write_bytes(b"no archive")
    shutil.copy(recorded / f"{CASES[0]}.npz", tmp_path)
    monkeypatch.setattr(sys, "argv", ["replay.py", str(tmp_path)])
    assert main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert "MISS" in lines[0]
    assert lines[1].endswith("ok")
    assert lines[2] == "1 of 2 cases agree"
