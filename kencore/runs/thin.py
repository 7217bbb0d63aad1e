"""A run without its masks, rows and changed values, small enough to ship: what pictures from afar need stays."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from kencore.runs import FILES, OPTIONAL, THINNED
from kencore.runs.cells import MOST, write_cells
from kencore.runs.reading import MATRICES
from kencore.runs.run import Run
from kencore.system.plain_json import json_text, read_json_object
from kencore.system.whole import whole_folder

SIZE: Final = "subnetwork_bytes"
WITHOUT = (*THINNED, "values.safetensors", "activations.safetensors")


def thinned(run: Run, out: Path, *, most: int = MOST, norms: bool = True, size: int | None = None) -> Run:
    """Write a run's folder again with ``cells.parquet`` in place of its masks.

    Args:
        run: a whole run; not changed.
        out: where to; the folder's name becomes the run's id.
        most, norms: see `write_cells`.
        size: bytes of the run's subnetwork file, which nothing tells of a run without masks but its record.

    Raises:
        RunExistsError: the folder is there and not empty.
        ThinRunError: the run has no masks itself.
    """
    with whole_folder(out) as folder:
        for name in (*FILES, *OPTIONAL):
            if name not in WITHOUT and (run.path / name).is_file():
                shutil.copyfile(run.path / name, folder / name)
        if size is not None:
            said = read_json_object(run.path / "record.json", ours=True)  # of its own version, as the other files
            (folder / "record.json").write_text(json_text(said | {SIZE: size}), "utf-8")
        table = pq.read_table(run.path / MATRICES)
        pq.write_table(table, folder / MATRICES, compression="zstd", compression_level=19)
        write_cells(run, folder, most=most, norms=norms)
    return Run(out)
