"""Rules that `bytes.py` measures: one code for every matrix, and published rules.

A rule takes a difference (R, C) and a matrix's number, and gives what it makes of the difference, and bits.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from kencore.codes.choice import FACTS
from kencore.codes.grid import grid
from kencore.codes.table import decode
from kencore.models.seam import forward
from kencore.quality.second_order import _gradient

Made = tuple[np.ndarray, float]  # a difference (R, C), and bits
Rule = Callable[[np.ndarray, int], Made]  # of a difference (R, C) and a matrix's number
STEPS, RATE = 200, 1e-4  # of BitDelta's distillation, as published
FACTORS = 12  # that DAREx-q tries
BATCH = 8  # passes of its one batch


def coded(make: Callable[[np.ndarray, int], Any]) -> Rule:
    """One code with one parameter for all matrices; vectors in 8 bits."""

    def rule(d: np.ndarray, number: int) -> Made:
        one = grid(d) if d.shape[0] == 1 else make(d, number)
        return decode(one)[0], one.bits + FACTS

    return rule


def plain(make: Callable[[np.ndarray, int], Made]) -> Rule:
    """A published rule; vectors in 8 bits."""

    def rule(d: np.ndarray, number: int) -> Made:
        if d.shape[0] == 1:
            one = grid(d)
            return decode(one)[0], float(one.bits)
        return make(d, number)

    return rule


def entropy(share: float) -> float:
    return 0.0 if share in (0, 1) else float(-share * np.log2(share) - (1 - share) * np.log2(1 - share))


def bitdelta(d: np.ndarray, number: int) -> Made:
    return np.sign(d) * np.abs(d).mean(), d.size + 16.0


def uniform(d: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Numbers from 0 to 1 for each entry of a matrix (R, C)."""
    return np.random.default_rng([number, seed] if seed else number).random(d.shape)


def dare(share: float, seed: int = 0) -> Rule:
    def rule(d: np.ndarray, number: int) -> Made:
        keep = uniform(d, number, seed) < share
        return np.where(keep, d / share, 0), share * d.size * 32

    return plain(rule)


def top(share: float, *, energy: bool) -> Rule:
    """The largest of each row with their values; with the gain of `--rescale energy`."""

    def rule(d: np.ndarray, number: int) -> Made:
        kept = max(1, round(share * d.shape[1]))
        least = np.partition(np.abs(d), d.shape[1] - kept, axis=1)[:, -kept, None]
        found = np.where(np.abs(d) >= least, d, 0)
        if energy:
            found = found * (
                np.square(d).sum(1, keepdims=True) / np.maximum(np.square(found).sum(1, keepdims=True), 1e-30)
            )
        return found, d.size * (entropy(share) + 32 * share)

    return plain(rule)


def compeft(share: float) -> Rule:
    """The largest of the matrix as sign times the deviation (2311.13171, alpha 1)."""

    def rule(d: np.ndarray, number: int) -> Made:
        least = np.quantile(np.abs(d), 1 - share)
        return np.where(np.abs(d) >= least, np.sign(d) * d.std(), 0), d.size * (entropy(share) + share)

    return plain(rule)


def integers(levels_: int) -> Rule:
    def rule(d: np.ndarray, number: int) -> Made:
        step = np.abs(d).max(axis=1, keepdims=True) / levels_
        symbols = np.rint(np.divide(d, step, out=np.zeros_like(d), where=step > 0))
        counts = np.unique(symbols, return_counts=True)[1] / d.size
        return symbols * step, float(-(counts * np.log2(counts)).sum()) * d.size + 16 * d.shape[0]

    return plain(rule)


def zipped(d: np.ndarray, number: int) -> Made:
    return d, 8.0 * len(zlib.compress(np.ascontiguousarray(d, np.float32).tobytes(), 1))


def della(share: float, seed: int = 0, spread: float = 0.1) -> Rule:
    """MagPrune (2406.11617): by rank in its row an entry stays with a chance from share - spread / 2 to share +
    spread / 2, the largest most often, and is divided by that chance. Which ones stay is stored.
    """

    def rule(d: np.ndarray, number: int) -> Made:
        ranks = np.argsort(np.argsort(np.abs(d), axis=1, kind="stable"), axis=1)
        chances = share - spread / 2 + spread * (ranks + 0.5) / d.shape[1]
        keep = uniform(d, number, seed) < chances
        return np.where(keep, d / chances, 0), d.size * (entropy(share) + 32 * share)

    return plain(rule)


def darex(study: Any, share: float, seed: int = 0) -> Rule:
    """DAREx-q (2410.09344): DARE with the factor 1 / q that moves the outputs least on one batch without labels.

    One factor for all matrices; outputs are the logits, their distance squared and averaged; a row of 1 is in 8 bits.
    """

    def scaled(factor: float) -> Rule:
        def rule(d: np.ndarray, number: int) -> Made:
            keep = uniform(d, number, seed) < share
            return np.where(keep, d * factor, 0), share * d.size * 32

        return plain(rule)

    passes = study.passes()[:BATCH]
    study.judge.bring(study.pair.tuned_tensors)
    wanted = outputs(study, passes)

    def moved(factor: float) -> float:
        study.judge.bring(study.pair.tuned_tensors, study.state(scaled(factor)))
        apart = [(a - b).square().double().mean() for a, b in zip(wanted, outputs(study, passes), strict=True)]
        return float(sum(apart)) / len(apart)

    factors = np.geomspace(1, 1 / share, FACTORS)
    best = min(factors, key=moved)
    print(f"DAREx-q {share:g}: factor {best:.3g}", flush=True)
    return scaled(float(best))


def outputs(study: Any, passes: list[Any]) -> list[torch.Tensor]:
    """Logits of each pass."""
    model = study.judge.model
    model.model.eval()
    with torch.no_grad():
        return [forward(model.model, **one.inputs).logits.float() for one in passes]


def distilled(study: Any) -> Rule:
    """BitDelta with distilled scales (2402.10193): signs, and a scale of each matrix that Adam moves from mean |d|
    for 200 steps at 1e-4, so that the logits of training text come as near as they can in mean square.

    Vectors are in 8 bits and are not moved.
    """
    model, tensors = study.judge.model, study.pair.tuned_tensors
    passes = study.passes()
    study.judge.bring(tensors)
    wanted = outputs(study, passes)
    signs, bases, fixed = {}, {}, {}
    started = []
    for number, parameter in enumerate(study.parameters):
        tuned, base = study.sides(parameter)
        d = tuned - base
        if d.shape[0] == 1:
            fixed[parameter.name] = on_disk(base + plain(bitdelta)(d, number)[0], parameter)
            continue
        signs[parameter.name], bases[parameter.name] = (on_disk(one, parameter) for one in (np.sign(d), base))
        started.append(float(np.abs(d).mean()))
    scales = torch.nn.Parameter(torch.tensor(started))
    optimiser = torch.optim.Adam([scales], lr=RATE)
    held = dict(model.model.named_parameters(remove_duplicate=False))

    def state() -> Iterator[tuple[str, torch.Tensor]]:
        yield from fixed.items()
        for (name, sign), scale in zip(signs.items(), scales.detach(), strict=True):
            yield name, bases[name] + scale * sign

    for step in range(STEPS):
        study.judge.bring(tensors, state())
        model.model.zero_grad(set_to_none=True)
        one = passes[step % len(passes)]
        with torch.enable_grad():
            found = forward(model.model, **one.inputs).logits.float()
            (found - wanted[step % len(passes)]).square().mean().backward()
        slopes = [(_gradient(model, held, name), sign) for name, sign in signs.items()]
        scales.grad = torch.stack([torch.tensor(0.0) if g is None else (g * sign).sum() for g, sign in slopes])
        optimiser.step()
    model.model.zero_grad(set_to_none=True)
    before = np.array(started)
    moved = scales.detach().numpy()[before > 0] / before[before > 0]
    print(f"distilled scales, of mean |d|: {moved.min():.2f} to {moved.max():.2f}", flush=True)
    numbers = iter(scales.detach().tolist())
    by_number = {n: next(numbers) for n, parameter in enumerate(study.parameters) if parameter.name in signs}
    return plain(lambda d, number: (np.sign(d) * np.float32(by_number[number]), d.size + 16.0))


def on_disk(values: np.ndarray, parameter: Any) -> torch.Tensor:
    """A matrix (R, C) as its parameter lies on disk."""
    turned = values.T if parameter.transposed else values
    return torch.from_numpy(np.ascontiguousarray(turned, np.float32).reshape(parameter.shape))
