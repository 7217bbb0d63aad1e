r"""A sweep of ten budgets against as many separate prunings.

    python benchmarks/sweep.py
    python benchmarks/sweep.py --cases encoder --repeats 1 --without-processes

Each case is timed as a sweep, as separate calls of `prune` in one process, and as a process of the
command line for each, with evaluation and baselines as by default, on ``--threads`` threads.
Printed are medians over the repeats, of seconds on the clock and of processor seconds (which other
work on the machine disturbs less), and the ratios. The first model that a process loads costs it
the import of torch and transformers: that is done before the clock starts, but for processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kencore.pruning.prune import prune
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.sweep import sweep

TEN = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
CASES: dict[str, SweepSpec] = {
    "encoder": SweepSpec(model="demo", methods=("delta", "ken"), keeps=TEN, evaluation="demo"),
    "lm": SweepSpec(
        model="demo-lm", methods=("wanda",), keeps=TEN, evaluation="pydoc", windows=16, sequences=16, window=256
    ),
}
WORDS = {
    "encoder": "demo encoder, delta and ken, labelled sentences",
    "lm": "demo-lm, wanda on 16 x 256 tokens, perplexity on 16 windows",
}
Taken = tuple[float, float]  # seconds on the clock, processor seconds


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keeps", type=float, nargs="+", default=list(TEN))
    parser.add_argument("--without-processes", action="store_true")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    for case in args.cases:
        spec = replace(CASES[case], keeps=tuple(args.keeps), device="cpu")
        ways: dict[str, Callable[[], None]] = {
            "sweep": lambda spec=spec: _sweep(spec, args.threads),
            "separate calls": lambda spec=spec: _calls(spec, args.threads),
        }
        if not args.without_processes:
            ways["separate processes"] = lambda spec=spec: _processes(spec, args.threads)
        with _store():  # imports and compiled code are not what is measured
            prune(spec.points()[0], threads=args.threads)
        taken: dict[str, list[Taken]] = {way: [] for way in ways}
        for _ in range(args.repeats):
            for way, work in ways.items():
                with _store():
                    taken[way].append(_timed(work))
        _tell(case, len(spec.points()), taken)


def _sweep(spec: SweepSpec, threads: int) -> None:
    done = sweep(spec, threads=threads).progress
    assert done["done"] == done["planned"], done


def _calls(spec: SweepSpec, threads: int) -> None:
    for point in spec.points():
        prune(point, threads=threads)


def _processes(spec: SweepSpec, threads: int) -> None:
    code = (
        "import sys; from kencore import PruneSpec, prune; "
        "prune(PruneSpec.from_json(sys.argv[1]), threads=int(sys.argv[2]))"
    )
    for point in spec.points():
        asked: PruneSpec = point
        subprocess.run([sys.executable, "-c", code, asked.to_json(), str(threads)], check=True)


def _timed(work: Callable[[], None]) -> Taken:
    clock, processor = time.perf_counter(), _processor()
    work()
    return time.perf_counter() - clock, _processor() - processor


def _processor() -> float:
    """Processor seconds of this process and of those that it waited for."""
    used: list[Any] = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return float(sum(one.ru_utime + one.ru_stime for one in used))


@contextmanager
def _store() -> Iterator[None]:
    """A store that is empty at first and gone afterwards."""
    before = os.environ.get("KENVIZ_HOME")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KENVIZ_HOME"] = str(Path(folder) / "home")
        try:
            yield
        finally:
            os.environ.pop("KENVIZ_HOME")
            if before is not None:
                os.environ["KENVIZ_HOME"] = before


def _tell(case: str, points: int, taken: dict[str, list[Taken]]) -> None:
    medians = {way: tuple(statistics.median(side) for side in zip(*times, strict=True)) for way, times in taken.items()}
    print(f"{WORDS[case]}: {points} prunings, medians of {len(taken['sweep'])}", flush=True)
    own = medians["sweep"]
    for way, (clock, processor) in medians.items():
        ratio = f"sweep takes {own[0] / clock:.2f} of it, {own[1] / processor:.2f} of its processor"
        print(
            f"  {way:<20} {clock:8.1f} s   processor {processor:8.1f} s" + ("" if way == "sweep" else f"   {ratio}"),
            flush=True,
        )


if __name__ == "__main__":
    main()
