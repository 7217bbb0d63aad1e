"""What a person asks for: frozen settings that fail before any model is loaded.

Field names carry their granularity: ``keep`` is a share of each row, or of all that is pruned
where rows differ; ``k`` is a number of entries of each row. Settings go to JSON and back without
loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from kencore.settings import checks
from kencore.settings.checks import (
    ALLOCATIONS,
    METHODS,
    NEEDS_ACTIVATIONS,
    NEEDS_BASE,
    PROPAGATIONS,
    REFERENCES,
    REFINEMENTS,
    RESCALES,
    SCOPES,
    SLICE_METHODS,
    STEPS,
    Allocation,
    Method,
)
from kencore.settings.json import JsonSettings
from kencore.system.devices import DEVICES, check_device

__all__ = [
    "ALLOCATIONS",
    "DEVICES",
    "METHODS",
    "NEEDS_ACTIVATIONS",
    "NEEDS_BASE",
    "PROPAGATIONS",
    "REFERENCES",
    "REFINEMENTS",
    "RESCALES",
    "SCOPES",
    "SLICE_METHODS",
    "STEPS",
    "Allocation",
    "Method",
    "PruneSpec",
    "check_device",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSpec(JsonSettings):
    """One pruning job.

    Args:
        model: the model to prune: ``"demo"``, ``"demo-lm"``, a folder, or a hub id.
        base: its pretrained base, same forms. With a base, entries that are not kept go back to
            it; without, they become zero. ``ken``, ``ken-density`` and ``delta`` need one,
            ``sparsegpt`` takes none. ``None`` means the demo's own base where ``model`` is a demo
            and the method needs one; the encoder ``"demo"`` is always paired with its base.
        model_revision, base_revision: hub revision (branch, tag or commit).
        method: which entries are kept. ``wanda``, ``multiflow`` and ``sparsegpt`` look at a
            language model's activations on calibration text.
        keep: share of each row that is kept, in (0, 1]; exactly one of ``keep`` and ``k``. With
            zeros, or with an allocation, the share of all pruned matrices together, met exactly.
        k: entries kept in each row; a row shorter than ``k`` is kept whole.
        scope: what is pruned: one or more of ``all``, ``blocks`` (everything inside the
            transformer blocks), ``attention``, ``feed-forward``, a role (``q``, ``down``, ...)
            or a name pattern such as ``"*.layer.0.*"``. Several are united. Without a base,
            embeddings, vectors and the head are reached only by a term that names them.
        embeddings, vectors, head: whether embeddings, 1-D parameters (norms and biases) and the
            task head may be pruned where the scope reaches them.
        allocation: how sparsity is shared among blocks and rows: ``uniform``, ``owl``
            (2310.05175), ``alpha`` (2410.10912), ``dlp`` (2505.23807), ``atp`` (2502.14770) or
            ``neuroal`` (TMLR 2025).
        step: of ``neuroal``: search the ramp over ``block``, over each ``row``, or ``both``.
        reference: of ``neuroal``: activations are compared with those of the dense block on the
            pruned stream (``local``, as published) or of the whole dense model (``global``).
        block_lambda, row_lambda: of ``neuroal``: take this slope over blocks, this spread over
            rows, instead of searching it; from 0 to 0.5.
        balance: faders such as ``("q=1.5", "b3=0.5")``: a role, or a block (``b3``; of several
            stacks ``encoder.b3``), and by what its share is multiplied. All shares then go up or
            down together until the whole keeps as many entries as without faders, to the entry;
            none passes 1. Rows of a matrix may then differ by one entry.
        refine: ``dsnot`` (2310.08915) swaps entries of attention's masks afterwards. With
            ``sparsegpt`` it starts from that method's scores, and kept weights stay as they are.
        rescale: ``share`` divides each row's kept differences to the base by the share of the row
            that was kept (DARE, 2311.03099), ``energy`` by the share of the row's squared
            difference that was kept: kept values are then no longer the tuned ones. Needs a base.
        calibration: text for activations: ``pydoc``, ``wikitext2``, ``c4``, ``ptb``, or a file.
        sequences: windows of calibration text.
        search_sequences: at most so many of them are used to search an allocation.
        window: tokens of a window; ``None``: 2048, or what the model has positions for.
        propagate: a block is pruned on what the ``pruned`` blocks before it give, or the
            ``dense`` ones.
        fast: search an allocation on fewer candidates.
        published: prune as NeuroAL's published code does, its rounding included: the share is
            then met only about.
        evaluation: what quality is measured on. For a classifier a ``.tsv``, ``.jsonl`` or
            ``.parquet`` file or ``"demo"``; for a language model text, named as ``calibration``.
            ``None``: no measurement.
        windows: at most so many windows of evaluation text; ``None``: all.
        baselines: where quality is measured, also measure other methods at the same budget.
        seed: for the ``random`` rule and for the choice of calibration windows.
        device: ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: a value is missing, contradictory or out of range.
    """

    remedy: ClassVar[str] = "Say which model to prune."

    model: str
    base: str | None = None
    model_revision: str | None = None
    base_revision: str | None = None
    method: str = "ken"
    keep: float | None = None
    k: int | None = None
    scope: tuple[str, ...] = ("all",)
    embeddings: bool = True
    vectors: bool = True
    head: bool = True
    allocation: str = "uniform"
    step: str = "block"
    reference: str = "local"
    block_lambda: float | None = None
    row_lambda: float | None = None
    balance: tuple[str, ...] = ()
    refine: str = "none"
    rescale: str = "none"
    calibration: str = "pydoc"
    sequences: int = 128
    search_sequences: int = 8
    window: int | None = None
    propagate: str = "pruned"
    fast: bool = False
    published: bool = False
    evaluation: str | None = None
    windows: int | None = None
    baselines: bool = True
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("model", "calibration"):
            checks.check_text(name, getattr(self, name), optional=False)
        for name in ("base", "model_revision", "base_revision", "evaluation"):
            checks.check_text(name, getattr(self, name), optional=True)
        for name in checks.CHOICES:
            checks.check_choice(name, getattr(self, name))
        for name in checks.SWITCHES:
            checks.check_switch(name, getattr(self, name))
        for name in checks.COUNTS:
            checks.check_count(name, getattr(self, name))
        if self.base is None:
            object.__setattr__(self, "base", _demo_base(self))
        for name in ("block_lambda", "row_lambda"):
            checks.check_lambda(name, getattr(self, name))
        object.__setattr__(self, "balance", checks.checked_balance(self.balance))
        checks.check_base(self)
        checks.check_budget(self)
        checks.check_together(self)
        if self.keep is not None:
            object.__setattr__(self, "keep", float(self.keep))
        object.__setattr__(self, "scope", checks.checked_scope(self.scope))
        checks.check_seed(self.seed)
        check_device(self.device)

    @property
    def restore(self) -> Literal["base", "zero"]:
        """What entries that are not kept become."""
        return "zero" if self.base is None else "base"

    @property
    def streams(self) -> bool:
        """Whether the job runs the model block by block on calibration text.

        Such a job takes causal language models only and prunes matrices inside their blocks.
        """
        return (
            self.method in NEEDS_ACTIVATIONS or self.allocation != "uniform" or self.refine != "none" or self.published
        )

    @property
    def updates(self) -> bool:
        """Whether kept weights change too: by rescaling, and by SparseGPT unless DSnoT swaps
        entries after it."""
        by_method = self.method == "sparsegpt" and self.refine == "none"
        return by_method or self.rescale != "none"

    @property
    def exact(self) -> bool:
        """Whether ``keep`` is met over all pruned matrices together instead of row by row."""
        return self.keep is not None and (self.restore == "zero" or self.streams)

    @property
    def sparsity(self) -> float | None:
        """1 - keep in decimals: 0.7 for keep 0.3; ``None`` where ``k`` is given."""
        return None if self.keep is None else checks.complement(self.keep)

    def row_budget(self, columns: int) -> int:
        """Entries kept in a row of ``columns`` values: half rounds up, at least 1."""
        if self.k is not None:
            return min(self.k, columns)
        assert self.keep is not None
        return min(columns, max(1, math.floor(self.keep * columns + 0.5)))


def _demo_base(spec: PruneSpec) -> str | None:
    """The base that belongs to a demo, where the settings can use one."""
    if spec.model == "demo" and spec.method != "sparsegpt":
        return "demo-base"
    if spec.model == "demo-lm" and (spec.method in NEEDS_BASE or spec.rescale != "none"):
        return "demo-lm-base"
    return None
