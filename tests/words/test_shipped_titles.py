"""Titles of every run that ships, against numbers made from the run's own files by brute force."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from kencore import open_run
from kencore.notebook.shown import ShownRun
from kencore.views import damage, sparsity, tables
from kencore.words import numbers as wording
from kencore.words import run as facts
from kencore.words.findings import depth_finding, known_measures, map_finding, names, on_map, roles_finding
from kencore.words.quality import perplexity_finding, perplexity_table, quality_finding, quality_table

GALLERY = Path(__file__).resolve().parents[2] / "assets" / "gallery" / "runs"
SHIPPED = ["demo", "demo-lm", *sorted(folder.name for folder in GALLERY.iterdir())]
VECTORS = ("norm", "bias")
NUMBER = r"([\d.]+) %"
ENDS = re.compile(rf"{NUMBER} to {NUMBER} (?P<what>[^:]*): least in (?P<least>.*), most in (?P<most>.*)")


@pytest.fixture(params=SHIPPED)
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ShownRun:
    monkeypatch.delenv("KENVIZ_GALLERY")
    return open_run(request.param)


def plain(text: str) -> str:
    return text.replace("\xa0", " ")


def matrices(run: ShownRun) -> pd.DataFrame:
    """One line per matrix: kept entries, squares lost and in all."""
    return _matrices(run.path)


@cache
def _matrices(folder: Path) -> pd.DataFrame:
    run, table = open_run(folder), pd.read_parquet(folder / "matrices.parquet")
    table["place"] = [
        "outside blocks" if pd.isna(block) else f"block {int(block)}" for block in table["block"].astype("float64")
    ]
    pruned = table["status"] == "pruned"
    table["kept"] = table["kept"].where(pruned, table["params"])
    table["whole"] = table["diff_rms"].astype("float64") ** 2 * table["params"]
    table["lost"] = table["diff_lost"].astype("float64") * table["whole"] if run.thin else np.nan
    stored = None if not run.thin else pd.read_parquet(run.path / "cells.parquet").set_index("name")
    for at, line in table[pruned].iterrows():
        if stored is not None:
            table.loc[at, "kept"] = int(np.sum(stored.loc[line["name"], "counts"]))
            continue
        name = str(line["name"])
        dense, now, base = (run.values(name, which).astype(np.float64) for which in ("tuned", "pruned", "base"))
        table.loc[at, ["kept", "whole", "lost"]] = (
            int(run.keep(name).sum()),
            np.square(dense - base).sum(),
            np.square(dense - now).sum(),
        )
    return table


def cells(table: pd.DataFrame, measure: str) -> dict[tuple[str, str], float]:
    """The measure of each block and role of which something was pruned."""
    found = {}
    for (place, role), part in table.groupby(["place", "role"]):
        own = part[part["status"] == "pruned"]
        if own.empty:
            continue
        if measure == "share":
            value = part["kept"].sum() / part["params"].sum()
        elif measure == "diff_lost":
            value = own["lost"].sum() / own["whole"].sum()
        else:
            value = np.sqrt(own["whole"].sum() / own["params"].sum())
        found[str(place), str(role)] = float(value)
    return found


def called(place: str, role: str) -> str:
    return f"{wording.ROLE_NOUNS.get(role, role)} {place if place == 'outside blocks' else f'of {place}'}"


def is_at(said: str, end: str, values: dict[tuple[str, str], float], show: Callable[[float], str]) -> bool:
    """Whether the places that a title names are exactly those whose value is shown as that end."""
    there = {cell for cell, value in values.items() if show(value) == end}
    if whole := re.fullmatch(r"all of (.*)", said):
        return there == {cell for cell in values if cell[0] == whole[1]}
    if many := re.fullmatch(r"(\d+) cells", said):
        return len(there) == int(many[1])
    return sorted(said.split(" and ")) == sorted(called(*cell) for cell in there)


def shown(text: str) -> Callable[[float], str]:
    """Shares as that number is written."""
    digits = len(text.partition(".")[2])
    return lambda value: f"{100 * value:.{digits}f}"


def test_maps_of_blocks_and_roles(run: ShownRun) -> None:
    table, terms = matrices(run), wording.TERMS[run.restore]
    drawn, _, _ = on_map(tables.model_cells(run.matrices))
    assert {"share", "diff_lost", "diff_rms"} <= known_measures(drawn, terms).keys()
    for measure in ("share", "diff_lost"):
        title, every = plain(map_finding(drawn, measure, terms)), cells(table, measure)
        main = {cell: value for cell, value in every.items() if cell[1] not in VECTORS}
        low, high = min(main.values()), max(main.values())
        far = [value for value in every.values() if value < low - 0.005 or value > high + 0.005]
        assert title.count(", norms and biases aside") == bool(far)
        title = title.replace(", norms and biases aside", "")
        if one := re.fullmatch(rf"{NUMBER} .* in every pruned block and role", title):
            assert high - low < 0.005
            assert abs(float(one[1]) / 100 - low) < 0.01
        elif about := re.fullmatch(rf"About as much .*: {NUMBER} to {NUMBER}", title):
            assert [shown(about[1])(low), shown(about[2])(high)] == [about[1], about[2]]
            mean = sum(main.values()) / len(main)
            assert max(high - mean, mean - low) < damage.APART
        else:
            found = ENDS.fullmatch(title)
            assert found is not None, title
            assert [shown(found[1])(low), shown(found[2])(high)] == [found[1], found[2]]
            assert is_at(found["least"], found[1], main, shown(found[1])), title
            assert is_at(found["most"], found[2], main, shown(found[2])), title
            assert (" lost" in found["what"]) == (measure == "diff_lost" and high <= 1)


def test_sizes_of_weights_and_changes(run: ShownRun) -> None:
    drawn, _, _ = on_map(tables.model_cells(run.matrices))
    title = plain(map_finding(drawn, "diff_rms", wording.TERMS[run.restore]))
    every = cells(matrices(run), "diff_rms")
    main = {cell: value for cell, value in every.items() if cell[1] not in VECTORS}
    found = re.fullmatch(
        r"(?:Fine-tuning moved|Weights are largest in) (.*) \(([\d.]+)\)(?: most and|, smallest in) (.*) "
        r"\(([\d.]+)\)(?: least)?(, norms and biases aside)?",
        title,
    )
    assert found is not None, title
    show = "{:.2g}".format
    assert [show(max(main.values())), show(min(main.values()))] == [found[2], found[4]]
    assert is_at(found[1], found[2], main, show), title
    assert is_at(found[3], found[4], main, show), title
    ends = [[show(pick(values.values())) for pick in (min, max)] for values in (main, every)]
    assert bool(found[5]) == (ends[0] != ends[1]), title


def test_sparsity_by_block_and_role(run: ShownRun) -> None:
    table = matrices(run)
    inside = table[table["block"].notna() & (table["status"] == "pruned")]
    sums = inside.groupby(inside["block"].astype(int))[["kept", "params"]].sum()
    gone = {(f"block {block}", ""): float(share) for block, share in (1 - sums["kept"] / sums["params"]).items()}
    low, high, fine = min(gone.values()), max(gone.values()), 1 / inside["cols"].min()
    blocks = sparsity.by_block(run.matrices)
    title = plain(depth_finding(blocks, names(blocks)))
    if one := re.fullmatch(rf"Every block has a sparsity of {NUMBER}", title):
        assert high - low <= max(0.002, fine) + 1e-9
        assert abs(float(one[1]) / 100 - np.mean(list(gone.values()))) < 0.001
    else:
        found = re.fullmatch(rf"Sparsity ranges from {NUMBER} in (.*) to {NUMBER} in (.*)", title)
        assert found is not None, title
        assert [shown(found[1])(low), shown(found[3])(high)] == [found[1], found[3]]
        for said, end in ((found[2], found[1]), (found[4], found[3])):
            there = [place for (place, _), value in gone.items() if shown(end)(value) == end]
            assert said in (" and ".join(there), f"{len(there)} blocks")
    several = inside[inside["rows"] > 1]
    by_role = several.groupby([several["block"].astype(int), "role"])[["kept", "params"]].sum()
    shares = (1 - by_role["kept"] / by_role["params"]).groupby("block").agg(["min", "max"])
    same = (shares["max"] - shares["min"] <= max(0.002, 1 / several["cols"].min()) + 1e-9).all()
    said = plain(roles_finding(sparsity.by_block_and_role(run.matrices)))
    assert (said == "All roles of a block have the same sparsity") == same


def test_quality_and_verdict(run: ShownRun) -> None:
    found = run.metrics
    own, others = found["pruned"], found.get("baselines") or {}
    language = found.get("task") == "language"
    make = (perplexity_finding, perplexity_table) if language else (quality_finding, quality_table)
    title = plain(make[0](make[1](found, run.spec.method), found, run.spec.method))
    chance = _could_be_chance(own["versus_dense"])
    ends = re.match(r"\S+ (\S+)(?: %)? to ([^\s;,]+)", title)
    assert ends is not None
    if "untuned" not in found and ends[1] != ends[2]:
        assert (", which could be chance" in title) == chance
    ranks = {rule: one["perplexity"] if language else -one["accuracy"] for rule, one in others.items()}
    better, tied, worse = set(), set(), set()
    for rule, one in others.items():
        if _could_be_chance(one["versus_pruned"]):
            tied.add(rule)
        elif ranks[rule] < (own["perplexity"] if language else -own["accuracy"]):
            better.add(rule)
        else:
            worse.add(rule)
    verdict = run.verdict
    assert verdict is not None
    for text, whole in ((title, False), (plain(verdict.peers), True)):
        assert bool(re.search(r"\b(is|are) better at the same budget", text)) == bool(better), text
        assert ("tied with" in text.lower()) == (bool(tied) and (whole or not better)), text
        assert all(facts.baseline_inline(rule, run.spec.method).lower() in text.lower() for rule in better)
    assert ("better than" in verdict.peers.lower()) == bool(worse)
    first = min(ranks, key=lambda rule: ranks[rule]) if better else None
    if first is not None:
        value = others[first]["perplexity" if language else "accuracy"]
        assert (f"{value:,.1f}" if language and value < 100 else f"{100 * value:.1f} %") in title


def _could_be_chance(versus: dict[str, float]) -> bool:
    if "lost" in versus:
        lost, won = int(versus["lost"]), int(versus["won"])
        return lost + won == 0 or bool(binomtest(lost, lost + won).pvalue >= 0.05)
    return versus["nll_change_low"] <= 0 <= versus["nll_change_high"]


def test_changed_answers_are_those_of_the_verdict(run: ShownRun) -> None:
    """McNemar's test again, from the answers themselves."""
    if not (run.path / "flips.parquet").is_file() or run.metrics.get("task") == "language":
        assert run.thin or run.language
        return
    answers = pd.read_parquet(run.path / "flips.parquet")
    lost = int((answers["dense_right"] & ~answers["pruned_right"]).sum())
    won = int((~answers["dense_right"] & answers["pruned_right"]).sum())
    verdict = run.verdict
    assert verdict is not None
    assert ("could be chance" in verdict.change) <= bool(binomtest(lost, lost + won).pvalue >= 0.05)
    moved = re.search(r"([\d.]+) points (lower|higher)", plain(verdict.change))
    assert moved is not None
    assert (won > lost) == (moved[2] == "higher")
    assert abs(float(moved[1]) - 100 * abs(won - lost) / len(answers)) < 0.1  # both ends are rounded as shown
