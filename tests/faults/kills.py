"""Processes killed at random moments of jobs of every kind: nothing lost, nothing half-written, nobody left behind.

A round submits one job from a process of its own (as a page does), waits for a moment drawn from the seed, kills one
of: the job's worker, the process that has torch loaded, the supervisor, the process that submitted; sometimes a second
one. Then it waits for the end as another page would, and looks at the store.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from kencore import jobs
from kencore.errors import KencoreError
from kencore.jobs import folders
from kencore.jobs.records import JobStatus
from kencore.jobs.store import queries
from kencore.jobs.store.database import connected
from kencore.jobs.worker.interpreter import environment
from kencore.jobs.worker.supervisor import LOCK_NAME
from kencore.runs.run import Run
from kencore.runs.shelf import list_runs
from kencore.sweeps.places import lock_file
from kencore.sweeps.shelf import list_sweeps
from kencore.system.locks import FileLock
from kencore.system.places import home

TARGETS = ("worker", "zygote", "supervisor", "web")
PATIENCE = 600.0
SUBMIT = "import json, sys; from kencore import jobs; print(jobs.submit(*json.loads(sys.argv[1])), flush=True); input()"
Params = dict[str, Any]


@dataclass
class Told:
    """What came of the rounds."""

    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def real_kinds(pair: tuple[Path, Path], sentences: Path, run: str) -> dict[str, Params]:
    """A small job of every kind that a person can start."""
    base, tuned = map(str, pair)
    prune = {"model": tuned, "base": base, "method": "delta", "keep": 0.5}
    return {
        "inspect": {"model": tuned, "base": base},
        "prune": prune,
        "retune": prune | {"keep": 0.25},
        "sweep": {"model": tuned, "base": base, "methods": ["delta", "random"], "keeps": [0.5, 0.25]},
        "evaluate": {"model": run, "examples": str(sentences), "cost": False},
        "tune": {"run": run, "data": str(sentences), "steps": 4, "batch": 4, "cost": False},
        "export": {"run": run, "form": "subnetwork"},
        "report": {"run": run},
        "explain": {"run": run, "text": "a fine film"},
        "flips": {"run": run, "data": str(sentences), "baselines": False},
    }


def rounds(kinds: dict[str, Params], kills: int, seed: int, *, longest: float, say: Callable[[str], None]) -> Told:
    """Kill until ``kills`` processes were killed; every kind in turn."""
    rng, told, number = random.Random(seed), Told(), 0
    names = sorted(kinds)
    while sum(told.kills.values()) < kills:
        kind = names[number % len(names)]
        number += 1
        _round(kind, kinds[kind], rng, told, longest)
        say(f"{sum(told.kills.values())} kills, {number} jobs, {len(told.wrong)} wrong")
    jobs.shutdown(seconds=30)
    _nobody_left(told)
    return told


def _round(kind: str, params: Params, rng: random.Random, told: Told, longest: float) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SUBMIT, json.dumps([kind, params])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as web:
        assert web.stdout is not None
        job = web.stdout.readline().strip()
        sessions: set[int] = set()
        for target in rng.sample(TARGETS, rng.choice((1, 1, 1, 2))):
            _wait(job, rng.uniform(0, longest), sessions)
            found = web.pid if target == "web" else _process(job, target)
            if found is not None and _kill(found):
                told.kills[target] += 1
        web.kill()
    ended = _end(job, sessions)
    _look(ended, kind, sessions, told)


def _wait(job: str, seconds: float, sessions: set[int]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and jobs.status(job).live:
        if pid := _process(job, "worker"):
            sessions.add(pid)
        time.sleep(0.01)


def _process(job: str, target: str) -> int | None:
    """The process to kill; ``None`` where there is none at this moment."""
    with connected() as connection:
        row = queries.find(connection, job)
        handle = row["handle"] if target == "worker" and row["state"] == "running" else row["supervisor"]
    if target == "worker" and row["state"] != "running":
        return None
    pid = int(handle.split(":")[0]) if handle else None
    if target != "zygote" or pid is None:
        return pid
    try:
        children = psutil.Process(pid).children()
        return next((c.pid for c in children if "kencore.jobs.worker.zygote" in c.cmdline()), None)
    except psutil.Error:
        return None


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _end(job: str, sessions: set[int]) -> JobStatus:
    deadline = time.monotonic() + PATIENCE
    while (found := jobs.status(job)).live and time.monotonic() < deadline:
        if pid := _process(job, "worker"):
            sessions.add(pid)
        time.sleep(0.05)
    return found


def _look(ended: JobStatus, kind: str, sessions: set[int], told: Told) -> None:
    """One process killed once never loses a job; two may, and say so."""
    error = (ended.error or {}).get("type", "")
    told.ends[f"{ended.state} {error}".strip()] += 1
    if ended.live:
        told.wrong.append(f"{kind} {ended.id} never ended: {ended}")
    elif ended.state == "succeeded":
        try:
            folder = jobs.result(ended.id)
            Run(folder) if kind in ("prune", "tune") else jobs.answer(ended.id)
        except KencoreError as failure:
            told.wrong.append(f"{kind} {ended.id} succeeded and cannot be read: {failure}")
    elif error != "WorkerDiedError" or ended.attempt < 2:
        told.wrong.append(f"{kind} {ended.id} is {ended.state}: {ended.error}")
    broken = [run.id for run in list_runs(points=True) if run.problem] + [s.id for s in list_sweeps() if s.problem]
    if broken:
        told.wrong.append(f"half-written after {kind} {ended.id}: {broken}")
    deadline = time.monotonic() + 30
    while (left := _left(ended.id, sessions)) and time.monotonic() < deadline:
        time.sleep(0.05)
    told.wrong += [f"left after {kind} {ended.id}: {what}" for what in left]


def _left(job: str, sessions: set[int]) -> list[str]:
    """Temporary folders of the job and processes of its sessions that are still there."""
    parts = [str(path) for path, name, _ in folders.parts() if name == job]
    return parts + [f"process {pid}" for pid in _of_sessions(sessions)]


def _of_sessions(sessions: set[int]) -> list[int]:
    found = []
    for process in psutil.process_iter(["pid", "status"]):
        try:
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, PermissionError, psutil.Error):
            continue
    return found


def _nobody_left(told: Told) -> None:
    """After the end: no process of the store, and every lock is free."""
    place, deadline = str(home()), time.monotonic() + 30
    while (left := _of_store(place)) and time.monotonic() < deadline:
        time.sleep(0.1)
    told.wrong += [f"left at the end: {process}" for process in left]
    for path in [home() / "jobs" / LOCK_NAME, *(lock_file(sweep.id) for sweep in list_sweeps())]:
        if path.exists():
            lock = FileLock(path)
            if not lock.acquire():
                told.wrong.append(f"{path} is still locked")
            lock.release()


def _of_store(place: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("KENVIZ_HOME") == place and process.pid != os.getpid()
            if ours and "kencore.jobs.worker" in " ".join(process.cmdline()) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found
