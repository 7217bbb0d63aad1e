"""Sections of a report on how a run came to be: settings, models and hashes, how to make it
again.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import Any, Final

import pandas as pd

from kencore.report.content import Block, Code, Section, Table, Text
from kencore.runs.run import Run
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.findings import lines

LISTED: Final = 400  # tensors whose hashes a page has room for


def how_made(run: Run) -> Section:
    """Settings, where and when, models, hashes, versions and the commands."""
    return Section(
        name="made",
        title="How to reproduce it",
        blocks=(
            Code(label="The run", text=facts.command(run.spec)),
            *_after(run),
            _made(run),
            _settings(run),
            _versions(run),
            *_models(run),
            _files(run),
        ),
    )


def _after(run: Run) -> list[Block]:
    """Commands after pruning: measuring, and the report itself."""
    name, found = shlex.quote(run.id), run.metrics
    commands = []
    if run.record.get("tuned"):
        return [
            Text(text="This is the run before recovery; see “Recovery after pruning”.", quiet=True),
            Code(label="This report", text=f"python -m kencore report {name}"),
        ]
    if found.get("data"):
        data = shlex.quote(str(found["data"]))
        flags = " --baselines" if found.get("baselines") else ""
        commands.append(f"python -m kencore evaluate {name} --data {data}{flags} --save")
    commands.append(f"python -m kencore report {name}")
    label = "Quality and this report" if len(commands) > 1 else "This report"
    return [Code(label=label, text="\n".join(commands))]


def _made(run: Run) -> Table:
    return Table(
        name="made", caption="When and where", columns=("What", "Value"), rows=tuple(facts.origin(run).items())
    )


def _settings(run: Run) -> Table:
    asked: dict[str, Any] = json.loads(run.spec.to_json())
    rows = [
        (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in asked.items()
    ]
    return Table(
        name="settings",
        caption="All settings (fields of PruneSpec)",
        columns=("Setting", "Value"),
        rows=tuple(rows),
        folded=True,
    )


def _versions(run: Run) -> Table:
    return Table(
        name="versions",
        caption="Versions",
        columns=("Package", "Version"),
        rows=tuple(sorted(run.versions.items())) or (("not recorded", ""),),
    )


def _models(run: Run) -> list[Block]:
    """Where the models came from, and the hashes of their tensors."""
    sources, table = run.record.get("sources") or {}, run.matrices
    rows = []
    for side in ("tuned", "base"):
        source = sources.get(side)
        if not source:
            continue
        named = "Model" if run.restore == "zero" else f"{side.capitalize()} model"
        digest = tensors_digest(table, side)
        rows.append(
            (named, str(source.get("text", "")), str(source.get("revision") or "none"), digest or "not recorded")
        )
    models = Table(
        name="models",
        caption="Models",
        columns=("Which", "From", "Revision", "SHA-256"),
        rows=tuple(rows) or (("not recorded", "", "", ""),),
    )
    note = Text(text="The SHA-256 of a model is that of one line “name hash” per tensor, sorted by name.", quiet=True)
    if len(table) > LISTED:
        return [models, note]
    return [models, note, _tensors(table, wording.terms(run.restore, coded=run.spec.coded).done)]


def tensors_digest(table: pd.DataFrame, side: str) -> str | None:
    """One hash for all tensors of a side; ``None`` where theirs were not recorded.

    Args:
        table: a run's ``matrices``.
        side: ``tuned`` or ``base``.
    """
    known = {line.name: getattr(line, f"{side}_sha256") for line in lines(table)}
    known = {name: found for name, found in known.items() if isinstance(found, str) and found}
    if not known:
        return None
    text = "".join(f"{name} {known[name]}\n" for name in sorted(known))
    return hashlib.sha256(text.encode()).hexdigest()


def _tensors(table: pd.DataFrame, done: str) -> Table:
    columns = ["name", "role", "status", "rows", "cols", "params", "kept", "tuned_sha256"]
    return Table(
        name="tensors",
        caption=f"Every tensor: {done} weights and SHA-256 of its values",
        columns=("Tensor", "Role", "State", "Shape", done.capitalize(), "SHA-256"),
        rows=tuple(
            (
                line.name,
                line.role,
                wording.STATUSES.get(line.status, line.status),
                f"{line.rows:,} × {line.cols:,}",
                f"{line.kept:,} of {line.params:,}",
                str(line.tuned_sha256 or ""),
            )
            for line in lines(table)
        ),
        data=table[columns],
        folded=True,
    )


def _files(run: Run) -> Table:
    """The run's own files: whoever has the same ones has the same run."""
    files = sorted(path for path in run.path.iterdir() if path.is_file())
    return Table(
        name="files",
        caption="Files of the run",
        columns=("File", "Bytes", "SHA-256"),
        rows=tuple(
            (path.name, f"{path.stat().st_size:,}", _hash(path.open("rb")))
            for path in files
            if not path.name.startswith(".")
        ),
        folded=True,
    )


def _hash(file: Any) -> str:
    with file:
        return hashlib.file_digest(file, "sha256").hexdigest()
