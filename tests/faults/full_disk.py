"""A disk that fills up: every writer of the project, under every limit on the size of a file that it runs into.

The kernel refuses what goes beyond the limit (`RLIMIT_FSIZE`), whichever library writes.
The limits are the sizes of the files that the writer makes when nothing is in its way, less one byte, half of them, and
none at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kencore.errors import StoreNotWritableError
from tests.faults.nth_write import smallest

Writer = Callable[[Path], object]
MOST = 12  # limits for each writer


@dataclass(kw_only=True)
class Told:
    """What happened: how often each writer was refused, and what went wrong."""

    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def files(place: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def limits_of(sizes: set[int], most: int = MOST) -> list[int]:
    """Limits that stop a writer of files of these sizes at each of them; no more than ``most``, evenly chosen."""
    found = sorted({0} | {size - 1 for size in sizes if size} | {size // 2 for size in sizes if size})
    step = max(1, -(-len(found) // most))
    return found[::step]


def refused(name: str, write: Writer, place: Path, told: Told, *, most: int = MOST) -> None:
    """Let a writer run into every limit; each time it has to say so, and to leave nothing.

    Args:
        write: writes below the folder that it is given, which holds what it needs, and nothing anywhere else.
        place: holds what it needs; what it writes when nothing is in its way is removed again.
    """
    before = files(place)
    write(place)
    made = {path: content for path, content in files(place).items() if before.get(path) != content}
    undo(place, before)
    if not made:
        told.wrong.append(f"{name}: wrote nothing")
    for limit in limits_of({len(content) for content in made.values()}, most):
        end = "no error"
        try:
            with smallest(limit):
                write(place)
        except StoreNotWritableError:
            end = "refused"
            told.refused[name] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            end = f"{type(error).__name__}: {str(error)[:200]}"
        after = files(place)
        if end != "refused":
            told.wrong.append(f"{name}, at most {limit:,} bytes: {end}")
        if after != before:
            changed = sorted({path for path in after.keys() | before.keys() if after.get(path) != before.get(path)})
            told.wrong.append(f"{name}, at most {limit:,} bytes: left {', '.join(changed[:5])}")
        undo(place, before)


def undo(place: Path, before: dict[str, bytes]) -> None:
    """Bring a folder back to what it held."""
    for path in sorted(place.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()) and not any(name.startswith(f"{path.relative_to(place)}/") for name in before):
                path.rmdir()
        elif str(path.relative_to(place)) not in before:
            path.unlink()
    for name, content in before.items():
        path = place / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def writers(pair: tuple[Path, Path], sentences: Path, run: str) -> dict[str, Writer]:
    """Everything that writes a file for a person, below the store that it is given.

    Args:
        pair: base and tuned classifier.
        sentences: labelled ones that it reads.
        run: a finished run of the pair in the store.
    """
    from kencore import PruneSpec, RecoverSpec, export_mask, open_run, prune, recover, write_subnetwork
    from kencore.quality.judge import judge
    from kencore.report import report
    from kencore.runs.labels import Label, write_label

    base, tuned = map(str, pair)
    common = {"model": tuned, "base": base, "device": "cpu"}
    measured = {"evaluation": str(sentences), "cost": False, "baselines": False}
    tuning = {"data": str(sentences), "held_out_share": 0.5, "epochs": 1, "lr": 1e-3, "device": "cpu", "cost": False}
    return {
        "prune": lambda place: prune(PruneSpec(**common, method="ken", keep=0.5), out=place / "run"),
        "prune and measure": lambda place: prune(
            PruneSpec(**common, **measured, method="delta", keep=0.5), out=place / "run"
        ),
        "prune to bytes": lambda place: prune(PruneSpec(**common, method="bytes", bits=4.0), out=place / "run"),
        "recover": lambda place: recover(RecoverSpec(run=run, **tuning), out=place / "run"),
        "export to a folder": lambda place: open_run(run).save_pretrained(place / "folder"),
        "export a subnetwork": lambda place: write_subnetwork(open_run(run), place / "file.subnetwork"),
        "export masks": lambda place: export_mask(open_run(run), place / "masks.safetensors"),
        "report": lambda place: report(run, place / "report.html", figures=place / "figures"),
        "rename": lambda place: write_label(place / "runs" / run, Label(name="another name", tags=("a", "b"))),
        "measure again": lambda place: judge(run, str(sentences), save=True, cost=False, device="cpu"),
    }
