"""Every method by its name: one row says all that anybody asks of it. A new one is a file and a row.

Importing this is light. Functions are named as ``"module:function"`` and loaded when they are
asked for, so that settings, forms and the web process can read the table without torch or numba.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from kencore.methods.registry import Lazy, added

RowScore = Callable[[Any, Any, Any], Any]
NOTHING: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One way to choose which entries of a row are kept.

    A method has a ``rule``, a ``score``, or both; where both would do, a job without activations
    takes the rule, one with activations the score.

    Args:
        name: as in settings. label: as people read it. color: in every picture.
        explained: what it keeps and why, in one or two sentences.
        story: how it chose a row, in plain words, a paragraph each.
        proper: the label is a name and stays as it is inside a sentence.
        needs_base: it is about a base model, and a job without one is refused.
        statistics: what it needs to know of a layer's inputs: ``norm``, ``moments``, ``hessian``.
        rule: `Rows` -> `Prepared`: from the weights alone, as `kencore.select` gives it.
        cuda: the same on a CUDA card: weight, base (both (R, C)), budget (R,), first row and name ->
            bool (R, C). Without it the CPU does the work.
        compares: the rule looks at the base weight too.
        draws: the rule draws numbers, so that another seed gives another mask.
        nested: the rule keeps at a larger budget what it keeps at a smaller one, so that its
            `Prepared` has ``columns()``, the order in which entries are kept.
        density: the row's density decides, which `kencore.methods.ken.explained` can draw.
        score: weight (R, C) and `RunningInputs` -> float32 (R, C), the lowest are pruned. Of a
            method with ``update``: weight and the inverse factor of the Hessian (C, C).
        update: it also changes what it keeps, to make up for entries that became zero: weight,
            Hessian, how many go, ``factor=`` and ``name=`` -> weight and mask, over whole matrices.
        row_score: what the entries of a row were ranked by: tuned, base (C,) and norms of the
            inputs (C,) -> (C,), of which the highest are kept; by ``row_score_label``. Numpy alone.
        scored: that score in plain words, as the end of "ranked by".
        unranked: why the ranking of a row cannot be shown, where it cannot.
        coded: differences are coded to a budget of bits, bytes or closeness (`kencore.codes`), not chosen to a number
            of entries.
        published: NeuroAL's published code has it.
        baseline: its place among the baselines that a run is measured beside; ``None``: it is none.
    """

    name: str
    label: str
    color: str
    explained: str
    story: tuple[str, ...]
    proper: bool = True
    needs_base: bool = False
    statistics: frozenset[str] = NOTHING
    rule: Lazy | None = None
    cuda: Lazy | None = None
    compares: bool = False
    draws: bool = False
    nested: bool = True
    density: bool = False
    score: Lazy | None = None
    update: Lazy | None = None
    row_score: RowScore | None = None
    row_score_label: str = ""
    scored: str = ""
    unranked: str = "This run does not hold what its rule ranked the weights by."
    coded: bool = False
    published: bool = False
    baseline: int | None = None

    @property
    def activations(self) -> bool:
        """Whether it looks at what flows through a language model on calibration text."""
        return bool(self.statistics)

    @property
    def takes_base(self) -> bool:
        """Whether entries that are not kept can go back to a base; else they become zero."""
        return self.update is None


def _size(tuned: Any, base: Any, norms: Any) -> Any:
    return abs(tuned)


def _change(tuned: Any, base: Any, norms: Any) -> Any:
    return abs(tuned - base)


def _signal(tuned: Any, base: Any, norms: Any) -> Any:
    return abs(tuned) * norms


_ROWS = (
    Method(
        name="ken",
        label="KEN",
        color="#2B5BEB",
        explained="As published: each row's values are thinned to an evenly spaced grid over its range. "
        "All tails stay, the crowded middle is thinned; the difference to the base plays no part.",
        story=(
            "KEN draws how crowded the row's values are, and lays an even grid over their range, one "
            "point for each weight it may keep. Crowded places are visited first; every point takes "
            "the nearest value that is still free.",
            "So the far ends stay and the crowded middle is thinned. How far fine-tuning moved a weight plays no part.",
        ),
        needs_base=True,
        rule="kencore.methods.ken.rule:ken",
        cuda="kencore.methods.ken.cuda:ken",
        nested=False,
        density=True,
    ),
    Method(
        name="ken-density",
        label="KEN, densest values",
        color="#0AA26B",
        explained="As the paper's words describe it: the values of highest density under the row's own "
        "curve. That keeps the middle and resets the tails, the opposite of the published code.",
        story=(
            "This rule draws how crowded the row's values are and keeps those in the most crowded places.",
            "So the middle stays and the far ends go.",
        ),
        needs_base=True,
        rule="kencore.methods.ken.density:ken_density",
        cuda="kencore.methods.ken.cuda:ken_density",
        density=True,
    ),
    Method(
        name="delta",
        label="Largest difference",
        color="#C98100",
        explained="Keeps what fine-tuning moved most, |tuned - base|. A baseline, and often the strongest "
        "one, because it alone looks at the difference.",
        story=("This rule looks at how far fine-tuning moved each weight, and keeps those that moved most.",),
        proper=False,
        needs_base=True,
        rule="kencore.methods.ranked:delta",
        cuda="kencore.methods.ranked:delta_cuda",
        compares=True,
        row_score=_change,
        row_score_label="|tuned − base|",
        scored="how far fine-tuning moved it",
        baseline=3,
    ),
    Method(
        name="magnitude",
        label="Largest magnitude",
        color="#963EB0",
        explained="Keeps the largest |weight| of each row. The classic baseline.",
        story=("This rule keeps the weights that are furthest from zero.",),
        proper=False,
        rule="kencore.methods.ranked:magnitude",
        cuda="kencore.methods.ranked:magnitude_cuda",
        score="kencore.methods.ranked:size",
        row_score=_size,
        row_score_label="|weight|",
        scored="how far it is from zero",
        published=True,
        baseline=2,
    ),
    Method(
        name="random",
        label="Random",
        color="#8C8A9C",
        explained="Keeps a random choice of each row. What any rule has to beat.",
        story=("This run drew lots: nothing about a weight decided whether it stayed.",),
        proper=False,
        rule="kencore.methods.random:random",
        draws=True,
        unranked="This run kept weights at random; no curve explains them.",
        baseline=1,
    ),
    Method(
        name="wanda",
        label="Wanda",
        color="#BF222A",
        explained="|weight| times the norm of the input it meets: a small weight on a strong input counts. "
        "One pass over calibration text, nothing is trained.",
        story=(
            "Wanda multiplies the size of each weight with how strong the signal is that it usually "
            "meets, and keeps the highest of these scores.",
        ),
        statistics=frozenset({"norm"}),
        score="kencore.methods.wanda:wanda",
        row_score=_signal,
        row_score_label="|weight| × norm of its input",
        scored="its size times the strength of the signal it meets",
        unranked="Wanda ranks weights by |weight| times the norm of its input; this run did not record the norms.",
        published=True,
        baseline=4,
    ),
    Method(
        name="sparsegpt",
        label="SparseGPT",
        color="#4C667F",
        explained="Chooses weights by the error they would leave and updates the kept ones to make up for "
        "it. The slowest, and often the best at high sparsity.",
        story=(
            "SparseGPT chooses and corrects weights across the whole matrix. One row does not hold "
            "all that decides, so it only shows which were kept.",
        ),
        statistics=frozenset({"hessian"}),
        score="kencore.methods.sparsegpt:score",
        update="kencore.methods.sparsegpt:update",
        unranked="SparseGPT ranks weights over the whole matrix while it updates the rest, which one row cannot show.",
        published=True,
    ),
    Method(
        name="multiflow",
        label="MultiFlow",
        color="#BE7ACC",
        explained="|weight| times how much flows into its input and out of its output: weights on busy paths stay.",
        story=(
            "MultiFlow keeps weights on busy paths through the whole matrix. One row does not hold "
            "all that decides, so it only shows which were kept.",
        ),
        statistics=frozenset({"norm"}),
        score="kencore.methods.multiflow:multiflow",
        unranked="MultiFlow ranks weights by the flow through the whole matrix, which one row cannot show.",
        published=True,
    ),
    Method(
        name="bytes",
        label="Bytes",
        color="#8A86F2",
        explained="The smallest file that brings the tuned model back: each matrix's difference in the code that comes "
        "nearest to it for its bits. Weights with a symbol in it are changed.",
        story=(
            "This run asked what the difference to the base is worth in a file. Every matrix got the code that "
            "comes nearest for its bits: a few levels, signs alone, signs of a random choice, or a product of two "
            "thin matrices.",
            "A changed weight has a symbol in the file; its value is near the tuned one, not equal.",
        ),
        proper=False,
        needs_base=True,
        coded=True,
        unranked="This run coded differences; no ranking chose its entries.",
    ),
)
METHODS: Final[dict[str, Method]] = {row.name: row for row in _ROWS}
"""The rows by name, in the order in which lists show them."""


def rules() -> tuple[str, ...]:
    """Names of the methods that choose from the weights alone: those that `kencore.select` has."""
    return tuple(row.name for row in METHODS.values() if row.rule is not None)


def method_label(name: str) -> str:
    """A method as people read it; the name itself where there is no such method."""
    return METHODS[name].label if name in METHODS else name


def method_color(name: str) -> str:
    """A method's colour; the neutral one of the random choice where there is no such method."""
    return METHODS.get(name, METHODS["random"]).color


def registered(row: Method) -> AbstractContextManager[Method]:
    """One more method for as long as the context lasts: to try it out, and for tests."""
    return added(METHODS, row.name, row)
