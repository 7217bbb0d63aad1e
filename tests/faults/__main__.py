"""The long forms: processes killed at random moments, damaged input for every reader, a disk full at every write.

    python -m tests.faults kills [--kills 200] [--seed 1] [--kinds prune sweep ...] [--longest 3]
    python -m tests.faults fuzz [--inputs 50000] [--seed 1] [--readers run config ...]
    python -m tests.faults disk [--works prune report ...]

All end with figures, and with status 1 where something was lost, left over or not an error of ours.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("what", choices=("kills", "fuzz", "disk"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", help="kinds of job; all of them by default")
    parser.add_argument("--longest", type=float, default=6.0, help="seconds until the first kill at most")
    parser.add_argument("--inputs", type=int, default=50_000, help="for each reader")
    parser.add_argument("--readers", nargs="+", help="readers; all of them by default")
    parser.add_argument("--works", nargs="+", help="what writes; all of them by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kenviz-faults-") as place:
        os.environ |= {"KENVIZ_HOME": str(Path(place) / "store"), "HF_HUB_OFFLINE": "1"}
        return {"kills": _kills, "fuzz": _fuzz, "disk": _disk}[asked.what](asked, Path(place))


def _made(place: Path) -> tuple[tuple[Path, Path], Path, str]:
    """A tiny pair, sentences for it, and a run of it in the store."""
    from kencore import PruneSpec, prune
    from tests.support.tiny_models import save_pair
    from tests.support.tiny_text import add_tokenizer
    from tests.support.tuned_cases import write_sentences

    pair = save_pair("bert", place / "pair")
    for folder in pair:
        add_tokenizer(folder)
    sentences = write_sentences(place / "sentences.tsv", 40)
    spec = PruneSpec(model=str(pair[1]), base=str(pair[0]), method="delta", keep=0.5, evaluation=str(sentences))
    return pair, sentences, prune(spec).id


def _disk(asked: argparse.Namespace, place: Path) -> int:
    from tests.faults.disk_work import works
    from tests.faults.full_disk import everywhere

    failed, store = False, place / "store"
    found = works(store, *_made(place))
    for name in asked.works or found:
        told = everywhere(found[name], store)
        print(f"{name}: {told.tries} full disks, {told.refused} refused", flush=True)
        print(*(f"  wrong: {line}" for line in told.wrong or ["nothing"]), sep="\n", flush=True)
        failed = failed or bool(told.wrong)
    return failed


def _kills(asked: argparse.Namespace, place: Path) -> int:
    from tests.faults.kills import real_kinds, rounds

    pair, sentences, run = _made(place)
    kinds = real_kinds(pair, sentences, run)
    chosen = {kind: kinds[kind] for kind in asked.kinds or kinds}
    told = rounds(chosen, asked.kills, asked.seed, longest=asked.longest, say=lambda text: print(text, flush=True))
    print("killed:", dict(told.kills))
    print("ends:", dict(told.ends))
    print("wrong:", *(told.wrong or ["nothing"]), sep="\n  ")
    return bool(told.wrong)


def _fuzz(asked: argparse.Namespace, place: Path) -> int:
    from tests.faults.fuzz import fuzz
    from tests.faults.readers import READERS

    failed = False
    for name in asked.readers or READERS:
        told = fuzz(name, READERS[name], asked.inputs, asked.seed, place / name)
        print(told.line(), flush=True)
        for fault, count in told.faults.most_common(20):
            print(f"    {count} x {fault}")
        failed |= bool(told.faults)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
