"""Commands that make files of a run, and models of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kencore.checkpoint.unpack import DTYPES
from kencore.cli import prune as cli_text
from kencore.cli.frame import Json, command
from kencore.exports.export import FORMS


def export(
    run: Annotated[str, typer.Argument(help="A run: its id or folder.")],
    path: Annotated[Path, typer.Argument(help="The folder or file to write.")],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            help=f"One of {', '.join(FORMS)}: the pruned model as a Hugging Face folder; the small "
            "file that restores it from the base, bit for bit; keep masks as bool tensors; the same at a bit a weight; "
            "changed entries as index and value; an adapter of changes in low rank.",
        ),
    ] = "folder",
    zstd: Annotated[bool, typer.Option("--zstd", help="Compress the subnetwork file (needs the extra zstd).")] = False,
    push: Annotated[
        str | None, typer.Option(help="Also upload it to this repository of the hub; a new one is private.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the pruned model of a run, its subnetwork file or its masks."""
    from kencore.exports.export import export as write

    with command(as_json) as (report, show):
        facts = write(run, path, form, zstd=zstd, push=push, progress=report)
        show(facts, cli_text.exported)


def open_file(
    file: Annotated[Path, typer.Argument(help="A subnetwork file, compressed or not.")],
    folder: Annotated[Path, typer.Argument(help="The Hugging Face folder to write.")],
    base: Annotated[
        str | None, typer.Option(help="The base: a demo, a folder or a hub id; by default as the file says.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make the pruned model of a subnetwork file and its base."""
    from kencore.exports.subnetwork.open import restore_subnetwork

    with command(as_json) as (report, show):
        written = restore_subnetwork(file, base, folder, report)
        show({"folder": str(written)}, lambda facts: f"Wrote {facts['folder']}")


def convert(
    source: Annotated[str, typer.Argument(help="A .gguf file, a folder or a hub id whose weights are packed.")],
    folder: Annotated[Path, typer.Argument(help="The Hugging Face folder to write.")],
    dtype: Annotated[
        str | None,
        typer.Option(
            help=f"Write weights as {', '.join(DTYPES)}; what was packed becomes float32 by default, which holds its "
            "values exactly."
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")] = None,
    as_json: Json = False,
) -> None:
    """Make plain safetensors of a model whose weights are packed: GGUF, or 8-bit numbers with scales."""
    from kencore.checkpoint.convert import convert as write

    with command(as_json) as (report, show):
        show(write(source, folder, dtype=dtype, revision=revision, progress=report), cli_text.converted)
