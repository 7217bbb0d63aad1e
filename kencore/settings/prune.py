"""What a person asks for: frozen settings that fail before any model is loaded.

Field names carry their granularity: ``keep`` is a share of each row, or of all that is pruned
where rows differ; ``k`` is a number of entries of each row. Settings go to JSON and back without
loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kencore.allocate.table import ALLOCATIONS, UNIFORM, with_option
from kencore.codes.names import NAMES
from kencore.errors import SpecError
from kencore.methods.table import METHODS
from kencore.settings import checks
from kencore.settings.checks import PROPAGATIONS, REFERENCES, REFINEMENTS, RESCALES, SCOPES, STEPS
from kencore.settings.common import PruningSettings, seed_setting
from kencore.settings.demo import base_of
from kencore.settings.fields import setting
from kencore.system.devices import DEVICES, check_device

__all__ = [
    "DEVICES",
    "PROPAGATIONS",
    "REFERENCES",
    "REFINEMENTS",
    "RESCALES",
    "SCOPES",
    "STEPS",
    "PruneSpec",
    "check_device",
]


HARMS = ("auto", "gradients", "rule")
"""How a method that codes differences orders codes."""
BUDGETS = ("bits", "bytes", "kl")
"""Of a method that codes differences."""


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
        bits, bytes, kl: of ``bytes``, exactly one: bits per weight of the model, bytes of the subnetwork file, or how
            far the answers may be from the tuned model's (mean KL in nats, measured on ``evaluation``); everything that
            the file holds counts.
        harm: of ``bytes``: ``gradients`` orders codes by how far each would move the answers, to second order, on
            ``calibration`` (of a classifier a table of sentences; where none is named, those of ``evaluation`` without
            their labels); ``rule`` without data; ``auto``: gradients where there is evaluation data that asks for
            answers and at most 200 million weights are coded.
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
        help="Of bytes: what a code of a matrix harms: by gradients of the model's own answers on calibration text, or "
        "by a rule that needs no data. auto: gradients where there is evaluation data and the model is not large.",
    )
    seed: int = seed_setting("For the random rule, random choices of bytes and the choice of calibration text.")

    def __post_init__(self) -> None:
        checks.check(self)
        if self.base is None:
            base = base_of(self.model, method=self.method, rescale=self.rescale)
            object.__setattr__(self, "base", base)
        _check_base(self)
        _check_budget(self)
        _check_together(self)
        if self.published:
            _check_published(self)

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


# --- settings that contradict each other ------------------------------------------------------


def _check_base(spec: PruneSpec) -> None:
    """Refuse a method without the base it needs, or with one that it cannot use."""
    row = METHODS[spec.method]
    if spec.base is None and row.needs_base:
        others = [name for name, other in METHODS.items() if not (other.needs_base or other.draws)]
        raise SpecError(
            "base",
            got=f"no base model, which {spec.method} needs",
            wanted="the pretrained model that the tuned one started from",
            remedy="Name it (a folder or a hub id): what is not kept goes back to it. Without one, "
            f"{', '.join(others[:-1])} and {others[-1]} set what is not kept to zero.",
        )
    if spec.base is not None and not row.takes_base:
        raise SpecError(
            "base",
            got=f"{spec.base} beside {spec.method}",
            wanted=f"no base: {spec.method} changes the values that it keeps so as to make up for weights "
            "that became zero",
            remedy="Leave the base out, or choose wanda: it can go back to one.",
        )


def _check_budget(spec: PruneSpec) -> None:
    """Refuse no budget, two of them, and one that does not go with the rest."""
    given = [name for name in BUDGETS if getattr(spec, name) is not None]
    if spec.coded:
        _check_coded(spec, given)
        return
    more = {"code": spec.code is not None, "harm": spec.harm != HARMS[0]}
    for name in (*given, *(name for name, said in more.items() if said)):
        raise _clash(name, f"one beside {spec.method}", f"method {_coded()}", "Leave it out, or choose that method.")
    if (spec.keep is None) == (spec.k is None):
        raise SpecError(
            "keep and k",
            got="both" if spec.k is not None else "neither",
            wanted="exactly one of them",
            remedy="Give a share of each row (keep) or a number of weights of each row (k).",
        )
    if spec.k is not None and spec.streams:
        raise SpecError(
            "k",
            got=f"{spec.k} weights per row, with {_asked_for(spec)}",
            wanted="a share: it is spread over blocks and rows so that the whole meets it",
            remedy="Give keep instead; keep 0.3 is sparsity 0.7.",
        )
    if spec.keep == 1 and spec.streams:
        raise checks.no_share("keep", "keep 1, that is sparsity 0: nothing would be pruned", "below")


def _coded() -> str:
    return " or ".join(name for name, row in METHODS.items() if row.coded)


def _check_coded(spec: PruneSpec, given: list[str]) -> None:
    """What goes with a method that codes differences."""
    if len(given) != 1:
        raise SpecError(
            "bits, bytes and kl",
            got=" and ".join(given) or "none of them",
            wanted=f"exactly one of them for {spec.method}",
            remedy="Say how large the file may be (bits per weight, or bytes), or how near its answers must come (kl).",
        )
    others = {
        "keep": spec.keep is not None,
        "k": spec.k is not None,
        "rescale": spec.rescale != "none",
        "balance": bool(spec.balance),
        "allocation": spec.allocation != UNIFORM,
        "refine": spec.refine != "none",
        "published": spec.published,
        "measured": spec.measured,
    }
    for name, wrong in others.items():
        if wrong:
            raise _clash(
                name,
                f"{getattr(spec, name)} beside {spec.method}",
                f"no {name}: bits, bytes or kl alone say how much is stored, and where",
                "Leave it out, or choose another method.",
            )
    if spec.harm == "gradients" and spec.evaluation is None:
        raise _clash(
            "harm",
            "gradients without evaluation data",
            "evaluation data: labeled sentences, or a text for a language model",
            "Name them with evaluation, or order codes by the rule.",
        )
    if spec.kl is not None and spec.evaluation is None:
        raise _clash(
            "kl",
            "a divergence without data to measure it on",
            "evaluation data: labeled sentences, or a text for a language model",
            "Name them with evaluation, or give bits or bytes.",
        )


def _check_together(spec: PruneSpec) -> None:
    """Refuse settings that contradict each other."""
    if spec.refine == "dsnot" and spec.base is not None:
        raise _clash(
            "refine",
            "dsnot beside a base",
            "no base: dsnot weighs what a pruned weight leaves behind if it becomes zero",
            "Leave the base out, or refine with none.",
        )
    if spec.rescale != "none" and spec.base is None:
        raise _clash(
            "rescale",
            f"{spec.rescale} without a base",
            "a base: kept differences to it are rescaled, and without one there is no difference",
            "Name the base, or leave rescale out.",
        )
    if spec.step != "block" and METHODS[spec.method].update is not None:
        raise _clash(
            "step",
            f"{spec.step} with {spec.method}",
            f"block: {spec.method} chooses weights over whole matrices, not row by row",
            "Choose step block, or another method.",
        )
    for name, step in (("block_lambda", "row"), ("row_lambda", "block")):
        if getattr(spec, name) is None:
            continue
        read = name in ALLOCATIONS[spec.allocation].options
        if not read or spec.step == step:
            raise _clash(
                name,
                f"{getattr(spec, name):g} beside allocation {spec.allocation}"
                + (f", step {spec.step}" if read else ""),
                f"allocation {' or '.join(with_option(name))} with a step that has a {name}",
                "Leave it out, or choose step both.",
            )


def _check_published(spec: PruneSpec) -> None:
    """What NeuroAL's published code cannot do cannot be reproduced."""
    methods = [row.name for row in METHODS.values() if row.published]
    allocations = [row.name for row in ALLOCATIONS.values() if row.published]
    reasons = {
        "method": (
            spec.method not in methods,
            spec.method,
            f"one of {', '.join(methods)}: the published code has no other",
        ),
        "base": (spec.base is not None, str(spec.base), "no base: the published code sets what it prunes to zero"),
        "allocation": (
            spec.allocation not in allocations,
            spec.allocation,
            f"one of {', '.join(allocations)}: the published code has no other",
        ),
        "reference": (
            spec.reference != "local",
            spec.reference,
            "local: the published code compares within one stream",
        ),
        "propagate": (
            spec.propagate != "pruned",
            spec.propagate,
            "pruned: the published code feeds each block what the pruned ones before it give",
        ),
        "balance": (bool(spec.balance), " ".join(spec.balance), "no balance: the published code has none"),
        "block_lambda": (spec.block_lambda is not None, str(spec.block_lambda), "none: the published code searches it"),
        "row_lambda": (spec.row_lambda is not None, str(spec.row_lambda), "none: the published code searches it"),
        "fast": (spec.fast, "True", "False: the published code tries every lambda"),
    }
    for name, (wrong, got, wanted) in reasons.items():
        if wrong:
            raise _clash(name, f"{got} beside published", wanted, "Change it, or drop published.")


def _asked_for(spec: PruneSpec) -> str:
    """What makes a job run the model on calibration text, in words."""
    if METHODS[spec.method].activations:
        return spec.method
    if spec.allocation != UNIFORM:
        return f"allocation {spec.allocation}"
    return f"refine {spec.refine}" if spec.refine != "none" else "published"


def _clash(name: str, got: str, wanted: str, remedy: str) -> SpecError:
    return SpecError(name, got=got, wanted=wanted, remedy=remedy)
