"""What was kept where: by block and role, over depth, and the masks themselves."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from kencore.exports.subnetwork.plan import known_bytes
from kencore.report.charts.kept import block_bars, bytes_bars, kept_map, role_bars
from kencore.report.charts.masks import neighbour_table, neighbours, small_maps
from kencore.report.content import Block, Live, Section, Table, Text
from kencore.report.sections import more
from kencore.runs.run import Run
from kencore.system.progress import Progress
from kencore.views import damage
from kencore.views import tables as summaries
from kencore.views.spent import spent
from kencore.words import numbers as wording
from kencore.words.findings import lines
from kencore.words.orders import ordered

MAPS: Final = "kencore.maps"
"""Group of entry points that draw the map of a page: the app has one, since this library has no viewer."""
NAMES: Final = 8  # tensors that a line of what was not pruned names


def kept(run: Run) -> Section:
    """Where weights were kept, and what was not pruned."""
    coded = run.spec.coded
    terms = wording.terms(run.restore, coded=coded)
    cells = summaries.model_cells(summaries.with_coded_bytes(run.matrices, coded=coded))
    blocks: list[Block] = [
        kept_map(cells, terms, damage.usual(run.matrices, coded=coded).measure),
        role_bars(summaries.by_role(run.matrices), terms),
    ]
    outside = summaries.outside_roles(run.matrices)
    if not outside.empty:
        rows = tuple(
            (
                line.name,
                wording.ROLES_EXPLAINED.get(line.role, line.role),
                f"{line.rows:,} × {line.cols:,}",
                wording.exact(line.params),
                wording.percent(line.share),
                wording.STATUSES.get(line.status, line.status),
            )
            for line in lines(outside)
        )
        blocks.append(
            Table(
                name="outside",
                caption="Parameters outside the blocks",
                data=outside,
                rows=rows,
                columns=("Matrix", "What it is", "Shape", "Weights", terms.done.capitalize(), "State"),
            )
        )
    return Section(name="kept", title=f"Where weights were {terms.done}", blocks=(*blocks, *_untouched(run)))


def bytes_of(run: Run) -> Section | None:
    """Where the bytes of the file went; ``None`` of a run that codes no differences, or whose models are gone."""
    if not run.codes or known_bytes(run) is None:
        return None
    said = ordered(run)
    text = (Text(text=said),) if said else ()
    return Section(name="bytes", title="Where the bytes went", blocks=(bytes_bars(spent(run)), *text))


def _untouched(run: Run) -> list[Block]:
    table = summaries.left_alone(run.matrices)
    if table.empty:
        return [Text(text="Everything was pruned.")]
    rows = []
    for line in lines(table):
        names = ", ".join(line.names[:NAMES])
        rest = len(line.names) - NAMES
        rows.append(
            (
                str(line.reason),
                wording.STATUSES.get(line.status, line.status),
                wording.exact(line.matrices),
                wording.exact(line.params),
                names + (f" and {rest:,} more" if rest > 0 else ""),
            )
        )
    return [
        Table(
            name="not-pruned",
            caption="What was not pruned, and why",
            rows=tuple(rows),
            columns=("Why", "State", "Tensors", "Weights", "Names"),
            data=table.assign(names=[" ".join(names) for names in table["names"]]),
        )
    ]


def sparsity(run: Run) -> Section | None:
    """How sparsity is spread over blocks, and the search that decided it; ``None`` without blocks."""
    bars = block_bars(run.matrices, wording.terms(run.restore, coded=run.spec.coded))
    found = [*([bars] if bars is not None else []), *more.searches(run)]
    if not found:
        return None
    return Section(name="sparsity", title="How sparsity is spread", blocks=tuple(found))


def walk(run: Run) -> Section | None:
    """The map of the model to zoom into; ``None`` where nothing that is installed draws it."""
    drawing = next(iter(entry_points(group=MAPS)), None)
    if drawing is None or not run.pruned:
        return None
    parts = dict(drawing.load()(run))
    text = (
        f"Every matrix of the model, {parts.pop('says')}. Use the wheel, a pinch or the keys + and − to zoom, drag to "
        "move, and click a matrix to open it. Values of weights are in the checkpoints and not in this file."
    )
    return Section(name="map", title="Walk through the model", blocks=(Live(text=text, **parts),))


def masks(run: Run, progress: Progress | None) -> Section | None:
    """The keep masks as pictures, and how kept entries stand together; ``None`` where none can be drawn."""
    terms = wording.terms(run.restore, coded=run.spec.coded)
    found = [small_maps(run, terms), neighbours(neighbour_table(run, progress), terms)]
    drawn = [figure for figure in found if figure is not None]
    if not drawn:
        return None
    return Section(name="masks", title="The masks themselves", blocks=tuple(drawn))
