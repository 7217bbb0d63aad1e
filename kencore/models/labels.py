"""What the labels of a file mean to a model: numbers of its classes, or their names, by stated rules.

Everything here is told from config.json and the labels alone; docs/data.md says the rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.data.examples import Examples, Label
from kencore.errors import AmbiguousLabelsError, TaskMismatchError

PLACEHOLDER = re.compile(r"LABEL_(\d+)", re.ASCII | re.IGNORECASE)
TRUTH = {"false": 0, "true": 1}
SHOWN = 12  # labels of a file that are told one by one
# N examples, L classes


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a model.

    Args:
        names: of each class; ``None`` where config.json has only a placeholder such as LABEL_1.
        known: every name, as written, and the classes that it stands for (one, if it is clear).
    """

    names: tuple[str | None, ...]
    known: dict[str, frozenset[int]]

    def by_name(self, label: Label) -> int | None:
        """The class of that name: as written, else whatever its case; ``None`` where there is none.

        Raises:
            AmbiguousLabelsError: the name stands for several classes.
        """
        text = str(label)
        found = self.known.get(text)
        if found is None:
            alike = [numbers for name, numbers in self.known.items() if name.casefold() == text.casefold()]
            found = frozenset[int]().union(*alike)
        if len(found) > 1:
            raise AmbiguousLabelsError(
                "Labels",
                got=f"{text!r}, which config.json calls {' and '.join(f'class {n}' for n in sorted(found))}",
                wanted="one class for each name",
                remedy="Write class numbers, or correct id2label and label2id in config.json.",
            )
        return next(iter(found), None)

    def by_number(self, label: Label) -> int | None:
        """The class of that number: 1, 1.0, true and LABEL_1 are number 1; ``None`` where there is none."""
        number = _number(label)
        return number if number is not None and 0 <= number < len(self.names) else None

    def told(self, number: int) -> str:
        """A class by number and name."""
        name = self.names[number]
        return f"class {number}" if name is None else f"class {number} {name!r}"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the labels of examples mean to a model.

    Args:
        numbers: (N,) int64, the class of each example.
        said: the mapping in words, one line.
    """

    numbers: NDArray[np.int64]
    said: str


def classes_of(config: Any) -> Classes:
    """The classes that a transformers config names; label2id may be missing, or know other names.

    Raises:
        TaskMismatchError: id2label numbers its classes otherwise than from 0.
    """
    by_id = {int(number): str(name) for number, name in (config.id2label or {}).items()}
    count = int(config.num_labels or len(by_id))
    if by_id and sorted(by_id) != list(range(count)):
        raise TaskMismatchError(
            "Labels",
            got=f"id2label in config.json with numbers {', '.join(map(str, sorted(by_id)))}",
            wanted=f"0 to {count - 1}, the outputs of the model's head",
            remedy="Correct id2label in config.json.",
        )
    known: dict[str, set[int]] = {}
    real: list[str | None] = [None if _is_placeholder(by_id.get(n), n) else by_id[n] for n in range(count)]
    for name, number in _pairs(config.label2id):
        if 0 <= number < count and not _is_placeholder(name, number):
            known.setdefault(name, set()).add(number)
            real[number] = real[number] or name
    for number, own in by_id.items():
        if not _is_placeholder(own, number):
            known.setdefault(own, set()).add(number)
    return Classes(tuple(real), {name: frozenset(numbers) for name, numbers in known.items()})


def meaning_of(config: Any, examples: Examples) -> Meaning:
    """What the labels of examples mean to the model of a config.

    Raises:
        TaskMismatchError: a label that the model does not know.
        AmbiguousLabelsError: labels that can be read two ways, with both readings.
    """
    classes, subject = classes_of(config), f"Labels of {examples.source or 'the examples'}"
    counts = Counter(examples.labels)
    try:
        named, spoken = _read(counts, classes.by_name), ""
    except AmbiguousLabelsError as error:
        raise AmbiguousLabelsError(subject, got=error.got, wanted=error.wanted, remedy=error.remedy) from None
    numbered = _read(counts, classes.by_number)
    if named and numbered and named != numbered:
        if not _surely_names(examples):
            raise _two_ways(subject, classes, named, numbered)
        spoken = ", as names"
    # a name's class where all labels are names, else their numbers
    chosen = named or numbered or _mixed(classes, counts)
    if chosen is None:
        raise _unknown(subject, classes, examples)
    numbers = np.fromiter((chosen[label] for label in examples.labels), dtype=np.int64, count=len(examples))
    return Meaning(numbers, _said(classes, chosen, counts) + spoken)


def _read(labels: Iterable[Label], way: Callable[[Label], int | None]) -> dict[Label, int] | None:
    """Every label by one reading; ``None`` where one cannot be read so."""
    found: dict[Label, int] = {}
    for label in labels:
        number = way(label)
        if number is None:
            return None
        found[label] = number
    return found


def _mixed(classes: Classes, labels: Iterable[Label]) -> dict[Label, int] | None:
    """Names where they are names and LABEL_n where it is not, but no bare numbers among names."""
    return _read(labels, lambda label: None if isinstance(label, int) else _either(classes, label))


def _either(classes: Classes, label: str) -> int | None:
    found = classes.by_name(label)
    return found if found is not None or not PLACEHOLDER.fullmatch(label) else classes.by_number(label)


def _surely_names(examples: Examples) -> bool:
    """Whether the file says that its labels are text: strings, or in a table more than digits."""
    return examples.strings or any(isinstance(label, str) for label in examples.labels)


def _number(label: Label) -> int | None:
    if isinstance(label, int):
        return int(label)
    placeholder = PLACEHOLDER.fullmatch(label)
    text = placeholder[1] if placeholder else label
    if text.casefold() in TRUTH:
        return TRUTH[text.casefold()]
    whole = re.fullmatch(r"(-?\d+)(\.0*)?", text, re.ASCII)
    return int(whole[1]) if whole and len(whole[1]) < 10 else None


def _is_placeholder(name: str | None, number: int) -> bool:
    """Whether a name is what transformers writes where nobody gave one."""
    return name is None or name == f"LABEL_{number}"


def _pairs(label2id: Any) -> list[tuple[str, int]]:
    try:
        return [(str(name), int(number)) for name, number in (label2id or {}).items()]
    except (AttributeError, TypeError, ValueError):  # what is no mapping to numbers names nothing
        return []


def _said(classes: Classes, chosen: dict[Label, int], counts: Counter[Label]) -> str:
    order = sorted(chosen, key=lambda label: (chosen[label], str(label)))
    parts = [_one(classes, label, chosen[label]) for label in order[:SHOWN]]
    more = [f"{len(order) - SHOWN:,} more"] if len(order) > SHOWN else []
    absent = sum(number not in chosen.values() for number in range(len(classes.names)))
    missing = [f"{absent:,} of {len(classes.names):,} classes without an example"] if absent else []
    return "; ".join([", ".join(parts + more), *missing])


def _one(classes: Classes, label: Label, number: int) -> str:
    name = classes.names[number]
    if name is None:
        return f"label {label} = class {number}"
    if str(label) == name:
        return f"label {name!r} = class {number}"
    return f"label {label} = class {name!r}"


def _two_ways(
    subject: str, classes: Classes, named: dict[Label, int], numbered: dict[Label, int]
) -> AmbiguousLabelsError:
    label = next(label for label in named if named[label] != numbered[label])
    return AmbiguousLabelsError(
        subject,
        got=f"{str(label)!r}, which is the name of {classes.told(named[label])} and the number of "
        f"{classes.told(numbered[label])}",
        wanted="labels that can be read one way",
        remedy="For names write them as strings in a .jsonl or .parquet file; for numbers write LABEL_0, LABEL_1, ...",
    )


def _unknown(subject: str, classes: Classes, examples: Examples) -> TaskMismatchError:
    count = len(classes.names)
    unread = (i for i, label in enumerate(examples.labels) if not _readable(classes, label))
    # each label may be read, but some only as a name and others only as a number
    place = next(unread, None)
    if place is None:
        place = next(i for i, label in enumerate(examples.labels) if classes.by_name(label) is None)
    known = ", ".join(f"{n} ({name or f'LABEL_{n}'})" for n, name in enumerate(classes.names))
    return TaskMismatchError(
        subject,
        got=f"{examples.labels[place]!r} at example {place + 1}",
        wanted=f"a label the model knows: {known}",
        remedy=_advice(classes, examples, count),
    )


def _readable(classes: Classes, label: Label) -> bool:
    return classes.by_number(label) is not None or classes.by_name(label) is not None


def _advice(classes: Classes, examples: Examples, count: int) -> str:
    numbers = {_number(label) for label in examples.labels}
    whole = {n for n in numbers if n is not None}
    if numbers == {-1}:
        return "-1 stands for labels that are held back: take the validation set."
    if None not in numbers and min(whole) == 1 and max(whole) == count:
        return f"The model's class numbers start at 0: write 0 to {count - 1}, or names."
    if None in numbers and not any(classes.names):
        return "config.json names no classes: write their names into its id2label, or write class numbers."
    return "Choose data made for this model, or correct the labels."
