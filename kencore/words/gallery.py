"""The gallery: finished runs of real models that ship with the project, and what is said of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kencore.errors import KencoreError
from kencore.runs.naming import short_name
from kencore.runs.reading import read_files
from kencore.runs.shelf import find_stored_run, gallery_ids
from kencore.settings.demo import DEMOS
from kencore.settings.packaged import PACKAGED
from kencore.settings.prune import PruneSpec
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import Verdict, verdict

ABOUT: Final = {
    "minilm-sst2": "all-MiniLM-L6-v2 (Apache-2.0) tuned on film reviews; the tuned weights are not published."
} | {name: f"{row.title}, {row.licence}. Its weights come with `{row.install}`." for name, row in PACKAGED.items()}
"""Where a model of the gallery comes from, by how it is written."""
TITLES: Final = {"minilm-sst2": "MiniLM, sentiment"} | {name: row.title for name, row in PACKAGED.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One run of the gallery.

    Attributes:
        id: of the run.
        model: how the model is written; ``title``: its name.
        method: rule and allocation, in words.
        sparsity: share that was not kept, asked for.
        measure: what quality is: ``perplexity``, ``accuracy`` or ``similarity``.
        quality: of the pruned model, and ``dense`` of the dense one, in words; "" where not measured.
        data: what it was measured on, in words.
        verdict: what to think of it; ``None`` where it was not measured.
        about: where the model comes from.
    """

    id: str
    model: str
    title: str
    method: str
    sparsity: float
    measure: str
    quality: str
    dense: str
    data: str
    verdict: Verdict | None
    about: str


def gallery() -> list[Exhibit]:
    """Every run of the gallery that can be read, model by model, by falling sparsity within a method's row."""
    found = [exhibit(name, find_stored_run(name)) for name in gallery_ids()]
    return [one for one in found if one is not None]


def exhibit(name: str, folder: Path) -> Exhibit | None:
    """What is said of one run; ``None`` where it cannot be read, or keeps no share."""
    try:
        files = read_files(folder, "spec.json", "metrics.json")
        spec = PruneSpec.from_dict(files["spec.json"]["spec"])
    except KencoreError:
        return None
    if spec.sparsity is None:
        return None
    metrics: Mapping[str, Any] = files["metrics.json"]
    return Exhibit(
        id=name,
        model=spec.model,
        title=TITLES.get(spec.model, short_name(spec.model)),
        method=wording.method(spec),
        sparsity=spec.sparsity,
        measure="perplexity" if facts.is_language(metrics) else facts.share_name(metrics),
        quality=_quality(metrics, "pruned"),
        dense=_quality(metrics, "dense"),
        data=_data(spec.evaluation),
        verdict=verdict(metrics, spec.method),
        about=ABOUT.get(spec.model, ""),
    )


def _data(source: str | None) -> str:
    """What a run was measured on, in words."""
    if source in DEMOS:
        return "the demo's sentences"
    return "" if source is None else wording.text_source(Path(source).name)


def _quality(metrics: Mapping[str, Any], step: str) -> str:
    found = metrics.get(step)
    if not found:
        return ""
    if facts.is_language(metrics):
        return facts.perplexity(found["perplexity"])
    return wording.percent(found[facts.share_name(metrics)])
