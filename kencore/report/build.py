"""Everything that a report says of a run, section by section."""

from __future__ import annotations

from typing import Final

from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.methods.table import METHODS
from kencore.report.charts.kept import block_bars, kept_map, role_bars
from kencore.report.charts.masks import neighbour_table, neighbours, small_maps
from kencore.report.content import Block, Bullets, Card, Cards, Figure, Report, Section, Table, Text
from kencore.report.sections import made, more
from kencore.report.sections import quality as judged
from kencore.runs.run import Run
from kencore.system.progress import Progress
from kencore.views import tables as summaries
from kencore.words import cards
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.findings import lines

NAMES: Final = 8  # tensors that a line of what was not pruned names


def build(run: Run, beside: Run | None = None, progress: Progress | None = None) -> Report:
    """The report of a run.

    Args:
        beside: a second run that it is compared with.
        progress: called with (done, total, what is being done); may raise to cancel.

    Raises:
        IncomparableRunsError: the two runs have no pruned matrix in common, or are one.
        CorruptRunError: a file of a run cannot be read.
    """
    total = summaries.totals(run.matrices)
    first = _at_a_glance(run, total)
    sections = [
        first,
        judged.quality(run),
        judged.cost(run),
        _kept(run),
        _sparsity(run),
        _masks(run, progress),
        more.sweep(run),
        more.tuning(run),
        None if beside is None else more.beside(run, beside, progress),
        made.how_made(run),
    ]
    there = [section for section in sections if section is not None]
    drawn = [block for section in there for block in section.blocks if isinstance(block, Figure)]
    missing = Section(
        name="not-measured", title="What was not measured", blocks=(Bullets(items=judged.not_measured(run, drawn)),)
    )
    created = str(run.record.get("created", ""))[:10] or "unknown"
    version = run.versions.get("kencore", "of unknown version")
    return Report(
        run=run.id,
        title=facts.headline(run.spec, total, run.metrics),
        subject=facts.subject(run.spec),
        made=f"Run {run.id}, made on {created} with KEN_viz {version}.",
        sections=(*there[:-1], missing, there[-1]),
    )


def _at_a_glance(run: Run, total: summaries.Totals) -> Section:
    numbers = [
        cards.kept(run.spec, total),
        cards.size(run.spec, total),
        cards.quality(run.metrics),
        cards.baseline(run.metrics, run.spec.method),
    ]
    blocks: list[Block] = [
        Cards(
            cards=tuple(
                Card(
                    label=number.label,
                    value=number.value,
                    beside=tuple(text for text in (number.below, number.beside) if text),
                )
                for number in numbers
            )
        ),
        Text(text=numbers[0].explained),
    ]
    if why := facts.updated(run.spec):
        blocks.append(Text(text=why))
    if tuned := run.record.get("tuned"):
        steps = wording.plural(int(tuned["steps"]), "step")
        said = f"Tuned for {steps} after pruning; kept values are the learned ones."
        blocks.append(Text(text=said))
    method, allocation = METHODS[run.spec.method], ALLOCATIONS[run.spec.allocation]
    blocks.append(Text(text=f"{method.label}: {method.explained}"))
    if allocation.name != UNIFORM:
        blocks.append(Text(text=f"{allocation.label}: {allocation.explained}"))
    return Section(name="glance", title="At a glance", blocks=tuple(blocks))


def _kept(run: Run) -> Section:
    terms = wording.TERMS[run.restore]
    cells = summaries.model_cells(run.matrices)
    blocks: list[Block] = [kept_map(cells, terms), role_bars(summaries.by_role(run.matrices), terms)]
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
                columns=("Parameter", "What it is", "Shape", "Parameters", "Kept", "State"),
            )
        )
    return Section(name="kept", title="Where parameters were kept", blocks=(*blocks, *_untouched(run)))


def _untouched(run: Run) -> list[Block]:
    table = summaries.left_alone(run.matrices)
    if table.empty:
        return [Text(text="Every parameter was pruned.")]
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
            columns=("Why", "State", "Tensors", "Parameters", "Names"),
            data=table.assign(names=[" ".join(names) for names in table["names"]]),
        )
    ]


def _sparsity(run: Run) -> Section | None:
    bars = block_bars(run.matrices)
    found = [*([bars] if bars is not None else []), *more.searches(run)]
    if not found:
        return None
    return Section(name="sparsity", title="How sparsity is spread", blocks=tuple(found))


def _masks(run: Run, progress: Progress | None) -> Section | None:
    found = [small_maps(run), neighbours(neighbour_table(run, progress))]
    drawn = [figure for figure in found if figure is not None]
    if not drawn:
        return None
    return Section(name="masks", title="The masks themselves", blocks=tuple(drawn))
