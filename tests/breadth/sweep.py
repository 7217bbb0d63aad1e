"""The sweep: class after class, each in a process of its own, one line of JSON each; resumable."""

from __future__ import annotations

import gc
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.breadth.models import KINDS

SECONDS = 150  # of a processor, for one class
POPULAR = (  # noqa: SIM905
    "llama qwen2 qwen3 mistral gpt2 gemma3_text gemma2 phi3 bert roberta distilbert deberta-v2 modernbert albert "
    "electra xlm-roberta mpnet opt gpt_neox bloom falcon mixtral qwen3_moe gpt_oss deepseek_v3 phi qwen2_moe olmo2 "
    "granite smollm3 gemma gptj mamba mamba2 camembert t5 bart xlnet nomic_bert eurobert stablelm starcoder2 cohere"
).split()


def cases(only: list[str] | None = None) -> list[tuple[str, str]]:
    """(kind, model type) of all classes, those that people have first; or those of ``only``, in its order."""
    place = {name: number for number, name in enumerate(only or POPULAR)}
    found = [(kind.name, name) for kind in KINDS.values() for name in kind.classes]
    if only:
        found = [case for case in found if case[1] in only or f"{case[0]}:{case[1]}" in only]
    return sorted(found, key=lambda case: place.get(f"{case[0]}:{case[1]}", place.get(case[1], len(place))))  # stable


def read(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The last line of each case."""
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return {(line["kind"], line["type"]): line for line in lines}


def sweep(results: Path, todo: list[tuple[str, str]], *, cost: bool = False) -> Iterator[dict[str, Any]]:
    """Check the cases and append their lines to ``results``."""
    from tests.breadth.checks import check

    for kind in KINDS if todo else ():  # imported and compiled once, for every process that is forked off
        with tempfile.TemporaryDirectory() as folder:
            check(kind, "bert", Path(folder))
    gc.collect()
    gc.freeze()  # or a look for garbage in each process would copy all that is shared
    for kind, name in todo:
        started = time.monotonic()
        line = _apart(kind, name, cost) | {"seconds": round(time.monotonic() - started, 1)}
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        yield line


def _apart(kind: str, name: str, cost: bool) -> dict[str, Any]:
    """The line of one case from a forked process, which may die or take too long."""
    with tempfile.TemporaryDirectory(prefix="breadth-") as folder:
        answer = Path(folder) / "line.json"
        child = os.fork()
        if child == 0:
            _inside(kind, name, Path(folder), answer, cost)
        _, status = os.waitpid(child, 0)
        if answer.is_file():
            return json.loads(answer.read_text("utf-8"))
    said = f"the process ended with {os.waitstatus_to_exitcode(status)}"
    crash = {"outcome": "CRASH", "error": "none", "said": said}
    return {"kind": kind, "type": name, "class": KINDS[kind].classes[name], "built": "", "checks": {"all": crash}}


def _inside(kind: str, name: str, folder: Path, answer: Path, cost: bool) -> None:
    """In the forked process: never comes back."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS + int(time.process_time()), -1))
        quiet = os.open(folder / "output.txt", os.O_CREAT | os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        from tests.breadth.checks import check

        whole = answer.with_suffix(".part")
        whole.write_text(json.dumps(check(kind, name, folder, cost=cost)), "utf-8")
        whole.rename(answer)
        code = 0
    finally:
        os._exit(code)
