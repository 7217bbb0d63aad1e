"""A comparison of runs in words: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from kencore.allocate.table import allocation_label
from kencore.methods.table import METHODS, method_label
from kencore.models.figures import measure_of
from kencore.words import measured
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import SAME, figure, listed, points_apart

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.views.compare.masks import Overlap
    from kencore.views.compare.quality import Difference

NEAR: Final = 0.01  # an index this close to chance is about chance
_EXPLAINED: Final = (
    "Overlap (Jaccard index): weights {done} by both, over weights {done} by either. By chance: the same for "
    "random masks that {do} as many weights of each row."
)
_CODED: Final = "A run changes the weights that it does not leave at the base's value; a coded change is rounded."
Verb = tuple[str, str, str]
KEEP: Final[Verb] = ("keep", "keeps", "kept")
CHANGE: Final[Verb] = ("change", "changes", "changed")
PLACES: Final = ("scope", "embeddings", "vectors", "head")  # said together
SETTINGS: Final = {
    "model": "Model",
    "base": "Base model",
    "model_revision": "Revision of the model",
    "base_revision": "Revision of the base",
    "method": "Rule",
    "keep": "Share kept",
    "k": "Weights per row",
    "bits": "Bits per weight",
    "bytes": "Bytes of the file",
    "kl": "Divergence of the answers",
    "same": "Least share of same answers",
    "code": "Code",
    "allocation": "How sparsity is shared",
    "step": "NeuroAL searches over",
    "reference": "NeuroAL compares with",
    "refine": "Mask refined by",
    "rescale": "Rescaled",
    "calibration": "Calibration text",
    "sequences": "Calibration sequences",
    "search_sequences": "Sequences of the search",
    "window": "Window, tokens",
    "bos": "Every window begins as a text does",
    "propagate": "A block is pruned on",
    "fast": "Short search",
    "published": "As the published code",
    "evaluation": "Measured on",
    "windows": "Windows measured",
    "block_lambda": "Ramp over blocks",
    "row_lambda": "Ramp over rows",
    "balance": "Balance",
    "measured": "Only matrices whose inputs can be measured",
    "harm": "Codes are ordered by",
    "seed": "Seed",
    "tuned": "Tuned after pruning",
    "versions": "Library versions",
}
LETTERS: Final = "ABCDEF"  # of the runs side by side
_CHOICES: Final[dict[str, Mapping[str, str]]] = {
    "step": wording.STEPS,
    "reference": wording.REFERENCES,
    "refine": wording.REFINEMENTS,
    "rescale": wording.RESCALES,
    "calibration": wording.TEXTS,
    "evaluation": wording.TEXTS,
    "propagate": wording.PROPAGATIONS,
}


def peer(key: str) -> str:
    """Another rule at a run's own budget, by its key in `kencore.views.compare.peers`."""
    row = METHODS.get(key)
    if row is None:
        return allocation_label(key)
    return f"{row.label}, every block alike" if row.activations else row.label


def labels(runs: Sequence[Run]) -> list[str]:
    """A short name of each run: its rule where that tells them apart, else more words."""
    rules = [wording.method(run.spec) for run in runs]
    if len(set(rules)) == len(rules):
        return rules
    found = facts.short_labels({run.id: run.spec for run in runs})
    return [found[run.id] for run in runs]


def verb(runs: Sequence[Run]) -> Verb:
    """What runs do with the weights of their masks: keep them, or change them where one codes changes."""
    return CHANGE if any(run.spec.coded for run in runs) else KEEP


def explained(verb: Verb = KEEP) -> str:
    """What overlap is."""
    said = _EXPLAINED.format(do=verb[0], done=verb[2])
    return said if verb == KEEP else f"{said} {_CODED}"


def headline(names: Sequence[str], found: Overlap, verb: Verb = KEEP) -> str:
    """The two runs in one sentence."""
    index, chance = found.jaccard, found.chance
    if not found.both + found.only_a + found.only_b:
        return f"Neither {names[0]} nor {names[1]} {verb[1]} any weight"
    if not found.only_a + found.only_b:
        return f"{names[0]} and {names[1]} {verb[0]} exactly the same weights"
    text = f"{names[0]} and {names[1]} agree on {wording.percent(index)} of the weights {verb[2]} by either"
    if abs(index - chance) < NEAR:
        return f"{text}, about as many as by chance ({wording.percent(chance)})"
    more = "more" if index > chance else "fewer"
    return f"{text}, {more} than by chance ({wording.percent(chance)})"


def kept_text(found: Overlap, names: Sequence[str], verb: Verb = KEEP) -> str:
    """Exact counts of the four parts."""
    parts = (
        f"both {verb[0]} {wording.exact(found.both)}",
        f"only {names[0]} {wording.exact(found.only_a)}",
        f"only {names[1]} {wording.exact(found.only_b)}",
        f"neither {wording.exact(found.neither)}",
    )
    text = f"Of {wording.exact(found.params)} weights {', '.join(parts)}."
    apart = found.only_a - found.only_b
    if not apart:
        return text
    more, less = names if apart > 0 else reversed(names)
    start = "The budgets differ: " if verb == KEEP else ""
    return f"{text} {start}{more} {verb[1]} {wording.exact(abs(apart))} weights more than {less}."


def quality(found: Difference | str, names: Sequence[str]) -> str:
    """How the second run differs from the first in quality, in one or two sentences."""
    if isinstance(found, str):
        return f"Quality cannot be compared: {found}."
    if found.lost == found.won == 0:
        return f"{names[1]} and {names[0]} get the same examples right."
    text = _compared(found, names)
    if found.low is not None and found.high is not None:
        scale, digits = (100, 1) if found.measure != "nll" else (1, 3)
        span = f"95 % interval: {_span(scale * found.low, scale * found.high, digits)})"
        text = f"{text[:-1]}; {span}" if text.endswith(")") else f"{text} ({span}"
    if found.lost is not None and found.p is not None:
        text += f": it lost {wording.plural(found.lost, 'example')} and won {found.won:,}, {measured.p_value(found.p)}"
    if found.change and (chance := found.could_be_chance) is not None:
        text += ", which could be chance" if chance else ", more than chance"
    return text + ("." if found.paired else f". {UNPAIRED}")


def best(runs: Sequence[Run]) -> str:
    """Which of three runs or more measured best, and what it is really better than; "" where that cannot be said."""
    from kencore.views.compare.quality import difference

    names = labels(runs)
    known = [(name, run) for name, run in zip(names, runs, strict=True) if run.metrics.get("pruned")]
    if len(runs) < 3 or len(known) < 2:
        return ""
    measure = measure_of(known[0][1].metrics["pruned"])
    if any(measure_of(run.metrics["pruned"]) != measure for _, run in known):
        return ""
    known.sort(key=lambda one: float(one[1].metrics["pruned"][measure]), reverse=measure != "perplexity")
    first = known[0][1]
    alike = [name for name, run in known if figure(run.metrics["pruned"]) == figure(first.metrics["pruned"])]
    changes = {name: difference(run.metrics, first.metrics) for name, run in known[1:]}
    if any(isinstance(change, str) for change in changes.values()):
        return ""
    rest = {name: change.could_be_chance for name, change in changes.items() if name not in alike}  # type: ignore[union-attr]
    groups = {
        "better than": [name for name, chance in rest.items() if chance is False],
        "not more than chance apart from": [name for name, chance in rest.items() if chance],
        "not to be told from so little data from": [name for name, chance in rest.items() if chance is None],
    }
    said = [f"{words} {listed(found)}" for words, found in groups.items() if found]
    value = score(first) if len(alike) == 1 else f"{measure} {figure(first.metrics['pruned'])}"
    text = f"{listed(alike)} measured best, {value}" + (f": {', '.join(said)}" if said else "")
    left = [name for name in names if name not in dict(known)]
    return f"{text}." + (f" Not measured: {listed(left)}." if left else "")


def _compared(found: Difference, names: Sequence[str]) -> str:
    """Which of the two does better by how much."""
    if found.measure != "nll":
        apart = points_apart(found.second, found.first, "more", "less")
        if apart == SAME:
            same = "equally accurate" if found.measure == "accuracy" else "equally similar to the dense model"
            return f"{names[1]} and {names[0]} are {same}"
        return f"{names[1]} has {apart} {found.measure} than {names[0]}"
    more = "more" if found.change > 0 else "less"
    return f"{names[1]} needs {abs(found.change):.3f} nats per token {more} than {names[0]} (less is better)"


UNPAIRED: Final = (
    "Outcomes per example are not stored for both runs, so the interval is wider than needed. Measure again to "
    "compare in pairs."
)


def _span(low: float, high: float, digits: int) -> str:
    """An interval of a change without signs: ``0.9 to 8.1 more``, ``1.0 less to 3.0 more``."""
    ends = [f"{abs(end):.{digits}f}" for end in (low, high)]
    if low >= 0:
        return f"{ends[0]} to {ends[1]} more"
    if high <= 0:
        return f"{ends[1]} to {ends[0]} less"
    return f"{ends[0]} less to {ends[1]} more"


def score(run: Run) -> str:
    """The measured quality of a run with its interval."""
    found = run.metrics
    if not found:
        return "not measured"
    if facts.is_language(found):
        return f"perplexity {measured.perplexity(found['pruned'])}"
    name = facts.share_name(found)
    return f"{name} {measured.score(found['pruned'], name)}"


def sides(runs: Sequence[Run], sizes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One column per run, with its letter: quality, entries kept and bytes."""
    table = {}
    names, kept, values = labels(runs), "Weights kept", "Kept values and masks"
    if verb(runs) == CHANGE:
        kept, values = f"{kept} or changed", f"{values}, or coded changes"
    for letter, name, run, size in zip(LETTERS, names, runs, sizes, strict=False):
        file = size["bytes_subnetwork"]
        table[f"{letter}: {name}"] = {
            "Quality": score(run),
            "Measured on": str(run.metrics.get("data", "")) or "nothing",
            kept: f"{size['kept']:,} of {size['pruned']:,} ({wording.percent(size['kept'] / size['pruned'])})"
            if size["pruned"]
            else "none",
            values: wording.size(size["bytes_stored"]),
            "Subnetwork file": "not measured" if file is None else wording.size(file),
            "Answers as the dense model's": _near(run),
            "Dense model": wording.size(size["bytes_dense"]),
        }
    return pd.DataFrame(table)


def _near(run: Run) -> str:
    found = facts.nearness(run.metrics)
    return "not measured" if found is None else f"{wording.percent(found[1])}, {found[0]:.2g} nats apart"


def sizes(names: Sequence[str], sizes: Sequence[Mapping[str, Any]]) -> str | None:
    """How many bytes the second of two runs takes beside the first; ``None`` where a file's size is not known."""
    first, second = (size["bytes_subnetwork"] for size in sizes[:2])
    if not first or not second:
        return None
    text = f"{names[0]} takes {wording.size(first)}, {names[1]} {wording.size(second)}"
    if first == second:
        return f"{text}."
    small, factor = (names[1], first / second) if second < first else (names[0], second / first)
    times = f"{factor:.0f} times smaller" if factor >= 3 else f"{wording.percent(1 - 1 / factor, 0)} smaller"
    return f"{text}: the file of {small} is {times}."


def settings(found: Mapping[str, Sequence[Any]], runs: Sequence[Run]) -> pd.DataFrame:
    """Settings that differ: one line each, one column per run."""
    columns = [f"{letter}: {name}" for letter, name in zip(LETTERS, labels(runs), strict=False)]
    table = {}
    if any(name in found for name in PLACES):
        table["Pruned where"] = [
            f"{facts.scope(run.spec)}: {wording.plural(len(run.pruned), 'tensor')}" for run in runs
        ]
    table |= {
        SETTINGS.get(name, name.replace("_", " ").capitalize()): [_setting(name, value) for value in values]
        for name, values in found.items()
        if name not in PLACES
    }
    return pd.DataFrame(table, index=columns).T


def _setting(name: str, value: Any) -> str:
    if value is None:
        return {"base": "none: what is not kept becomes zero", "evaluation": "nothing"}.get(name, "not set")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "keep":
        return wording.short_percent(float(value))
    if name == "tuned":
        return wording.plural(int(value), "step") if value else "no"
    if name == "method":
        return method_label(str(value))
    if name == "allocation":
        return allocation_label(str(value))
    return _CHOICES.get(name, {}).get(str(value), str(value))
