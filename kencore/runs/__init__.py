"""Runs on disk, their packed masks, and what pictures of them need. No torch at import."""

FILES = ("spec.json", "record.json", "metrics.json", "matrices.parquet", "rows.parquet", "masks.safetensors")
OPTIONAL = ("values.safetensors", "activations.safetensors", "trace.json", "flips.parquet")
