"""What a person asks for: frozen settings that fail before any model is loaded.

Field names carry their granularity: ``keep`` is a share of each row, or of all that is pruned
where rows differ; ``k`` is a number of entries of each row. Settings go to JSON and back without
loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.codes.names import NAMES
from kencore.methods.table import METHODS
from kencore.settings import checks
from kencore.settings.checks import PROPAGATIONS, REFERENCES, REFINEMENTS, RESCALES, SCOPES, STEPS
from kencore.settings.common import PruningSettings, seed_setting
from kencore.settings.demo import base_of
from kencore.settings.fields import setting
from kencore.settings.together import BUDGETS, HARMS, check_together
from kencore.system.devices import DEVICES, check_device

__all__ = [
    "BUDGETS",
    "DEVICES",
    "HARMS",
    "PROPAGATIONS",
    "REFERENCES",
    "REFINEMENTS",
    "RESCALES",
    "SCOPES",
    "STEPS",
    "PruneSpec",
    "check_device",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSpec(PruningSettings):
    """One pruning job. The other settings are those of `PruningSettings`.

    Args:
        method: which entries are kept. ``wanda``, ``multiflow`` and ``sparsegpt`` look at a
            language model's activations on calibration text.
        keep: share of each row that is kept, in (0, 1]; exactly one of ``keep`` and ``k``. With
            zeros, or with an allocation, the share of all pruned matrices together, met exactly.
        k: entries kept in each row; a row shorter than ``k`` is kept whole.
        allocation: how sparsity is shared among blocks and rows: ``uniform``, ``owl``
            (2310.05175), ``alpha`` (2410.10912), ``dlp`` (2505.23807), ``atp`` (2502.14770) or
            ``neuroal`` (TMLR 2025).
        block_lambda, row_lambda: of ``neuroal``: take this slope over blocks, this spread over
            rows, instead of searching it; from 0 to 0.5.
        balance: factors such as ``("q=1.5", "b3=0.5")``: a role, or a block (``b3``; of several
            stacks ``encoder.b3``), and by what its share is multiplied. All shares then go up or
            down together until the whole keeps as many entries as without a balance, to the entry;
            none passes 1. Rows of a matrix may then differ by one entry.
        measured: prune only matrices inside the blocks whose inputs can be measured: those that a
            method with activations prunes, so that both compare on the same set.
        rescale: ``share`` divides each row's kept differences to the base by the share of the row
            that was kept (DARE, 2311.03099), ``energy`` by the share of the row's squared
            difference that was kept: kept values are then no longer the tuned ones. Needs a base.
        bits, bytes, kl, same: of ``bytes``, exactly one: bits per weight of the model, bytes of the subnetwork file,
            how far the answers may be from the tuned model's (mean KL in nats, measured on ``evaluation``), or which
            share of them must be the same; everything that the file holds counts.
        harm: of ``bytes``: ``gradients`` orders codes by how far each would move the answers, to second order, on
            ``calibration`` (of a classifier a table of sentences; where none is named, those of ``evaluation`` without
            their labels); ``rule`` without data; ``both`` by gradients and the rule together; ``auto``: by that of the
            three which comes nearest on other calibration text, where there is evaluation data that asks for answers
            and at most 200 million weights are coded, else by the rule.
        code: of ``bytes``: one code for every matrix, ``None``: the best for each.
        seed: for the ``random`` rule, for random choices of ``bytes`` and for the choice of calibration windows.

    Raises:
        SpecError: a value is missing, contradictory or out of range.
    """

    method: str = setting(
        "choice", "ken", choices=METHODS, label="Which weights are kept", help="Which weights are kept."
    )
    keep: float | None = setting(
        "share",
        None,
        check=checks.checked_keep,
        offered=(0.01, 1),
        label="Kept of each row",
        help="Share of each row that is kept, rounded to whole weights, at least one per row.",
    )
    k: int | None = setting(
        "count",
        None,
        low=1,
        flags=("--k", "-k"),
        label="Weights kept per row",
        help="Weights kept per row, one number for all rows. Shorter rows are kept whole.",
        wanted="a whole number of weights per row, 1 or more",
        remedy="Rows shorter than k are kept whole.",
    )
    allocation: str = setting(
        "choice", UNIFORM, choices=ALLOCATIONS, label="Allocation", help="How sparsity is shared out."
    )
    block_lambda: float | None = setting(
        "number",
        None,
        low=0,
        high=0.5,
        offered=(0, 0.5),
        help="Of neuroal: this slope over blocks; by default searched.",
        wanted="a lambda from 0 to 0.5",
        remedy="Leave it out to have it searched.",
    )
    row_lambda: float | None = setting(
        "number",
        None,
        low=0,
        high=0.5,
        offered=(0, 0.5),
        help="Of neuroal: this spread over rows; by default searched.",
        wanted="a lambda from 0 to 0.5",
        remedy="Leave it out to have it searched.",
    )
    balance: tuple[str, ...] = setting(
        "several",
        (),
        check=checks.checked_balance,
        help="A role or a block and a factor, such as q=1.5 or b3=0.5: it keeps so many times its share, all others "
        "give way, and the total is held to the weight.",
    )
    measured: bool = setting(
        "switch",
        False,
        label="Only what activations can measure",
        help="Only matrices inside the blocks whose inputs can be measured: those that methods with activations "
        "prune, so that other methods compare with them on the same set.",
    )
    rescale: str = setting(
        "choice",
        "none",
        choices=RESCALES,
        label="Rescale",
        help="Make up for what went back to the base: share divides a row's kept differences by its kept share "
        "(right where the choice does not look at the difference: random, KEN), energy by the kept share of the "
        "squared difference (right for any). Kept values are then no longer the tuned ones. Needs a base.",
    )
    bits: float | None = setting(
        "number",
        None,
        low=0,
        high=64,
        without=(0,),
        offered=(0.01, 32),
        label="Bits per weight",
        help="Of bytes: size of the subnetwork file in bits per weight of the model, everything counted.",
    )
    bytes: int | None = setting(
        "count",
        None,
        low=1,
        offered=(1, 10**12),
        label="Bytes of the file",
        help="Of bytes: the subnetwork file has at most so many bytes.",
    )
    kl: float | None = setting(
        "number",
        None,
        low=0,
        without=(0,),
        offered=(1e-6, 10),
        label="Divergence of the answers",
        help="Of bytes: the smallest file whose model's answers are at most so far from the tuned model's (mean KL in "
        "nats, measured on the evaluation data).",
    )
    same: float | None = setting(
        "share",
        None,
        low=0,
        high=1,
        without=(0,),
        offered=(0.5, 1),
        label="Same answers",
        help="Of bytes: the smallest file with which at least such a share of answers (of a language model: of next "
        "tokens) is the tuned model's own, measured on the evaluation data.",
    )
    code: str | None = setting(
        "choice",
        None,
        choices=NAMES,
        label="Code",
        help="Of bytes: one code for every matrix; by default the best of all.",
    )
    harm: str = setting(
        "choice",
        "auto",
        choices=HARMS,
        label="Codes are ordered by",
        help="Of bytes: what a code of a matrix harms: by gradients of the model's own answers on calibration text, by "
        "a rule that needs no data, or by both. auto: where there is evaluation data and the model is not large, that "
        "which comes nearest, else the rule.",
    )
    seed: int = seed_setting("For the random rule, random choices of bytes and the choice of calibration text.")

    def __post_init__(self) -> None:
        checks.check(self)
        if self.base is None:
            base = base_of(self.model, method=self.method, rescale=self.rescale)
            object.__setattr__(self, "base", base)
        check_together(self)

    @property
    def restore(self) -> Literal["base", "zero"]:
        """What entries that are not kept become."""
        return "zero" if self.base is None else "base"

    @property
    def streams(self) -> bool:
        """Whether the job runs the model block by block on calibration text.

        Such a job takes causal language models only and prunes matrices inside their blocks.
        """
        return METHODS[self.method].activations or self.allocation != UNIFORM or self.refine != "none" or self.published

    @property
    def updates(self) -> bool:
        """Whether kept weights change too: by rescaling, and by a method that updates them unless
        DSnoT swaps entries after it.
        """
        by_method = METHODS[self.method].update is not None and self.refine == "none"
        return by_method or self.rescale != "none" or self.coded

    @property
    def coded(self) -> bool:
        """Whether differences are coded to a budget of bits, bytes or closeness."""
        return METHODS[self.method].coded

    @property
    def exact(self) -> bool:
        """Whether ``keep`` is met over all pruned matrices together instead of row by row."""
        return self.keep is not None and (self.restore == "zero" or self.streams)

    @property
    def sparsity(self) -> float | None:
        """1 - keep in decimals: 0.7 for keep 0.3; ``None`` where ``k`` is given."""
        return None if self.keep is None else checks.complement(self.keep)
