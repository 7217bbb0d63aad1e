"""How runs are called in lists: a line for each, and what tells those apart that share one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kencore.settings.demo import DEMOS

PLAIN_NAMES = frozenset({"tuned", "model", "final", "best", "finetuned", "fine-tuned", "checkpoint"})
MOST: Final = 3  # settings that are named to tell runs apart
_HIDDEN: Final = frozenset({"device", "cost", "baselines"})  # settings that do not change what is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A run as `told_apart` needs it."""

    id: str
    label: str
    created: str
    spec: Mapping[str, Any]


def describe(spec: Mapping[str, Any]) -> str:
    """One line for a person: model, method, allocation if not uniform, and budget."""
    short = short_name(str(spec["model"]))
    keep = spec.get("keep")
    budget = _budget(spec)
    if keep is not None and "base" in spec and spec["base"] is None:  # the rest becomes zero
        budget = f"{100 - float(str(keep)) * 100:.4g} % sparse"
    scope = spec.get("scope") or ["all"]
    where = "" if list(scope) == ["all"] else f" · {' + '.join(map(str, scope))}"
    balance = "".join(f" · {factor}" for factor in spec.get("balance") or ())
    return f"{short} · {rule(spec)} {budget}{where}{balance}"


def _budget(spec: Mapping[str, Any]) -> str:
    """How much was asked for, in a few letters."""
    if spec.get("keep") is not None:
        return f"{float(str(spec['keep'])) * 100:.4g} %"
    if spec.get("bits") is not None:
        return f"{float(spec['bits']):.4g} bits"
    if spec.get("bytes") is not None:
        return f"in {_bytes(int(spec['bytes']))}"
    if spec.get("kl") is not None:
        return f"KL {float(spec['kl']):.3g}"
    if spec.get("same") is not None:
        return f"{float(spec['same']) * 100:.4g} % same"
    return f"k = {spec['k']}"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"


def rule(spec: Mapping[str, Any]) -> str:
    """Method, allocation, refinement and rescaling in one word or several."""
    words = [spec["method"], spec.get("allocation", "uniform"), spec.get("refine", "none")]
    rescale = spec.get("rescale", "none")
    words += ["none" if rescale == "none" else f"rescaled by {rescale}"]
    return " + ".join(str(word) for word in words if word not in ("uniform", "none"))


def short_name(model: str) -> str:
    """A model in a few letters, by what the person wrote."""
    if model in DEMOS:
        return DEMOS[model].short
    named = Path(model)
    if named.name.lower() in PLAIN_NAMES and named.parent.name:  # says nothing without its folder
        return f"{named.parent.name}/{named.name}"
    return named.name


def told_apart(runs: Iterable[Called]) -> dict[str, str]:
    """A label for each id that no other has: those that share one get the settings in which they differ, else
    when they were made, else their id.
    """
    groups: dict[str, list[Called]] = defaultdict(list)
    for run in runs:
        groups[run.label].append(run)
    found: dict[str, str] = {}
    for label, group in groups.items():
        found |= {group[0].id: label} if len(group) == 1 else _apart(label, group)
    return found


def _apart(label: str, group: list[Called]) -> dict[str, str]:
    differ = _differing(group)
    asked = {run.id: " · ".join(filter(None, (_said(name, run.spec.get(name)) for name in differ))) for run in group}
    made = {run.id: _when(run.created) for run in group}
    for ends in (asked, made):
        if len(set(ends.values())) == len(group):
            return {name: f"{label} · {end}" if end else label for name, end in ends.items()}
    return {run.id: f"{label} ({run.id})" for run in group}


def _differing(group: list[Called]) -> list[str]:
    """The settings that are not the same in all of a group, the first few."""
    specs = list({str(run.spec): run.spec for run in group}.values())  # of many runs few are different
    # a setting that the version of an older run did not know is no difference
    names = [name for name in specs[0] if name not in _HIDDEN and all(name in spec for spec in specs)]
    return [name for name in names if len({repr(spec.get(name)) for spec in specs}) > 1][:MOST]


def _said(name: str, value: object) -> str:
    if value is None or value is False or value == [] or value == ():
        return ""
    if value is True:
        return name.replace("_", " ")
    text = " + ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"{name.replace('_', ' ')} {text}"


def _when(created: str) -> str:
    """Day and minute of an ISO time."""
    return created[:16].replace("T", " ")
