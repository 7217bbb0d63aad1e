"""Weights and hidden states that leave memory once they were used, and what they are when they come back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore.checkpoint.as_torch import mapped
from kencore.checkpoint.tensors import open_tensors
from kencore.models.blocks import spool
from kencore.models.blocks.spool import Spooled, holder, used
from kencore.models.paging import let_go_of, one_by_one, shared
from kencore.system.memory import let_go

PAGE = 4096
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells which memory is a file's")


@pytest.fixture
def layer(tmp_path: Path) -> torch.nn.Linear:
    """A layer whose weight is the pages of a file."""
    (tmp_path / "config.json").write_text("{}")
    save_file({"weight": torch.arange(64.0 * 1024).reshape(64, 1024)}, tmp_path / "model.safetensors")
    with open_tensors(tmp_path) as tensors:
        found = torch.nn.Linear(1024, 64, bias=False)
        found.weight = torch.nn.Parameter(mapped(tensors, "weight"), requires_grad=False)
    return found


@linux
def test_what_is_let_go_is_as_on_disk_but_for_its_ends(layer: torch.nn.Linear, tmp_path: Path) -> None:
    layer.weight.data.fill_(-1.0)
    assert shared([layer, torch.nn.Linear(2, 2)]) == set()
    let_go_of(layer, but=shared([layer, torch.nn.Sequential(layer)]))
    assert bool((layer.weight == -1).all())
    let_go_of(layer)
    stored = load_file(tmp_path / "model.safetensors")["weight"]
    same = (layer.weight == stored).reshape(-1)
    ends = PAGE // 4  # less than a page on either side
    assert bool(same[ends:-ends].all())
    assert bool(((layer.weight == stored) | (layer.weight == -1)).all())


@linux
def test_memory_that_is_no_files_is_never_given_back() -> None:
    own = torch.full((64, 1024), 3.0)
    small = torch.ones(4)
    assert not let_go((own.data_ptr(), own.nbytes))
    assert not let_go((small.data_ptr(), small.nbytes))
    assert bool((own == 3).all())


@linux
def test_of_several_spans_those_of_a_file_are_given_back(layer: torch.nn.Linear, tmp_path: Path) -> None:
    own = torch.full((64, 1024), 3.0)
    layer.weight.data.fill_(-1.0)
    of_file = (layer.weight.data_ptr(), layer.weight.nbytes)
    assert let_go((own.data_ptr(), own.nbytes), of_file, (0, 1 << 20)) == 1
    assert bool((own == 3).all())
    stored = load_file(tmp_path / "model.safetensors")["weight"].reshape(-1)
    ends = PAGE // 4
    assert bool((layer.weight.reshape(-1) == stored)[ends:-ends].all())


@linux
def test_each_block_is_let_go_after_it_ran(layer: torch.nn.Linear) -> None:
    layer.weight.data.fill_(2.0)
    with torch.no_grad(), one_by_one([layer]):
        assert float(layer(torch.ones(1, 1024))[0, 20]) == 2048
    assert float(layer.weight[30, 0]) == 30 * 1024
    layer.weight.data.fill_(2.0)
    layer(torch.ones(1, 1024))
    assert float(layer.weight[30, 0]) == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batches_on_disk_are_what_was_put_there(
    dtype: torch.dtype, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "LIMIT", 5000)
    given = [torch.randn(2, 7, 65).to(dtype) for _ in range(4)]
    found = holder(5001)
    assert isinstance(found, Spooled)
    for number, batch in enumerate(given):
        found.append(batch)
        used(found, number)
    assert [torch.equal(a, b) for a, b in zip(found, given, strict=True)] == [True] * 4
    assert found[0].dtype == dtype
    assert list((home / "runs").iterdir()) == []  # the file has no name
    assert not isinstance(holder(5000), Spooled)
