"""NeuroAL's search the straightforward way: what `benchmarks/neuroal.py` measures ours against.

One sequence at a time, every weight cloned, every row sorted in full, the dense pass anew for
every candidate, statistics for every layer of its own: norm, sum, mean and variance, as the
published wrapper gathers them (SparseGPT's: norm and Hessian). It goes by the positions of layers
in their block, for the model types of the paper, and shares no code with the library's search:
tests use it as an oracle too.

Shapes: T tokens, H hidden size, R rows (outputs), C columns (inputs) of a layer, B blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STEPS = [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15, 0.2, 0.25]
OUT = 3  # position of attention's output projection, after q, k and v in some order

Shares = dict[str, Any]  # by "module-block": a number, or a list of one per row


@dataclass
class Plain:
    """A model and its first block's inputs, one sequence each."""

    blocks: nn.ModuleList
    kind: str
    inputs: list[Tensor]
    calls: list[list[dict[str, Any]]]  # of each block, of each sequence


@dataclass
class Search:
    """What was tried and chosen."""

    block_costs: list[float] = field(default_factory=list)
    row_costs: list[float] = field(default_factory=list)
    block_lambda: float | None = None
    row_lambda: float | None = None
    shares: Shares = field(default_factory=dict)


class Seen:
    """What is known of a layer's inputs, updated sequence by sequence."""

    def __init__(self, layer: nn.Linear, hessian: bool) -> None:
        columns = layer.weight.shape[1]
        self.squares, self.count, self.tokens = torch.zeros(columns), 0, 0
        self.sums, self.mean, self.variance = (torch.zeros(columns) for _ in range(3))
        self.hessian = torch.zeros(columns, columns) if hessian else None

    def hook(self, layer: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        x = args[0].reshape(-1, args[0].shape[-1])  # (T, C)
        old, self.count = self.count, self.count + 1
        weight = 1.0
        if self.hessian is not None:
            weight = 2 / self.count  # the published wrapper scales x before its norm is taken
            scaled = math.sqrt(weight) * x
            self.hessian *= old / self.count
            self.hessian += scaled.t().matmul(scaled)
        else:
            self.moments(x, old)
        self.squares *= old / self.count
        self.squares += torch.norm(x, p=2, dim=0) ** 2 * weight / self.count

    def moments(self, x: Tensor, old: int) -> None:
        seen, self.tokens = self.tokens, self.tokens + len(x)
        for name, value in (("mean", x.mean(0)), ("variance", x.var(0, correction=0))):
            joined = (getattr(self, name) * seen + value * len(x)) / self.tokens
            setattr(self, name, joined)
        self.sums *= old / self.count
        self.sums += x.sum(0) / self.count

    def norm(self) -> Tensor:
        return torch.sqrt(self.squares)


def catch(model: nn.Module, blocks: nn.ModuleList, ids: Tensor) -> Plain:
    """Record what every block is given, one sequence at a time."""
    plain = Plain(blocks, model.config.model_type, [], [[] for _ in blocks])

    def recorder(place: int) -> Any:
        def hook(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            plain.calls[place].append(dict(kwargs))
            if place == 0:
                plain.inputs.append(args[0].clone())

        return hook

    handles = [block.register_forward_pre_hook(recorder(place), with_kwargs=True) for place, block in enumerate(blocks)]
    with torch.no_grad():
        for sequence in ids:
            model(sequence[None].long(), use_cache=False)
    for handle in handles:
        handle.remove()
    return plain


def layers_of(block: nn.Module) -> dict[str, nn.Linear]:
    return {name: m for name, m in block.named_modules() if isinstance(m, nn.Linear)}


def forward(plain: Plain, place: int, inputs: list[Tensor], hessian: bool) -> tuple[list[Tensor], dict[str, Seen]]:
    """All sequences through a block, with statistics of every layer."""
    block = plain.blocks[place]
    seen = {name: Seen(layer, hessian) for name, layer in layers_of(block).items()}
    handles = [m.register_forward_hook(seen[name].hook) for name, m in layers_of(block).items()]
    outputs = []
    for hidden, kwargs in zip(inputs, plain.calls[place], strict=True):
        out = block(hidden.clone(), **kwargs)  # (1, T, H)
        outputs.append((out if isinstance(out, Tensor) else out[0]).clone())
    for handle in handles:
        handle.remove()
    return outputs, seen


def obs(layer: nn.Linear, hessian: Tensor, share: float, width: int = 128) -> Tensor:
    """SparseGPT column by column, in place; which entries went, bool (R, C)."""
    weight = layer.weight.data.clone()
    dead = torch.diag(hessian) == 0
    hessian[dead, dead] = 1
    weight[:, dead] = 0
    each = torch.arange(len(hessian))
    hessian[each, each] += 0.01 * torch.mean(torch.diag(hessian))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor = torch.linalg.cholesky(inverse, upper=True)
    gone = torch.zeros_like(weight, dtype=torch.bool)
    for first in range(0, weight.shape[1], width):
        part = slice(first, first + width)
        own, block = factor[part, part], weight[:, part].clone()
        score = block**2 / torch.diag(own)[None] ** 2
        threshold = torch.sort(score.flatten()).values[int(score.numel() * share)]
        gone[:, part] = score <= threshold
        errors, new = torch.zeros_like(block), torch.zeros_like(block)
        for column in range(block.shape[1]):
            stays = torch.where(gone[:, first + column], 0.0, block[:, column])
            error = (block[:, column] - stays) / own[column, column]
            block[:, column:] -= error[:, None].matmul(own[column, column:][None])
            errors[:, column], new[:, column] = error, stays
        weight[:, part] = new
        weight[:, first + width :] -= errors.matmul(factor[part, first + width :])
    layer.weight.data = weight
    return gone


def prune_layer(layer: nn.Linear, method: str, seen: Seen, share: Any, rows: bool) -> Tensor:
    """Prune one layer in place; which entries went, bool (R, C)."""
    weight = layer.weight.data
    if method == "sparsegpt":
        return obs(layer, seen.hessian.clone(), float(share))
    score = weight.abs()
    if method == "wanda":
        score = weight.abs() * seen.norm()[None]
    elif method == "multiflow":
        flow = weight.abs() * seen.norm()[None]
        score = weight.abs() * torch.outer(flow.mean(1), flow.mean(0))
    if not rows:
        order = torch.sort(score, dim=1, stable=True).indices
        gone = torch.zeros_like(score, dtype=torch.bool)
        gone.scatter_(1, order[:, : int(score.shape[1] * share)], True)
    else:
        order = torch.sort(score, dim=1, stable=True, descending=True).indices
        levels = torch.tensor([1 - s for s in share])  # float32 where shares are Python floats
        stay = (levels * score.shape[1]).to(torch.int64)[: len(score)]  # (R,)
        place = torch.arange(score.shape[1])[None].expand_as(score)
        gone = torch.zeros_like(score, dtype=torch.bool)
        gone.scatter_(1, order, place >= stay[:, None])
    layer.weight.data[gone] = 0.0
    return gone


def evaluate(plain: Plain, method: str, shares: Shares, rows: bool) -> tuple[float, dict[str, Tensor]]:
    """Cost of one distribution and the alignment of every layer."""
    terms, alignment = {}, {}
    inputs, hessian = [hidden.clone() for hidden in plain.inputs], method == "sparsegpt"
    for place, block in enumerate(plain.blocks):
        layers = layers_of(block)
        _, dense = forward(plain, place, inputs, hessian)
        weights = {name: layer.weight.data.clone() for name, layer in layers.items()}
        for name, layer in layers.items():
            prune_layer(layer, method, dense[name], shares[f"{name}-{place}"], rows)
        outputs, sparse = forward(plain, place, inputs, hessian)
        for name, layer in layers.items():
            layer.weight.data = weights[name]
            a, b = dense[name].norm(), sparse[name].norm()
            moved = a / a.sum() - b / b.sum()
            terms[f"{name}-{place}"] = torch.norm(moved, p=2).item() / len(moved)
            alignment[f"{name}-{place}"] = a - b
        inputs = outputs
    return sum(terms.values()), alignment


def block_shares(plain: Plain, sparsity: float, lam: float) -> Shares:
    depth = np.arange(1, len(plain.blocks) + 1)
    dense = (depth - depth.min()) * (1 / (depth.max() - depth.min()) * lam * 2)
    dense = sorted(dense - np.mean(dense) + (1 - sparsity), reverse=True)
    shares: Shares = {}
    for place, block in enumerate(plain.blocks):
        share = 1 - dense[place]
        share = 0.01 if share <= 0 else 0.99 if share >= 1 else share
        shares |= {f"{name}-{place}": share for name in layers_of(block)}
    return shares


def row_shares(plain: Plain, base: Shares, alignment: dict[str, Tensor], lam: float) -> Shares:
    """Shares per row from the layer that comes next by position in the block."""
    shares: Shares = {}
    for place, block in enumerate(plain.blocks):
        names = list(layers_of(block))
        for position, name in enumerate(names):
            key = f"{name}-{place}"
            rows = layers_of(block)[name].weight.shape[0]
            if place == len(plain.blocks) - 1:
                shares[key] = [base[key]] * rows
                continue
            moved = alignment[_next(plain, names, position, place)]
            even = plain.kind == "mistral" and position < OUT
            if even or moved.sum() == 0:
                shares[key] = [base[key]] * max(rows, len(moved))
                continue
            values = np.array(moved.tolist(), dtype=float)
            low, high = values.min(), values.max()
            dense = ((values - low) / (high - low)) * lam * 2
            dense -= np.mean(dense) - (1 - base[key])
            shares[key] = list(np.clip(1 - dense, 0.01, 0.99))
    return shares


def _next(plain: Plain, names: list[str], position: int, place: int) -> str:
    if position < OUT:
        return f"{names[OUT]}-{place}"
    if position == len(names) - 1:
        return f"{names[0]}-{place + 1}"
    gated = plain.kind not in ("opt", "phi") and position > OUT
    return f"{names[-1] if gated else names[position + 1]}-{place}"


@torch.no_grad()
def search(plain: Plain, method: str, sparsity: float, step: str) -> Search:
    """The block step, the row step, or one after the other."""
    found = Search()
    if step == "row":
        found.shares = block_shares(plain, sparsity, 0)
        _, alignment = evaluate(plain, method, found.shares, rows=False)
    else:
        lambdas = STEPS if sparsity < 0.8 else STEPS[:-1]
        outcomes = [evaluate(plain, method, block_shares(plain, sparsity, lam), rows=False) for lam in lambdas]
        found.block_costs = [cost for cost, _ in outcomes]
        best = found.block_costs.index(min(found.block_costs))
        found.block_lambda, alignment = lambdas[best], outcomes[best][1]
        found.shares = block_shares(plain, sparsity, lambdas[best])
    if step == "block" or method == "sparsegpt":
        return found
    base, lambdas = found.shares, [0.0, *STEPS]
    every = [row_shares(plain, base, alignment, lam) for lam in lambdas]
    found.row_costs = [evaluate(plain, method, shares, rows=True)[0] for shares in every]
    best = found.row_costs.index(min(found.row_costs))
    found.row_lambda, found.shares = lambdas[best], every[best]
    return found


@torch.no_grad()
def prune(plain: Plain, method: str, shares: Shares, rows: bool) -> dict[str, Tensor]:
    """Prune block by block in place; which entries went, bool (R, C) by "module-block"."""
    gone, inputs = {}, plain.inputs
    for place, block in enumerate(plain.blocks):
        _, seen = forward(plain, place, inputs, method == "sparsegpt")
        for name, layer in layers_of(block).items():
            key = f"{name}-{place}"
            gone[key] = prune_layer(layer, method, seen[name], shares[key], rows)
        inputs, _ = forward(plain, place, inputs, hessian=False)
    return gone
