"""Pieces of work that write, each into a folder of its own, and what whole means of what they leave."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kencore.exports.export import export
from kencore.pruning.prune import prune
from kencore.runs.run import Run, open_run
from kencore.settings.prune import PruneSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.shelf import list_sweeps
from kencore.sweeps.sweep import sweep
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer
from tests.support.tuned_cases import tuned_run, write_sentences

Work = tuple[Callable[[Path], None], Callable[[Path], None]]


def works(place: Path) -> dict[str, Work]:
    """Work by name, with its check; the models lie in ``place``."""
    base, tuned = save_pair("bert", place / "pair", change=0.05)
    for folder in (base, tuned):
        add_tokenizer(folder)
    data = write_sentences(place / "sentences.tsv", 60)
    spec = PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.5)
    grid = SweepSpec(model=str(tuned), base=str(base), methods=("delta",), keeps=(0.5, 0.25))
    parent = prune(spec, out=place / "parent", threads=1)

    def swept(folder: Path) -> None:
        with at_home(folder):
            sweep(grid, threads=1)

    def sweep_is_whole(folder: Path) -> None:
        with at_home(folder):
            assert all(found.problem is None for found in list_sweeps())
        runs_are_whole(folder / "runs")

    def recovered(folder: Path) -> None:
        with at_home(folder):
            tuned_run(parent, data, folder / "runs" / "tuned", steps=4)

    def recovery_is_whole(folder: Path) -> None:
        runs_are_whole(folder / "runs")

    def exported(form: str, name: str) -> Work:
        return (lambda folder: export(str(parent.path), folder / name, form) and None, has_form(form, name, parent))

    return {
        "prune": (lambda folder: prune(spec, out=folder / "run", threads=1) and None, runs_are_whole),
        "sweep": (swept, sweep_is_whole),
        "recover": (recovered, recovery_is_whole),
        "export of a folder": exported("folder", "model"),
        "export of a subnetwork": exported("subnetwork", "run.subnetwork"),
        "export of masks": exported("masks", "run.safetensors"),
    }


@contextmanager
def at_home(folder: Path) -> Iterator[None]:
    """The store is there."""
    before = os.environ.get("KENVIZ_HOME")
    os.environ["KENVIZ_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["KENVIZ_HOME"]
        else:
            os.environ["KENVIZ_HOME"] = before


def runs_are_whole(folder: Path) -> None:
    """Every run that is there can be read to its last mask."""
    for path in folder.iterdir() if folder.is_dir() else ():
        run: Run = open_run(path)
        for name in run.pruned:
            run.keep(name)
            run.rows(name)


def has_form(form: str, name: str, parent: Run) -> Callable[[Path], None]:
    """Whether an export that is there is what the run itself says."""
    sizes: list[int] = []

    def check(folder: Path) -> None:
        path = folder / name
        if not path.exists():
            return
        found = sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
        sizes.append(found)
        assert found == sizes[0], f"{found} bytes of {sizes[0]}"

    return check
