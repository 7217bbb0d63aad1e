"""Titles of the story and of the maps of both demo runs, each against what the run's own data say."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kencore.runs.run import Run, open_run
from kencore.views import tables
from kencore.views.example import Example, example
from kencore.views.guide import guide
from kencore.words import numbers as wording
from kencore.words.findings import map_finding, on_map
from kencore.words.story import steps
from kencore.words.verdict import standings, verdict
from kencore.words.zoom import Step, _compared


def plain(text: str) -> str:
    return text.replace("\xa0", " ")


def told(run: Run) -> tuple[dict[str, Step], Example]:
    found = example(run)
    assert found is not None
    return {step.key: step for step in steps(run, guide(run.matrices), found)}, found


def lost(run: Run, names: list[str]) -> float:
    """The share of the squared change that is gone, from the weights themselves."""
    gone = whole = 0.0
    for name in names:
        tuned, base = (run.values(name, layer).astype(np.float64) for layer in ("tuned", "base"))
        gone += float(((tuned - run.values(name, "pruned")) ** 2).sum())
        whole += float(((tuned - base) ** 2).sum())
    return gone / whole


def whole_percent(share: float) -> str:
    return f"{round(100 * share)} %"


@pytest.mark.parametrize("run_id", ["demo", "demo-lm"])
def test_titles_of_the_zoom_are_what_the_weights_say(run_id: str) -> None:
    run = open_run(run_id)
    found, one = told(run)
    table = run.matrices
    pruned = table[(table["status"] == "pruned") & (table["rows"] > 1)]
    titles = {key: plain(step.title) for key, step in found.items()}
    everywhere = lost(run, list(pruned["name"]))
    gone = (
        1
        - table.loc[table["status"] == "pruned", "kept"].sum() / table.loc[table["status"] == "pruned", "params"].sum()
    )
    assert whole_percent(gone) in titles["model"]
    assert whole_percent(everywhere) in titles["model"]
    blocks = {int(block): lost(run, list(group["name"])) for block, group in pruned.groupby("block")}
    first, last = min(blocks.values()), max(blocks.values())
    at = int(run.matrix(one.matrix)["block"])
    if "lost most" in titles["block"]:
        assert blocks[at] == last
        assert titles["block"].startswith(f"Block {at} lost most: {whole_percent(last)}")
        assert last - first > 0.02
    else:
        assert f"{whole_percent(first)} to {whole_percent(last)}" in titles["block"]
        assert last - first < 0.04
    inside = {name: lost(run, [name]) for name in pruned.loc[pruned["block"] == at, "name"]}
    if "lost most" in titles["matrix"]:
        assert inside[one.matrix] == max(inside.values())
        assert whole_percent(inside[one.matrix]) in titles["matrix"]
    else:
        assert max(inside.values()) - min(inside.values()) < 0.04
    numbers = re.match(r"Row ([\d,]+) keeps ([\d,]+) of its ([\d,]+) weights", titles["row"])
    assert numbers
    row, kept, cols = (int(text.replace(",", "")) for text in numbers.groups())
    keep = run.keep(one.matrix, slice(row, row + 1))[0]
    assert (kept, cols) == (keep.sum(), len(keep))
    distance = np.abs(one.tuned.astype(np.float64) - np.median(one.tuned.astype(np.float64)))
    tenth = np.array_split(np.argsort(distance, kind="stable"), 10)
    assert f"{whole_percent(keep[tenth[-1]].mean())} of its most extreme tenth" in titles["row"]
    assert f"{whole_percent(keep[tenth[0]].mean())} of its most ordinary" in titles["row"]


def test_weights_of_the_demos_are_told_as_they_were_chosen() -> None:
    run = open_run("demo")
    found, one = told(run)
    value = one.tuned[found["kept"].col]
    assert "a grid point took it" in found["kept"].title
    assert f"took {value:#.3g}" in found["kept"].words[0]
    assert keep_of(run, found["gone"]) is False
    assert one.now[found["gone"].col] == one.base[found["gone"].col]
    run = open_run("demo-lm")
    found, one = told(run)
    norms = run.activation_norms(one.matrix)
    assert norms is not None
    score = np.abs(one.tuned) * norms[1]
    cut = np.sort(score)[-int(one.keep.sum())]
    for key, side in (("kept", True), ("gone", False)):
        mine = score[found[key].col]
        assert keep_of(run, found[key]) is side
        assert ("above" if mine > cut else "below") in found[key].title
        assert f"{mine:#.3g}" in found[key].words[0]
        assert f"{cut:#.3g}" in found[key].words[0]


def keep_of(run: Run, step: Step) -> bool:
    assert step.matrix is not None
    assert step.row is not None
    return bool(run.keep(step.matrix, slice(step.row, step.row + 1))[0][step.col])


@pytest.mark.parametrize("run_id", ["demo", "demo-lm"])
def test_what_it_cost_and_the_end_are_the_verdict(run_id: str) -> None:
    run = open_run(run_id)
    found, _ = told(run)
    judged = verdict(run.metrics, run.spec.method)
    assert judged is not None
    assert found["cost"].title.lower() + "." == judged.change.lower()
    assert judged.text in found["next"].words
    better = [rule for rule, mark in standings(run.metrics).items() if mark == "better"]
    assert ("does better" in found["baseline"].title) == bool(better)
    sizes = [wording.size(sum(run.matrices[name])) for name in ("bytes_stored", "bytes_dense")]
    assert all(size in found["stored"].title for size in sizes)


@pytest.mark.parametrize("run_id", ["demo", "demo-lm"])
@pytest.mark.parametrize("measure", ["diff_lost", "share", "diff_rms"])
def test_titles_of_the_map_name_true_ends(run_id: str, measure: str) -> None:
    run = open_run(run_id)
    cells, _, _ = on_map(tables.model_cells(run.matrices))
    title = plain(map_finding(cells, measure, wording.TERMS[run.restore]))
    main = cells[(cells["pruned"] > 0) & ~cells["role"].isin(["norm", "bias"])]
    words = [
        f"{wording.ROLE_NOUNS[line.role]} {'outside blocks' if pd.isna(line.block) else f'of block {line.block:.0f}'}"
        for line in main.itertuples()
    ]
    values: dict[str, Any] = dict(zip(words, main[measure], strict=True))
    named = [word for word in words if word in title]
    for word in named:
        assert values[word] in (main[measure].min(), main[measure].max())
    for block in re.findall(r"all of block (\d+)", title):
        inside = main.loc[main["block"] == float(block), measure]
        assert inside.max() - inside.min() < 0.005
    if "as much" in title:
        assert (main[measure] - main[measure].mean()).abs().max() < 0.02
        assert not named


@pytest.mark.parametrize(
    ("shares", "own", "wanted"),
    [
        ((0.5, 0.5, 0.5), 1, "Every block lost about the same: 50 % of it"),
        ((0.49, 0.5, 0.505), 1, "Every block lost about the same: 49 % to 50 % of it"),
        ((0.1, 0.3, 0.2), 1, "Block 1 lost most: 30 % of it, block 0 least (10 %)"),
        ((0.1, 0.3, 0.2), 2, "Block 2 lost 20 % of it; block 1 most, 30 %"),
        ((0.1, 0.3, 0.3), 1, "Block 1 and block 2 lost most: 30 % of it, block 0 least (10 %)"),
        ((0.3, 0.1, 0.3, 0.3), 3, "3 blocks lost most: 30 % of it, block 1 least (10 %)"),
        ((0.3,), 0, "Block 0 lost 30 % of it"),
    ],
)
def test_how_a_block_stands_among_others(shares: tuple[float, ...], own: int, wanted: str) -> None:
    names = [f"block {i}" for i in range(len(shares))]
    assert plain(_compared(pd.DataFrame({"lost": shares}), names, names[own], "block", "it")) == wanted
