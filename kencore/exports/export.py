"""Export a run in one of its forms: what the command line, the worker and the app call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kencore.checkpoint.companions import left_behind
from kencore.errors import SpecError
from kencore.system.progress import Progress, silent

FORMS = ("folder", "subnetwork", "masks", "packed-masks", "sparse-delta", "lora")
FOLDERS = ("folder", "lora")  # the others are files


def export(
    run: str | Path,
    path: str | Path,
    form: str = "folder",
    *,
    zstd: bool = False,
    push: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a run as a Hugging Face folder, a subnetwork file, keep masks, changed entries or an adapter.

    Args:
        run: its id or folder.
        path: the folder or file to write; nothing is overwritten.
        form: one of ``FORMS``.
        zstd: compress the subnetwork file.
        push: also upload it to this repository of the hub, which is made private if it is new.
        progress: called with (done, total, what is being done); may raise to cancel.

    Returns:
        ``form``, ``bytes`` of what was written, where it is as ``folder`` or ``file``, and as
        ``repository`` if it was uploaded; ``left_behind``: files of the model that were not taken
        along, and why, where there are any; ``left_out``: tensors whose change an adapter does not hold.

    Raises:
        KencoreError: the class says which mistake it was.
    """
    from kencore.runs.run import open_run

    check(form, zstd=zstd)
    report = progress or silent
    if push is not None:
        from kencore.exports.upload import check_name

        check_name(push)  # before minutes of writing
    opened, path = open_run(run), Path(path)
    left_out: tuple[str, ...] = ()
    if form == "folder":
        report(0, 1, "Writing the pruned model")
        written = opened.save_pretrained(path)
    elif form == "subnetwork":
        from kencore.exports.subnetwork.write import write_subnetwork

        written = write_subnetwork(opened, path, zstd, report)
    elif form == "sparse-delta":
        from kencore.exports.updates import export_updates

        written = export_updates(opened, path, report)
    elif form == "lora":
        from kencore.exports.lora import export_lora

        written, left_out = export_lora(opened, path, report)
    else:
        from kencore.exports.masks import export_mask

        written = export_mask(opened, path, report, pack=form == "packed-masks")
    facts: dict[str, Any] = {
        "run": opened.id,
        "form": form,
        "bytes": _bytes(written),
        "folder" if form in FOLDERS else "file": str(written),
    }
    if left_out:
        facts["left_out"] = list(left_out)
    if form in ("folder", "subnetwork") and (left := left_behind(Path(opened.tuned_tensors.folder))):
        facts["left_behind"] = left
    if push is not None:
        from kencore.exports.upload import upload

        report(0, 1, f"Uploading to {push}")
        facts["repository"] = upload(written, push)
    return facts


def file_name(run: str | Path, form: str, *, zstd: bool = False) -> str:
    """A name for an export of a run (its id or folder), such as a download gets."""
    name = Path(run).name or "run"
    return {
        "folder": f"{name}-pruned",
        "subnetwork": f"{name}.subnetwork.safetensors" + (".zst" if zstd else ""),
        "masks": f"{name}.masks.safetensors",
        "packed-masks": f"{name}.packed-masks.safetensors",
        "sparse-delta": f"{name}.sparse-delta.safetensors",
        "lora": f"{name}-lora",
    }[form]


def check(form: str, *, zstd: bool) -> None:
    """Raise `SpecError` for a form that there is not, or that cannot be compressed."""
    if form not in FORMS:
        raise SpecError("form", got=repr(form), wanted=f"one of {', '.join(FORMS)}", remedy="Check the spelling.")
    if zstd and form != "subnetwork":
        raise SpecError(
            "zstd",
            got=f"a compressed {form}",
            wanted="a subnetwork file",
            remedy="Leave it out, or export as subnetwork.",
        )


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
