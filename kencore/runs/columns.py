"""The two tables of a run folder: their columns, and whether a table that was read can be one of them."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

ROWS_SCHEMA = pa.schema(
    [
        ("matrix", pa.string()),
        ("row", pa.int32()),
        ("kept", pa.int32()),
        ("bandwidth", pa.float32()),
        ("value_min", pa.float32()),
        ("value_max", pa.float32()),
        ("diff_rms", pa.float32()),
        ("diff_share_kept", pa.float32()),
    ]
)

MATRICES_SCHEMA = pa.schema(
    [
        (name, pa.string())
        for name in (
            "name",
            "base_name",
            "stack",
            "role",
            "part",
            "dtype",
            "status",
            "reason",
            "tuned_sha256",
            "base_sha256",
        )
    ]
    + [(name, pa.int64()) for name in ("block", "rows", "cols", "params", "k", "kept", "bytes_dense", "bytes_stored")]
    + [
        (name, pa.float64())
        for name in (
            "target_keep",
            "tuned_mean",
            "tuned_std",
            "tuned_min",
            "tuned_max",
            "diff_rms",
            "diff_share_kept",
            "diff_lost",
        )
    ]
    + [("transposed", pa.bool_()), ("shape", pa.list_(pa.int64())), ("tied", pa.list_(pa.string()))]
)
LATER: Final = ("target_keep", "diff_lost")  # columns that older versions did not write
COUNTS: Final = ("rows", "cols", "params", "kept", "bytes_dense", "bytes_stored")
FILLED: Final = ("name", "role", "dtype", "status", "transposed", "shape", "tied", *COUNTS)
MOST: Final = 2**53  # a sum of a thousand still fits into 64 bits


def checked_matrices(table: pa.Table) -> pa.Table:
    """``matrices.parquet`` as it was read, its columns in their types.

    Raises:
        ValueError: a column is missing or of another type, a name is there twice, or a number cannot be.
    """
    names = [name for name in MATRICES_SCHEMA.names if name in table.column_names or name not in LATER]
    try:
        table = table.select(names).cast(pa.schema([MATRICES_SCHEMA.field(name) for name in names]))
    except (KeyError, pa.ArrowException) as error:
        raise ValueError(f"columns that do not fit: {str(error).partition(chr(10))[0][:200]}") from error
    empty = next((name for name in FILLED if table.column(name).null_count), None)
    if empty is not None:
        raise ValueError(f"lines without {empty}")
    if len(pc.unique(table.column("name"))) != len(table):
        raise ValueError("a name twice")
    for name in COUNTS:
        ends = pc.min_max(table.column(name)).as_py()
        if len(table) and not 0 <= ends["min"] <= ends["max"] < MOST:
            raise ValueError(f"{name} from {ends['min']} to {ends['max']}")
    pruned = table.filter(pc.equal(table.column("status"), "pruned")).select(["rows", "cols", "kept"]).to_pylist()
    if any(not line["rows"] or not line["cols"] or line["kept"] > line["rows"] * line["cols"] for line in pruned):
        raise ValueError("more entries kept than there are")
    return table
