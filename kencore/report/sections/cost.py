"""What a run costs to keep and to use, and what was not measured."""

from __future__ import annotations

from kencore.exports.subnetwork.plan import known_bytes
from kencore.report.content import Block, Figure, Grid, Section, Table, Text
from kencore.runs.run import Run
from kencore.words import costs
from kencore.words import numbers as wording
from kencore.words import run as facts


def cost(run: Run) -> Section:
    """Four small tables and what each means, as on the Overview page."""
    found, zero = run.metrics.get("cost") or {}, run.restore == "zero"
    needs = "" if zero else " The base model is needed too."
    parts = (
        (
            "size",
            "Size",
            costs.size(found, run.totals, known_bytes(run), wording.terms(run.restore, coded=run.spec.coded).done),
            (costs.CODED if run.spec.coded else costs.MASKED) + needs,
        ),
        ("compute", "Compute", costs.compute(found), costs.TO_ZERO if zero else costs.NOT_ZERO),
        ("speed", "Speed", costs.speed(found), costs.SAME_SPEED),
        ("memory", "Memory and kernels", costs.memory(found), costs.memory_notes(found)),
    )
    cells = tuple(
        (Table(name=name, caption=caption, columns=("What", "Value"), rows=tuple(lines)), note)
        for name, caption, lines, note in parts
    )
    blocks: list[Block] = [Grid(cells=cells)]
    if found:
        said = f"Measured on {found['device']}. Times are medians and quartiles of interleaved passes."
        blocks.append(Text(text=said, quiet=True))
    return Section(name="cost", title="Size, compute and speed", blocks=tuple(blocks))


def not_measured(run: Run, figures: list[Figure]) -> tuple[str, ...]:
    """What a reader may think was measured and was not, in sentences."""
    found, spec = run.metrics, run.spec
    cost, said = found.get("cost") or {}, []
    if "dense" not in found:
        said.append("Quality of the pruned and the dense model.")
    elif not found.get("baselines"):
        said.append("Baselines at the same budget.")
    if "dense" in found:
        language = facts.is_language(found)
        what = "text" if language else "set of sentences"
        said.append(f"Other data: quality was measured on one {what}; other data, languages or tasks may differ.")
        if language and "zero_shot" not in found:
            said.append("Zero-shot tasks: perplexity says little about them.")
        if found["pruned"].get("versus_dense") is None:
            said.append("The change in pairs, so chance is not ruled out.")
    if not any(figure.name == "trade-off" for figure in figures):
        budget = f"keep {spec.keep:g}" if spec.keep is not None else wording.budget(spec)
        said.append(f"Other budgets and seeds: this is one run with {budget} and seed {spec.seed}.")
    if not cost:
        said.append("Compute, speed and memory of the model.")
    else:
        notes = costs.memory_notes(cost)
        said += [notes] if notes else []
        said.append(f"Speed on machines other than {cost['device']}, and with sparse kernels.")
    if run.tuning is not None:
        said.append("Tuned baselines: those shown were not tuned.")
    said.append("Robustness, calibration, bias and energy.")
    return tuple(said)
