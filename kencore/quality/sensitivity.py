"""What each pruned matrix does to a model by itself: quality with that matrix as in the run, and all others dense.

One pass over the data for each matrix. Several processes share the matrices out: what one measures lies in a folder
that they share, one file for each matrix, and whoever puts it together measures what is missing.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.quality.flips import own_data
from kencore.quality.judge import fitting_data, load_judge, measured_on, tell
from kencore.quality.judge_model import DENSE, as_loaded
from kencore.quality.paired import versus
from kencore.quality.parts import key_of
from kencore.quality.states import pruned_state
from kencore.runs.restore import verify
from kencore.runs.run import Run, open_run
from kencore.system.plain_json import json_text, read_json_object
from kencore.system.progress import Bar, Progress, silent
from kencore.system.shard import Shard
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    from kencore.data.examples import Examples
    from kencore.data.lines import Lines
    from kencore.models.language import Windows

COUNTS = ("block", "kept", "params")  # of ``matrices.parquet``, that are said of each matrix


def sensitivity(
    run: Run | str | Path,
    data: str | None = None,
    *,
    window: int | None = None,
    windows: int | None = None,
    shard: Shard | None = None,
    shared: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """How much quality each pruned matrix of a run costs by itself.

    The changes do not add up to that of the run: what one matrix spoils another may already have spoiled.

    Args:
        run: a run, its id or its folder.
        data: as of `kencore.quality.judge.judge`; ``None``: what the run's quality was measured on.
        window, windows: of a text: tokens of a window, and at most how many; ``None``: as the run was measured.
        shard: of the matrices; ``None``: all of them.
        shared: a folder that is there, in which several processes keep what they measured.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``run``, what was measured on (as in ``metrics.json``), ``dense`` (its figures), and ``matrices``: for each
        ``name``, ``block`` (``None`` outside of them), ``role``, ``params``, ``kept``, its figures, and the change
        against the dense model with its interval, see `kencore.quality.paired.versus`.

    Raises:
        KencoreError: no such run, other models than its own, data that do not fit, or none to be measured on.
    """
    from kencore.system.devices import resolve_device

    report = progress or silent
    opened, place = run if isinstance(run, Run) else open_run(run), resolve_device(device)
    chosen, sizes = own_data(opened, data)
    sizes |= {} if window is None else {"window": window}
    sizes |= {} if windows is None else {"limit": windows}
    read = fitting_data(opened.tuned_tensors.folder, chosen, **sizes)
    tell(read, report)
    report(0, 1, "Checking that the models are those of the run")
    verify(opened)
    names = list(opened.pruned) if shard is None else shard.of(list(opened.pruned))
    kept = _Kept(shared, opened, read)
    found = {name: said for name in ("dense", *names) if (said := kept.read(name)) is not None}
    todo = [name for name in names if name not in found]
    if todo or "dense" not in found:
        found |= _measured(opened, read, todo, kept, device=place, threads=threads, report=report)
    lines = [{"name": name, **_line(opened, name), **found[name]} for name in names]
    return {"run": opened.id, **measured_on(read), "device": place, "dense": found["dense"], "matrices": lines}


def _measured(
    run: Run,
    data: Examples | Windows | Lines,
    names: list[str],
    kept: _Kept,
    *,
    device: str,
    threads: int | None,
    report: Progress,
) -> dict[str, dict[str, Any]]:
    """Figures of the dense model, and of each matrix pruned alone."""
    judge = load_judge(run.tuned_tensors.folder, data, device=device, threads=threads)
    bar = Bar(report, 1 + len(names))
    dense = judge.figures(DENSE, as_loaded, bar.phase("Measuring the dense model", 1))
    found = {"dense": dict(dense)}
    kept.write("dense", found["dense"])
    for name in names:
        judge.bring(run.tuned_tensors, pruned_state(run, [name]))
        run.release()
        figures = judge.quality(bar.phase(f"Measuring {name} pruned alone", 1))
        found[name] = {**figures, **versus(dense, figures)}  # type: ignore[arg-type]
        kept.write(name, found[name])
    return found


def _line(run: Run, name: str) -> dict[str, Any]:
    line = run.matrix(name)
    counts = {key: None if line[key] != line[key] else int(line[key]) for key in COUNTS}  # NaN: outside the blocks
    return {"role": str(line["role"]), **counts}


class _Kept:
    """What was measured, one file for each matrix; nothing where no folder is shared."""

    def __init__(self, folder: Path | None, run: Run, data: Examples | Windows | Lines) -> None:
        self.folder = folder
        self._key = [run.id, *key_of(data)]

    def read(self, name: str) -> dict[str, Any] | None:
        """What was said of a matrix; ``None``: nothing that can be read."""
        try:
            return None if self.folder is None else read_json_object(self._path(self.folder, name), ours=True)
        except (OSError, ValueError):
            return None

    def write(self, name: str, said: dict[str, Any]) -> None:
        """Keep it, whole or not at all.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        if self.folder is not None:
            with whole_file(self._path(self.folder, name), force=True) as place:
                place.write_text(json_text(said), "utf-8")

    def _path(self, folder: Path, name: str) -> Path:
        return folder / f"{hashlib.sha256(json.dumps([*self._key, name]).encode()).hexdigest()[:24]}.json"
