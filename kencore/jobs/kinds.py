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
from kencore.jobs.pieces import Share, whole

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
        question: a person waits for its answer on a page: it never waits behind a pruning.
        pieces: ``module:function`` that says how processes can share a job out, see `kencore.jobs.pieces`: of its
            parameters, how many may work side by side, and the folder that it was submitted from. A piece that is
            begun again repeats nothing that is done.
    """

    function: str
    shelf: Literal["runs", "results"]
    check: Callable[[Params], None]
    heavy: bool = True
    question: bool = False
    pieces: str | None = None

    def load(self) -> JobFunction:
        """Import the function."""
        module, _, name = self.function.partition(":")
        function: JobFunction = getattr(import_module(module), name)
        return function

    def split(self, params: Params, most: int, folder: str) -> list[Share]:
        """The pieces of a job of which at most so many work side by side; one of a kind that is never split."""
        if self.pieces is None or most < 2:
            return whole(params)
        module, _, name = self.pieces.partition(":")
        found: list[Share] = getattr(import_module(module), name)(params, most, folder)
        return found


def settings(where: str) -> Callable[[Params], None]:
    """A check that ``params`` are the fields of a class in `kencore.settings`, ``module:class``; raises `SpecError`."""

    def check(params: Params) -> None:
        module, _, name = where.partition(":")
        getattr(import_module(f"kencore.settings.{module}"), name).from_dict(params)

    return check


def check_export(params: Params) -> None:
    """Raise `SpecError` unless ``params`` name a run, and a form that there is if any."""
    from kencore.exports.export import check
    from kencore.settings.jobs import ExportAsked

    asked = ExportAsked.from_dict(params)
    check(asked.form or "folder", zstd=asked.zstd)


KINDS: dict[str, Kind] = {
    "inspect": Kind(
        function="kencore.jobs.tasks:inspect_pair", shelf="results", check=settings("jobs:InspectAsked"), question=True
    ),
    "prune": Kind(
        function="kencore.jobs.tasks:prune_pair",
        shelf="runs",
        check=settings("prune:PruneSpec"),
        pieces="kencore.jobs.pieces:of_pruning",
    ),
    "retune": Kind(
        function="kencore.jobs.tasks:retune_run", shelf="results", check=settings("prune:PruneSpec"), question=True
    ),
    "tune": Kind(function="kencore.jobs.tasks:tune_run", shelf="runs", check=settings("recover:RecoverSpec")),
    "sweep": Kind(
        function="kencore.jobs.tasks:run_sweep",
        shelf="results",
        check=settings("sweep:SweepSpec"),
        pieces="kencore.jobs.pieces:of_sweep",
    ),
    "evaluate": Kind(
        function="kencore.jobs.tasks:evaluate_model",
        shelf="results",
        check=settings("jobs:EvaluateAsked"),
        pieces="kencore.jobs.pieces:of_evaluation",
    ),
    "export": Kind(function="kencore.jobs.tasks:export_run", shelf="results", check=check_export),
    "report": Kind(
        function="kencore.jobs.tasks:report_run", shelf="results", check=settings("jobs:ReportAsked"), heavy=False
    ),
    "explain": Kind(
        function="kencore.jobs.tasks:explain_sentence",
        shelf="results",
        check=settings("explain:ExplainSpec"),
        question=True,
    ),
    "continue": Kind(
        function="kencore.jobs.tasks:continue_text",
        shelf="results",
        check=settings("explain:ContinueSpec"),
        question=True,
    ),
    "flips": Kind(
        function="kencore.jobs.tasks:find_flips", shelf="results", check=settings("jobs:FlipsAsked"), question=True
    ),
    "sensitivity": Kind(
        function="kencore.jobs.tasks:find_sensitivity",
        shelf="results",
        check=settings("jobs:SensitivityAsked"),
        pieces="kencore.jobs.pieces:of_sensitivity",
    ),
}


def is_question(name: str) -> bool:
    """Whether jobs of a kind have a slot of their own; one that is not known has none."""
    kind = known_kind(name)
    return kind is not None and kind.question


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
