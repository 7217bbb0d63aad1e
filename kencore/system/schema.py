"""The version of everything that is stored: what is written today, how what is older becomes that,
and what is refused.

A version is a whole number. ``SCHEMAS`` is the one table:

    run      ``version`` in record.json, for all files of the run folder; 1 where there is none
    trace    ``version`` in trace.json
    tuning   ``version`` in tuning.json
    flips    ``version`` in the metadata of flips.parquet
    texts    ``version`` in texts.json
    sweep    ``version`` in sweep.json
    jobs     ``PRAGMA user_version`` of jobs.sqlite3

What is older is migrated when it is read: files in memory, so that a run folder is never changed
by looking at it, and the job store in one transaction. What is newer, and what no migration leads
from, is a `SchemaError`.

To change what is stored: raise ``current``, and add the migration from the version before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kencore.errors import SchemaError

FIRST = 1
Migration = Callable[[Any], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One kind of stored thing.

    Args:
        current: the version that is written.
        migrations: version -> what turns a thing of that version into one of the next, in place.
            Of ``run`` a thing is a dictionary of those files that are being read, by their name:
            JSON objects, and ``matrices.parquet`` as a table of pandas. ``metrics.json`` may have
            been written again later than the others: look whether there is something to do. Of
            ``jobs`` it is an SQLite connection in a transaction: ``execute`` statements, and never
            ``executescript``, which would commit. Of the others it is the JSON object.
    """

    current: int
    migrations: Mapping[int, Migration] = field(default_factory=dict)


def _run_has_targets(files: dict[str, Any]) -> None:
    """Version 2: every table of matrices says ``target_keep``; before there were allocations it
    did not, and there was no target.
    """
    matrices = files.get("matrices.parquet")
    if matrices is not None and "target_keep" not in matrices:
        matrices.insert(matrices.columns.get_loc("tuned_mean"), "target_keep", float("nan"))


def _run_without_overview(files: dict[str, Any]) -> None:
    """Version 3: no ``overview.safetensors``: it follows from the masks, and where it lies it is not read."""


def _run_has_losses(files: dict[str, Any]) -> None:
    """Version 4: every table of matrices says ``diff_lost``. Where kept values are the tuned ones that is
    what ``diff_share_kept`` leaves; where a method, rescaling or tuning changed them it is not known.
    """
    matrices = files.get("matrices.parquet")
    if matrices is None or "diff_lost" in matrices:
        return
    spec = files.get("spec.json", {}).get("spec", {})
    updated = spec.get("method") == "sparsegpt" and spec.get("refine", "none") == "none"
    rescaled = spec.get("rescale", "none") != "none"
    same = not (updated or rescaled or files["record.json"].get("tuned"))
    matrices["diff_lost"] = 1 - matrices["diff_share_kept"].astype("float64") if same else float("nan")


SCHEMAS: dict[str, Schema] = {
    "run": Schema(current=4, migrations={1: _run_has_targets, 2: _run_without_overview, 3: _run_has_losses}),
    "trace": Schema(current=1),
    "tuning": Schema(current=1),
    "flips": Schema(current=1),
    "texts": Schema(current=1),
    "sweep": Schema(current=1),
    "jobs": Schema(current=1),
}


def current(kind: str) -> int:
    """The version that is written of this kind."""
    return SCHEMAS[kind].current


def version_of(data: object) -> int:
    """The version that a JSON object says of itself.

    Raises:
        ValueError: ``data`` is no object, or says no whole number.
    """
    if not isinstance(data, Mapping):
        raise ValueError("it holds no object")
    version = data.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise ValueError(f"its version is {version!r}, no whole number")
    return version


def steps(kind: str, subject: str, version: int) -> list[Migration]:
    """The migrations from ``version`` to the current one, in order; none where it is that.

    Args:
        subject: what has the version, for the message.

    Raises:
        SchemaError: the version is newer, or no migration leads from it.
    """
    schema = SCHEMAS[kind]
    if version > schema.current:
        raise SchemaError(
            subject,
            got=f"schema {version}, made by a newer KEN_viz",
            wanted=f"schema {schema.current} or older",
            remedy="Upgrade KEN_viz to read it. It was left as it is.",
        )
    between = range(max(version, FIRST - 1), schema.current)  # whatever a file says, few
    missing = [number for number in between if number not in schema.migrations]
    if missing:
        raise SchemaError(
            subject,
            got=f"schema {version}, made by a KEN_viz that is too old",
            wanted=f"schema {missing[-1] + 1} to {schema.current}",
            remedy="Make it again, or read it with the KEN_viz that made it.",
        )
    return [schema.migrations[number] for number in between]


def migrate(kind: str, subject: str, data: dict[str, Any]) -> None:
    """Bring a JSON object to the current version, in place.

    Raises:
        SchemaError: its version is newer, or too old.
        ValueError: as `version_of`.
    """
    for step in steps(kind, subject, version_of(data)):
        step(data)
    data["version"] = current(kind)
