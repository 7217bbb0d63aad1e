"""A small drawing of a transformer block: its matrices in the order of the data, each a link. Numbers in, SVG out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import pandas as pd

from app.charts.base import lines
from kencore.views.tables import role_rank
from kencore.words import numbers as wording
from kencore.words.palette import Palette

STAGES: Final = (("q", "k", "v", "qkv"), ("o",), ("router",), ("gate", "up", "gate_up"), ("down",))
_ATTENTION: Final = 2  # stages of it; the others are the feed-forward
_BOX: Final = (82, 36)  # width and height
_LONG: Final = 13  # letters that fit into a box
_GAP: Final = 6  # within a stage
_ARROW: Final = 22  # between stages
_CAPTION: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One role of a block.

    Attributes:
        role: of `kencore.views.tables.ROLES`.
        label: what it is called: the role, or ``fc1`` and ``fc2`` where the model says so.
        name: the matrix to open: the first pruned one, else the first.
        count: matrices of this role, such as those of experts.
        pruned: whether one of them was pruned.
    """

    role: str
    label: str
    name: str
    count: int
    pruned: bool


def parts_of(matrices: pd.DataFrame) -> list[Part]:
    """The roles of one block, in the order of pictures.

    Args:
        matrices: the block's lines of a run's table.
    """
    found: dict[str, list[tuple[str, bool]]] = {}
    for line in lines(matrices):
        found.setdefault(str(line.role), []).append((str(line.name), line.status == "pruned"))
    parts = []
    for role in sorted(found, key=role_rank):
        names = found[role]
        name = next((name for name, pruned in names if pruned), names[0][0])
        own = next((word for word in name.split(".") if word in ("fc1", "fc2")), wording.ROLES.get(role, role))
        label = own if role in ("up", "down") else wording.ROLES.get(role, role)
        parts.append(
            Part(role=role, label=label, name=name, count=len(names), pruned=any(pruned for _, pruned in names))
        )
    return parts


def drawing(
    parts: Sequence[Part], links: Mapping[str, str], palette: Palette, *, selected: str | None = None, wide: bool = True
) -> str:
    """The block as SVG: from left to right, or from top to bottom.

    Args:
        parts: `parts_of`.
        links: address by role.
        selected: the role that lights up.
        wide: from left to right.
    """
    by_role = {part.role: part for part in parts}
    stages = [[by_role[role] for role in stage if role in by_role] for stage in STAGES]
    flow = [(i < _ATTENTION, stage) for i, stage in enumerate(stages) if stage]
    rest = [part for part in parts if all(part.role not in stage for stage in STAGES)]
    columns = [stage for _, stage in flow] + ([rest] if rest else [])
    widest = max((len(column) for column in columns), default=1)
    along, across = _BOX if wide else _BOX[::-1]
    length = len(columns) * along + max(0, len(columns) - 1) * _ARROW
    breadth = widest * across + (widest - 1) * _GAP
    top = _CAPTION if wide else 0
    drawn = []
    for i, column in enumerate(columns):
        start = i * (along + _ARROW)
        used = len(column) * across + (len(column) - 1) * _GAP
        for j, part in enumerate(column):
            side = (breadth - used) / 2 + j * (across + _GAP)
            x, y = (start, side + top) if wide else (side, start)
            drawn.append(_box(part, x, y, links[part.role], palette, lit=part.role == selected))
        if 0 < i < len(flow):
            drawn.append(_arrow(start, breadth / 2, top, palette, wide=wide))
    if wide:
        drawn += _captions([in_attention for in_attention, _ in flow], bool(rest), palette)
    width, height = (length, breadth + top) if wide else (breadth, length)
    return (
        f'<svg viewBox="-1 -1 {width + 2:g} {height + 2:g}" style="max-width:{width + 2:g}px" role="group" '
        f'aria-label="The parts of a block">{"".join(drawn)}</svg>'
    )


def _box(part: Part, x: float, y: float, link: str, palette: Palette, *, lit: bool) -> str:
    fill, ink = (palette.primary, palette.on_primary) if lit else (palette.surface, palette.text)
    small = ink if lit else palette.muted
    dash = "" if part.pruned else ' stroke-dasharray="3 3"'
    explained = wording.ROLES_EXPLAINED.get(part.role, part.role)
    said = f"{explained}{'' if part.count == 1 else f', {part.count} of them'}{'' if part.pruned else ', not pruned'}"
    label = part.label if part.count == 1 else f"{part.label} × {part.count}"
    width, height = _BOX
    middle, current = x + width / 2, ' aria-current="true"' if lit else ""
    word = wording.ROLE_WORDS.get(part.role, "")
    size = 11 if len(word) <= _LONG else 9
    return (
        f'<a href="{escape(link)}" data-role="{escape(part.role)}" aria-label="{escape(said)}"'
        f"{current}><title>{escape(said)}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{width}" height="{height}" rx="6" fill="{fill}" '
        f'stroke="{palette.primary if lit else palette.reset_mark}"{dash}/>'
        f'<text x="{middle:g}" y="{y + 15:g}" fill="{ink}" font-size="12" font-weight="600">{escape(label)}</text>'
        f'<text x="{middle:g}" y="{y + 29:g}" fill="{small}" font-size="{size}">{escape(word)}</text></a>'
    )


def _arrow(start: float, middle: float, top: float, palette: Palette, *, wide: bool) -> str:
    low, high = start - _ARROW + 4, start - 4
    if wide:
        y = middle + top
        path = f"M{low:g} {y:g}H{high:g}m-4 -4 4 4-4 4"
    else:
        path = f"M{middle:g} {low:g}V{high:g}m-4 -4 4 4 4-4"
    return f'<path d="{path}" fill="none" stroke="{palette.muted}" stroke-width="1.5" aria-hidden="true"/>'


def _captions(attention: Sequence[bool], rest: bool, palette: Palette) -> list[str]:
    """What the columns belong to, above the first of each."""
    step = _BOX[0] + _ARROW
    named = ((True, "attention"), (False, "feed-forward"))
    found = [(attention.index(inside) * step, text) for inside, text in named if inside in attention]
    if rest:
        found.append((len(attention) * step, "beside them"))
    return [
        f'<text x="{x:g}" y="11" fill="{palette.muted}" font-size="11" text-anchor="start">{text}</text>'
        for x, text in found
    ]
