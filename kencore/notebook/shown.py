"""A run that can be printed, shown in a notebook and asked for its figures."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kencore.errors import MissingExtraError
from kencore.runs.run import Run
from kencore.words.verdict import Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd

    from kencore.recovery.loop import OnPoint
    from kencore.settings.prune import PruneSpec
    from kencore.settings.recover import RecoverSpec
    from kencore.system.progress import Progress

FIGURES: Final = "kencore.figures"
"""Group of entry points that draw figures: the app has one, since this library knows no drawing library."""
WIDGETS: Final = "kencore.widgets"
"""Group of entry points that make widgets, for the same reason."""


class ShownRun(Run):
    """A `Run` with words and pictures; what `open_run` and `prune` of the package give."""

    @cached_property
    def verdict(self) -> Verdict | None:
        """Whether the run is safe, damaged or ruined; ``None`` where quality was not measured."""
        return verdict(self.metrics, self.spec.method)

    def __repr__(self) -> str:
        return f"<Run {self.id}>"

    def __str__(self) -> str:
        from kencore.notebook.text import summary

        return summary(self)

    def _repr_html_(self) -> str:
        from kencore.notebook.html import summary

        return summary(self)

    def cells(self) -> pd.DataFrame:
        """Blocks by roles, one line per cell: see `kencore.views.tables.model_cells`."""
        from kencore.views.tables import model_cells

        return model_cells(self.matrices)

    def flips(self, data: str | None = None) -> pd.DataFrame:
        """The answers that pruning changed, a line per sentence or token: see `kencore.runs.flips`.

        Those to the data of the run's own quality are computed once and kept in a run of your own.

        Args:
            data: what is answered, as for `kencore.flips`; ``None``: what the run's quality was measured on.

        Raises:
            KencoreError: as `kencore.flips`.
        """
        from kencore.quality.flips import flips, keep_flips
        from kencore.runs.flips import known_flips

        known = known_flips(self.path, self.metrics) if data is None else None
        if known is None:
            with _told(None) as report:
                known = flips(self, data, progress=report)
            if data is None:
                keep_flips(self, known)
        return known.table

    def figure(self, name: str, **choices: Any) -> Any:
        """One of the run's charts as a Plotly figure, with its finding as the title.

        Args:
            name: ``cells``, ``roles``, ``depth``, ``quality``, ``search``, ``tuned``, ``stored``, ``map`` or ``row``.
            choices: what that figure may be told: ``measure`` of the cells, ``baselines`` of the quality,
                ``matrix`` of the map and the row, ``row_number`` and ``by_value`` of the row.

        Raises:
            FigureError: no such figure, nothing to draw in this run, or a choice that it does not take.
            MissingExtraError: the app is not installed.
            MatrixNotFoundError: no such matrix.
        """
        return _drawing()(self, name, **choices)

    def map(self, matrix: str | None = None) -> Any:
        """Which weights of a matrix were kept, rows down and columns across; of the largest one by default.

        Raises:
            MatrixNotFoundError: no such matrix. See also `figure`.
        """
        return self.figure("map", matrix=matrix)

    def row(self, matrix: str, row: int, *, by_value: bool = True) -> Any:
        """Every weight of one row, kept and not kept, in order of its value or of its place.

        Raises:
            MatrixNotFoundError: no such matrix.
            FigureError: no such row. See also `figure`.
        """
        return self.figure("row", matrix=matrix, row_number=row, by_value=by_value)

    def explore(self, matrix: str | None = None) -> Any:
        """The app's map as a widget of a notebook: from the whole model, or one matrix, to a single weight.

        Its trait ``cell`` says what is looked at.

        Raises:
            MissingExtraError: anywidget or the app is not installed.
            MatrixNotFoundError: no such matrix.
        """
        return _widget("explore")(self, matrix)

    def adjust(self, matrix: str | None = None) -> Any:
        """One matrix as a widget with a slider for the kept share, repainted exactly at every move.

        Args:
            matrix: its name; ``None``: the largest.

        Raises:
            MissingExtraError: anywidget or the app is not installed.
            MatrixNotFoundError: no such matrix.
            SpecError: the run's masks need activations, or do not follow a kept share.
        """
        return _widget("adjust")(self, matrix)


def open_run(run: str | Path) -> ShownRun:
    """Open a run by its folder, or by its id in the store.

    The shipped runs are ``demo`` (an encoder) and ``demo-lm`` (a language model).

    Raises:
        RunNotFoundError: no such folder, and no such run in the store.
        SchemaError: a newer version made it, or one that is too old.
        CorruptRunError: the folder is there but is not a whole run.
    """
    return ShownRun.open(run)


def prune(
    spec: PruneSpec,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    memory: str | int | None = None,
) -> ShownRun:
    """Prune a model and write the run, with a progress bar on a terminal or in a notebook.

    Args:
        spec: what is asked.
        out: the run folder to write; a new one in the store where it is left out.
        progress: called with (done, total, what is being done) instead of the bar; may raise to cancel,
            which leaves nothing behind.
        threads: CPU threads of the selection; all cores where it is left out.
        memory: what this process may hold, such as ``2GB``, by a method that needs no activations.

    Returns:
        The finished run, opened.

    Raises:
        KencoreError: the class says which mistake it was; nothing is written then.
    """
    from kencore.pruning.prune import prune as prune_with

    with _told(progress) as report:
        return ShownRun(prune_with(spec, out=out, progress=report, threads=threads, memory=memory).path)


def recover(
    spec: RecoverSpec,
    out: str | Path | None = None,
    *,
    progress: Progress | None = None,
    on_point: OnPoint | None = None,
    threads: int | None = None,
) -> ShownRun:
    """Train a pruned model with its mask held, with a progress bar on a terminal or in a notebook.

    Arguments, result and errors are those of `kencore.recovery.run.recover`; ``progress`` takes the bar's place.
    """
    from kencore.recovery.run import recover as recover_with

    with _told(progress) as report:
        return ShownRun(recover_with(spec, out, progress=report, on_point=on_point, threads=threads).path)


def _told(progress: Progress | None) -> AbstractContextManager[Progress]:
    """What the person asked to be told through; else a bar."""
    from kencore.system.bar import progress_bar

    return progress_bar() if progress is None else nullcontext(progress)


def _widget(name: str) -> Any:
    for point in entry_points(group=WIDGETS, name=name):
        try:
            return point.load()
        except ModuleNotFoundError as error:
            if error.name not in ("anywidget", "traitlets"):
                raise
            raise MissingExtraError(
                "widgets of a run",
                got=f"{error.name} is not installed",
                wanted="the extra notebook",
                remedy="Install it with `pip install anywidget`, or draw `run.map()`, which needs nothing more.",
            ) from error
    raise _no_app("widgets of a run")


def _drawing() -> Any:
    for point in entry_points(group=FIGURES):
        return point.load()
    raise _no_app("figures of a run")


def _no_app(subject: str) -> MissingExtraError:
    return MissingExtraError(
        subject,
        got="nothing installed draws them",
        wanted="the app, which comes with the package",
        remedy="Install the project with `pip install .`.",
    )
