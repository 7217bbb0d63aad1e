"""Every allocation by its name: one row says all that anybody asks of it. A new one is a file and a row.

Importing this is light: formulas are named as ``"module:function"`` and loaded when a search runs.

Shapes: B blocks.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal

from kencore.methods.registry import Lazy, added

Measures = Literal["nothing", "scores", "spectra", "loss", "alignment"]
UNIFORM: Final = "uniform"  # every block and row alike: no allocation at all
USUAL: Final = {"base": UNIFORM, "zero": "neuroal"}
"""What forms start with, by what becomes of entries that are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """One way to share sparsity out among blocks and rows.

    Args:
        name: as in settings. label: as people read it.
        explained: what is pruned less and why, in a sentence.
        measures: what the model is asked: ``nothing``; one number of each block's Wanda
            ``scores``; one of the ``spectra`` of its weights; the ``loss`` of pruned models; or
            the ``alignment`` of its activations with the dense model's.
        shares: the formula, to `Sparsities`. Takes the slots, the target sparsity and what was
            measured: nothing more; (B,) numbers; an exponent for each slot; the slope tried. Of
            ``alignment`` there is none: a candidate depends on what was measured before it.
        number: how one number comes of scores or of a weight; of ``loss``: the slopes to try.
        ahead: slots, sparsity, B and the spec's options by name -> the shares, where they follow
            from the settings alone, else ``None``.
        options: settings of a pruning that it alone reads.
        candidates: prunings that it measures, about.
        doing: what the progress says.
        axis: name of a block's number, in a sentence and on its axis; ``None`` where there is none.
        published: NeuroAL's published code has it.
    """

    name: str
    label: str
    explained: str
    measures: Measures
    shares: Lazy | None = None
    number: Lazy | None = None
    ahead: Lazy | None = None
    options: tuple[str, ...] = ()
    candidates: int = 0
    doing: str = ""
    axis: tuple[str, str] | None = None
    published: bool = False

    @property
    def searched(self) -> bool:
        """Whether candidates are tried out on some of the calibration text."""
        return self.measures in ("loss", "alignment")

    @property
    def reads_text(self) -> bool:
        """Whether calibration text decides, so that another seed gives other shares."""
        return self.searched or self.measures == "scores"


_ROWS = (
    Allocation(
        name=UNIFORM,
        label="Uniform",
        explained="Every block and every row is pruned alike. What the others have to beat.",
        measures="nothing",
        shares="kencore.allocate.uniform:uniform",
        published=True,
    ),
    Allocation(
        name="owl",
        label="OWL",
        explained="Blocks with many outliers among their weight-times-input scores are pruned less.",
        measures="scores",
        shares="kencore.allocate.owl:owl",
        number="kencore.allocate.owl:outlier_share",
        candidates=1,
        doing="Counting outliers",
        axis=("outlier share", "share of outliers among the scores"),
        published=True,
    ),
    Allocation(
        name="alpha",
        label="AlphaPruning",
        explained="Blocks whose weights have a heavy-tailed spectrum, a sign of good training, are pruned "
        "less. Needs no text to decide.",
        measures="spectra",
        shares="kencore.allocate.alpha:alpha",
        number="kencore.allocate.alpha:hill_exponent",
        doing="Fitting spectra",
        axis=("power-law exponent", "power-law exponent, mean of the block"),
        published=True,
    ),
    Allocation(
        name="dlp",
        label="DLP",
        explained="Blocks with a high median score are pruned less: they have little to spare.",
        measures="scores",
        shares="kencore.allocate.dlp:dlp",
        number="kencore.allocate.dlp:block_median",
        candidates=1,
        doing="Finding medians",
        axis=("median score", "median score of the block"),
    ),
    Allocation(
        name="atp",
        label="ATP",
        explained="Sparsity rises evenly from the first block to the last; the slope is tried out, the one "
        "of smallest loss is taken.",
        measures="loss",
        shares="kencore.allocate.atp:atp",
        number="kencore.allocate.atp:slopes",
        candidates=24,
    ),
    Allocation(
        name="neuroal",
        label="NeuroAL",
        explained="Tries out how far sparsity may spread, over blocks, over rows or over both, and takes the "
        "spread that leaves the inputs of all layers most alike (NeuroAL's alignment).",
        measures="alignment",
        ahead="kencore.allocate.neuroal:ahead",
        options=("step", "reference", "block_lambda", "row_lambda"),
        candidates=15,
        published=True,
    ),
)
ALLOCATIONS: Final[dict[str, Allocation]] = {row.name: row for row in _ROWS}
"""The rows by name, in the order in which lists show them."""


def allocation_label(name: str) -> str:
    """An allocation as people read it; the name itself where there is no such allocation."""
    return ALLOCATIONS[name].label if name in ALLOCATIONS else name


def with_option(name: str) -> tuple[str, ...]:
    """The allocations that read a setting."""
    return tuple(row.name for row in ALLOCATIONS.values() if name in row.options)


def registered(row: Allocation) -> AbstractContextManager[Allocation]:
    """One more allocation for as long as the context lasts: to try it out, and for tests."""
    return added(ALLOCATIONS, row.name, row)
