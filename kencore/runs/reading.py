"""The small files of a run folder as they are read: brought to the current schema, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kencore.errors import CorruptRunError
from kencore.system import schema

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
    for step in steps:
        step(files)
    return files


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of a run, as it is.

    Raises:
        CorruptRunError: there is none.
    """
    try:
        data = json.loads((folder / name).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise corrupt(folder, f"{name} cannot be read ({error})") from error
    if not isinstance(data, dict):
        raise corrupt(folder, f"{name} holds no object")
    return data


def notes_of(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person should know of the models of a run and of the data it was measured on, each once."""
    said = (*(record.get("notes") or ()), *(metrics.get("data_notes") or ()))
    return tuple(dict.fromkeys(map(str, said)))


def _table(folder: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(folder / MATRICES).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise corrupt(folder, f"{MATRICES} cannot be read ({error})") from error
