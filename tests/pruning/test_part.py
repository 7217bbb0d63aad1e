"""A pruning by several processes: the run is that of one, and nothing that is finished is done again."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kencore.errors import SpecError
from kencore.pruning.by_slices import Pruner
from kencore.pruning.coder import Coder
from kencore.pruning.part import prune_part, shared_out
from kencore.pruning.prune import prune
from kencore.settings.prune import PruneSpec
from kencore.system.shard import Shard
from tests.support.runs import FILES
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer, write_text


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each matrix was pruned, or had its codes tried."""
    found: Counter[str] = Counter()
    pruned, tried = Pruner._prune, Coder._options

    def counted(self: Pruner, name: str) -> None:
        found[name] += 1
        pruned(self, name)

    def counted_options(self: Coder, decision: Any) -> Any:
        found[decision.parameter.name] += 1
        return tried(self, decision)

    monkeypatch.setattr(Pruner, "_prune", counted)
    monkeypatch.setattr(Coder, "_options", counted_options)
    return found


def parts(spec: PruneSpec, shared: Path, count: int) -> list[str]:
    shared.mkdir(exist_ok=True)
    return [name for i in range(count) for name in prune_part(spec, Shard(index=i, count=count), shared, threads=1)]


def same_run(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).exists() == (other / name).exists()
        assert not (one / name).exists() or (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize(
    "more",
    [
        {"method": "delta", "keep": 0.3, "rescale": "energy"},
        {"method": "random", "keep": 0.3, "seed": 4},
        {"method": "ken", "keep": 0.4, "balance": ("q=1.5",)},
        {"method": "bytes", "bits": 2.0},
    ],
)
def test_shards_make_the_run_of_one_process(home: Path, worked: Counter[str], more: dict[str, Any]) -> None:
    base, tuned = save_pair("bert", home, change=0.05)
    spec = PruneSpec.from_dict({"model": str(tuned), "base": str(base), "device": "cpu", **more})
    alone = prune(spec, out=home / "alone", threads=1)
    worked.clear()
    done = parts(spec, home / "shared", 3)
    assert sorted(done) == sorted(alone.pruned)
    assert worked == Counter(alone.pruned)
    parts(spec, home / "shared", 3)  # begun again: nothing is left to do
    parts(spec, home / "shared", 2)  # by another number of processes, as little
    same_run(alone.path, prune(spec, out=home / "whole", threads=1, shared=home / "shared").path)
    assert worked == Counter(alone.pruned)
    assert (home / "shared").is_dir()  # who made it removes it
    assert not list((home / "shared").glob(".shard*"))


def test_what_a_shard_did_not_finish_is_made_by_who_puts_the_run_together(home: Path, worked: Counter[str]) -> None:
    base, tuned = save_pair("bert", home, change=0.05)
    spec = PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.3, device="cpu")
    alone = prune(spec, out=home / "alone", threads=1)
    worked.clear()
    (home / "shared").mkdir()
    prune_part(spec, Shard(index=1, count=2), home / "shared", threads=1)
    assert 0 < len(worked) < len(alone.pruned)
    same_run(alone.path, prune(spec, out=home / "whole", threads=1, shared=home / "shared").path)
    assert worked == Counter(alone.pruned)


def test_codes_ordered_by_gradients_are_those_of_one_process(home: Path) -> None:
    base, tuned = save_pair("gpt2", home, change=0.05)
    add_tokenizer(tuned)
    text = write_text(home / "text.txt", 400)
    spec = PruneSpec.from_dict(
        {"model": str(tuned), "base": str(base), "device": "cpu", "method": "bytes", "bits": 3.0, "cost": False}
        | {"evaluation": str(text), "window": 8, "windows": 4, "baselines": False, "calibration": str(text)}
    )
    alone = prune(spec, out=home / "alone", threads=1)
    parts(spec, home / "shared", 2)
    whole = prune(spec, out=home / "whole", threads=1, shared=home / "shared")
    same_run(alone.path, whole.path)
    assert whole.metrics["pruned"]["nll"] == alone.metrics["pruned"]["nll"]


def test_a_method_that_runs_the_model_has_no_shards(home: Path) -> None:
    spec = PruneSpec(model="demo-lm", method="wanda", keep=0.5)
    with pytest.raises(SpecError, match="a part of wanda"):
        prune_part(spec, Shard(count=2), home)


def test_sizes_are_shared_out_evenly_and_each_name_once() -> None:
    sizes = {"a": 10, "b": 1, "c": 6, "d": 5, "e": 4}
    found = [shared_out(sizes, Shard(index=i, count=3)) for i in range(3)]
    assert found == [["a"], ["b", "c"], ["d", "e"]]
    assert shared_out(sizes, Shard()) == list(sizes)
    assert [shared_out({"a": 1}, Shard(index=i, count=2)) for i in range(2)] == [["a"], []]
