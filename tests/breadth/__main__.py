"""Check every decoder, classifier and encoder class of transformers, and write the page that says what came of it.

    python -m tests.breadth [--results FILE] [--only llama classifier:bert ...] [--again WRONG CRASH refused]
                            [--cost] [--page docs/breadth.md]

Takes about a quarter of an hour on one idle core. What ``--results`` holds already is not done again, but
for cases with an outcome that ``--again`` names.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tests.breadth.page import write_page
from tests.breadth.sweep import cases, read, sweep


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.breadth", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("breadth.jsonl"))
    parser.add_argument("--only", nargs="+", metavar="TYPE", help="model types, or kind:type")
    parser.add_argument(
        "--again", nargs="+", default=[], metavar="OUTCOME", help="WRONG, CRASH, refused, works, unbuilt"
    )
    parser.add_argument("--cost", action="store_true", help="measure cost, too: takes twice as long")
    parser.add_argument("--page", type=Path, help="write the page here")
    return parser.parse_args()


def _outcomes(line: dict[str, Any]) -> set[str]:
    return {found["outcome"] for found in line.get("checks", {}).values()} or {"unbuilt"}


def _said(line: dict[str, Any]) -> str:
    if line["built"]:
        return f"not built: {line['built']}"
    parts = []
    for name, found in line["checks"].items():
        parts.append(f"{name} {found['outcome']}" + (f" ({found['said']})" if "said" in found else ""))
    return "; ".join(parts)


def main() -> None:
    """Run what is asked on the command line."""
    asked = _arguments()
    known = read(asked.results)
    todo = [case for case in cases(asked.only) if case not in known or _outcomes(known[case]) & set(asked.again)]
    for number, line in enumerate(sweep(asked.results, todo, cost=asked.cost), start=1):
        print(f"{number}/{len(todo)} {line['kind']} {line['type']} {line['seconds']} s: {_said(line)}", flush=True)
    if asked.page:
        write_page(asked.page, read(asked.results))


if __name__ == "__main__":
    main()
