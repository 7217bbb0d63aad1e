"""Numbers of a config that say how large a model is, held against the tensors on disk before anything is built.

A config of a few hundred bytes can ask for 10^12 layers or labels. What no weights are there for is never made:
numbers that are counted through one by one (layers, labels, positions) are bounded beforehand, all others while the
model's parts are put together on the meta device, and the whole at the end.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kencore.checkpoint.header import read_header
from kencore.checkpoint.shards import find_shards
from kencore.errors import CheckpointError, ConfigError

LAYERS: Final = 256  # may be asked for whatever is on disk: some models use one layer many times
LABELS: Final = 1_000
POSITIONS: Final = 1 << 16
ANY: Final = 1 << 24
UNKNOWN: Final = 1 << 17  # labels, where nothing is on disk
SLACK: Final = 1 << 24  # entries of the model that may have no weights on disk
_LAYER = re.compile(r"layer|block|depth|stage|hidden_groups", re.IGNORECASE)
_LABEL = re.compile(r"num_labels$|num_classes$|n_classes$", re.IGNORECASE)
_POSITION = re.compile(r"position", re.IGNORECASE)
_SIZE = re.compile(r"(size|length|len|dim|width|window|channels|heads|tokens?|norm)$", re.IGNORECASE)
_NO_COUNT = re.compile(r"theta|base|seed|_id$|_ids$|_index$|version|date|params|flops|max_length$|transformers", re.I)
_TURNED = re.compile(r"rope|rotary", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDisk:
    """What a checkpoint holds.

    Args:
        tensors: how many.
        elements: values in all of them; of packed ones bytes.
        widest: the largest dimension of any.
    """

    tensors: int
    elements: int
    widest: int

    @classmethod
    def of(cls, shapes: Iterable[tuple[int, ...]]) -> OnDisk:
        """What tensors of these shapes are."""
        found = list(shapes)
        return cls(
            tensors=len(found),
            elements=sum(math.prod(shape) for shape in found),
            widest=max((size for shape in found if math.prod(shape) for size in shape), default=0),
        )


def on_disk(folder: Path) -> OnDisk | None:
    """What the weight files of a folder hold, by their headers; ``None`` where they cannot be read: who needs them
    says why.
    """
    try:
        files = find_shards(folder).files.values()
        return OnDisk.of(info.shape for path in files for info in read_header(path))
    except (CheckpointError, OSError):
        return None


def check_sizes(folder: Path, plain: Mapping[str, Any], disk: OnDisk | None) -> None:
    """Refuse a config that asks for far more than there are weights for.

    Args:
        plain: config.json as plain values.
        disk: what lies beside it, if that is known.

    Raises:
        ConfigError: a number that no tensor on disk answers to.
    """
    turned = any(_TURNED.search(name) for name in _names(plain))
    for name, value in _numbers(plain):
        most = _most(name, disk, turned=turned)
        if most is not None and value > most:
            raise _too_large(folder, f"{name} {value:,}" if value < 10**18 else f"{name} of {len(str(value))} digits")


def _most(name: str, disk: OnDisk | None, *, turned: bool) -> int | None:
    """The largest number that a name of a config may say; ``None``: any, since nothing is counted by it."""
    if _NO_COUNT.search(name):
        return None
    if _LABEL.search(name):
        return UNKNOWN if disk is None else max(LABELS, disk.widest)
    if _LAYER.search(name) and not _SIZE.search(name):
        return max(LAYERS, disk.tensors if disk else 0)
    if _POSITION.search(name):  # rotary positions are computed: any number says that there is no limit
        return None if turned else max(POSITIONS, disk.widest if disk else 0)
    return max(ANY, disk.elements if disk else 0)


def _numbers(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number of a config with the name that it stands under."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield name, value
    elif isinstance(value, float) and value.is_integer():
        yield name, int(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if str(key) != "label2id":  # numbers of labels, as many as are written out
                yield from _numbers(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers(inner, name)


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _names(inner)


@contextmanager
def bounded_build(folder: Path, disk: OnDisk | None) -> Iterator[None]:
    """Around what builds a model on the meta device: stop it when it has far more parts than there are tensors.

    Raises:
        ConfigError: as said.
    """
    from torch.nn.modules import module

    most, own, made = 20_000 + 20 * (disk.tensors if disk else 0), threading.get_ident(), 0

    def count(*_: Any) -> None:
        nonlocal made
        if threading.get_ident() == own:
            made += 1
            if made > most:
                raise _too_large(folder, f"a model of more than {most:,} parts")

    handles = [
        module.register_module_parameter_registration_hook(count),
        module.register_module_module_registration_hook(count),
        module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_whole(folder: Path, shapes: Iterable[tuple[int, ...]], disk: OnDisk | None) -> None:
    """Refuse a model whose parameters, once there is memory for them, are far more than the weights on disk.

    Raises:
        ConfigError: as said.
    """
    asked = sum(math.prod(shape) for shape in shapes)
    if disk is not None and asked > 4 * disk.elements + SLACK:
        raise _too_large(folder, f"a model of {asked:,} weights")


def _too_large(folder: Path, got: str) -> ConfigError:
    return ConfigError(
        str(folder),
        got=f"a config.json that asks for {got}",
        wanted="sizes that the weights beside it have",
        remedy="Take the config.json that save_pretrained wrote with the weights.",
    )
