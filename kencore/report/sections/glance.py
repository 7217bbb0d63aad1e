"""The head of a report: four numbers, the method and the allocation."""

from __future__ import annotations

from kencore.allocate.table import ALLOCATIONS, UNIFORM
from kencore.exports.subnetwork.plan import known_bytes
from kencore.methods.table import METHODS
from kencore.report.content import Block, Card, Cards, Section, Text
from kencore.runs.run import Run
from kencore.views import tables as summaries
from kencore.words import cards
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.verdict import verdict


def at_a_glance(run: Run, total: summaries.Totals) -> Section:
    """What was kept, what it takes to store, and what it cost in quality."""
    coded = run.spec.coded
    stored = known_bytes(run) if coded else None
    numbers = [
        cards.kept(run.spec, total, stored),
        cards.size(run.spec, total, stored),
        cards.quality(run.metrics),
        cards.closeness(run.metrics) if coded else cards.baseline(run.metrics, run.spec.method),
    ]
    judged = verdict(run.metrics, run.spec.method)
    blocks: list[Block] = [] if judged is None else [Text(text=judged.text, mark=judged.level)]
    blocks += [
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
    blocks.append(Text(text=facts.in_play(total), quiet=True))
    own = (run.tuning or {}).get("notes") or ()  # the section on tuning says them
    blocks += [Text(text=note, quiet=True) for note in run.notes if note not in own]
    return Section(name="glance", title="At a glance", blocks=tuple(blocks))
