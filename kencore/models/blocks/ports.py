"""Where a matrix meets its inputs: the call of a linear layer, or a product with one expert's part of
the parameter that holds all experts of a layer.

Experts are no modules: a layer of experts multiplies the tokens of each by a slice of one parameter.
Whoever listens sees these products as torch is asked for them, while experts run one by one; no
architecture is named here.

Shapes: E experts, T tokens, C columns (inputs of a matrix).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

PRODUCTS = frozenset(
    {nn.functional.linear, torch.matmul, torch.mm, torch.bmm, Tensor.matmul, Tensor.__matmul__, Tensor.mm, Tensor.bmm}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """What multiplies inputs by a matrix.

    Args:
        module: a linear layer, or one that holds the parameter of all experts.
        leaf: that parameter's name in it, ``""`` for a linear layer.
        expert: which of them.
    """

    module: nn.Module
    leaf: str = ""
    expert: int = 0


Heard = Callable[[Port, Tensor], None]


@contextmanager
def listening(ports: Iterable[Port], heard: Heard, done: Callable[[nn.Module], None] | None = None) -> Iterator[None]:
    """Tell what ports are given, as it is given.

    Args:
        ports: of one block, which lies where it will be run.
        heard: called with a port and its inputs: of a linear layer in the shape in which it is
            given them, of an expert (T, C), without the tokens that were not sent to it.
        done: called with a module once all products of its experts were told.
    """
    layers = [port for port in ports if not port.leaf]
    experts = [port for port in ports if port.leaf]
    with ExitStack() as stack:
        for port in layers:
            hook = port.module.register_forward_pre_hook(_tell(port, heard), with_kwargs=True)
            stack.callback(hook.remove)
        if experts:
            for module in {port.module: None for port in experts}:
                stack.enter_context(_one_by_one(module))
                if done is not None:
                    stack.callback(module.register_forward_hook(_ended(done)).remove)
            stack.enter_context(_Products(experts, heard))
        yield


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """What a linear layer is given, however it is passed."""
    return next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))


def _tell(port: Port, heard: Heard) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        heard(port, first_tensor(args, kwargs))

    return hook


def _ended(done: Callable[[nn.Module], None]) -> Callable[..., None]:
    def hook(module: nn.Module, args: tuple[Any, ...], out: Any) -> None:
        done(module)

    return hook


@contextmanager
def _one_by_one(module: nn.Module) -> Iterator[None]:
    """Experts in their plain implementation: a fused one multiplies by all at once, out of sight."""
    config: Any = getattr(module, "config", None)
    own = getattr(config, "_experts_implementation", None)
    if own is None:
        yield
        return
    config._experts_implementation = "eager"
    try:
        yield
    finally:
        config._experts_implementation = own


class _Products(TorchFunctionMode):
    """Hears of every product with a slice of a parameter that is listened to."""

    def __init__(self, ports: list[Port], heard: Heard) -> None:
        super().__init__()
        self.heard = heard
        self.ports = {(id(port.module), port.leaf, port.expert): port for port in ports}
        self.stacks = [(port.module, port.leaf) for port in {(id(p.module), p.leaf): p for p in ports}.values()]

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in PRODUCTS:
            x, weight = (*args, *(kwargs or {}).values())[:2]
            if isinstance(x, Tensor) and isinstance(weight, Tensor):
                self._product(x, weight)
        return func(*args, **(kwargs or {}))

    def _product(self, x: Tensor, weight: Tensor) -> None:
        with torch._C.DisableTorchFunction():
            for module, leaf in self.stacks:
                stack = getattr(module, leaf)
                away = weight.data_ptr() - stack.data_ptr()
                size = stack.stride(0) * stack.element_size()
                if not 0 <= away < stack.shape[0] * size:
                    continue
                if weight.dim() == 2:
                    self._tell(module, leaf, away // size, x.reshape(-1, x.shape[-1]))
                elif weight.shape == stack.shape:  # all experts at once; what is not sent to one is zero
                    for expert, tokens in enumerate(x):
                        self._tell(module, leaf, expert, tokens[tokens.ne(0).any(dim=-1)])
                return

    def _tell(self, module: nn.Module, leaf: str, expert: int, tokens: Tensor) -> None:
        port = self.ports.get((id(module), leaf, expert))
        if port is not None and len(tokens):
            self.heard(port, tokens)
