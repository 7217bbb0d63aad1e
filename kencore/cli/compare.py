"""The command ``compare``: which weights two or more runs keep, and what that costs."""

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
    """Say which weights all, some or none of the runs keep, and how their quality differs.

    Runs that ship without their masks are compared by quality alone.
    """
    from kencore.runs.cells import thin_error
    from kencore.runs.run import open_run
    from kencore.views.compare.masks import check_runs
    from kencore.views.compare.masks import compare as compare_runs

    with command(as_json) as (report, show):
        opened = [open_run(run) for run in runs]
        check_runs(opened)
        thin = [run for run in opened if run.thin]
        if csv is not None and thin:
            raise thin_error(thin[0], "Which weights runs share")
        found = None if thin else compare_runs(opened, progress=report)
        if csv is not None:
            write(csv, _table(found).to_csv(index=False))
        show(facts(opened, found), text)


def facts(runs: list[Any], found: Any) -> dict[str, Any]:
    """A comparison as plain values; without ``found``, of quality, sizes and settings alone."""
    from kencore.views.compare import quality as compare_quality
    from kencore.words import compare as words

    pairs, names = [], words.labels(runs)
    for a, b in combinations(range(len(runs)), 2):
        change = compare_quality.difference(runs[a].metrics, runs[b].metrics)
        said = words.quality(change, (names[a], names[b]))
        pairs.append(
            {
                "a": runs[a].id,
                "b": runs[b].id,
                **({} if found is None else _overlap(found, a, b)),
                "quality": {"not_comparable": change, "said": said}
                if isinstance(change, str)
                else asdict(change) | {"change": change.change, "said": said},
            }
        )
    return {
        "runs": [{"run": run.id, "method": run.spec.method, **compare_quality.sizes(run)} for run in runs],
        "best": words.best(runs),
        **({"without_masks": [run.id for run in runs if run.thin]} if found is None else _together(found)),
        "pairs": pairs,
        "settings": compare_quality.settings(runs),
    }


def _overlap(found: Any, a: int, b: int) -> dict[str, Any]:
    """Which weights two of the runs keep."""
    from kencore.views.compare.masks import grouped

    whole, roles = found.overall(a, b), grouped(found.pair(a, b), ["role"])
    return asdict(whole) | {
        "params": whole.params,
        "jaccard": _number(whole.jaccard),
        "chance": _number(whole.chance),
        "jaccard_by_role": {role: _number(value) for role, value in zip(roles["role"], roles["jaccard"], strict=True)},
    }


def _together(found: Any) -> dict[str, Any]:
    """Which weights all of the runs keep, and what was left out."""
    sums = found.matrices[["params", "kept_by_all", "kept_by_none"]].sum()
    return {
        "matrices": len(found.matrices),
        **{name: int(value) for name, value in sums.items()},
        "left_out": found.left_out.to_dict("records"),
        "notes": list(found.notes),
    }


def text(facts: dict[str, Any]) -> str:
    """The same for people."""
    lines = [] if "matrices" not in facts else [_whole(facts)]
    if thin := facts.get("without_masks"):
        lines.append(
            f"Quality alone: {', '.join(thin)} shipped without masks, so which weights runs share is not known."
        )
    if facts["best"]:
        lines.append(facts["best"])
    for pair in facts["pairs"]:
        between = f"{pair['a']} and {pair['b']}"
        lines.append(f"{between}: {_kept(pair)}" if "jaccard" in pair else f"{between}:")
        lines.append(f"  {pair['quality']['said']}")
    lines += [
        f"{name}: {', '.join('-' if value is None else str(value) for value in values)}"
        for name, values in facts["settings"].items()
    ]
    lines += [f"Left out: {line['name']} ({line['why']})" for line in facts.get("left_out", [])]
    return "\n".join(lines + [f"Note: {note}" for note in facts.get("notes", [])])


def _whole(facts: dict[str, Any]) -> str:
    return (
        f"{facts['matrices']} matrices, {facts['params']:,} weights. Kept by all: "
        f"{facts['kept_by_all']:,} ({_share(facts['kept_by_all'], facts['params'])}), by none: "
        f"{facts['kept_by_none']:,} ({_share(facts['kept_by_none'], facts['params'])})."
    )


def _kept(pair: dict[str, Any]) -> str:
    return (
        f"overlap (Jaccard) {_percent(pair['jaccard'])}, by chance {_percent(pair['chance'])}; both keep "
        f"{pair['both']:,}, only {pair['a']} {pair['only_a']:,}, only {pair['b']} {pair['only_b']:,}, neither "
        f"{pair['neither']:,}."
    )


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
