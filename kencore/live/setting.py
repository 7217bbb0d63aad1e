"""Another setting of a finished run: how much it would keep of every row, and its totals.

Light: the web process answers a moving slider with this. Nothing is read but the run's tables.

Shapes: R rows of a matrix.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from kencore.allocate.balance import Place, factors, parse_balance
from kencore.allocate.budget import (
    Counts,
    exact_counts,
    kept_evenly,
    kept_of,
    rebalanced,
    total_pruned,
    with_whole_rows,
)
from kencore.allocate.slot import Slot, Sparsities
from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.errors import SpecError
from kencore.methods.registry import load
from kencore.methods.table import rules
from kencore.runs.lines import stored_bytes
from kencore.runs.run import totals_of
from kencore.settings.checks import checked_balance, complement
from kencore.settings.json import JsonSettings
from kencore.settings.prune import BUDGETS, PruneSpec

if TYPE_CHECKING:
    from kencore.runs.run import Run

_NAMES = {"rule": "method", "slope": "block_lambda", "spread": "row_lambda"}
_BUDGET = re.compile(r"k(\d{1,9})|(bits)?(\d*\.?\d+(?:e-?\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(JsonSettings):
    """What sliders can change of a run; the rest is the run's own.

    Args:
        keep, k, bits: as of `PruneSpec`; exactly one. ``bits``: of a method that codes differences.
        method: another rule for a run of a rule that needs no activations; ``None``: the run's.
        balance: factors, as of `PruneSpec`.
        block_lambda, row_lambda: as of `PruneSpec`.

    Raises:
        SpecError: a value that cannot be.
    """

    keep: float | None = None
    k: int | None = None
    bits: float | None = None
    method: str | None = None
    balance: tuple[str, ...] = ()
    block_lambda: float | None = None
    row_lambda: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "balance", checked_balance("balance", self.balance))

    @classmethod
    def of(cls, spec: PruneSpec) -> Setting:
        """The setting that a run was made with."""
        return cls(
            keep=spec.keep,
            k=spec.k,
            bits=spec.bits,
            balance=spec.balance,
            block_lambda=spec.block_lambda,
            row_lambda=spec.row_lambda,
        )

    @property
    def text(self) -> str:
        """Compact, for an address: ``0.25~rule*delta~q*1.5~b2*0.5~slope*0.1``, or ``bits0.25``."""
        if self.bits is not None:
            parts = [f"bits{self.bits:.6g}"]
        else:
            parts = [f"k{self.k}" if self.keep is None else f"{self.keep:.6g}"]
        for name, field in _NAMES.items():
            value = getattr(self, field)
            if value is not None:
                parts.append(f"{name}*{value}" if field == "method" else f"{name}*{value:g}")
        return "~".join([*parts, *(factor.replace("=", "*") for factor in self.balance)])

    @classmethod
    def from_text(cls, text: str) -> Setting:
        """The inverse of `text`.

        Raises:
            SpecError: not of that form.
        """
        budget, *others = text.strip().split("~")
        match = _BUDGET.fullmatch(budget)
        fields: dict[str, Any] = {}
        balance = []
        for part in others:
            name, star, value = part.partition("*")
            if not star:
                raise _bad(text)
            if name in _NAMES:
                fields[_NAMES[name]] = value if name == "rule" else _float(text, value)
            else:
                balance.append(f"{name}={value}")
        if match is None:
            raise _bad(text)
        k = None if match[1] is None else int(match[1])
        share = None if match[3] is None else _float(text, match[3])
        size: dict[str, Any] = {"bits" if match[2] else "keep": share}
        return cls(k=k, balance=tuple(balance), **size, **fields)

    def spec(self, asked: PruneSpec) -> PruneSpec:
        """The settings of a run with these in place.

        Raises:
            SpecError: they do not go together.
        """
        method = self.method or asked.method
        if method != asked.method and not {method, asked.method} <= set(rules()):
            raise SpecError(
                "rule",
                got=f"{method} in place of {asked.method}",
                wanted=f"one of {', '.join(rules())}, in a run of one of these",
                remedy="Keep the run's own rule, or prune anew.",
            )
        if asked.coded and self.bits is None:
            raise SpecError(
                "keep" if self.k is None else "k",
                got=f"{self.keep if self.k is None else self.k} for a run of {asked.method}",
                wanted="a size in bits per weight",
                remedy="Give bits instead, such as bits 0.5.",
            )
        size: dict[str, Any] = (
            dict.fromkeys(BUDGETS) | {"bits": self.bits} if asked.coded or self.bits is not None else {}
        )
        return replace(
            asked,
            keep=self.keep,
            k=self.k,
            **size,
            method=method,
            balance=self.balance,
            block_lambda=self.block_lambda,
            row_lambda=self.row_lambda,
        )


def _bad(text: str) -> SpecError:
    return SpecError(
        "setting",
        got=repr(text),
        wanted="how much is kept, then options such as a balance: 0.25~q*1.5~b2*0.5 or k64~rule*delta",
        remedy="Correct the address or move the sliders.",
    )


def _float(text: str, part: str) -> float:
    try:
        return float(part)
    except ValueError:
        raise _bad(text) from None


def own_setting(run: Run) -> Setting:
    """The setting that a run has, with the lambdas that its search chose: another budget is then
    pruned with these instead of searching anew.
    """
    setting, spec = Setting.of(run.spec), run.spec
    if spec.coded and spec.bits is None:  # asked for in bytes, or for closeness: what its file took
        return Setting(bits=_rounded_up(8 * (spec.bytes or _file_bytes(run)) / max(1, run.totals["params"])))
    if "block_lambda" not in ALLOCATIONS[spec.allocation].options or spec.published:
        return setting
    trace = run.trace or {}
    found = {
        field: (trace.get(search) or {}).get("chosen")
        for field, search, step in (("block_lambda", "block_search", "row"), ("row_lambda", "row_search", "block"))
        if getattr(spec, field) is None and spec.step != step
    }
    return replace(setting, **{name: value for name, value in found.items() if value is not None})


def _file_bytes(run: Run) -> int:
    """Bytes of the run's subnetwork file, or where nobody can tell of what it stores of the weights."""
    from kencore.exports.subnetwork.plan import known_bytes_at

    return known_bytes_at(run.path, run.id, str(run.written)) or int(run.totals["bytes_stored"])


def _rounded_up(bits: float) -> float:
    """In three digits and not less, so that the same file fits again."""
    unit = 10.0 ** (math.floor(math.log10(max(bits, 1e-3))) - 2)
    return max(0.001, float(f"{math.ceil(bits / unit - 1e-9) * unit:.3g}"))


# --- budgets ---------------------------------------------------------------------------------


def pruned_slots(run: Run) -> tuple[list[Slot], dict[str, Place]]:
    """The pruned matrices of a run, as an allocation and as a balance see them."""
    slots, places = [], {}
    for line in _pruned(run.matrices):
        block = None if pd.isna(line["block"]) else int(line["block"])
        name, role = str(line["name"]), str(line["role"])
        rows, cols = int(line["rows"]), int(line["cols"])
        slots.append(Slot(name=name, block=block or 0, role=role, rows=rows, cols=cols))
        places[name] = Place(role, block, str(line["stack"]))
    return slots, places


def _pruned(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """The lines of the pruned matrices."""
    return table[table["status"] == "pruned"].to_dict("records")


def why_worker(run: Run, setting: Setting) -> str | None:
    """Why the budgets of a setting are only known once a worker has made it; ``None``: they are
    known at once.
    """
    spec = setting.spec(run.spec)
    if spec.coded:
        return "the code of every matrix is chosen anew for each size"
    if spec.published:
        return "the published code's rounding depends on what its search finds"
    row = ALLOCATIONS[spec.allocation]
    if row.name == UNIFORM or _shares(run, spec) is not None:
        return None
    if "step" in row.options:
        what = "row step" if spec.step != "block" else "search"
        return f"{row.label}'s {what} measures the model on calibration text"
    return f"the allocation {spec.allocation} looks at the model anew for every setting"


def budgets(run: Run, setting: Setting) -> Counts:
    """Entries that each row of each pruned matrix would keep, int64 (R,) by name: what `prune`
    with the same settings gives. The total is the one without a balance, to the entry.

    Raises:
        SpecError: a setting that cannot be, or that only a worker can tell (see `why_worker`).
    """
    spec = setting.spec(run.spec)
    reason = why_worker(run, setting)
    if reason is not None:
        raise SpecError(
            "setting",
            got=reason,
            wanted="budgets that follow from the setting alone",
            remedy="Measure it: a worker prunes the model at this setting.",
        )
    slots, places = pruned_slots(run)
    rows = {slot.name: slot.rows for slot in slots}
    slots = [replace(slot, rows=run.common_rows.get(slot.name, slot.rows)) for slot in slots]
    if spec.allocation == UNIFORM:
        kept = kept_evenly(slots, keep=spec.keep, k=spec.k, sparsity=spec.sparsity if spec.exact else None)
    else:
        shares = _shares(run, spec)
        assert shares is not None
        assert spec.sparsity is not None
        kept = kept_of(slots, exact_counts(slots, shares, spec.sparsity))
    return with_whole_rows(slots, rebalanced(slots, kept, spec.balance, places), rows)


def _shares(run: Run, spec: PruneSpec) -> Sparsities | None:
    """What an allocation makes of the settings alone; ``None`` where it measures the model."""
    row, slots = ALLOCATIONS[spec.allocation], pruned_slots(run)[0]
    found: Sparsities | None = None
    if row.measures == "nothing" and row.shares is not None:
        found = load(row.shares)(slots, spec.sparsity)
    elif row.ahead is not None:
        blocks = len((run.trace or {}).get("blocks") or ()) or 1 + max(slot.block for slot in slots)
        options = {name: getattr(spec, name) for name in row.options}
        found = load(row.ahead)(slots, spec.sparsity, blocks, options)
    return found


# --- totals ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """A setting in numbers, from counts alone.

    Attributes:
        kept, pruned: entries kept, and entries in all pruned matrices.
        asked: entries that the same budget keeps without a balance: what is held.
        params: parameters of the model.
        bytes_dense, bytes_stored: of the whole model, and of the subnetwork's bits and values.
        shares: kept share of every role and block, by the name of its factor, largest groups'
            entries weighing most.
        whole: names of factors whose matrices are all kept whole: they can take no more.
        matrices: kept entries of each pruned matrix.
    """

    kept: int
    pruned: int
    asked: int
    params: int
    bytes_dense: int
    bytes_stored: int
    shares: dict[str, float]
    whole: tuple[str, ...]
    matrices: dict[str, int]


def bytes_by_worker(run: Run, setting: Setting) -> int:
    """Bytes that a file has at most, which only a worker can make: of a run whose differences are coded."""
    return round((setting.bits or 0.0) * run.totals["params"] / 8)


def kept_by_worker(run: Run, setting: Setting) -> int:
    """Entries kept in all by a pruning at a setting that a worker has to carry out."""
    pruned = int(run.totals["pruned"])
    return pruned - total_pruned(pruned, complement(setting.keep or 0.0))


def totals(run: Run, setting: Setting) -> Totals:
    """The totals of a setting, before anything is pruned. Raises as `budgets`."""
    found = {name: int(rows.sum()) for name, rows in budgets(run, setting).items()}
    plain = budgets(run, replace(setting, balance=())) if setting.balance else None
    table = run.matrices
    stored = dict(zip(table["name"], table["bytes_stored"], strict=True))
    for line in _pruned(table):
        shape, name = (int(line["rows"]), int(line["cols"])), str(line["name"])
        stored[name] = stored_bytes(shape, found[name], int(line["bytes_dense"]), int(line["params"]))
    kept = [found.get(name, was) for name, was in zip(table["name"], table["kept"], strict=True)]
    sums = totals_of(table.assign(kept=kept, bytes_stored=list(stored.values())))
    shares = group_shares(run, found)
    return Totals(
        kept=sums["kept"],
        pruned=sums["pruned"],
        asked=sums["kept"] if plain is None else sum(int(rows.sum()) for rows in plain.values()),
        params=sums["params"],
        bytes_dense=sums["bytes_dense"],
        bytes_stored=sums["bytes_stored"],
        shares=shares,
        whole=tuple(name for name, share in shares.items() if share >= 1),
        matrices=found,
    )


def balance_names(run: Run) -> dict[str, list[str]]:
    """The factors that a run can have, by name: ``{"role": [...], "block": [...]}``, in the order of the model."""
    _, places = pruned_slots(run)
    several = len({p.stack for p in places.values() if p.block is not None}) > 1
    found: dict[str, list[str]] = {"role": [], "block": []}
    for place in places.values():
        for kind, name in zip(("role", "block"), place.names(several_stacks=several), strict=False):
            if name not in found[kind]:
                found[kind].append(name)
    return found


def group_shares(run: Run, kept: Mapping[str, int]) -> dict[str, float]:
    """Kept share of every role and block, by the name of its factor."""
    slots, places = pruned_slots(run)
    several = len({p.stack for p in places.values() if p.block is not None}) > 1
    sums: dict[str, list[int]] = {}
    for slot in slots:
        for name in places[slot.name].names(several_stacks=several):
            own = sums.setdefault(name, [0, 0])
            own[0] += kept[slot.name]
            own[1] += slot.size
    return {name: own / size for name, (own, size) in sums.items()}


def check(run: Run, setting: Setting) -> PruneSpec:
    """The settings of the pruning that a setting stands for, with its balance checked.

    Raises:
        SpecError: a value out of range, settings that clash, a factor whose name nothing has.
    """
    spec = setting.spec(run.spec)
    if spec.balance:
        factors(parse_balance(spec.balance), pruned_slots(run)[1])
    return spec
