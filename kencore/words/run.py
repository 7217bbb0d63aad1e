"""What a run has to say about itself, in words: pure functions of its numbers."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.errors import CorruptRunError, SchemaError
from kencore.methods.table import METHODS, method_label
from kencore.models.figures import measure_of
from kencore.settings.demo import DEMOS, base_of
from kencore.settings.packaged import PACKAGED
from kencore.settings.prune import BUDGETS
from kencore.system import plain
from kencore.views.tables import Totals
from kencore.words import numbers as wording

if TYPE_CHECKING:
    import pandas as pd

    from kencore.runs.run import Run
    from kencore.settings.prune import PruneSpec

# settings of language models in the order of the command line, left out where they are as usual
_OPTIONS: Final = (
    "allocation",
    "step",
    "reference",
    "block_lambda",
    "row_lambda",
    "refine",
    "rescale",
    "code",
    "harm",
    "calibration",
    "sequences",
    "search_sequences",
    "window",
    "propagate",
    "evaluation",
    "windows",
)
# what tells runs apart, the most telling first, and the order in which it is said
_TOLD: Final = ("allocation", "method", "budget", "refine", "rescale", "model", "scope", "reference", "text", "seed")
_SAID: Final = ("model", "method", "allocation", "refine", "rescale", "budget", "scope", "reference", "text", "seed")


def is_language(metrics: Mapping[str, Any]) -> bool:
    """Whether the measurement is a perplexity (lower is better), not an accuracy."""
    return metrics.get("task") == "language"


def is_embedding(metrics: Mapping[str, Any]) -> bool:
    """Whether the measurement is a similarity of embeddings to the dense model's."""
    return metrics.get("task") == "embedding"


def share_name(metrics: Mapping[str, Any]) -> str:
    """The share that a run without perplexity is judged by: ``accuracy``, or ``similarity`` of embeddings."""
    return "similarity" if is_embedding(metrics) else "accuracy"


def sentences(metrics: Mapping[str, Any]) -> str:
    """How many sentences of which kind a share is of."""
    kind = "sentence" if is_embedding(metrics) else "labeled sentence"
    return wording.plural(int(metrics["examples"]), kind)


def headline(spec: PruneSpec, total: Totals, metrics: dict[str, Any], stored: int | None = None) -> str:
    """The run in one sentence: what was kept of how much, and what it cost.

    Args:
        stored: bytes of the subnetwork file, where they are known.
    """
    stored = stored or file_bytes(metrics)
    name = wording.method(spec)
    if spec.coded:
        size = wording.size(stored or total.bytes_stored)
        text = f"{name} stores the change of {wording.count(total.params)} weights in {size}"
    elif spec.restore == "zero":
        text = (
            f"{name} sets {wording.short_percent(1 - total.share_pruned)} of "
            f"{wording.count(total.pruned)} weights to zero"
        )
    else:
        text = f"{name} keeps {wording.short_percent(total.share)} of {wording.count(total.params)} weights"
    if "dense" not in metrics:  # it may hold zero-shot tasks alone
        return f"{text}; quality was not measured"
    before, after = metrics["dense"], metrics["pruned"]
    if is_language(metrics):
        return f"{text}; perplexity {perplexity(before['perplexity'])} → {perplexity(after['perplexity'])}"
    name = share_name(metrics)
    return f"{text}; {name} {wording.percent(before[name])} → {wording.percent(after[name])}"


def file_bytes(metrics: Mapping[str, Any]) -> int | None:
    """Bytes of the subnetwork file as they were measured; ``None`` where they were not."""
    found = ((metrics.get("cost") or {}).get("bytes") or {}).get("subnetwork")
    return None if found is None else int(found)


def nearness(metrics: Mapping[str, Any]) -> tuple[float, float] | None:
    """KL of the answers from the dense model's in nats, and the share of same answers; ``None``: not measured."""
    return nearness_of(metrics.get("pruned") or {})


def nearness_of(found: Mapping[str, Any]) -> tuple[float, float] | None:
    """The same of the figures of one measured model."""
    versus = found.get("versus_dense") or {}
    kl, same = versus.get("kl"), versus.get("same_answer")
    return None if kl is None or same is None else (float(kl), float(same))


def near(metrics: Mapping[str, Any]) -> str | None:
    """How near the answers are to the dense model's, in one sentence; ``None``: not measured."""
    found = nearness(metrics)
    if found is None:
        return None
    kl, same = found
    what = "predicted tokens" if is_language(metrics) else "sentences"
    compared = metrics["pruned"]["versus_dense"].get("kl_windows")
    what += "" if compared is None else f" of the first {wording.plural(int(compared), 'window')}"
    return (
        f"{wording.percent(same)} of {what} get the dense model's answer; mean KL from it: {kl:.2g} nats (0: the same)."
    )


def points(change: float) -> str:
    """A change of a share in percentage points, with its sign."""
    return f"{100 * change:+.1f} points".replace("-", "−")


def perplexity(value: float) -> str:
    """A perplexity in about three digits: 7.43, 31.2, 1,240."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def interval(found: dict[str, Any]) -> str:
    """The 95 % interval of a measured accuracy or similarity, no finer than it is wide."""
    low, high = (100 * found[f"{measure_of(found)}_{end}"] for end in ("low", "high"))
    digits = 0 if high - low >= 4 else 1
    return f"{low:.{digits}f}–{high:.{digits}f}\u00a0%"


def best_baseline(metrics: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The measured rule that does best at the same budget, if any was measured."""
    found = metrics.get("baselines") or {}
    if not found:
        return None
    if is_language(metrics):
        best = min(found, key=lambda rule: found[rule]["perplexity"])
    else:
        best = max(found, key=lambda rule: found[rule][share_name(metrics)])
    return best, found[best]


def baseline_name(rule: str, method: str) -> str:
    """A baseline in words; ``uniform`` is the run's own method, every block alike, and the own
    method by its name is the one without rescaling.
    """
    if rule == "uniform":
        return f"{method_label(method)}, uniform"
    if rule == method:
        return f"{method_label(method)}, not rescaled"
    return wording.baseline(rule)


def baseline_inline(rule: str, method: str) -> str:
    """The same inside a sentence: lower case but for names of papers."""
    if rule == "uniform":
        return f"uniform {method_label(method)}"  # a comma would end it
    name = baseline_name(rule, method)
    proper = rule not in METHODS or METHODS[rule].proper
    return name if proper else name.lower()


def command(spec: PruneSpec) -> str:
    """The command line that makes this run again, over several lines."""
    parts = ["python -m kencore prune", f"--model {shlex.quote(spec.model)}"]
    if spec.base is not None and not _implied(spec):
        parts.append(f"--base {shlex.quote(spec.base)}")
    for option, revision in (("--model-revision", spec.model_revision), ("--base-revision", spec.base_revision)):
        if revision is not None:
            parts.append(f"{option} {shlex.quote(revision)}")
    parts.append(f"--method {spec.method}")
    given = next(name for name in ("keep", "k", *BUDGETS) if getattr(spec, name) is not None)
    parts.append(f"--{given} {getattr(spec, given)!r}")
    if spec.scope != ("all",):
        parts += [f"--scope {shlex.quote(term)}" for term in spec.scope]
    parts += [f"--no-{name}" for name in ("embeddings", "vectors", "head") if not getattr(spec, name)]
    usual = {field.name: field.default for field in fields(spec)}
    for name in _OPTIONS:
        value = getattr(spec, name)
        if value != usual[name]:
            parts.append(f"--{name.replace('_', '-')} {shlex.quote(str(value))}")
    parts += [f"--balance {factor}" for factor in spec.balance]
    parts += [f"--{name}" for name in ("bos", "measured", "fast", "published") if getattr(spec, name)]
    parts += ["--no-baselines"] if spec.evaluation is not None and not spec.baselines else []
    if spec.seed:
        parts.append(f"--seed {spec.seed}")
    if spec.device != "auto":
        parts.append(f"--device {spec.device}")
    return plain.terminal(" \\\n  ".join(parts))  # it is copied into one


def _implied(spec: PruneSpec) -> bool:
    """Whether the base is the one that a demo has without being asked."""
    return spec.base == base_of(spec.model, method=spec.method, rescale=spec.rescale)


def scope(spec: PruneSpec) -> str:
    """Where a run pruned, in words."""
    everything = spec.scope == ("all",)
    if (spec.streams or spec.measured) and everything:
        return "all matrices of the blocks"
    where = "everything" if everything else " + ".join(spec.scope)
    if spec.restore == "zero" and everything:
        return "all matrices but embeddings and head"
    left = [
        label
        for label, inside in (("embeddings", spec.embeddings), ("norms and biases", spec.vectors), ("head", spec.head))
        if not inside
    ]
    return where + (f", without {' and '.join(left)}" if left else "")


def matrices_csv(matrices: pd.DataFrame) -> bytes:
    """The whole table of parameters as UTF-8 CSV."""
    return matrices.to_csv(index=False).encode()


def model_title(model: str) -> str:
    """A model by its title where it is one that is known here, else as it was written."""
    row = DEMOS.get(model) or PACKAGED.get(model)
    return model if row is None else row.title


def subject(spec: PruneSpec) -> str:
    """What the run is about, in one line."""
    parts = [model_title(spec.model), wording.method(spec), wording.budget(spec), f"pruned: {scope(spec)}"]
    if spec.streams:
        parts.append(f"calibrated on {wording.text_source(spec.calibration)}")
    if spec.restore == "zero":
        parts.append(f"what is not kept is {wording.TERMS['zero'].gone_long}")
    return " · ".join(parts)


UPDATED: Final = (
    "SparseGPT updates kept weights to make up for those set to zero, so they differ from the dense model's."
)
CODED: Final = "Changes are stored in a code, so changed values are near the tuned model's, not equal to them."
RESCALED: Final = {
    kind: f"Rescaled: each row's kept differences to the base are divided by the kept share of {what}, so kept "
    "values differ from the tuned model's."
    for kind, what in (("share", "the row"), ("energy", "the row's squared difference"))
}


def updated(spec: PruneSpec) -> str | None:
    """Why kept weights are other than before, in a sentence; ``None`` where they are not."""
    if not spec.updates:
        return None
    return CODED if spec.coded else RESCALED.get(spec.rescale, UPDATED)


def short_labels(specs: Mapping[str, PruneSpec]) -> dict[str, str]:
    """A short name for each run: as few words as tell the runs apart, else with their ids.

    Where methods or allocations differ both are said, since each could be what made the others
    better or worse.
    """
    said = {run: _words(spec) for run, spec in specs.items()}
    differ = [part for part in _TOLD if len({words[part] for words in said.values()}) > 1] or [
        "allocation" if any(spec.streams for spec in specs.values()) else "method"
    ]
    labels: dict[str, str] = {}
    always = len({"allocation", "method"}.intersection(differ))  # they lead the list
    for number in range(always or 1, len(differ) + 1):
        shown = sorted(differ[:number], key=_SAID.index)
        labels = {run: ", ".join(filter(None, map(words.get, shown))) for run, words in said.items()}
        if len(set(labels.values())) == len(labels):
            break
    seen = Counter(labels.values())
    return {
        run: text if text and seen[text] == 1 else f"{text or said[run]['method']} ({run})"
        for run, text in labels.items()
    }


def _words(spec: PruneSpec) -> dict[str, str]:
    """The settings of a run in a word or two each; nothing for what is as usual."""
    sparsity = wording.budget(spec) if spec.keep is None else f"{wording.short_percent(1 - spec.keep)} sparsity"
    return {
        "model": DEMOS[spec.model].short if spec.model in DEMOS else Path(spec.model).name,
        "method": method_label(spec.method),
        "allocation": wording.allocation(spec),
        "refine": "DSnoT" if spec.refine == "dsnot" else "",
        "rescale": wording.RESCALED.get(spec.rescale, ""),
        "budget": f"k = {spec.k}" if spec.k is not None else sparsity,
        "scope": "" if spec.scope == ("all",) else " + ".join(spec.scope),
        "reference": "global reference" if spec.reference == "global" else "",
        "text": wording.text_source(spec.calibration) if spec.streams else "",
        "seed": f"seed {spec.seed}",
    }


def in_play(total: Totals) -> str:
    """How much of the model was in play: all that the method chose among."""
    share = wording.percent(total.pruned / max(total.params, 1))
    return f"In play were {share} of the model's {wording.count(total.params)} weights."


def origin(run: Run) -> dict[str, str]:
    """What a reader asks first: when, how long, where, what was pruned, with which seed, and on
    what text activations were taken.
    """
    record = run.record
    said = {
        "Made": f"{str(record.get('created', ''))[:19].replace('T', ' ')} UTC",
        "Took": wording.seconds(float(record.get("seconds") or 0)),
        "On": str(record.get("device", "unknown")),
        "Pruned": scope(run.spec),
        "Seed": str(run.spec.seed),
    }
    return said | ({"Calibrated on": calibrated(run)} if run.spec.streams else {})


def calibrated(run: Run) -> str:
    """The text that activations came from, and how much of it."""
    spec = run.spec
    found = _trace(run).get("calibration") or {}
    window = found.get("window") or spec.window
    length = f" of {wording.exact(window)} tokens" if window else ""
    text = wording.text_source(spec.calibration)
    return f"{text}, {wording.plural(spec.sequences, 'sequence')}{length}"


def _trace(run: Run) -> dict[str, Any]:
    try:
        return run.trace or {}
    except (CorruptRunError, SchemaError):  # the Sparsity page says so
        return {}
