"""Weights that lie in the checkpoint's own pages, out of memory again once they were used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from kencore.system.memory import let_go

if TYPE_CHECKING:
    from torch import nn


def let_go_of(module: nn.Module, *, but: Collection[int] = ()) -> None:
    """Take a module's weights out of memory where they are pages of a file: they are then as on disk, but for the ends
    of each that was written to. Others stay.

    Args:
        but: addresses of weights that stay too.
    """
    held = [weight for weight in module.parameters() if weight.device.type == "cpu" and weight.data_ptr() not in but]
    let_go(*((weight.data_ptr(), weight.nbytes) for weight in held))


def shared(modules: Iterable[nn.Module]) -> set[int]:
    """Addresses of weights that several of the modules have."""
    count = Counter(address for one in modules for address in {weight.data_ptr() for weight in one.parameters()})
    return {address for address, times in count.items() if times > 1}


@contextmanager
def one_by_one(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While a dense model runs inside: each of its blocks is in memory no longer than it runs."""

    def after(module: nn.Module, args: Any, out: Any) -> None:
        let_go_of(module)

    with ExitStack() as stack:
        for module in modules:
            stack.callback(module.register_forward_hook(after).remove)
        yield
