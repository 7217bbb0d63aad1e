"""docs/breadth.md from the lines of a sweep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import transformers

from tests.breadth.models import KINDS as KINDS_OF
from tests.breadth.sweep import cases

Line = dict[str, Any]
Lines = dict[tuple[str, str], Line]

FAULTS = ("WRONG", "CRASH")
KINDS = {"decoder": "Decoders", "classifier": "Classifiers", "encoder": "Encoders"}
HEAD = """# Every class of transformers, built small

Every decoder (`AutoModelForCausalLM`), classifier (`AutoModelForSequenceClassification`) and encoder
(`AutoModelForMaskedLM`) that transformers {version} knows is built small from its config, tuned by a random step, and
saved. It is then pruned to one half with `magnitude` (no base: entries become zero), with `ken` (against the base) and,
where it continues text, with `wanda`; measured; exported; and compared with transformers alone and a plain torch loop,
which share no code with KEN_viz:

- quality of the dense and the pruned model is that of the plain loop over the saved and over the exported folder;
- every entry of the exported tensors is the tuned one, the base's or zero, and as many were reset as the run says;
- the exported folder has the same tensors and loads with nothing missing or unexpected;
- answers of a classifier in batches are its answers one sentence at a time, without padding;
- the norms of inputs that Wanda takes are those of hooks in the whole model, dense and pruned.

**Works**: all of it holds. **Refused**: the method says why it will not, before anything is written. **Wrong**: a
number or a file differed, without a word. **Crash**: an error that is not one of KEN_viz's.

This page is written by `python -m tests.breadth --page docs/breadth.md`, which takes about a quarter of an hour on one
idle core.
"""


def write_page(path: Path, lines: Lines) -> None:
    """Write the page."""
    rows = sorted(lines.values(), key=lambda line: (list(KINDS).index(line["kind"]), line["type"]))
    parts = [HEAD.format(version=transformers.__version__), *_counts(rows), *_faults(rows)]
    parts += [*_refused(rows), *_works(rows), *_unbuilt(rows), *_left(lines)]
    path.write_text("\n".join(parts).rstrip() + "\n", "utf-8")


def _counts(rows: list[Line]) -> Iterator[str]:
    yield "| | check | works | refused | wrong | crash |\n|---|---|---|---|---|---|"
    for kind, title in KINDS.items():
        built = [line for line in rows if line["kind"] == kind and not line["built"]]
        unbuilt = sum(line["kind"] == kind and bool(line["built"]) for line in rows)
        label = f"{title}: {len(built)} built, {unbuilt} not"
        for check in dict.fromkeys(name for line in built for name in line["checks"]):
            found = [line["checks"][check]["outcome"] for line in built if check in line["checks"]]
            numbers = " | ".join(str(found.count(outcome)) for outcome in ("works", "refused", *FAULTS))
            yield f"| {label} | {check} | {numbers} |"
            label = ""
    yield ""


def _faults(rows: list[Line]) -> Iterator[str]:
    wrong = list(_outcomes(rows, FAULTS))
    if wrong:
        yield "## Known faults\n\n| class | check | what |\n|---|---|---|"
        yield from (f"| {_name(line)} | {check} | {_cell(found['said'])} |" for line, check, found in wrong)
        yield ""


def _refused(rows: list[Line]) -> Iterator[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for line, check, found in _outcomes(rows, ("refused",)):
        reasons.setdefault((_name(line), found["said"]), []).append(check)
    if reasons:
        yield "## Refused, and why\n\n| class | check | reason |\n|---|---|---|"
        yield from (f"| {name} | {', '.join(checks)} | {_cell(said)} |" for (name, said), checks in reasons.items())
        yield ""


def _works(rows: list[Line]) -> Iterator[str]:
    yield "## Works\n\nShare of all parameters that each method chose among, in percent.\n"
    for kind, title in KINDS.items():
        good = [line for line in rows if line["kind"] == kind and not line["built"]]
        good = [line for line in good if any(found["outcome"] == "works" for found in line["checks"].values())]
        checks = list(dict.fromkeys(name for line in good for name in line["checks"]))
        yield f"### {title}\n\n| class | {' | '.join(checks)} |\n|---|{'---|' * len(checks)}"
        for line in good:
            cells = (_share(line["checks"].get(check)) for check in checks)
            yield f"| {_name(line)} | {' | '.join(cells)} |"
        yield ""


def _share(found: dict[str, Any] | None) -> str:
    if found is None or found["outcome"] != "works":
        return "" if found is None else found["outcome"].lower()
    return f"{100 * found['share']:.0f}" if "share" in found else "works"


def _unbuilt(rows: list[Line]) -> Iterator[str]:
    left = [line for line in rows if line["built"]]
    if left:
        yield "## Not tried\n\nNot built small here, or not run by token ids alone.\n\n| class | why |\n|---|---|"
        yield from (f"| {_name(line)} | {_cell(line['built'])} |" for line in left)
        yield ""


def _left(lines: Lines) -> Iterator[str]:
    left = [case for case in cases() if case not in lines]
    if left:
        names = (f"`{KINDS_OF[kind].classes[name]}`" for kind, name in left)
        yield f"## Still to be tried\n\n{len(left)} of {len(cases())}: {', '.join(names)}."


def _outcomes(rows: Iterable[Line], wanted: tuple[str, ...]) -> Iterator[tuple[Line, str, dict[str, Any]]]:
    for line in rows:
        for check, found in line.get("checks", {}).items():
            if found["outcome"] in wanted:
                yield line, check, found


def _name(line: Line) -> str:
    return f"`{line['class']}` ({line['type']})"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
