"""Devices: what auto means on machines with and without accelerators."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pytest
import torch

from kencore.errors import DeviceNotFoundError, SpecError
from kencore.system import devices


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A function that pretends ``cards`` CUDA cards and, or not, MPS."""

    def pretend(*, cards: int = 0, mps: bool = False) -> None:
        card = SimpleNamespace(name="NVIDIA A100", total_memory=80_000_000_000)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cards > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("cards", "mps", "wanted"), [(0, False, "cpu"), (0, True, "mps"), (2, False, "cuda:0"), (1, True, "cuda:0")]
)
def test_auto_takes_the_best_there_is(machine, cards: int, mps: bool, wanted: str) -> None:
    machine(cards=cards, mps=mps)
    assert devices.resolve_device("auto") == wanted
    assert devices.resolve_device("cpu") == "cpu"


def test_a_card_is_named_by_its_number(machine) -> None:
    machine(cards=2)
    assert devices.resolve_device("cuda") == "cuda:0"
    assert devices.resolve_device("cuda:1") == "cuda:1"
    assert devices.resolve_device("cuda:01") == "cuda:1"
    assert devices.describe_device("cuda:1") == "NVIDIA A100 (cuda:1, 80 GB)"


@pytest.mark.parametrize("device", ["cuda:3", "mps"])
def test_an_absent_device_is_said_to_be_absent(machine, device: str) -> None:
    machine(cards=2)
    for call in (devices.resolve_device, devices.describe_device):
        with pytest.raises(DeviceNotFoundError) as caught:
            call(device)
        assert caught.value.got == "a machine with cpu, cuda:0, cuda:1"
        assert device in str(caught.value)


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "", "CPU"])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(SpecError):
        devices.resolve_device(device)


def test_the_processor_is_described_with_its_memory() -> None:
    text = devices.describe_device("cpu")
    gigabytes = psutil.virtual_memory().total / 1e9
    assert f"{gigabytes:.0f} GB" in text or f"{gigabytes:.1f} GB" in text
    assert f"{devices.usable_cores()} core" in text


@pytest.mark.parametrize(("said", "threads"), [("1", 1), ("2,4", 2), ("64", 3), ("", 3), ("0", 3), ("many", 3)])
def test_no_more_threads_than_the_environment_says(monkeypatch: pytest.MonkeyPatch, said: str, threads: int) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: 3)
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert devices.usable_threads() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert devices.usable_threads() == 3


@pytest.mark.parametrize(("visible", "cards"), [("", 0), ("-1", 0), ("0", 1), ("0,2, 3", 3)])
def test_cards_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch, visible: str, cards: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.count_gpus() == cards
