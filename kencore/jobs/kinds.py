"""The kinds of job there are: a registry, so that nothing else can be run.

A new kind is one function ``f(params, context)`` and one row here. Another package adds one by an entry point in the
group ``kencore.jobs`` that names a `Kind`, in a module that is cheap to import.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from kencore.errors import JobKindError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from kencore.jobs.context import Context

GROUP = "kencore.jobs"

Params = dict[str, Any]
JobFunction = Callable[[Params, "Context"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of job.

    Args:
        function: ``module:function``, imported by the worker alone.
        shelf: where results go: ``runs`` are kept for ever, ``results`` are not.
        check: raises a `KencoreError` for parameters that cannot work; needs no model.
        heavy: it imports torch, so it waits for the process that has it loaded.
    """

    function: str
    shelf: Literal["runs", "results"]
    check: Callable[[Params], None]
    heavy: bool = True

    def load(self) -> JobFunction:
        """Import the function."""
        module, _, name = self.function.partition(":")
        function: JobFunction = getattr(import_module(module), name)
        return function


def check_prune(params: Params) -> None:
    """Raise `SpecError` unless ``params`` are the fields of a `PruneSpec`."""
    from kencore.settings.prune import PruneSpec

    PruneSpec.from_dict(params)


def check_tune(params: Params) -> None:
    """Raise `SpecError` unless ``params`` are the fields of a `TuneSpec`."""
    from kencore.settings.recover import TuneSpec

    TuneSpec.from_dict(params)


def check_sweep(params: Params) -> None:
    """Raise `SpecError` unless ``params`` are the fields of a `SweepSpec`."""
    from kencore.settings.sweep import SweepSpec

    SweepSpec.from_dict(params)


def check_inspect(params: Params) -> None:
    """Raise `JobKindError` unless ``params`` name a model, and a base and revisions if any."""
    _known("inspect", params, needed={"model"}, allowed=INSPECT_FIELDS)
    _texts("inspect", params, INSPECT_FIELDS)


def check_evaluate(params: Params) -> None:
    """Raise `JobKindError` unless ``params`` name a run or a model, and examples or a text."""
    allowed = EVALUATE_FIELDS | EVALUATE_SWITCHES | EVALUATE_COUNTS.keys()
    _known("evaluate", params, needed={"model", "examples"}, allowed=allowed)
    _texts("evaluate", params, EVALUATE_FIELDS)
    for name in sorted(EVALUATE_SWITCHES & set(params)):
        if not isinstance(params[name], bool):
            raise JobKindError(
                f"{name} of the job evaluate",
                got=repr(params[name]),
                wanted="true or false",
                remedy="Leave it out for false.",
            )
    for name, least in EVALUATE_COUNTS.items():
        value = params.get(name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value is not None and not (whole and value >= least):
            raise JobKindError(
                f"{name} of the job evaluate",
                got=repr(value),
                wanted=f"a whole number, {least} or more",
                remedy="Leave it out for the usual number.",
            )


def check_export(params: Params) -> None:
    """Raise `JobKindError` unless ``params`` name a run, and a form if any; `SpecError` for a form
    that there is not."""
    from kencore.exports.export import check

    _known("export", params, needed={"run"}, allowed=EXPORT_FIELDS | {"zstd"})
    _texts("export", params, EXPORT_FIELDS)
    if not isinstance(params.get("zstd", False), bool):
        raise JobKindError(
            "zstd of the job export", got=repr(params["zstd"]), wanted="true or false", remedy="Leave it out for false."
        )
    check(params.get("form") or "folder", zstd=params.get("zstd", False))


def check_explain(params: Params) -> None:
    """Raise `SpecError` unless ``params`` are the fields of an `ExplainSpec`."""
    from kencore.settings.explain import ExplainSpec

    ExplainSpec.from_dict(params)


def check_report(params: Params) -> None:
    """Raise `JobKindError` unless ``params`` name a run, and a run to compare it with if any."""
    _known("report", params, needed={"run"}, allowed=REPORT_FIELDS)
    _texts("report", params, REPORT_FIELDS)


EXPORT_FIELDS = {"run", "form"}
REPORT_FIELDS = {"run", "beside"}
INSPECT_FIELDS = {"model", "base", "model_revision", "base_revision"}
EVALUATE_FIELDS = {"model", "examples", "device"}
EVALUATE_SWITCHES = {"baselines", "save"}
EVALUATE_COUNTS = {"window": 2, "windows": 1}  # of a text, and the least they may be

KINDS: dict[str, Kind] = {
    "inspect": Kind(function="kencore.jobs.tasks:inspect_pair", shelf="results", check=check_inspect),
    "prune": Kind(function="kencore.jobs.tasks:prune_pair", shelf="runs", check=check_prune),
    "retune": Kind(function="kencore.jobs.tasks:retune_run", shelf="results", check=check_prune),
    "tune": Kind(function="kencore.jobs.tasks:tune_run", shelf="runs", check=check_tune),
    "sweep": Kind(function="kencore.jobs.tasks:run_sweep", shelf="results", check=check_sweep),
    "evaluate": Kind(function="kencore.jobs.tasks:evaluate_model", shelf="results", check=check_evaluate),
    "export": Kind(function="kencore.jobs.tasks:export_run", shelf="results", check=check_export),
    "report": Kind(function="kencore.jobs.tasks:report_run", shelf="results", check=check_report, heavy=False),
    "explain": Kind(function="kencore.jobs.tasks:explain_sentence", shelf="results", check=check_explain),
}


def find_kind(name: str) -> Kind:
    """The kind of that name.

    Raises:
        JobKindError: there is none.
    """
    kind = known_kind(name)
    if kind is None:
        raise JobKindError(
            "Job kind",
            got=repr(name),
            wanted=f"one of {', '.join([*KINDS, *added()])}",
            remedy="Check the spelling, and that the package which adds it can be imported.",
        )
    return kind


def known_kind(name: str) -> Kind | None:
    """The kind of that name; ``None``: there is none, as for a stored job of a package that is gone."""
    if name in KINDS:
        return KINDS[name]
    point = added().get(name)
    try:
        found = point.load() if point else None
    except Exception:  # noqa: BLE001 - another package's module may raise anything
        return None
    return found if isinstance(found, Kind) else None


def kinds_on(shelf: str) -> list[str]:
    """The names of the kinds whose results go to ``shelf``."""
    found = {name: known_kind(name) for name in (*KINDS, *added())}
    return [name for name, kind in found.items() if kind is not None and kind.shelf == shelf]


@cache
def added() -> dict[str, EntryPoint]:
    """What other packages that are installed add, by name; looked for once per process."""
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _known(kind: str, params: Params, *, needed: set[str], allowed: set[str]) -> None:
    unknown, missing = sorted(set(params) - allowed), sorted(needed - set(params))
    if unknown or missing:
        raise JobKindError(
            f"Parameters of the job {kind}",
            got=f"unknown {', '.join(unknown)}" if unknown else f"no {', '.join(missing)}",
            wanted=f"fields among {', '.join(sorted(allowed))}",
            remedy="Check the spelling." if unknown else "Fill it in.",
        )


def _texts(kind: str, params: Params, names: set[str]) -> None:
    for name in sorted(names & set(params)):
        value = params[name]
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise JobKindError(f"{name} of the job {kind}", got=repr(value), wanted="text", remedy="Fill it in.")
