"""Everything that a report says of a run, section by section."""

from __future__ import annotations

from kencore.exports.subnetwork.plan import known_bytes
from kencore.report.content import Bullets, Figure, Report, Section
from kencore.report.sections import cost, flips, glance, kept, made, more, quality
from kencore.runs.run import Run
from kencore.system.progress import Progress
from kencore.views import tables as summaries
from kencore.words import run as facts


def build(
    run: Run, beside: Run | None = None, progress: Progress | None = None, *, interactive: bool = False
) -> Report:
    """The report of a run.

    Args:
        beside: a second run that it is compared with.
        interactive: with the map to walk through, where the app that draws it is installed.
        progress: called with (done, total, what is being done); may raise to cancel.

    Raises:
        IncomparableRunsError: the two runs have no pruned matrix in common, or are one.
        CorruptRunError: a file of a run cannot be read.
    """
    total = summaries.totals(run.matrices)
    sections = [
        glance.at_a_glance(run, total),
        quality.quality(run),
        flips.flips(run),
        cost.cost(run),
        kept.bytes_of(run),
        kept.kept(run),
        kept.sparsity(run),
        kept.walk(run) if interactive else None,
        kept.masks(run, progress),
        more.sweep(run),
        more.tuning(run),
        None if beside is None else more.beside(run, beside, progress),
        made.how_made(run),
    ]
    there = [section for section in sections if section is not None]
    drawn = [block for section in there for block in section.blocks if isinstance(block, Figure)]
    missing = Section(
        name="not-measured", title="What was not measured", blocks=(Bullets(items=cost.not_measured(run, drawn)),)
    )
    created = str(run.record.get("created", ""))[:10] or "unknown"
    version = run.versions.get("kencore", "of unknown version")
    return Report(
        run=run.id,
        title=facts.headline(run.spec, total, run.metrics, known_bytes(run) if run.spec.coded else None),
        subject=facts.subject(run.spec),
        made=f"Run {run.id}, made on {created} with KEN_viz {version}.",
        sections=(*there[:-1], missing, there[-1]),
    )
