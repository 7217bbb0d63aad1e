"""Which answers pruning changed: counts, and where the models are furthest apart."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final

from kencore.errors import KencoreError
from kencore.report.content import Block, Section, Table, Text
from kencore.runs.flips import Flips, known_flips
from kencore.runs.run import Run
from kencore.views.flips import chosen
from kencore.words import flips as words
from kencore.words import numbers as wording
from kencore.words import run as facts_words

LINES: Final = 10  # of each table
CHARACTERS: Final = 160


def flips(run: Run) -> Section | None:
    """Counts, what went wrong and what came right; ``None`` where the run keeps none of it."""
    try:
        found = known_flips(run.path, run.metrics)
    except KencoreError:
        return None
    if found is None:
        return None
    facts = found.facts
    blocks: list[Block] = [Text(text=f"{words.finding(facts)}."), Text(text=words.balance(facts), quiet=True)]
    for which in ("right-wrong", "wrong-right"):
        table = _table(run, found, which)
        blocks += [] if table is None else [table]
    blocks.append(Text(text=words.EXPLAINED[facts["task"]], quiet=True))
    return Section(name="flips", title="What changed in the answers", blocks=tuple(blocks))


def _table(run: Run, found: Flips, which: str) -> Table | None:
    token, rules = words.is_text(found.facts), found.facts["baselines"]
    lines = chosen(found.table, which, LINES)
    if lines.empty:
        return None
    count = found.facts[which.replace("-", "_")]
    sides = {"dense": wording.TERMS[run.restore].dense.capitalize(), "pruned": "Pruned"}
    sides |= {name: facts_words.baseline_name(name, run.spec.method) for name in rules}
    rows = tuple(
        (
            _text(line, token=token),
            words.shown(line["truth"]) if token else line["truth"],
            *(words.answer(line[side], line[f"{side}_p"], token=token) for side in sides),
            f"{line['kl']:.3f}",
        )
        for line in lines.to_dict("records")
    )
    ends = f"the {len(rows)} with the largest KL of {count:,}" if count > len(rows) else f"{len(rows)}"
    return Table(
        name=f"flips-{which}",
        caption=f"{words.LABELS[which]}: {ends}",
        columns=(
            "Text before" if token else "Sentence",
            "Next token" if token else "Label",
            *sides.values(),
            "KL (nats)",
        ),
        rows=rows,
        data=chosen(found.table, which),
        folded=which != "right-wrong",
    )


def _text(line: Mapping[Hashable, Any], *, token: bool) -> str:
    text = " ".join(" / ".join(part for part in (line["text"], line["pair"]) if part).split())
    if len(text) <= CHARACTERS:
        return text
    return "…" + text[-CHARACTERS + 1 :] if token else text[: CHARACTERS - 1] + "…"
