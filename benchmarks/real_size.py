"""What each command costs on a real language model: CPU seconds, peak memory, bytes of what it writes.

    python benchmarks/real_size.py FOLDER --label after --out after.json [--only inspect --only wanda]
    python benchmarks/real_size.py --table before.json after.json

FOLDER holds a causal language model, such as SmolLM2-135M. Each command runs in a process of its own with one
thread; user and system time and the highest resident memory are what the kernel says of that process. ``--source``
is the checkout whose ``kencore`` is measured: for a figure from before, a worktree of an earlier commit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

TEXT = ("--window", "256", "--sequences", "4", "--search-sequences", "2")
QUALITY = ("--evaluation", "pydoc", "--windows", "12", "--no-baselines")
MIB = 1 << 20


def commands(model: str, work: Path) -> dict[str, list[str]]:
    """Arguments of ``python -m kencore`` by the name of the row."""
    run = ["prune", "--model", model, "--sparsity", "0.6"]
    wanda = [*run, "--method", "wanda", *TEXT]
    return {
        "inspect": ["inspect", model],
        "magnitude": [*run, "--method", "magnitude", "--out", str(work / "magnitude")],
        "wanda": [*wanda, "--out", str(work / "wanda")],
        "sparsegpt": [*run, "--method", "sparsegpt", *TEXT, "--out", str(work / "sparsegpt")],
        "neuroal block": [*wanda, "--allocation", "neuroal", "--out", str(work / "neuroal")],
        "neuroal block, fast": [*wanda, "--allocation", "neuroal", "--fast", "--out", str(work / "fast")],
        "wanda, measured": [*wanda, *QUALITY, "--out", str(work / "measured")],
        "sweep of 4": [
            *("sweep", "--model", model, "--methods", "wanda", "--allocations", "uniform,owl"),
            *("--keeps", "0.5,0.4", *TEXT, *QUALITY),
        ],
        "export folder": ["export", str(work / "wanda"), str(work / "folder")],
        "export subnetwork": ["export", str(work / "wanda"), str(work / "file.subnetwork"), "--as", "subnetwork"],
        "open": ["open", str(work / "file.subnetwork"), str(work / "opened"), "--base", model],
    }


def written(arguments: list[str], work: Path) -> int | None:
    """Bytes of the run, folder or file that a command wrote."""
    if arguments[0] == "sweep":
        place: Path | None = work / "home" / "runs"
    elif arguments[0] == "inspect":
        place = None
    elif "--out" in arguments:
        place = Path(arguments[arguments.index("--out") + 1])
    else:
        place = Path(arguments[2])
    if place is None or not place.exists():
        return None
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def measure(source: Path, arguments: list[str], work: Path) -> dict[str, float | int | None]:
    """Run one command in a process of its own; what it took."""
    own = {"PYTHONPATH": str(source), "KENVIZ_HOME": str(work / "home"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kencore", *arguments, "--json"],
        env={**os.environ, **own},
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}:\n{said[-2000:]}")
    return {
        "cpu": round(usage.ru_utime + usage.ru_stime, 2),
        "peak": round(usage.ru_maxrss * 1024 / MIB),
        "bytes": written(arguments, work),
    }


def table(before: Path, after: Path) -> str:
    """Two results side by side, as Markdown."""
    old, new = (json.loads(path.read_text("utf-8")) for path in (before, after))
    lines = ["| | CPU s | peak MiB | written MiB |", "|---|---|---|---|"]
    for name in new:
        a, b = old.get(name, {}), new[name]
        cells = [
            f"{_say(a.get('cpu'))} → {_say(b['cpu'])}",
            f"{_say(a.get('peak'))} → {_say(b['peak'])}",
            "" if b["bytes"] is None else f"{_mib(a.get('bytes'))} → {_mib(b['bytes'])}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _say(value: float | None) -> str:
    return "—" if value is None else f"{value:,g}"


def _mib(value: int | None) -> str:
    return "—" if value is None else f"{value / MIB:,.1f}"


def main(argv: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="a causal language model")
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--out", type=Path, help="where the figures go, as JSON; those of other rows there stay")
    parser.add_argument("--only", action="append", help="a row; may be repeated")
    parser.add_argument("--work", type=Path, help="a folder for the runs; by default a temporary one")
    parser.add_argument("--table", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    asked = parser.parse_args(argv)
    if asked.table:
        print(table(*asked.table))
        return
    work = asked.work or Path(tempfile.mkdtemp(prefix="real-size-"))
    work.mkdir(parents=True, exist_ok=True)
    found = json.loads(asked.out.read_text("utf-8")) if asked.out and asked.out.exists() else {}
    for name, arguments in commands(str(Path(asked.folder).resolve()), work).items():
        if asked.only and name not in asked.only:
            continue
        found[name] = measure(asked.source.resolve(), arguments, work)
        print(name, found[name], flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(found, indent=1), "utf-8")
    if asked.work is None:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
