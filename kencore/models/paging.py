"""Weights that lie in the checkpoint's own pages, out of memory again once they were used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from kencore.system.memory import let_go

if TYPE_CHECKING:
    from torch import nn


def let_go_of(module: nn.Module) -> None:
    """Take a module's weights out of memory where they are pages of a file: they are then as on disk, but for the ends
    of each that was written to. Others stay.
    """
    for parameter in module.parameters():
        if parameter.device.type == "cpu":
            let_go(parameter.data_ptr(), parameter.nbytes)


@contextmanager
def one_by_one(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While a dense model runs inside: each of its blocks is in memory no longer than it runs."""

    def after(module: nn.Module, args: Any, out: Any) -> None:
        let_go_of(module)

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(after).remove)
        yield
