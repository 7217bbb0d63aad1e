"""Titles of pictures: no winner of a tie, no finding in noise, nothing that rounding takes away again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from app.charts.blocks import _lines_finding
from app.charts.compare import _bars_finding, _map_finding, _rows_finding
from app.charts.explain import _token_finding, paths_finding
from app.charts.neuron import parts_finding
from app.charts.settings import Point
from app.charts.settings import _finding as settings_finding
from app.charts.spread import _finding as spread_finding
from kencore.explain.maths import Contributions
from kencore.views.sparsity import Spread
from kencore.words import numbers as wording
from kencore.words.extremes import ends
from kencore.words.findings import depth_finding, roles_finding
from kencore.words.quality import perplexity_finding, perplexity_table, quality_finding, quality_table

P = "\xa0%"


def plain(text: str) -> str:
    return text.replace("\xa0", " ")


# --- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.5, 0.5, 0.5], None, None),
        ([0.501, 0.499, 0.5], None, None),
        ([0.1, 0.5], "a", "b"),
        ([0.1, 0.104, 0.5], "a and b", "c"),
        ([0.5, 0.1, 0.1, 0.1], "3 blocks", "a"),
        ([0.9], None, None),
    ],
)
def test_ends(values: list[float], low: str | None, high: str | None) -> None:
    found = ends(values, list("abcdef")[: len(values)], lambda value: f"{value:.0%}")
    assert (None if found is None else found[0].where("blocks")) == low
    assert (None if found is None else found[1].where("blocks")) == high


# --- sparsity ----------------------------------------------------------------------------------


def blocks(*sparsity: float, cols: int = 1000) -> pd.DataFrame:
    table = pd.DataFrame({"sparsity": sparsity, "cols": cols, "stack": "blocks"})
    return table.assign(block=range(len(table)), share=1 - table["sparsity"], diff_share_kept=np.nan)


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        (blocks(0.5, 0.5, 0.5), "Every block has a sparsity of 50 %"),
        (blocks(0.5, 0.5004, 0.5), "Every block has a sparsity of 50 %"),
        (blocks(0.5, 0.51, cols=64), "Every block has a sparsity of 50.5 %"),  # rows cannot be finer
        (blocks(0.4, 0.6), "Sparsity ranges from 40.0 % in block 0 to 60.0 % in block 1"),
        (blocks(0.4, 0.6, 0.6), "Sparsity ranges from 40.0 % in block 0 to 60.0 % in block 1 and block 2"),
        (blocks(0.4, 0.6, 0.6, 0.6), "Sparsity ranges from 40.0 % in block 0 to 60.0 % in 3 blocks"),
        (blocks(0.4, 0.4001, 0.6), "Sparsity ranges from 40.0 % in block 0 and block 1 to 60.0 % in block 2"),
    ],
)
def test_sparsity_by_block(table: pd.DataFrame, wanted: str) -> None:
    assert plain(depth_finding(table, [f"block {block}" for block in table["block"]])) == wanted


def roles(**sparsity: float) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"role": role, "stack": "s", "block": 0, "kept": 1000 - 1000 * share, "params": 1000, "sparsity": share}
            for role, share in sparsity.items()
        ]
    ).assign(cols=1000)


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        (roles(q=0.5, k=0.5), "All roles of a block have the same sparsity"),
        (roles(q=0.5, k=0.5003), "All roles of a block have the same sparsity"),
        (roles(q=0.4, k=0.6), "Most pruned: attention key (60.0 %); least: attention query (40.0 %)"),
        (
            roles(q=0.4, k=0.6, v=0.6),
            "Most pruned: attention key and attention value (60.0 %); least: attention query (40.0 %)",
        ),
        (roles(q=0.4, k=0.6, v=0.6, o=0.6), "Most pruned: 3 roles (60.0 %); least: attention query (40.0 %)"),
    ],
)
def test_sparsity_by_role(table: pd.DataFrame, wanted: str) -> None:
    assert plain(roles_finding(table)) == wanted


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        ([(0.5, 0.5), (0.5, 0.5)], "All rows of query have the same sparsity in each block"),
        ([(0.5, 0.5001)], "All rows of query have the same sparsity in each block"),
        ([(0.4, 0.6)], "Rows of query differ in b0: 40 % to 60 %"),
        ([(0.4, 0.6), (0.5, 0.7)], "Rows of query differ in every block: by 20 points"),
        ([(0.4, 0.6), (0.5, 0.55)], "Rows of query differ most in b0: 40 % to 60 %"),
        ([(0.4, 0.6), (0.4, 0.6), (0.5, 0.5)], "Rows of query differ most in 2 blocks: by 20 points"),
        ([(0.4, 0.41), (0.4, 0.41), (0.5, 0.5)], "Rows of query differ most in 2 blocks: by 1 point"),
    ],
)
def test_sparsity_of_rows(spans: list[tuple[float, float]], wanted: str) -> None:
    none = np.zeros(0, np.float32)
    made: dict[str, Any] = dict.fromkeys(Spread.__dataclass_fields__, none)
    spreads = [Spread(**made | {"low": low, "high": high}) for low, high in spans]
    assert plain(spread_finding(spreads, [f"b{i}" for i in range(len(spans))], "query")) == wanted


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [
        ((0.5, 0.5), "Every block keeps 50 % of its weights"),
        ((0.499, 0.501), "Every block keeps 50 % of its weights"),
        ((0.4, 0.6), "40 % to 60 % of the weights kept, most in b1"),
        ((0.4, 0.6, 0.6), "40 % to 60 % of the weights kept, most in b1 and b2"),
        ((0.4, 0.6, 0.6, 0.6), "40 % to 60 % of the weights kept, most in 3 blocks"),
    ],
)
def test_kept_by_block(shares: tuple[float, ...], wanted: str) -> None:
    table = blocks(*(1 - share for share in shares))
    assert plain(_lines_finding(table, [f"b{i}" for i in range(len(shares))], "change")) == wanted


def test_change_kept_is_one_number_where_both_ends_are_shown_the_same() -> None:
    table = blocks(0.5, 0.5).assign(diff_share_kept=[0.801, 0.799])
    found = plain(_lines_finding(table, ["b0", "b1"], "change"))
    assert found == "Every block keeps 50 % of its weights and 80 % of the change"
    table = blocks(0.6, 0.4).assign(diff_share_kept=[0.7, 0.9])
    found = plain(_lines_finding(table, ["b0", "b1"], "change"))
    assert found == "40 % to 60 % of the weights kept, most in b1; 70 % to 90 % of the change"


def test_of_rounded_changes_the_lost_share_is_said() -> None:
    table = blocks(0.6, 0.4).assign(diff_share_kept=1.0, diff_lost=[0.03, 0.59])
    found = plain(_lines_finding(table, ["b0", "b1"], "change", wording.CODED))
    assert found == "40 % to 60 % of the weights changed, most in b1; 3 % to 59 % of the change lost"


# --- two runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apart", "wanted"),
    [
        ((20, 20), "The two runs differ on 20 % of the weights in every block"),
        ((10, 30), "The two runs differ on 10 % of the weights in b0, 30 % in b1"),
        ((10, 30, 30, 30), "The two runs differ on 10 % of the weights in b0, 30 % in 3 blocks"),
    ],
)
def test_who_keeps_what(apart: tuple[int, ...], wanted: str) -> None:
    table = pd.DataFrame({"only_a": apart, "only_b": 0, "params": 100})
    assert plain(_bars_finding(table, [f"b{i}" for i in range(len(apart))], "block")) == wanted


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ((0.5, 0.5), "Overlap is 50.0 % in every row"),
        ((0.5, 0.50001), "Overlap is 50.0 % in every row"),
        ((np.nan, np.nan), "Neither run keeps anything in this matrix"),
        ((0.4, 0.6), "Overlap ranges from 40.0 % in row 0 to 60.0 % in row 1"),
        ((0.4, 0.4, 0.4, 0.6), "Overlap ranges from 40.0 % in 3 rows to 60.0 % in row 3"),
    ],
)
def test_overlap_of_rows(index: tuple[float, ...], wanted: str) -> None:
    table = pd.DataFrame({"row": range(len(index)), "jaccard": index})
    assert plain(_rows_finding(table)) == wanted


def test_overlap_of_cells_outside_blocks_and_in_them() -> None:
    table = pd.DataFrame({"place": ["outside blocks", "block 0"], "role": ["head", "q"], "jaccard": [0.2, 0.6]})
    assert plain(_map_finding(table)) == "Overlap ranges from 20.0 % outside blocks, head to 60.0 % in block 0, q"


# --- one sentence ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relative", "wanted"),
    [
        ((0, 0, 0), "The two models do not diverge on this sentence"),
        ((0.1, 0.2, 0.5), "50 % apart after the last block; the gap grows most in block 1"),
        ((0.3, 0.31, 0.32), "32 % apart after the last block; the gap grows most before the first block"),
        ((0.1, 0.2, 0.3), "30 % apart after the last block"),  # it grows alike everywhere
        ((0.1, 0.2, 0.3004), "30 % apart after the last block"),
    ],
)
def test_paths(relative: tuple[float, ...], wanted: str) -> None:
    assert plain(paths_finding(np.array(relative, np.float64))) == wanted


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        ((0, 0), "No token's state changed"),
        ((0.2, 0.5), "“b” (token 1) changed most: 50 % apart after the last block"),
        ((0.5, 0.5), "Every token's state changed alike: 50 % apart"),
        ((0.2, 0.5, 0.501), "2 tokens changed most: 50 % apart after the last block"),
    ],
)
def test_tokens(last: tuple[float, ...], wanted: str) -> None:
    assert plain(_token_finding(np.array([last], np.float32), list("abc"))) == wanted


def contributions(dense: float, weights: float, inputs: float, bias: float = 0.0) -> Contributions:
    made: dict[str, Any] = dict.fromkeys(Contributions.__dataclass_fields__, np.zeros(0, np.float32))
    parts = {"dense": dense, "pruned": dense - weights - inputs - bias}
    return Contributions(**made | parts | {"weights": weights, "inputs": inputs, "bias": bias})


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (contributions(1, 0, 0), "1 in both models"),
        (contributions(2, 0.9, 0.1), "2 became 1, mostly by its own changed weights"),
        (contributions(2, 0.5, 0.5), "2 became 1"),
        (contributions(2, 3, -2), "2 became 1, mostly by its own changed weights"),
        (contributions(2, 0.4, 0.35, 0.25), "2 became 1"),
    ],
)
def test_parts_of_a_neuron(found: Contributions, wanted: str) -> None:
    assert parts_finding(found) == wanted


# --- quality -----------------------------------------------------------------------------------


def point(value: float, half: float = 0.02) -> Point:
    return Point(label="", size=0.5, value=value, low=value - half, high=value + half)


@pytest.mark.parametrize(
    ("points", "lower", "wanted"),
    [
        ([point(0.8)], False, "Only the run itself is measured so far"),
        ([point(0.8), point(0.9)], False, "Best of 2 settings: setting 1, 0.9"),
        ([point(0.8), point(0.81)], False, "Best of 2 settings: setting 1, 0.81; 1 other within its interval, so it "),
        ([point(0.8), point(0.8)], False, "Best of 2 settings: the run itself, 0.8; 1 other within its interval, so "),
        ([point(30, np.nan), point(20, np.nan)], True, "Best of 2 settings: setting 1, 20"),
    ],
)
def test_settings(points: list[Point], lower: bool, wanted: str) -> None:
    assert settings_finding(points, None, lower, "accuracy", "{:g}".format).startswith(wanted)


def accuracy(value: float, versus: str | None = None, p: float = 1.0, gain: float = 0.0) -> dict[str, Any]:
    found: dict[str, Any] = {"accuracy": value, "accuracy_low": value - 0.03, "accuracy_high": value + 0.03}
    return found if versus is None else found | {versus: {"mcnemar_p": p, "accuracy_change": gain}}


def rule(value: float, p: float, gain: float) -> dict[str, Any]:
    """Figures of another rule, compared with the run in pairs."""
    return accuracy(value, "versus_pruned", p, gain)


@pytest.mark.parametrize(
    ("baselines", "wanted"),
    [
        ({}, "Accuracy 80.0 % to 70.0 %"),
        ({"random": rule(0.79, 0.001, 0.09)}, "; random is better at the same budget (79.0 %)"),
        ({"random": rule(0.71, 0.6, 0.01)}, "; tied with random at the same budget"),
        ({"random": rule(0.69, 0.6, -0.01)}, "; tied with random at the same budget"),
        ({"random": rule(0.60, 0.001, -0.1)}, "; better than random at the same budget"),
        (
            {
                "random": rule(0.60, 0.001, -0.1),
                "delta": rule(0.61, 0.001, -0.1),
                "ken-density": rule(0.5, 0.001, -0.2),
            },
            "; better than largest difference, random and KEN, densest values at the same budget",
        ),
        ({"random": rule(0.71, 0.6, 0.01), "delta": rule(0.6, 0.01, -0.1)}, "; tied with random at the same budget"),
        ({"random": accuracy(0.71)}, "; random measured better at the same budget (71.0 %), not compared in pairs"),
        ({"random": accuracy(0.70001)}, "; no other rule measured better at the same budget"),
        ({"random": accuracy(0.60)}, "; no other rule measured better at the same budget"),
    ],
)
def test_accuracy_beside_other_rules(baselines: dict[str, Any], wanted: str) -> None:
    metrics = {"dense": accuracy(0.8), "pruned": accuracy(0.7, "versus_dense", 0.001), "baselines": baselines}
    metrics |= {"examples": 400, "data": "demo"}
    found = plain(quality_finding(quality_table(metrics, "ken"), metrics, "ken"))
    assert found.endswith(wanted)


def perplexity(value: float, versus: str | None = None, low: float = 0, high: float = 0) -> dict[str, Any]:
    found: dict[str, Any] = {"perplexity": value, "nll": float(np.log(value))}
    change = {"nll_change": (low + high) / 2, "nll_change_low": low, "nll_change_high": high}
    return found if versus is None else found | {versus: change}


@pytest.mark.parametrize(
    ("own", "baselines", "wanted"),
    [
        ((0.1, 0.2), {}, "Perplexity 20.0 to 26.0"),
        ((-0.1, 0.2), {}, "Perplexity 20.0 to 26.0, which could be chance"),
        ((0.1, 0.2), {"uniform": (25.0, -0.06, -0.01)}, "; uniform Wanda is better at the same budget (25.0)"),
        ((0.1, 0.2), {"uniform": (25.0, -0.06, 0.01)}, "; tied with uniform Wanda at the same budget"),
        ((0.1, 0.2), {"uniform": (28.0, 0.02, 0.1)}, "; better than uniform Wanda at the same budget"),
    ],
)
def test_perplexity_beside_other_rules(own: tuple[float, float], baselines: dict[str, Any], wanted: str) -> None:
    metrics: dict[str, Any] = {
        "task": "language",
        "dense": perplexity(20.0),
        "pruned": perplexity(26.0, "versus_dense", *own),
        "baselines": {name: perplexity(value, "versus_pruned", *gap) for name, (value, *gap) in baselines.items()},
    }
    assert perplexity_finding(perplexity_table(metrics, "wanda"), metrics, "wanda").endswith(wanted)


# --- the shipped runs --------------------------------------------------------------------------


def _sparsest(table: pd.DataFrame, pick: Callable[[pd.Series[float]], float]) -> set[int]:
    shown = table["sparsity"].map(lambda share: f"{100 * share:.1f}")
    return set(table.loc[shown == f"{100 * pick(table['sparsity']):.1f}", "block"].astype(int))


def test_titles_of_the_shipped_language_run_are_true_of_its_masks() -> None:
    from kencore import open_run

    run = open_run("demo-lm")
    title = plain(run.figure("depth").layout.title.text)
    masks = {name: run.keep(name) for name in run.pruned}
    lines = run.matrices.set_index("name").loc[list(masks)]
    sizes = {"kept": [mask.sum() for mask in masks.values()], "all": [mask.size for mask in masks.values()]}
    counts = pd.DataFrame({"block": lines["block"], **sizes})
    sums = counts.groupby("block")[["kept", "all"]].sum()
    table = (1 - sums["kept"] / sums["all"]).rename("sparsity").reset_index()
    (low,), (high,) = _sparsest(table, min), _sparsest(table, max)
    least, most = (f"{100 * end:.1f} %" for end in (table["sparsity"].min(), table["sparsity"].max()))
    assert title == f"Sparsity ranges from {least} in block {low} to {most} in block {high}"
