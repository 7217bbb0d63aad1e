"""2:4 masks, why the kernels cannot be used, and their use: by fakes, and for real on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kencore.quality import cost_semi
from kencore.quality.cost_probe import Probe
from kencore.quality.cost_semi import convert, is_two_of_four, semi_structured, why_not
from kencore.runs.bits import pack


def two_of_four(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """A keep mask with exactly two of every four neighbours."""
    rng = np.random.default_rng(seed)
    order = rng.random((rows, columns // 4, 4)).argsort(axis=2)
    return (order < 2).reshape(rows, columns)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99), st.booleans())
def test_masks(rows: int, fours: int, seed: int, spoil: bool) -> None:
    keep = two_of_four(rows, 4 * fours, seed)
    if spoil:
        row, four = seed % rows, seed % fours
        keep[row, 4 * four : 4 * four + 3] = True
    assert is_two_of_four(pack(keep), keep.shape[1]) is not spoil


def test_fewer_than_two_will_do_and_a_torn_row_will_not() -> None:
    assert is_two_of_four(pack(np.zeros((3, 12), bool)), 12)
    assert not is_two_of_four(pack(np.zeros((3, 10), bool)), 10)


def test_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "needs an NVIDIA GPU" in (why_not("cpu", {"a"}) or "")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert "cuda:0 has 7.5" in (why_not("cuda:0", {"a"}) or "")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert "no matrix is 2:4" in (why_not("cuda:0", set()) or "")
    assert why_not("cuda:0", {"a"}) is None


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Linear(128, 256), torch.nn.Linear(256, 128)
        self.odd = torch.nn.Linear(128, 128)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.odd(self.down(torch.relu(self.up(x.to(self.up.weight.device).half()))))


def pruned_net() -> Net:
    torch.manual_seed(0)
    net = Net()
    for layer in (net.up, net.down):
        layer.weight.data *= torch.from_numpy(two_of_four(*layer.weight.shape))
    return net


NAMES = {"up.weight", "down.weight"}
PROBE = Probe(one={"x": torch.ones(1, 128)}, tokens=128, batch=4, what="")


def test_only_the_named_layers_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def fake(weight: torch.Tensor) -> torch.Tensor:
        if weight.shape[0] == 128:
            raise RuntimeError("shape")
        seen.append(tuple(weight.shape))
        return weight + 0

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", fake)
    net = pruned_net()
    assert convert(net, NAMES) == 1  # the other has a shape that the fake refuses
    assert seen == [(256, 128)]


def test_timed_with_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", lambda weight: weight + 0)
    net = pruned_net()
    before = {name: p.clone() for name, p in net.named_parameters()}
    found = semi_structured(net, PROBE, "cuda:0", NAMES, repeats=4)
    assert (found["available"], found["matrices"]) == (True, 2)
    assert [line["batch"] for line in found["batches"]] == [1, 4]
    for line in found["batches"]:
        assert line["dense"]["repeats"] == line["semi_structured"]["repeats"] == 4
    assert all(torch.equal(p, before[name]) for name, p in net.named_parameters())


def test_shapes_that_torch_refuses_and_memory_that_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))

    def refuse(weight: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shape")

    monkeypatch.setattr(torch.sparse, "to_sparse_semi_structured", refuse)
    found = semi_structured(pruned_net(), PROBE, "cuda:0", NAMES)
    assert not found["available"]
    assert "shapes" in found["reason"]

    def full(model: object, matrices: object) -> int:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(cost_semi, "convert", full)
    assert "do not fit" in semi_structured(pruned_net(), PROBE, "cuda:0", NAMES)["reason"]


@pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 0),
    reason="needs an NVIDIA GPU of compute capability 8.0 or newer",
)
def test_on_a_gpu_the_answers_stay_the_same() -> None:
    net = pruned_net().cuda()
    found = semi_structured(net, PROBE, "cuda:0", NAMES)
    assert (found["available"], found["matrices"]) == (True, 2)
    sparse = pruned_net().cuda().half()
    wanted = sparse(torch.ones(4, 128))
    assert convert(sparse, NAMES) == 2
    with torch.inference_mode():
        torch.testing.assert_close(sparse(torch.ones(4, 128)), wanted, rtol=1e-2, atol=1e-2)
