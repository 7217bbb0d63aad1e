"""Runs on disk, their packed masks, and what pictures of them need. No torch at import."""

from pathlib import Path

FILES = ("spec.json", "record.json", "metrics.json", "matrices.parquet", "rows.parquet", "masks.safetensors")
OPTIONAL = ("values.safetensors", "activations.safetensors", "trace.json", "flips.parquet", "texts.json")
CELLS = "cells.parquet"  # stands for masks and rows in a run that ships without them
THINNED = ("rows.parquet", "masks.safetensors")


def missing_files(folder: Path) -> list[str]:
    """What a folder lacks of a whole run, or of one that ships without its masks."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    thin = set(missing) <= set(THINNED) and (folder / CELLS).is_file()
    return [] if thin else missing
