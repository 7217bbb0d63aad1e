"""Many people at one server: how long a page takes beside that of one person alone, and what memory does.

    python benchmarks/load.py [--people 20] [--minutes 10] [--alone 2] [--think 10] [--job 60]

Each person is a light client that speaks Streamlit's own WebSocket with its protobuf classes, not a browser: it opens
page after page of the menu, of one run after the other, waits until the page's script has ended, fetches the data that
the page's map would, and thinks for a while. A page counts from asking for it to its end. One worker is on the same
machine and gets a small pruning every ``--job`` seconds, in both parts. First one person walks alone with no time to
think, then all of them.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from many_runs import wait  # noqa: E402

from tests.browser.conftest import free_port  # noqa: E402

RUNS = ("demo", "demo-lm")
PAGES = ("overview", "story", "map", "matrix", "row", "layers", "explain", "flips", "sparsity", "runs", "compare")
PAGES += ("tradeoff", "prune", "tune", "recover")
MATRIX = {"demo": "bert.encoder.layer.0.attention.self.key.weight", "demo-lm": "model.layers.0.self_attn.k_proj.weight"}
SETTLED = 120.0  # seconds after which memory is to stay
GOAL_TIME, GOAL_MEMORY = 1.5, 1.1


@dataclass
class Told:
    """What came of a walk."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    memory: list[tuple[float, int]] = field(default_factory=list)
    cpu: float = 0.0  # seconds of the server's processor
    lasted: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[float]:
        return [one for times in self.seconds.values() for one in times]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--alone", type=float, default=2, help="minutes of one person alone")
    parser.add_argument("--think", type=float, default=10, help="seconds between pages, half to one and a half of it")
    parser.add_argument("--job", type=float, default=60, help="seconds between prunings; 0: none")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kenviz-load-") as place:
        os.environ |= {"KENVIZ_HOME": place, "KENVIZ_WORKERS": "1", "HF_HUB_OFFLINE": "1"}
        with app(Path(place)) as (port, server):
            walk(port, server, 1, 0.2, 0, 0)  # what is imported with the first page is no part of it
            alone = walk(port, server, 1, asked.alone, 0, asked.job)
            every = walk(port, server, asked.people, asked.minutes, asked.think, asked.job)
        from kencore import jobs

        jobs.shutdown()
    return show(alone, every, asked.people)


@contextmanager
def app(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    """The app with what it ships, and a store of its own."""
    port = free_port()
    words = [sys.executable, "-m", "streamlit", "run", "app/server.py", "--server.port", str(port)]
    words += ["--server.headless", "true", "--server.fileWatcherType", "none"]
    with (home / "server.log").open("wb") as log:
        started = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait(port, started)
        yield port, psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait(20)


def walk(port: int, server: psutil.Process, people: int, minutes: float, think: float, job: float) -> Told:
    """So many people for so many minutes."""
    told, end = Told(), time.monotonic() + 60 * minutes
    walks = [threading.Thread(target=_person, args=(port, at, end, think, told)) for at in range(people)]
    began, last, before = time.monotonic(), float("-inf"), sum(server.cpu_times()[:2])
    for one in walks:
        one.start()
    while time.monotonic() < end:
        told.memory.append((time.monotonic() - began, server.memory_info().rss))
        if job and time.monotonic() - last > job:
            last = time.monotonic()
            _submit()
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
    for one in walks:
        one.join()
    told.cpu, told.lasted = sum(server.cpu_times()[:2]) - before, time.monotonic() - began
    return told


def _submit() -> None:
    from kencore import jobs

    jobs.submit("prune", {"model": "demo", "base": None, "method": "delta", "keep": 0.5, "evaluation": None})


def _person(port: int, number: int, end: float, think: float, told: Told) -> None:
    """One browser: its session stays, its pages change."""
    rng = random.Random(number)
    time.sleep(rng.uniform(0, think))
    steps = [(page, run) for run in RUNS for page in PAGES]
    rng.shuffle(steps)
    try:
        with connect(f"ws://localhost:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as pipe:  # type: ignore[list-item]
            at = 0
            while time.monotonic() < end:
                page, run = steps[at % len(steps)]
                at += 1
                began = time.perf_counter()
                _open(pipe, page, run)
                told.seconds[page].append(time.perf_counter() - began)
                _fetch(port, page, run)
                _rest(pipe, min(rng.uniform(0.5, 1.5) * think, max(0.0, end - time.monotonic())))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        told.wrong.append(f"person {number}: {type(error).__name__}: {error}")


def _open(pipe, page: str, run: str) -> None:  # type: ignore[no-untyped-def]
    """Ask for a page, and wait until its script has ended."""
    query = {"run": run} | ({"matrix": MATRIX[run]} if page in ("matrix", "row", "layers", "tune") else {})
    query |= {"with": RUNS[1 - RUNS.index(run)]} if page == "compare" else {}
    asked = BackMsg()
    asked.rerun_script.page_name = "" if page == "overview" else page
    asked.rerun_script.query_string = urllib.parse.urlencode(query)
    pipe.send(asked.SerializeToString())
    while True:
        message = ForwardMsg()
        message.ParseFromString(pipe.recv(timeout=120))
        kind = message.WhichOneof("type")
        if kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            raise RuntimeError(message.delta.new_element.exception.message)
        if kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            return


def _rest(pipe, seconds: float) -> None:  # type: ignore[no-untyped-def]
    """Think, and take what comes meanwhile."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        try:
            pipe.recv(timeout=left)
        except TimeoutError:
            return


def _fetch(port: int, page: str, run: str) -> None:
    """What the map of a page asks for."""
    if page not in ("map", "matrix", "tune", "story"):
        return
    query = urllib.parse.urlencode({"run": run, "matrix": MATRIX[run], "layer": "kept"})
    address = f"atlas?run={run}" if page in ("map", "story") else f"window?{query}"
    with urllib.request.urlopen(f"http://localhost:{port}/kenviz/{address}", timeout=60) as answer:
        answer.read()


def p95(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def show(alone: Told, every: Told, people: int) -> int:
    """Figures, and status 1 where something is not as it should be."""
    print(f"| page | alone, median | {people} people, median | alone, p95 | {people} people, p95 |")
    print("|---|---|---|---|---|")
    for page in PAGES:
        one, many = alone.seconds[page], every.seconds[page]
        if one and many:
            cells = (statistics.median(one), statistics.median(many), p95(one), p95(many))
            print(f"| {page} | " + " | ".join(f"{1000 * cell:.0f} ms" for cell in cells) + " |")
    ratio = p95(every.all) / p95(alone.all)
    print(f"{len(alone.all)} pages alone, {len(every.all)} of {people} people")
    for told, who in ((alone, "alone"), (every, f"{people} people")):
        print(
            f"{who}: {1000 * told.cpu / len(told.all):.0f} ms of the server's processor a page, "
            f"{told.cpu / told.lasted:.2f} of one in use"
        )
    print(f"p95 of a page: {1000 * p95(alone.all):.0f} ms alone, {1000 * p95(every.all):.0f} ms, {ratio:.2f} times")
    later = [size for when, size in every.memory if when > SETTLED] or [size for _, size in every.memory]
    grown = max(later) / later[0]
    minutes = {int(when // 60): size for when, size in every.memory}
    print("memory by minute, MB:", *(f"{size / 2**20:.0f}" for size in minutes.values()))
    print(f"memory after {SETTLED:.0f} s: {grown:.3f} times at most")
    print("wrong:", *(alone.wrong + every.wrong or ["nothing"]), sep="\n  ")
    return int(bool(alone.wrong or every.wrong) or ratio > GOAL_TIME or grown > GOAL_MEMORY)


if __name__ == "__main__":
    sys.exit(main())
