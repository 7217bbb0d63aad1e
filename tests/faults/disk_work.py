"""Everything that writes a file for a person, and what whole means of what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from kencore import PruneSpec, RecoverSpec, export_mask, open_run, prune, recover, write_subnetwork
from kencore.quality.judge import judge
from kencore.report import report
from kencore.runs.labels import Label, read_label, write_label
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.shelf import list_sweeps
from kencore.sweeps.sweep import sweep
from tests.faults.full_disk import Work

OUT = "out"  # folder of the store into which exports and reports go


def works(store: Path, pair: tuple[Path, Path], sentences: Path, run: str) -> dict[str, Work]:
    """The pieces of work by name.

    Args:
        store: KENVIZ_HOME.
        pair: base and tuned classifier.
        sentences: labelled ones that they read.
        run: a finished run of the pair in the store.
    """
    (store / OUT).mkdir(exist_ok=True)
    base, tuned = map(str, pair)
    common = {"model": tuned, "base": base, "device": "cpu"}
    measured = {"evaluation": str(sentences), "cost": False, "baselines": False}
    tuning = {"data": str(sentences), "held_out_share": 0.5, "epochs": 1, "lr": 1e-3, "device": "cpu", "cost": False}
    grid = SweepSpec(model=tuned, base=base, methods=("delta",), keeps=(0.5, 0.25))

    def pruned(**asked: object) -> Work:
        spec = PruneSpec(**common, **asked)  # type: ignore[arg-type]
        return Work(write=lambda place: prune(spec, out=place / "runs" / "new", threads=1), whole=runs_are_whole)

    def exported(name: str, write: Callable[[Path], object]) -> Work:
        return Work(write=lambda place: write(place / OUT / name), whole=partial(has_size, name, []))

    return {
        "prune": pruned(method="ken", keep=0.5),
        "prune and measure": pruned(**measured, method="delta", keep=0.5),
        "prune to bytes": pruned(method="bytes", bits=4.0),
        "sweep": Work(write=lambda _: sweep(grid, threads=1), whole=sweeps_are_whole, keeps=True),
        "recover": Work(
            write=lambda place: recover(RecoverSpec(run=run, **tuning), out=place / "runs" / "new"),
            whole=runs_are_whole,
        ),
        "export to a folder": exported("folder", lambda path: open_run(run).save_pretrained(path)),
        "export a subnetwork": exported("a.subnetwork", lambda path: write_subnetwork(open_run(run), path)),
        "export masks": exported("masks.safetensors", lambda path: export_mask(open_run(run), path)),
        "report": exported("report.html", lambda path: report(run, path, figures=path.with_name("figures"))),
        "rename": Work(
            write=lambda place: write_label(place / "runs" / run, Label(name="another name", tags=("a", "b"))),
            whole=lambda place: read_label(place / "runs" / run) and None,
        ),
        "measure again": Work(
            write=lambda _: judge(run, str(sentences), save=True, cost=False, device="cpu"),
            whole=runs_are_whole,
            keeps=True,  # figures stay where the changed answers that come after them do not fit
        ),
    }


def runs_are_whole(store: Path) -> None:
    """Every run that is there can be read to its last mask."""
    for path in (store / "runs").iterdir():
        found = open_run(path)
        for name in found.pruned:
            found.keep(name)
            found.rows(name)


def sweeps_are_whole(store: Path) -> None:
    """So can every point, and no sweep is broken."""
    assert all(found.problem is None for found in list_sweeps())
    runs_are_whole(store)


def has_size(name: str, sizes: list[int], store: Path) -> None:
    """What was exported is not there, or as large as the first time."""
    path = store / OUT / name
    if path.exists():
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        sizes.append(sum(file.stat().st_size for file in files))
        assert len(set(sizes)) == 1, f"{sizes[-1]} bytes of {sizes[0]}"
