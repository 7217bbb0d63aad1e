"""Handles of processes: a number used again is another process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from kencore.jobs.worker import processes
from kencore.jobs.worker.interpreter import environment

from .helpers import gone, until

CHILD = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(1, flush=True)
time.sleep(600)
"""
FAMILY = f"""
import subprocess, sys, time
for alone in (False, True):
    child = subprocess.Popen(
        [sys.executable, "-c", {CHILD!r}], start_new_session=alone, stdout=subprocess.PIPE
    )
    child.stdout.readline()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def leader() -> Iterator[subprocess.Popen[str]]:
    """A process with two children that ignore SIGTERM, one of them in a session of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children())]
    yield process
    for pid in family:
        if psutil.pid_exists(pid):
            psutil.Process(pid).kill()
    process.wait()
    process.stdout.close()


def handle_of(pid: int) -> str:
    return f"{pid}:{processes._mark(pid)}"


def test_a_handle_names_one_process() -> None:
    own = processes.own_handle()
    assert processes.is_alive(own)
    pid, mark = own.split(":")
    assert not processes.is_alive(f"{pid}:{mark}0")
    assert not processes.is_alive(f"{pid}:")
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = handle_of(sleeper.pid)
    assert processes.is_alive(other)
    assert other != own
    sleeper.kill()
    until(lambda: not processes.is_alive(other), "the zombie to count as dead")
    assert psutil.pid_exists(sleeper.pid)
    sleeper.communicate()
    assert not processes.is_alive(other)


def test_the_whole_family_is_ended(leader: subprocess.Popen[str]) -> None:
    family = [psutil.Process(leader.pid), *psutil.Process(leader.pid).children()]
    assert processes.family(leader.pid) == sorted(process.pid for process in family)
    processes.end(handle_of(leader.pid), kill=True)
    assert gone(*family)


def test_what_ignores_the_polite_signal_is_found_without_its_parent(leader: subprocess.Popen[str]) -> None:
    handle = handle_of(leader.pid)
    first, second = psutil.Process(leader.pid).children()
    in_session = first if processes._session(first.pid) == leader.pid else second
    processes.end(handle, kill=False)
    leader.wait()
    assert in_session.is_running()
    processes.end(handle, kill=True)
    assert gone(in_session)


def test_a_number_used_again_is_left_alone(leader: subprocess.Popen[str]) -> None:
    pid, mark = handle_of(leader.pid).split(":")
    processes.end(f"{pid}:{mark}0", kill=True)
    processes.end(f"{pid}:another-{mark.split('-')[-1]}", kill=True)
    assert leader.poll() is None


def test_a_process_that_leaves_takes_what_it_started_with_it() -> None:
    script = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {CHILD!r}],"
        " stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True);"
        " from kencore.jobs.worker.processes import end_own_family; end_own_family(); print('left')"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        env=environment(),
    ).stdout.split()
    assert told[1] == "left"
    assert not psutil.pid_exists(int(told[0])) or gone(psutil.Process(int(told[0])))


def test_a_process_never_counts_itself_to_a_family() -> None:
    assert os.getpid() not in processes.family(os.getpid())
    assert os.getpid() not in processes.family(os.getsid(0))
