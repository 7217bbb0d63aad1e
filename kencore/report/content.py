"""What a report is made of, before it is HTML: sections of text, tables, pictures and commands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph; a quiet one is a note to what is above it, a marked one is framed in the colour of a
    level of `kencore.words.verdict`.
    """

    text: str
    quiet: bool = False
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Commands to copy; ``label`` says what they do."""

    label: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One number that says much: what it is, its value, and what to compare it with."""

    label: str
    value: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """Some cards beside each other."""

    cards: tuple[Card, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of words.

    Attributes:
        name: of its file, unique in a report; letters, digits and hyphens.
        caption: what it holds.
        columns, rows: of text; the first cell of a row names it.
        data: the numbers behind it, for its CSV; without them the CSV has the words.
        folded: shown when it is opened: a long one that few will read.
    """

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: pd.DataFrame | None = None
    folded: bool = False

    def frame(self) -> pd.DataFrame:
        """What its CSV holds."""
        if self.data is not None:
            return self.data
        return pd.DataFrame(list(self.rows), columns=list(self.columns))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Small tables side by side, each with a note to it, which may be empty."""

    cells: tuple[tuple[Table, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture with what it says.

    Attributes:
        name: of its files, unique in a report; letters, digits and hyphens.
        finding: its title: one sentence, what it shows.
        alt: the same for somebody who does not see it, with the kind of picture.
        drawing: the picture, of `kencore.report.charts.draw.plot`.
        data: the numbers that are drawn.
        note: how to read it.
    """

    name: str
    finding: str
    alt: str
    drawing: Drawing
    data: pd.DataFrame
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A picture to walk through: a script draws it, all that it shows is in the page.

    Attributes:
        text: what it shows and how to move in it.
        html, style, script: of the page, trusted.
        data: JSON that the script reads from the element ``data_id``.
    """

    text: str
    html: str
    style: str
    script: str
    data: str
    data_id: str


Block = Text | Bullets | Code | Cards | Table | Grid | Figure | Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands below it; ``name`` is its anchor."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report.

    Attributes:
        run: the id of the run.
        title: the finding of the run in one sentence.
        subject: what the run is, in one line.
        made: when the run was made and with which version: the report itself has no date, so that
            the same run gives the same report.
    """

    run: str
    title: str
    subject: str
    made: str
    sections: tuple[Section, ...] = field(default=())

    @property
    def figures(self) -> list[Figure]:
        """All pictures in order."""
        return [block for block in self._blocks() if isinstance(block, Figure)]

    @property
    def live(self) -> list[Live]:
        """What scripts draw."""
        return [block for block in self._blocks() if isinstance(block, Live)]

    @property
    def tables(self) -> list[Table]:
        """All tables in order."""
        found: list[Table] = []
        for block in self._blocks():
            if isinstance(block, Grid):
                found += [table for table, _ in block.cells]
            elif isinstance(block, Table):
                found.append(block)
        return found

    def _blocks(self) -> list[Block]:
        return [block for section in self.sections for block in section.blocks]
