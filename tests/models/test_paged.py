"""A language model that is measured from a file, because it does not fit into memory."""

from __future__ import annotations

import errno
import mmap
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kencore.checkpoint.layout import read_layout
from kencore.models.blocks.linears import find_blocks
from kencore.models.fingerprint import hashes_of
from kencore.models.language import LanguageModel, Windows
from kencore.models.paged import load_language
from kencore.models.pages import Pages
from kencore.quality.judge_model import Judge
from kencore.system.memory import ANY, Budget
from kencore.system.places import runs_folder
from tests.support.classifiers import save_tokenizer
from tests.support.tiny_models import VOCABULARY, build

NONE = Budget(most=1, asked=True)
WINDOWS = Windows(
    ids=torch.randint(3, VOCABULARY, (5, 12), generator=torch.Generator().manual_seed(2)), source="made up", sha256="0"
)
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells how much of a file is in memory")


def saved(kind: str, folder: Path, dtype: torch.dtype) -> Path:
    build(kind).to(dtype).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def loaded(folder: Path, room: Budget) -> LanguageModel:
    return load_language(folder, device="cpu", threads=1, room=room)


def in_memory() -> int:
    """Kilobytes of files of weights that this process has in memory."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text("utf-8").splitlines():
        if "-" in line.split(" ", 1)[0]:
            inside = "/.weights-" in line
        elif inside and line.startswith("Rss:"):
            found += int(line.split()[1])
    return found


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3"])  # plain, converted, tied
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_state_is_measured_as_in_memory(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    folder = saved(kind, tmp_path, dtype)
    judges = [Judge(loaded(folder, room), WINDOWS) for room in (ANY, NONE)]
    assert [judge.model.pages is not None for judge in judges] == [False, True]
    assert {one.dtype for one in judges[1].model.model.parameters()} == {dtype}
    halves = {name: (value / 2).to(dtype) for name, value in stored(folder).items() if value.dim() == 2}
    found: list[Any] = []
    for judge in judges:
        dense = judge.quality()
        judge.model.replace(halves)
        found.append([quality | {"seconds": 0} for quality in (dense, judge.quality())])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def stored(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@linux
def test_no_more_than_a_part_of_it_is_in_memory(tmp_path: Path) -> None:
    model = loaded(saved("llama", tmp_path, torch.float32), NONE)
    judge, seen = Judge(model, WINDOWS), []
    assert model.pages is not None
    first, last = model.pages.blocks[0], model.pages.blocks[-1]
    last.register_forward_pre_hook(lambda *_: seen.append(in_memory()))
    judge.quality()
    whole = sum(weight.nbytes for weight in first.parameters()) / 1024
    assert in_memory() == 0
    assert max(seen) < whole  # nothing of the block before; each small weight has a page of its own
    assert hashes_of(model)
    assert in_memory() == 0


@linux
def test_what_was_written_is_kept(tmp_path: Path) -> None:
    model = loaded(saved("llama", tmp_path, torch.float32), NONE)
    assert model.pages is not None
    weight = model.pages.weights[3]
    weight.data.fill_(2.5)
    model.pages.let_go()
    assert in_memory() == 0
    assert bool((weight == 2.5).all())
    assert not list(runs_folder().iterdir())  # it ends with the process, however that ends


def test_a_weight_with_other_memory_stays_there(tmp_path: Path) -> None:
    model = loaded(saved("llama", tmp_path, torch.float32), NONE)
    assert model.pages is not None
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    memory = mmap.mmap(-1, 16 * mmap.PAGESIZE, flags)  # whole pages of no file: dropped, they are zeros
    weight = model.pages.weights[3]
    weight.data = torch.frombuffer(memory, dtype=torch.float32)[: weight.numel()].view(weight.shape).fill_(2.5)
    model.pages.let_go()
    with model.pages.running(), torch.no_grad():
        model.model(WINDOWS.ids[:1])
    assert bool((weight == 2.5).all())


def test_what_cannot_be_widened_is_loaded_as_a_whole(tmp_path: Path) -> None:
    model = loaded(saved("mixtral", tmp_path, torch.bfloat16), NONE)
    assert model.pages is None
    assert {one.dtype for one in model.model.parameters()} == {torch.float32}


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved("llama", tmp_path, torch.float32)
    model = LanguageModel.load(folder)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    before = hashes_of(model)
    with pytest.raises(OSError, match="No space"):
        Pages(model.model, find_blocks(model.model, read_layout(folder))[1])
    assert hashes_of(model) == before
    assert not list(runs_folder().iterdir())
