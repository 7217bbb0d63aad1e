"""How the project says numbers, roles and methods: one form of each, everywhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

METHODS: Final = {
    "ken": "KEN",
    "ken-density": "KEN, densest values",
    "delta": "Largest difference",
    "magnitude": "Largest magnitude",
    "random": "Random",
    "wanda": "Wanda",
    "multiflow": "MultiFlow",
    "sparsegpt": "SparseGPT",
}
BASELINES: Final = METHODS | {"dare": "Random, rescaled (DARE)"}
METHODS_EXPLAINED: Final = {
    "ken": (
        "As published: each row's values are thinned to an evenly spaced grid over its range. "
        "All tails stay, the crowded middle is thinned; the difference to the base plays no part."
    ),
    "ken-density": (
        "As the paper's words describe it: the values of highest density under the row's own "
        "curve. That keeps the middle and resets the tails, the opposite of the published code."
    ),
    "delta": (
        "Keeps what fine-tuning moved most, |tuned - base|. A baseline, and often the strongest "
        "one, because it alone looks at the difference."
    ),
    "magnitude": "Keeps the largest |weight| of each row. The classic baseline.",
    "random": "Keeps a random choice of each row. What any rule has to beat.",
    "wanda": (
        "|weight| times the norm of the input it meets: a small weight on a strong input counts. "
        "One pass over calibration text, nothing is trained."
    ),
    "multiflow": ("|weight| times how much flows into its input and out of its output: entries on busy paths stay."),
    "sparsegpt": (
        "Chooses entries by the error they would leave and updates the kept ones to make up for "
        "it. The slowest, and often the best at high sparsity."
    ),
}
ALLOCATIONS: Final = {
    "uniform": "Uniform",
    "owl": "OWL",
    "alpha": "AlphaPruning",
    "dlp": "DLP",
    "atp": "ATP",
    "neuroal": "NeuroAL",
}
ALLOCATIONS_EXPLAINED: Final = {
    "uniform": "Every block and every row is pruned alike. What the others have to beat.",
    "owl": "Blocks with many outliers among their weight-times-input scores are pruned less.",
    "alpha": (
        "Blocks whose weights have a heavy-tailed spectrum, a sign of good training, are pruned "
        "less. Needs no text to decide."
    ),
    "dlp": "Blocks with a high median score are pruned less: they have little to spare.",
    "atp": (
        "Sparsity rises evenly from the first block to the last; the slope is tried out, the one "
        "of smallest loss is taken."
    ),
    "neuroal": (
        "Tries out how far sparsity may spread, over blocks, over rows or over both, and takes the "
        "spread that leaves the inputs of all layers most alike (NeuroAL's alignment)."
    ),
}
STEPS: Final = {"block": "Blocks", "row": "Rows", "both": "Blocks, then rows"}
REFERENCES: Final = {"local": "The dense block on the pruned stream (as published)", "global": "The whole dense model"}
REFINEMENTS: Final = {"none": "None", "dsnot": "DSnoT, swap entries of the mask afterwards"}
RESCALES: Final = {
    "none": "None, kept values are the tuned ones",
    "share": "By the share of the row that is kept (DARE)",
    "energy": "By the share of the row's squared change that is kept",
}
RESCALED: Final = {"share": "rescaling", "energy": "energy rescaling"}
PROPAGATIONS: Final = {
    "pruned": "What the pruned blocks before give (as published)",
    "dense": "What the dense blocks before give",
}
TEXTS: Final = {"pydoc": "Python's help texts (pydoc)", "wikitext2": "WikiText-2", "c4": "C4", "ptb": "Penn Treebank"}
DEMOS: Final = {"demo": "Demo pair, a small sentiment classifier", "demo-lm": "Demo language model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a run calls its weights before pruning, and the entries that it did not keep.

    Attributes:
        dense: the model before pruning: ``tuned`` beside a base, ``dense`` without.
        kept: a kept entry, in a legend.
        gone, gone_value, gone_long: an entry that was not kept: in a word, in a legend, in a line.
        change_kept: what `summaries` calls ``diff_share_kept``: without a base the difference is
            the weight itself.
        change_size: the same of ``diff_rms``.
    """

    dense: str
    kept: str
    gone: str
    gone_value: str
    gone_long: str
    change_kept: str
    change_size: str


TERMS: Final = {
    "base": Terms(
        dense="tuned",
        kept="kept (tuned value)",
        gone="reset",
        gone_value="reset (base value)",
        gone_long="reset to base",
        change_kept="change kept",
        change_size="size of the change",
    ),
    "zero": Terms(
        dense="dense",
        kept="kept",
        gone="zero",
        gone_value="set to zero",
        gone_long="set to zero",
        change_kept="squared weights kept",
        change_size="size of the weights",
    ),
}
LAYERS: Final = {
    "kept": "Kept",
    "neighbours": "Neighbours",
    "difference": "Difference",
    "tuned": "Tuned",
    "base": "Base",
}
PAIRED: Final = ("base", "difference")  # layers that only runs beside a base have
ROLES: Final = {
    "q": "q",
    "k": "k",
    "v": "v",
    "qkv": "qkv",
    "o": "o",
    "up": "up",
    "gate": "gate",
    "gate_up": "gate + up",
    "down": "down",
    "embedding": "embedding",
    "norm": "norm",
    "bias": "bias",
    "pooler": "pooler",
    "head": "head",
    "other": "other",
}
ROLES_EXPLAINED: Final = {
    "q": "attention query",
    "k": "attention key",
    "v": "attention value",
    "qkv": "attention query, key and value in one",
    "o": "attention output",
    "up": "feed-forward, first",
    "gate": "feed-forward gate",
    "gate_up": "feed-forward gate and first in one",
    "down": "feed-forward, second",
    "embedding": "embeddings",
    "norm": "layer norms",
    "bias": "biases",
    "pooler": "pooler",
    "head": "task head",
    "other": "other parameters",
}
STATUSES: Final = {"pruned": "pruned", "untouched": "left as it was", "unprunable": "cannot be pruned"}

_SPACE: Final = "\u00a0"  # does not break: a number stays with its unit
_STEPS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage; "n/a" where there is none."""
    return "n/a" if not math.isfinite(share) else f"{100 * share:.{digits}f}{_SPACE}%"


def short_percent(share: float) -> str:
    """A percentage with a decimal only where it has one: 50 %, 33.3 %."""
    text = percent(share)
    return text.replace(f".0{_SPACE}%", f"{_SPACE}%")


def count(number: float) -> str:
    """An amount in at most four characters and a unit: 812, 3.4 k, 1.4 M, 7.2 B."""
    for step, unit in _STEPS:
        if number >= step * 0.9995:
            scaled = number / step
            digits = 0 if scaled >= 99.95 or round(scaled, 1) == round(scaled) else 1
            return f"{scaled:.{digits}f}{_SPACE}{unit}"
    return f"{number:,.0f}"


def exact(number: float) -> str:
    """An amount in full, thousands apart."""
    return f"{int(number):,}"


def size(nbytes: float) -> str:
    """Bytes as kB, MB or GB (powers of ten)."""
    for step, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if nbytes >= step * 0.9995:
            return f"{nbytes / step:.3g}{_SPACE}{unit}"
    return f"{nbytes:.0f}{_SPACE}bytes"


def seconds(time: float) -> str:
    """A duration as a person says it: 0.8 s, 45 s, 3 min 20 s, 2 h 5 min."""
    if time < 10:
        return f"{time:.1f} s"
    whole = round(time)
    if whole < 90:
        return f"{whole} s"
    if whole < 5400:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def layers(restore: str) -> dict[str, str]:
    """The layers of a run by what they are called; without a base there is no difference."""
    if restore == "base":
        return LAYERS
    return {name: text for name, text in LAYERS.items() if name not in PAIRED} | {"tuned": "Dense"}


def plural(number: int, one: str, many: str | None = None) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def budget(spec: PruneSpec) -> str:
    """How much a spec keeps, in words."""
    if spec.keep is None:
        return f"k = {spec.k} per row"
    if not spec.exact:
        return f"{short_percent(spec.keep)} of each row"
    return f"{short_percent(1 - spec.keep)} sparsity"


def method(spec: PruneSpec) -> str:
    """The rule with what decides how much of each block: ``Wanda + NeuroAL (rows)``."""
    text = METHODS.get(spec.method, spec.method)
    if spec.allocation != "uniform":
        text += f" + {allocation(spec)}"
    text += " + DSnoT" if spec.refine == "dsnot" else ""
    return text + (f" + {RESCALED[spec.rescale]}" if spec.rescale != "none" else "")


def allocation(spec: PruneSpec) -> str:
    """How sparsity is shared, in words: ``OWL``, ``NeuroAL (blocks, then rows)``."""
    text = ALLOCATIONS.get(spec.allocation, spec.allocation)
    if spec.allocation != "neuroal":
        return text
    return f"{text} ({STEPS[spec.step].lower()})"


def text_source(source: str) -> str:
    """A text by its name, or the file that was named."""
    return TEXTS.get(source, source)


def block_label(block: int, stack: str, several: bool) -> str:
    """Name of a block: its number, with the stack where a model has two."""
    return f"{stack} {block}" if several and stack else f"block {block}"
