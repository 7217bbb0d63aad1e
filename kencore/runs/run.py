"""A finished run: a folder that is complete or absent, read by memory map and by slice.

Nothing here imports torch at module level: the web process reads runs with this file.

    spec.json             what was asked, with versions and hashes
    record.json           when and where it ran, and how long each matrix took
    matrices.parquet      one line per parameter of the model
    rows.parquet          one line per row of every pruned matrix, one row group per matrix
    masks.safetensors     keep masks packed to bits (see `kencore.runs.bits`)
    metrics.json          quality before and after, where it was measured

Only some runs have (see `kencore.runs.extras`):

    values.safetensors       kept values, where the method, rescaling or tuning changed them
    codes.safetensors        coded differences, where the method codes them
    dense.safetensors        parameters that were not pruned, where tuning changed them
    activations.safetensors  input norms of each matrix in the dense and in the pruned model
    trace.json               what the search for an allocation saw
    tuning.json              how the run was tuned after pruning
    flips.parquet            which answers changed
    texts.json               how the dense and the pruned model continue a few texts

A run that ships without its masks has ``cells.parquet`` (see `kencore.runs.cells`) in place of ``rows.parquet`` and
``masks.safetensors``.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kencore.checkpoint.parameter import BUFFER, UNUSED
from kencore.checkpoint.skeleton import LANGUAGE_HEADS
from kencore.errors import CorruptShardError, KencoreError, MatrixNotFoundError
from kencore.runs import CELLS, bits, missing_files
from kencore.runs.cells import Cells, thin_error
from kencore.runs.codes import read_codes
from kencore.runs.columns import ROWS_SCHEMA
from kencore.runs.extras import KeptValues, Norms, open_changed, open_file, read_norms, read_trace, read_tuning
from kencore.runs.forms import unmeasured
from kencore.runs.reading import MATRICES, corrupt, notes_of, read_files
from kencore.runs.weights import Which, open_checkpoint, read_values
from kencore.settings.prune import PruneSpec

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.tensors import Tensors
    from kencore.codes.coded import Coded


class Run:
    """One run folder. Opening reads two small JSON files and the table of matrices.

    Attributes:
        asked: ``spec.json``; ``spec`` and ``versions`` are parts of it.
        record, metrics: ``record.json`` and ``metrics.json``.
        matrices: one line per parameter.

    All are of the current schema, whichever version wrote the run (see `kencore.system.schema`).

    Raises:
        SchemaError: the run was made by a newer version, or by one that is too old.
        CorruptRunError: a file is missing or unreadable, or two of them contradict each other.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.id = name or path.name
        missing = missing_files(path)
        if missing:
            if "record.json" not in missing:
                read_files(path)  # a run of a newer version may have other files: it says so
            raise corrupt(path, f"no {', '.join(missing)}")
        files = read_files(path, "spec.json", "metrics.json", MATRICES)
        self.asked: dict[str, Any] = files["spec.json"]
        self.record: dict[str, Any] = files["record.json"]
        self.metrics: dict[str, Any] = files["metrics.json"]
        self.matrices: pd.DataFrame = files[MATRICES]
        try:
            self.spec = PruneSpec.from_dict(self.asked["spec"])
            self.versions: dict[str, str] = dict(self.asked["versions"])
            self._position = {name: i for i, name in enumerate(self.matrices["name"])}
            self._owner = _owners(self.matrices)
            self.pruned: tuple[str, ...] = tuple(self.matrices.loc[self.matrices["status"] == "pruned", "name"])
        except (KencoreError, KeyError, TypeError, ValueError) as error:
            raise corrupt(path, f"spec.json or matrices.parquet: {error}") from error
        if missing_figure := unmeasured(self.metrics):
            raise corrupt(path, f"metrics.json: no {missing_figure}")
        self.checked: set[tuple[Tensors, str]] = set()
        self._first: dict[str, NDArray[np.int64]] = {}
        self._check_masks()
        self.kept_values = self._open_values()
        self.changed = open_changed(path, self._owner)

    @classmethod
    def open(cls, run: str | Path) -> Self:
        """Open a run by its folder, or by its id in the store. Raises as `open_run`."""
        from kencore.runs.shelf import find_run
        from kencore.settings.demo import SHIPPED

        return cls(find_run(str(run)), name=str(run) if str(run) in SHIPPED else None)

    @property
    def thin(self) -> bool:
        """Whether it ships without its masks: it is seen from afar, and no single weight."""
        return not (self.path / "masks.safetensors").is_file()

    @cached_property
    def stored_cells(self) -> Cells:
        """Kept weights per cell, where there are no masks."""
        return Cells(self.path)

    @property
    def written(self) -> int:
        """When what says which weights were kept was written, in nanoseconds."""
        return (self.path / (CELLS if self.thin else "masks.safetensors")).stat().st_mtime_ns

    def _check_masks(self) -> None:
        if self.thin:
            if set(self.stored_cells.names) != set(self.pruned):
                raise corrupt(self.path, "cells and the table of matrices disagree")
            return
        if set(self._masks.names) != set(self.pruned):
            raise corrupt(self.path, "masks and the table of matrices disagree")
        chosen = self.matrices[self.matrices["status"] == "pruned"]
        for name, rows, columns in zip(self.pruned, chosen["rows"], chosen["cols"], strict=True):
            wanted = int(rows), -(-int(columns) // 8)
            if (self._masks.info(name).dtype, self._masks.info(name).shape) != ("U8", wanted):
                raise corrupt(self.path, f"the mask of {name} is not {wanted[0]} x {wanted[1]} bytes")

    def _open_values(self) -> KeptValues | None:
        if self.thin:
            return None
        if not (self.path / "values.safetensors").is_file():
            if self.spec.updates:
                raise corrupt(self.path, "no values.safetensors, though kept values were changed")
            return None
        kept = zip(self.pruned, self.matrices["kept"][self.matrices["status"] == "pruned"], strict=True)
        return KeptValues(self.path, {name: int(count) for name, count in kept})

    mask_id = ""  # which mask it has, if not the stored one (see `kencore.live.ranking`)

    @property
    def stored(self) -> Run:
        """The run as it is on disk: itself, unless its mask was selected again."""
        return self

    @property
    def restore(self) -> str:
        """What entries that were not kept became: ``base`` (its value) or ``zero``."""
        return self.spec.restore

    @property
    def common_rows(self) -> dict[str, int]:
        """Rows that a table has in both models, by name, where one has more; rows beyond them were kept."""
        return {str(name): int(rows) for name, rows in self.record.get("common_rows", {}).items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the models, and of the data that the run was measured on."""
        return notes_of(self.record, self.metrics)

    @property
    def architecture(self) -> str:
        """The class of the model, such as ``LlamaForCausalLM``; empty where it is not known."""
        return str(self.asked.get("architecture") or "")

    @property
    def language(self) -> bool:
        """Whether the model is a causal language model, by what the run says: the model may be gone."""
        measured = self.metrics.get("task") == "language"
        return self.spec.streams or measured or self.architecture.endswith(LANGUAGE_HEADS)

    @cached_property
    def trace(self) -> dict[str, Any] | None:
        """What the search for an allocation saw; ``None`` where there was none.

        Raises:
            SchemaError, CorruptRunError: the file is there and cannot be read.
        """
        return read_trace(self.path)

    @cached_property
    def tuning(self) -> dict[str, Any] | None:
        """How the run was tuned after pruning; ``None`` where it was not.

        Raises:
            SchemaError, CorruptRunError: the file is there and cannot be read.
        """
        return read_tuning(self.path)

    @cached_property
    def codes(self) -> dict[str, Coded]:
        """The coded differences of pruned matrices by name; none of a run whose method does not code them, or that has
        no masks either.

        Raises:
            CorruptRunError: the file is missing, or does not fit.
        """
        if not self.spec.coded or self.tuning is not None or self.thin:
            return {}
        return read_codes(self.path, {name: self.shape(name) for name in self.pruned})

    @property
    def changed_names(self) -> tuple[str, ...]:
        """Stored names of the parameters that were not pruned and that tuning changed."""
        return () if self.changed is None else self.changed.names

    def activation_norms(self, name: str) -> Norms | None:
        """Input norms (C,) of a matrix in the dense and in the pruned model, float32; ``None``
        where the run kept none.

        Raises:
            MatrixNotFoundError: no such matrix.
            CorruptRunError: the file is there and does not fit.
        """
        return self.stored_cells.norms(name) if self.thin else read_norms(self.path, name, self.shape(name)[1])

    @cached_property
    def _masks(self) -> Tensors:
        return open_file(self.path, "masks.safetensors")

    @cached_property
    def _row_groups(self) -> pq.ParquetFile:
        try:
            found = pq.ParquetFile(self.path / "rows.parquet")
            missing = set(ROWS_SCHEMA.names) - set(found.schema_arrow.names)
        except (OSError, ValueError, pa.ArrowException) as error:  # a name may be no text
            raise corrupt(self.path, f"rows.parquet cannot be read ({error})") from error
        nested = any(pa.types.is_nested(kind) for kind in found.schema_arrow.types)  # of a row more than a value
        if missing or nested or found.num_row_groups != len(self.pruned):
            raise corrupt(self.path, "rows.parquet and the table of matrices disagree")
        return found

    @cached_property
    def tuned_tensors(self) -> Tensors:
        """The tuned checkpoint, opened lazily (headers only)."""
        return open_checkpoint(self, "tuned")

    @cached_property
    def base_tensors(self) -> Tensors:
        """The base checkpoint, opened lazily (headers only).

        Raises:
            MatrixNotFoundError: the run has no base: entries became zero.
        """
        if self.restore == "zero":
            raise MatrixNotFoundError(
                f"run {self.id}",
                got="no base model: what was not kept became zero",
                wanted="a run against a base",
                remedy="Look at the values of the model itself.",
            )
        return open_checkpoint(self, "base")

    def release(self) -> None:
        """Give back the memory of what was read from the checkpoints."""
        self.tuned_tensors.release()
        if self.restore == "base":
            self.base_tensors.release()
        for extra in (self.kept_values, self.changed):
            if extra is not None:
                extra.release()

    def matrix(self, name: str) -> pd.Series[Any]:
        """The line of one parameter in `matrices`.

        Raises:
            MatrixNotFoundError: the model has no parameter of that name.
        """
        if name not in self._position:
            raise MatrixNotFoundError(
                f"run {self.id}",
                got=f"no matrix {name!r}",
                wanted=f"one of {len(self._position)}, such as {next(iter(self.pruned), 'none')}",
                remedy="Choose a matrix from the list.",
            )
        return self.matrices.iloc[self._position[name]]

    def _pruned_matrix(self, name: str) -> pd.Series[Any]:
        line = self.matrix(name)
        if line["status"] != "pruned":
            raise MatrixNotFoundError(
                f"run {self.id}",
                got=f"{name} was not pruned ({line['reason']})",
                wanted="a pruned matrix",
                remedy="Choose a matrix that the run pruned.",
            )
        return line

    def owner(self, name: str) -> str | None:
        """The pruned parameter that a stored tensor belongs to (itself, or what it is tied to)."""
        return self._owner.get(name)

    def shape(self, name: str) -> tuple[int, int]:
        """(R, C) of one parameter, rows being outputs; a 1-D parameter is one row."""
        line = self.matrix(name)
        return int(line["rows"]), int(line["cols"])

    def rows(self, name: str) -> pd.DataFrame:
        """One line per row of a pruned matrix: kept, bandwidth, value range, difference; kept alone of a thin run."""
        rows = int(self._pruned_matrix(name)["rows"])
        if self.thin:
            kept = self.stored_cells.kept(name)
            if len(kept) != rows:
                raise corrupt(self.path, f"cells.parquet has other rows of {name} than the table of matrices")
            return pd.DataFrame({"row": np.arange(len(kept), dtype=np.int32), "kept": kept})
        group = self.pruned.index(name)
        if self._row_groups.metadata.row_group(group).num_rows != rows:
            raise corrupt(self.path, f"rows.parquet has other rows of {name} than the table of matrices")
        columns = [column for column in ROWS_SCHEMA.names if column != "matrix"]
        try:
            found = self._row_groups.read_row_group(group, columns)
            found = found.cast(pa.schema([ROWS_SCHEMA.field(column) for column in found.column_names]))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            raise corrupt(self.path, f"rows.parquet cannot be read ({error})") from error
        if len(found) != rows:
            raise corrupt(self.path, f"rows.parquet has other rows of {name} than the table of matrices")
        table: pd.DataFrame = found.to_pandas()
        return table

    def mask_bits(self, name: str, rows: slice = slice(None)) -> bits.Bits:
        """Packed keep mask of some rows, (rows, ceil(C / 8)) uint8.

        Raises:
            ThinRunError: the run ships without its masks.
        """
        if self.thin:
            raise thin_error(self, f"The mask of {name}")
        first, last, _ = rows.indices(int(self._pruned_matrix(name)["rows"]))
        try:
            found: bits.Bits = np.array(self._masks.raw(name, slice(first, max(first, last))))
        except (CorruptShardError, OSError, ValueError) as error:
            raise corrupt(self.path, f"masks.safetensors cannot be read ({error})") from error
        return found

    def keep(self, name: str, rows: slice = slice(None), columns: slice = slice(None)) -> NDArray[np.bool_]:
        """The keep mask, or a window of it: True = kept, False = the base value, or zero."""
        first, last, _ = columns.indices(self.shape(name)[1])
        return bits.unpack(self.mask_bits(name, rows), first, max(first, last))

    def overview_cell(self, name: str) -> tuple[int, int]:
        """Weights (h, w) of one cell of `overview`; one weight where the matrix is small."""
        shape = self.shape(name)
        return self.stored_cells.counts(name, shape)[0] if self.thin else bits.overview_cell(*shape)

    def overview(self, name: str) -> NDArray[np.float16]:
        """Share kept per cell of the whole matrix, at most 512 x 512 cells; fewer of a thin run."""
        if self.thin:
            cell, counts = self.stored_cells.counts(name, self.shape(name))
            return (counts / bits.cell_sizes(*self.shape(name), cell)).astype(np.float16)
        return bits.overview(self.mask_bits(name), self.shape(name)[1])

    def values(
        self, name: str, which: Which = "tuned", rows: slice = slice(None), columns: slice = slice(None)
    ) -> NDArray[np.float32]:
        """A window of float32 weights, read from the checkpoint by slice; rows are outputs.

        ``difference`` is tuned - base, the base rounded to the tuned dtype as it is when restored;
        without a base that is zero. ``pruned`` is what the run made of it. ``levels``: how finely a method that
        codes differences kept each, whole numbers, 0 where the base stays.
        """
        return read_values(self, name, which, rows, columns)

    def kept_bits(self, name: str, rows: slice = slice(None)) -> NDArray[np.generic]:
        """Storage bits of the changed values of some rows (r, C), zero where not kept.

        Only of runs whose method changed values (``kept_values`` is not ``None``).
        """
        assert self.kept_values is not None
        if name not in self._first:
            counts = bits.kept_per_row(self.mask_bits(name))  # R
            self._first[name] = np.concatenate([[0], np.cumsum(counts)])  # R + 1
        keep = self.keep(name, rows)  # r, C
        first, last, _ = rows.indices(self.shape(name)[0])
        span = self._first[name][[first, max(first, last)]]
        stored = self.kept_values.bits(name, int(span[0]), int(span[1]))
        values: NDArray[np.generic] = np.zeros(keep.shape, stored.dtype)
        values[keep] = stored
        return values

    @property
    def totals(self) -> dict[str, int]:
        """Counts over the model: params, pruned (in pruned matrices), kept, reset, and bytes."""
        return totals_of(self.matrices)

    def flips(self) -> pd.DataFrame:
        """Which answers changed, a line per sentence or token: the table of `kencore.runs.flips.Flips`.

        Raises:
            RunNotFoundError: the run keeps none: `kencore.flips` computes them.
            SchemaError, CorruptRunError: the file is there and cannot be read.
        """
        from kencore.runs.flips import stored_flips

        return stored_flips(self.path, self.id).table

    def apply(self) -> dict[str, torch.Tensor]:
        """The pruned state dict, bit for bit: kept entries as tuned (or as the method changed
        them), all others as in the base, or zero.
        """
        from kencore.runs.restore import apply

        return apply(self)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write a Hugging Face folder with the pruned weights, config and tokenizer."""
        from kencore.runs.restore import save_pretrained

        return save_pretrained(self, Path(folder))


def open_run(run: str | Path) -> Run:
    """Open a run by its folder, or by its id in the store.

    The shipped runs are ``demo`` (an encoder) and ``demo-lm`` (a language model).

    Raises:
        RunNotFoundError: no such folder, and no such run in the store.
        SchemaError: a newer version made it, or one that is too old.
        CorruptRunError: the folder is there but is not a whole run.
    """
    return Run.open(run)


def totals_of(matrices: pd.DataFrame) -> dict[str, int]:
    """`Run.totals` from the lines of all parameters; ``params`` counts those that are read and were learned."""
    pruned = matrices["status"] == "pruned"
    stored = matrices["reason"].fillna("").str.startswith((UNUSED, BUFFER))  # beside the model's parameters
    params, inside = int(matrices.loc[~stored, "params"].sum()), int(matrices.loc[pruned, "params"].sum())
    kept = int(matrices.loc[pruned, "kept"].sum())
    return {
        "params": params,
        "pruned": inside,
        "kept": kept,
        "reset": inside - kept,
        "bytes_dense": int(matrices["bytes_dense"].sum()),
        "bytes_stored": int(matrices["bytes_stored"].sum()),
    }


def _owners(matrices: pd.DataFrame) -> dict[str, str]:
    """Stored tensor -> pruned parameter, tied names included."""
    pruned = matrices[matrices["status"] == "pruned"]
    names = zip(pruned["name"], pruned["tied"], strict=True)
    return {stored: name for name, tied in names for stored in (name, *tied)}
