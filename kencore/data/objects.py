"""Tables of JSON: an object a line, or one value that holds them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.data.files import TEXT_COLUMNS
from kencore.data.tables import Table
from kencore.system.plain_json import parse_json

if TYPE_CHECKING:
    from kencore.data.files import DataFile

Objects = list[Any]
ADVICE = "give one object a line"


def read_objects(file: DataFile) -> Table:
    """The table of a ``.jsonl`` or ``.json`` file; what lies inside a field becomes columns too.

    Taken is an object a line, and one value for all: a list of objects, an object with one such
    list in it, or an object of columns (lists, or as pandas' ``to_json`` writes them). Blank lines
    are no rows.

    Raises:
        DataFileError: no JSON, or no objects; the message has the row.
    """
    whole = _whole(file)
    if whole is None:
        rows, found, notes = *_lines(file), list(file.notes)
    else:
        found, said = _records(whole)
        rows, notes = list(range(1, len(found) + 1)), [*file.notes, *said]
    for row, one in zip(rows, found, strict=True):
        if not isinstance(one, dict):
            raise file.wrong(file.path, f"no JSON object at row {row}", ADVICE)
    try:
        flat = [_flat(one) for one in found]
    except RecursionError:
        raise file.wrong(file.path, "objects that lie too deep inside each other", ADVICE) from None
    names = tuple(dict.fromkeys(name for one in flat for name in one))
    return Table(
        names=names,
        rows=np.array(rows, np.int64),
        take=lambda n: [one.get(names[n]) for one in flat],
        notes=tuple(notes),
    )


def _lines(file: DataFile) -> tuple[list[int], Objects]:
    """Objects of a file that has one a line, and their rows."""
    rows, found = [], []
    for row, line in enumerate(file.text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(parse_json(line, halves=True))
        except ValueError:
            raise file.wrong(file.path, f"no JSON at row {row}", ADVICE) from None
        rows.append(row)
    return rows, found


def _whole(file: DataFile) -> Any:
    """The one value of a file that holds just one; else ``None``."""
    text = file.text.strip()
    if not text:
        return None
    try:
        return parse_json(text, halves=True)
    except ValueError as error:
        # a .json file is often one object a line; where its first line is none, say what is wrong
        if file.ending == ".json" and not _is_json(text.split("\n", 1)[0]):
            row = getattr(error, "lineno", 1)
            raise file.wrong(
                file.path, f"no JSON at row {row}, letter {getattr(error, 'colno', 1)}", "write the file again"
            ) from None
        return None


def _is_json(line: str) -> bool:
    try:
        parse_json(line, halves=True)
    except ValueError:
        return False
    return True


def _records(whole: Any) -> tuple[Objects, list[str]]:
    """The objects of one value, and what to say of where they were."""
    if isinstance(whole, list):
        return whole, []
    if not isinstance(whole, dict) or any(isinstance(whole.get(name), str) for name in TEXT_COLUMNS):
        return [whole], []
    if isinstance(whole.get("columns"), list) and isinstance(whole.get("data"), list):  # pandas' split
        return [dict(zip(map(str, whole["columns"]), row, strict=False)) for row in whole["data"]], []
    lists = [name for name, value in whole.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    if len(lists) == 1:
        return whole[lists[0]], [f"Its rows are those of the field {lists[0]}."]
    return _turned(whole) or [whole], []


def _turned(whole: dict[str, Any]) -> Objects | None:
    """The rows of an object of columns, or of rows by name; ``None`` where it is neither."""
    inner = list(whole.values())
    if not inner or not all(isinstance(one, type(inner[0])) and one for one in inner):
        return None
    if isinstance(inner[0], dict):
        if len({tuple(one) for one in inner}) > 1:
            return None
        if not set(TEXT_COLUMNS).isdisjoint(inner[0]):
            return inner
        inner = [list(one.values()) for one in inner]
    if not isinstance(inner[0], list) or len({len(one) for one in inner}) > 1:
        return None
    return [dict(zip(whole, row, strict=True)) for row in zip(*inner, strict=True)]


def _flat(record: dict[str, Any], before: str = "") -> dict[str, Any]:
    """A field inside another under both names."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) and value else {f"{before}{name}": value}
    return found
