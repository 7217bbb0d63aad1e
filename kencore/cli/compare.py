"""The command ``compare``: which entries two or more runs keep, and what that costs."""

from __future__ import annotations

from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any

import typer

from kencore.cli.frame import Json, command


def compare(
    runs: Annotated[list[str], typer.Argument(help="Two or more runs: ids or folders.")],
    csv: Annotated[Path | None, typer.Option(help="Also write one line per matrix and pair of runs.")] = None,
    as_json: Json = False,
) -> None:
    """Say which entries all, some or none of the runs keep, and how their quality differs."""
    from kencore.runs.run import open_run
    from kencore.views.compare.masks import compare as compare_runs

    with command(as_json) as (report, show):
        opened = [open_run(run) for run in runs]
        found = compare_runs(opened, progress=report)
        if csv is not None:
            write(csv, _table(found).to_csv(index=False))
        show(facts(opened, found), text)


def facts(runs: list[Any], found: Any) -> dict[str, Any]:
    """A comparison as plain values."""
    from kencore.views.compare import quality as compare_quality
    from kencore.views.compare.masks import grouped

    pairs = []
    for a, b in combinations(range(len(runs)), 2):
        whole = found.overall(a, b)
        change = compare_quality.difference(runs[a].metrics, runs[b].metrics)
        roles = grouped(found.pair(a, b), ["role"])
        pairs.append(
            {
                "a": runs[a].id,
                "b": runs[b].id,
                **asdict(whole),
                "params": whole.params,
                "jaccard": _number(whole.jaccard),
                "chance": _number(whole.chance),
                "jaccard_by_role": {
                    role: _number(value) for role, value in zip(roles["role"], roles["jaccard"], strict=True)
                },
                "quality": {"not_comparable": change}
                if isinstance(change, str)
                else asdict(change) | {"change": change.change},
            }
        )
    sums = found.matrices[["params", "kept_by_all", "kept_by_none"]].sum()
    return {
        "runs": [{"run": run.id, "method": run.spec.method, **compare_quality.sizes(run)} for run in runs],
        "matrices": len(found.matrices),
        **{name: int(value) for name, value in sums.items()},
        "pairs": pairs,
        "settings": compare_quality.settings(runs),
        "left_out": found.left_out.to_dict("records"),
        "notes": list(found.notes),
    }


def text(facts: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        f"{facts['matrices']} matrices, {facts['params']:,} weights. Kept by all: "
        f"{facts['kept_by_all']:,} ({_share(facts['kept_by_all'], facts['params'])}), by none: "
        f"{facts['kept_by_none']:,} ({_share(facts['kept_by_none'], facts['params'])})."
    ]
    for pair in facts["pairs"]:
        lines.append(
            f"{pair['a']} and {pair['b']}: overlap (Jaccard) {_percent(pair['jaccard'])}, by "
            f"chance {_percent(pair['chance'])}; both keep {pair['both']:,}, only {pair['a']} "
            f"{pair['only_a']:,}, only {pair['b']} {pair['only_b']:,}, neither "
            f"{pair['neither']:,}."
        )
        lines.append(f"  quality: {_quality(pair['quality'], pair['b'])}")
    lines += [
        f"{name}: {', '.join('-' if value is None else str(value) for value in values)}"
        for name, values in facts["settings"].items()
    ]
    lines += [f"Left out: {line['name']} ({line['why']})" for line in facts["left_out"]]
    return "\n".join(lines + [f"Note: {note}" for note in facts["notes"]])


def _quality(found: dict[str, Any], second: str) -> str:
    if "not_comparable" in found:
        return f"not comparable, {found['not_comparable']}"
    name = "nats per token (less is better)" if found["measure"] == "nll" else found["measure"]
    said = f"{second} has {found['change']:+.4f} {name}"
    if found["low"] is not None:
        said += f", 95 % interval {found['low']:+.4f} to {found['high']:+.4f}"
    if found["p"] is not None:
        said += f", lost {found['lost']} and won {found['won']} examples, p = {found['p']:.3g}"
    return said + ("" if found["paired"] else " (not in pairs: outcomes are not stored for both)")


def _table(found: Any) -> Any:
    """One line per matrix and pair of runs, by their ids."""
    import pandas as pd

    pairs = combinations(range(len(found.runs)), 2)
    tables = []
    for a, b in pairs:
        table = found.pair(a, b)
        table.insert(0, "b", found.runs[b])
        table.insert(0, "a", found.runs[a])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def write(path: Path, content: str) -> None:
    """Write a file whole or not at all.

    Raises:
        StoreNotWritableError: the place cannot be written.
    """
    from kencore.system.whole import whole_file

    with whole_file(path, force=True) as temporary:
        temporary.write_text(content, "utf-8")


def _number(value: float) -> float | None:
    return None if value != value else value  # JSON has no NaN


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:.2%}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
