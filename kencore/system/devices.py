"""Which device a job runs on, and what a person calls it."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from kencore.errors import DeviceNotFoundError, SpecError

DEVICES = ("auto", "cpu", "mps", "cuda")


def resolve_device(device: str) -> str:
    """The torch device that ``device`` means here: ``cpu``, ``mps`` or ``cuda:N``.

    ``auto`` takes CUDA where there is one, else MPS, else the CPU; ``cuda`` is ``cuda:0``.
    Imports torch.

    Raises:
        SpecError: not one of ``auto``, ``cpu``, ``mps``, ``cuda``, ``cuda:N``.
        DeviceNotFoundError: this machine has no such device.
    """
    check_device(device)
    present = _present()
    if device == "auto":
        return present[1] if len(present) > 1 else "cpu"
    wanted = "cuda:0" if device == "cuda" else device
    wanted = f"cuda:{int(wanted[5:])}" if wanted.startswith("cuda:") else wanted
    if wanted not in present:
        raise DeviceNotFoundError(
            f"Device {device}",
            got=f"a machine with {', '.join(present)}",
            wanted=f"a machine with {wanted}",
            remedy="Choose one of the devices that are there, or auto.",
        )
    return wanted


def describe_device(device: str) -> str:
    """A name with memory for people, such as ``NVIDIA A100 (cuda:0, 80 GB)``.

    Takes what `resolve_device` takes, and raises as it does. GB are 10**9 bytes.
    """
    name = resolve_device(device)
    if name.startswith("cuda"):
        import torch

        card = torch.cuda.get_device_properties(name)
        return f"{card.name} ({name}, {_gigabytes(card.total_memory)})"
    import psutil

    memory = _gigabytes(psutil.virtual_memory().total)
    if name == "mps":
        return f"Apple GPU (mps, {memory} shared with the processor)"
    cores = usable_cores()
    return f"{_processor()} (cpu, {cores} {'core' if cores == 1 else 'cores'}, {memory})"


def usable_cores() -> int:
    """Processor cores this process may run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def usable_threads() -> int:
    """Threads that are worth starting: one a core, and no more than ``OMP_NUM_THREADS`` says."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    most = int(said) if said.isascii() and said.isdigit() else 0
    return min(usable_cores(), most) if most else usable_cores()


def count_gpus() -> int:
    """CUDA cards this process may use, found without torch. An MPS GPU is not counted."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([card for card in visible.split(",") if card.strip() not in ("", "-1")])
    cards = Path("/dev").glob("nvidia*") if Path("/dev").is_dir() else ()
    return len([card for card in cards if re.fullmatch(r"nvidia\d+", card.name)])


def _present() -> list[str]:
    """The processor first, then what is faster, best first among its kind."""
    import torch

    names = ["cpu"]
    if torch.cuda.is_available():
        names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


def _processor() -> str:
    """The processor's own name where the system tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        label, _, value = line.partition(":")
        if label.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "Processor"


def _gigabytes(count: int) -> str:
    size = count / 1e9
    return f"{size:.0f} GB" if size >= 10 else f"{size:.1f} GB"


def check_device(device: object) -> None:
    """Raise `SpecError` unless ``device`` is one of the accepted forms."""
    good = isinstance(device, str) and (device in DEVICES or (device.startswith("cuda:") and device[5:].isdigit()))
    if not good:
        raise SpecError(
            "device",
            got=repr(device),
            wanted="auto, cpu, mps, cuda or cuda:N",
            remedy="auto takes CUDA where there is one, else MPS, else the CPU.",
        )
