"""A store of many runs against one of a few: how long the list takes, and the pages that show it.

    python benchmarks/many_runs.py [--few 10] [--many 10000] [--out FOLDER]

Every figure is the median of fresh processes (of the list) or of page runs over the app's own WebSocket; both stores
are measured in turns, in one run. Runs are links to the files of one small run with a record and settings of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LIST = """
import json, sys, time
from kencore.runs import shelf
told = []
for _ in range(3):
    begun = time.perf_counter()
    found = len(shelf.list_runs())
    told.append(time.perf_counter() - begun)
print(json.dumps([found, *told]))
"""
PAGES = ("overview", "runs", "prune")
WAY_BACK = 3600.0  # seconds that folders did not change for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where figures go, as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kenviz-many-") as place:
        stores = {number: make(Path(place), number) for number in (asked.few, asked.many)}
        told = {number: {"no index": listed(home, index=False)} for number, home in stores.items()}
        for name, at in (("new process", 1), ("again", 2)):
            for number, home in stores.items():
                told[number][name] = statistics.median(listed(home, at=at) for _ in range(asked.repeats))
        for number, home in stores.items():
            told[number] |= pages(home, asked.repeats)
    show(told)
    if asked.out:
        asked.out.write_text(json.dumps(told, indent=1) + "\n")


def make(place: Path, number: int) -> Path:
    """A store of so many runs, made over many days."""
    from tests.support.runs import make_run

    home = place / f"store-{number}"
    run = make_run(place / f"one-{number}", "magnitude").path
    record, spec = (json.loads((run / name).read_text()) for name in ("record.json", "spec.json"))
    metrics = (run / "metrics.json").read_text()
    for at in range(number):
        folder = home / "runs" / f"magnitude-{at:05}"
        folder.mkdir(parents=True)
        for file in run.iterdir():
            if file.suffix != ".json":
                os.link(file, folder / file.name)
        made = f"2026-{at // 1000 % 12 + 1:02}-{at // 40 % 28 + 1:02}T{at % 24:02}:{at % 60:02}:00+00:00"
        (folder / "record.json").write_text(json.dumps(record | {"created": made}))
        keep = round(0.05 + 0.9 * (at % 997) / 997, 4)
        (folder / "spec.json").write_text(json.dumps(spec | {"spec": spec["spec"] | {"keep": keep}}))
        (folder / "metrics.json").write_text(metrics)
        os.utime(folder, (time.time() - WAY_BACK,) * 2)
    return home


def listed(home: Path, *, at: int = 1, index: bool = True) -> float:
    """Seconds of listing in a fresh process, the first time or the second."""
    if not index:
        (home / "runs.jsonl").unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", LIST], cwd=ROOT, env=environment(home), capture_output=True, text=True, check=True
    )
    seconds: float = json.loads(done.stdout)[at]
    return seconds


def environment(home: Path) -> dict[str, str]:
    return os.environ | {"KENVIZ_HOME": str(home), "KENVIZ_ASSETS": str(home / "none"), "PYTHONPATH": str(ROOT)}


def pages(home: Path, repeats: int) -> dict[str, float]:
    """Seconds and bytes of pages of a running app."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    words = [sys.executable, "-m", "streamlit", "run", "app/server.py", "--server.port", str(port)]
    with (home / "server.log").open("wb") as log:
        app = subprocess.Popen(
            [*words, "--server.headless", "true"], cwd=ROOT, env=environment(home), stdout=log, stderr=log
        )
    try:
        wait(port, app)
        found: dict[str, float] = {}
        for name in PAGES:
            runs = [visit(port, name) for _ in range(repeats + 1)][1:]  # the first one imports
            found[name] = statistics.median(seconds for seconds, _ in runs)
            found[f"{name}, bytes"] = statistics.median(size for _, size in runs)
        return found
    finally:
        app.terminate()
        app.wait(20)


def wait(port: int, app: subprocess.Popen[bytes]) -> None:
    while app.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the app did not start")


def visit(port: int, page: str) -> tuple[float, int]:
    """Seconds from asking for a page to its end, and bytes that it sent."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    asked, size = BackMsg(), 0
    asked.rerun_script.page_name = "" if page == "overview" else page
    with connect(f"ws://localhost:{port}/_stcore/stream", subprotocols=["streamlit"], max_size=None) as pipe:  # type: ignore[list-item]
        begun = time.perf_counter()
        pipe.send(asked.SerializeToString())
        while True:
            raw = pipe.recv(timeout=120)
            size += len(raw)
            message = ForwardMsg()
            message.ParseFromString(raw)
            if message.WhichOneof("type") == "script_finished":
                return time.perf_counter() - begun, size


def show(told: dict[int, dict[str, float]]) -> None:
    print("| | " + " | ".join(f"{number:,} runs" for number in told) + " |")
    print("|---" * (len(told) + 1) + "|")
    for name in next(iter(told.values())):
        unit = "kB" if name.endswith("bytes") else "ms"
        cells = [
            f"{line[name] / 1000:,.0f} kB" if unit == "kB" else f"{1000 * line[name]:,.1f} ms" for line in told.values()
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
