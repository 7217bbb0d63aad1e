"""What was measured of a run, and what may be chance."""

from __future__ import annotations

from typing import Any

import pandas as pd

from kencore.report.charts.curves import quality_dots
from kencore.report.content import Block, Section, Table, Text
from kencore.runs.run import Run
from kencore.words import cards, measured
from kencore.words import numbers as wording
from kencore.words import quality as judged
from kencore.words import run as facts


def quality(run: Run) -> Section:
    """The picture and the table of everything that was measured, and what may be chance."""
    found, method = run.metrics, run.spec.method
    if not found:
        text = Text(
            text="Quality was not measured: this report says which weights were kept, not what that did to the model."
        )
        return Section(name="quality", title="Quality", blocks=(text,))
    blocks: list[Block] = []
    if "dense" in found:
        blocks += [quality_dots(found, method), quality_table(found, method)]
        paired = paired_table(found, method)
        blocks += [paired] if paired is not None else []
        if (said := measured.change(found["pruned"], found.get("examples"))) is not None:
            blocks.append(Text(text=f"{said}."))
        blocks.append(Text(text=_measured_on(found), quiet=True))
    if "zero_shot" in found:
        blocks += [_zero_shot(found["zero_shot"])]
    return Section(name="quality", title="Quality", blocks=tuple(blocks))


def quality_table(found: dict[str, Any], method: str) -> Table:
    """Every figure of every model with its interval."""
    language = facts.is_language(found)
    if language:
        columns = ["Perplexity", "Loss (nats)"]
        data = judged.perplexity_table(found, method)
    else:
        scores = measured.scores(found)
        losses = any("loss" in one for _, _, one in _steps(found, method))
        columns = [*scores.values(), *(["Loss (nats)"] if losses else [])]
        data = judged.quality_table(found, method)
    rows = []
    for _, label, one in _steps(found, method):
        if language:
            cells = [measured.perplexity(one), f"{one['nll']:.3f}"]
        else:
            cells = [measured.score(one, name) if name in one else "" for name in scores]
            cells += [f"{one['loss']:.3f}" if "loss" in one else ""] if losses else []
        rows.append((label, *cells))
    return Table(
        name="quality",
        caption="Quality of each model, with 95 % intervals in brackets",
        columns=("Model", *columns),
        rows=tuple(rows),
        data=data,
    )


def paired_table(found: dict[str, Any], method: str) -> Table | None:
    """The change of every model against the dense one on the same data, in pairs; ``None`` where
    none was compared so.
    """
    steps = [(label, one) for _, label, one in _steps(found, method) if versus(one)]
    near = [_answers(one) for _, one in steps]
    answers = [[said] if any(near) else [] for said in near]
    rows = [(label, versus(one), *said) for (label, one), said in zip(steps, answers, strict=True)]
    if not rows:
        return None
    data = pd.DataFrame(
        [{"model": label, **one["versus_dense"]} for _, label, one in _steps(found, method) if one.get("versus_dense")]
    )
    return Table(
        name="paired",
        caption="Against dense on the same data, in pairs",
        columns=("Model", "Change", *(["Answers"] if any(near) else [])),
        rows=tuple(rows),
        data=data,
    )


def _answers(one: dict[str, Any]) -> str:
    """How near the answers of one model are to the dense model's; empty where that was not measured."""
    near = facts.nearness_of(one)
    return "" if near is None else f"{wording.percent(near[1])} the same, {near[0]:.2g} nats apart"


def _steps(found: dict[str, Any], method: str) -> list[judged.Step]:
    whole = facts.is_language(found) or facts.is_embedding(found)
    dense = "Dense, all weights" if whole else "Tuned, all weights"
    return judged.steps(found, method, dense)


def versus(found: dict[str, Any]) -> str:
    """The change of one model against the dense one on the same data, in a few words."""
    change = found.get("versus_dense") or {}
    chance = measured.could_be_chance(found)
    verdict = "" if chance is None else ", could be chance" if chance else ", more than chance"
    if "mcnemar_p" in change:
        lost_won = f"lost {change['lost']:,}, won {change['won']:,}, {measured.p_value(change['mcnemar_p'])}{verdict}"
        if "accuracy_change" not in change:  # an older run
            return lost_won
        ends = (f"{100 * change[f'accuracy_change_{end}']:+.1f}" for end in ("low", "high"))
        within = f" ({' to '.join(ends)})".replace("-", "−")
        return f"{facts.points(change['accuracy_change'])}{within}, {lost_won}"
    if "similarity_change" in change:
        return f"{facts.points(change['similarity_change'])}{verdict}"
    if "nll_change" not in change:
        return ""
    text = f"{change['nll_change']:+.3f} nats".replace("-", "−")
    if "nll_change_low" in change:
        ends = (f"{change[f'nll_change_{end}']:+.3f}" for end in ("low", "high"))
        text += f" ({' to '.join(ends)})".replace("-", "−")
    return text + verdict


def _measured_on(found: dict[str, Any]) -> str:
    if facts.is_language(found):
        text = f"Measured on {cards.windows(found)}."
        return text + " Intervals: from the spread over windows."
    return f"Measured on {facts.sentences(found)} ({found['data']}). {measured.explained(found)}"


def _zero_shot(found: dict[str, Any]) -> Table:
    rows = []
    for task in found["tasks"]:
        for state in ("dense", "pruned"):
            one = found.get(state, {}).get(task)
            if one is None:
                continue
            names = [
                name
                for name in one
                if name not in ("examples", "seconds", "versus_dense") and not name.endswith(("_low", "_high"))
            ]
            said = ", ".join(
                f"{name} {measured.score(one, name)}" if f"{name}_low" in one else f"{name} {one[name]:.4g}"
                for name in names
            )
            rows.append((task, state, said, f"{one['examples']:,}", versus(one)))
    return Table(
        name="zero-shot",
        rows=tuple(rows),
        caption=f"Zero-shot tasks, lm-evaluation-harness {found['harness']}",
        columns=("Task", "Model", "Scores", "Examples", "Against dense, in pairs"),
    )
