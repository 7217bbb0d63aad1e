"""Weights of a model in a file without a name: they can be changed, and need no memory while they do not run."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from kencore.system.memory import drop, let_go
from kencore.system.places import runs_folder

if TYPE_CHECKING:
    import torch
    from torch import nn


class Pages:
    """Weights of a model in a file of their own, which ends with them.

    Args:
        model: its parameters lie on the processor; they are moved, with the values that they have.
        blocks: modules that run as a whole.

    Raises:
        OSError: the disk has no room for them.
    """

    def __init__(self, model: nn.Module, blocks: Iterable[nn.Module]) -> None:
        self.blocks = list(blocks)
        inside = {id(module) for block in self.blocks for module in block.modules()}
        self.outside = [one for one in model.modules() if id(one) not in inside and one._parameters]
        self.weights = list(model.parameters())  # tied ones once
        whole, at = _reserved(sum(_whole_pages(weight.nbytes) for weight in self.weights)), 0
        self.places = range(whole.data_ptr(), whole.data_ptr() + whole.nbytes)
        for weight in self.weights:
            old, place = weight.data, whole[at : at + weight.nbytes]
            weight.data = place.view(old.dtype).view(old.shape)
            weight.data.copy_(old)
            let_go((old.data_ptr(), old.nbytes))
            at += _whole_pages(weight.nbytes)
            self.let_go([weight])

    def let_go(self, weights: Iterable[torch.Tensor] | None = None) -> None:
        """Take weights out of memory, all where none are named; what was written to them is kept. One that was given
        other memory since stays there.
        """
        for weight in self.weights if weights is None else weights:
            if weight.data_ptr() in self.places:
                drop(weight.data_ptr(), _whole_pages(weight.nbytes))

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the model runs inside: no weight is in memory longer than the part that it belongs to runs."""

        def after(module: nn.Module, *_: Any) -> None:
            self.let_go(module.parameters())

        with ExitStack() as stack:
            for module in (*self.blocks, *self.outside):
                stack.callback(module.register_forward_hook(after).remove)
            yield
        self.let_go()


def _reserved(size: int) -> Any:
    """Bytes (size,) of a new file that has no name, mapped so that what is written to them lies in it."""
    import torch

    with tempfile.NamedTemporaryFile(dir=runs_folder(), prefix=".weights-") as file:
        if hasattr(os, "posix_fallocate"):  # or a full disk would end the process at a write
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return torch.from_file(file.name, shared=True, size=size, dtype=torch.uint8)


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
