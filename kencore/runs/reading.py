"""The small files of a run folder as they are read: brought to the current schema, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kencore.errors import CorruptRunError
from kencore.runs.forms import FORMS, misfit
from kencore.system import schema
from kencore.system.plain_json import read_json_object

MATRICES = "matrices.parquet"


def corrupt(path: Path, got: str) -> CorruptRunError:
    """The error for a run folder that cannot be used.

    Only what says of itself that it is a run is one to delete: else it may be somebody's model.
    """
    remedy = (
        "Delete it and prune again; other runs are not touched."
        if (path / "spec.json").is_file()
        else "Check the path: nothing there says that it is a run."
    )
    return CorruptRunError(f"run {path.name}", got=got, wanted="a whole run folder", remedy=remedy)


def read_files(folder: Path, *names: str) -> dict[str, Any]:
    """Files of a run by name: JSON objects, and ``matrices.parquet`` as a table.

    ``record.json``, which says the version of all, is always among them.

    Raises:
        SchemaError: the run is of a newer version, or of one that is too old.
        CorruptRunError: a file is missing or cannot be read.
    """
    record = read_object(folder, "record.json")
    try:
        version = schema.version_of({"version": schema.FIRST} | record)
    except ValueError as error:
        raise corrupt(folder, f"record.json: {error}") from error
    steps = schema.steps("run", f"run {folder.name}", version)
    files = {"record.json": record | {"version": schema.current("run")}}
    for name in names:
        if name != "record.json":
            files[name] = _table(folder) if name == MATRICES else read_object(folder, name)
    try:
        for step in steps:
            step(files)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise corrupt(folder, f"it cannot be read as schema {version} ({error})") from error
    return files


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of a run, as it is.

    Raises:
        CorruptRunError: there is none, or one that is not of the form of the file (`kencore.runs.forms`).
    """
    try:
        data = read_json_object(folder / name, ours=True)
    except (OSError, ValueError) as error:
        raise corrupt(folder, f"{name} cannot be read ({error})") from error
    if wrong := misfit(FORMS.get(name, {}), data):
        raise corrupt(folder, f"{name}: a wrong value of {wrong[:100]}")
    return data


def notes_of(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person should know of the models of a run and of the data it was measured on, each once."""
    said = (*(record.get("notes") or ()), *(metrics.get("data_notes") or ()))
    return tuple(dict.fromkeys(map(str, said)))


def _table(folder: Path) -> Any:
    from kencore.runs.columns import checked_matrices
    from kencore.system.plain_parquet import read_parquet

    try:
        return checked_matrices(read_parquet(folder / MATRICES)).to_pandas()
    except (OSError, ValueError) as error:
        raise corrupt(folder, f"{MATRICES} cannot be read ({error})") from error
