"""Pruning in little memory: fewer rows at a time, and the same run to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kencore.errors import NotEnoughMemoryError, SpecError
from kencore.pruning import by_slices, coder, finished
from kencore.pruning.difference import Difference
from kencore.pruning.prune import prune
from kencore.runs.run import Run
from kencore.settings.prune import PruneSpec
from kencore.system import memory
from tests.support.runs import FILES as MADE
from tests.support.tiny_models import save_pair

FILES = (*MADE, "metrics.json")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("pair")
    base, tuned = save_pair("bert", folder, change=0.05, max_shard_size="50KB")
    assert len(list(tuned.glob("*.safetensors"))) > 1
    return str(tuned), str(base)


@pytest.fixture
def nothing_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if Python and its libraries took no memory, so that small budgets can be given."""
    for module in (memory, coder):
        monkeypatch.setattr(module, "resident", lambda: 0)
    monkeypatch.setattr(by_slices, "LEAST_AT_ONCE", 1)
    monkeypatch.setattr(coder, "FIXED", 0)


def same(one: Run, two: Run) -> None:
    for name in FILES:
        files = [run.path / name for run in (one, two)]
        assert files[0].exists() == files[1].exists(), name
        assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes(), name


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "ken", "keep": 0.3},
        {"method": "delta", "keep": 0.3, "rescale": "energy"},
        {"method": "magnitude", "k": 7},
        {"method": "magnitude", "keep": 0.4, "base": None},
        {"method": "random", "keep": 0.5, "seed": 3},
    ],
    ids=str,
)
def test_a_small_budget_gives_the_same_run(
    asked: dict[str, Any], pair: tuple[str, str], tmp_path: Path, nothing_there: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = PruneSpec(**{"model": pair[0], "base": pair[1], "device": "cpu", **asked})
    whole = prune(spec, out=tmp_path / "whole")
    seen: list[int] = []
    inside = by_slices.Pruner._piece
    monkeypatch.setattr(
        by_slices.Pruner,
        "_piece",
        lambda self, runs, rows, *rest: (seen.append(rows.stop), inside(self, runs, rows, *rest)),
    )
    for weights in (40, 1000):
        run = prune(spec, out=tmp_path / str(weights), memory=weights * by_slices.BYTES_A_WEIGHT)
        same(whole, run)
    assert len(seen) > 4 * len(whole.pruned)


def test_a_small_budget_gives_the_same_coded_run(
    pair: tuple[str, str], tmp_path: Path, nothing_there: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = PruneSpec(model=pair[0], base=pair[1], method="bytes", bits=14, device="cpu")
    whole = prune(spec, out=tmp_path / "whole")
    largest = max(one.parameter.params for one in coder.decide(coder_pair(spec), spec))
    monkeypatch.setattr(Difference, "whole", lambda self: pytest.fail("a difference was held whole"))
    monkeypatch.setattr("kencore.codes.lowrank.memory", lambda shape: 0)
    monkeypatch.setattr(coder, "resident", lambda: 1 << 40)
    same(whole, prune(spec, out=tmp_path / "small", memory=coder.CODED_A_WEIGHT * largest))
    with pytest.raises(NotEnoughMemoryError, match="memory"):
        prune(spec, out=tmp_path / "smaller", memory=coder.CODED_A_WEIGHT * largest - 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "whole"]


def coder_pair(spec: PruneSpec) -> Any:
    from kencore.checkpoint.pair import open_models

    return open_models(spec)


def test_what_is_known_of_codes_is_not_found_out_again(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed while it codes: the next one tries no code again, and codes what was not coded."""
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(finished, "LONG", 0)
    spec = PruneSpec(model=pair[0], base=pair[1], method="bytes", bits=14, device="cpu")
    whole = prune(spec, out=tmp_path / "whole")
    calls: list[str] = []

    def stop(done: float, total: float, message: str) -> None:
        calls.append(message)
        if message.startswith("Coding") and len(calls) > len(whole.pruned) + 5:
            raise KeyboardInterrupt

    coded: list[Any] = []
    inside = coder.code_with
    monkeypatch.setattr(
        coder, "code_with", lambda d, option, draw: (coded.append((draw, option)), inside(d, option, draw))[1]
    )
    with monkeypatch.context() as killed:
        killed.setattr(finished.shutil, "rmtree", lambda *_, **__: None)  # as where the process is killed
        with pytest.raises(KeyboardInterrupt):
            prune(spec, out=tmp_path / "run", progress=stop)
    assert coded
    monkeypatch.setattr(coder, "options", lambda *_, **__: pytest.fail("codes were tried again"))
    same(whole, prune(spec, out=tmp_path / "again"))
    assert len(coded) == len(set(coded))
    assert not list((tmp_path / "home" / "runs").glob(".finished-*"))


def test_a_budget_that_cannot_be_is_refused_before_work(pair: tuple[str, str], tmp_path: Path) -> None:
    spec = PruneSpec(model=pair[0], base=pair[1], keep=0.3, device="cpu")
    with pytest.raises(NotEnoughMemoryError, match=r"1 MB; wanted .* or more: .* are in use by Python"):
        prune(spec, out=tmp_path / "run", memory="1MB")
    with pytest.raises(SpecError, match="memory: '2 apples'"):
        prune(spec, out=tmp_path / "run", memory="2 apples")
    with pytest.raises(SpecError, match="a budget beside wanda"):
        prune(PruneSpec(model=pair[0], method="wanda", keep=0.3), out=tmp_path / "run", memory="2GB")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5 GiB", 3 << 29), ("500m", 5 * 10**8), ("64 KB", 64_000), ("1024", 1024), (7, 7)],
)
def test_sizes(text: str | int, size: int) -> None:
    assert memory.size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1GB", "2 G 3", "1e9", "GB", "0.1"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(SpecError, match="wanted a size such as 2GB"):
        memory.size_in_bytes(text)


def test_the_environment_says_a_budget_and_an_argument_comes_before_it() -> None:
    said = {"KENVIZ_MEMORY": "3GB"}
    assert memory.budget(environment=said) == memory.Budget(most=3 * 10**9, asked=True)
    assert memory.budget("1GB", said).most == 10**9
    assert not memory.budget(environment={}).asked
    assert 0 < memory.budget(environment={}).most < memory.free() + memory.resident()
    with pytest.raises(SpecError, match="KENVIZ_MEMORY"):
        memory.budget(environment={"KENVIZ_MEMORY": "much"})
