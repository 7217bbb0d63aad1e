"""Another setting of a run: the budgets and sizes are those of a run pruned with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore import prune
from kencore.errors import SpecError
from kencore.exports.subnetwork.plan import subnetwork_bytes
from kencore.live.setting import (
    Setting,
    balance_names,
    budgets,
    bytes_by_worker,
    check,
    own_setting,
    totals,
    why_worker,
)
from kencore.runs.bits import kept_per_row
from kencore.runs.run import Run, open_run
from kencore.settings.prune import PruneSpec
from tests.pruning.test_by_bytes import coded

NAMES = st.sampled_from(["q", "o", "b0", "b11", "encoder.b3"])
BALANCE = st.lists(
    st.tuples(st.sampled_from(["q", "o", "b0", "b11", "encoder.b3"]), st.sampled_from([0.5, 1.25, 4])),
    unique_by=lambda factor: factor[0],
)


@pytest.fixture(scope="module")
def demo() -> Run:
    return open_run("demo")


@given(
    keep=st.integers(1, 1000).map(lambda n: n / 1000),
    k=st.none() | st.integers(1, 9999),
    method=st.none() | st.sampled_from(["delta", "ken-density"]),
    balance=BALANCE,
    slope=st.none() | st.sampled_from([0.0, 0.05, 0.25]),
)
def test_a_setting_survives_text_and_json(
    keep: float, k: int | None, method: str | None, balance: list, slope: float | None
) -> None:
    setting = Setting(
        keep=None if k else keep,
        k=k,
        method=method,
        block_lambda=slope,
        balance=tuple(f"{name}={factor}" for name, factor in balance),
    )
    assert Setting.from_text(setting.text) == setting
    assert Setting.from_json(setting.to_json()) == setting


@given(st.integers(1, 6400).map(lambda n: n / 100))
def test_a_size_survives_text(bits: float) -> None:
    setting = Setting(bits=bits)
    assert setting.text == f"bits{bits:g}"
    assert Setting.from_text(setting.text) == setting


def test_sizes_of_a_coded_run_are_a_worker_s(tmp_path: Path, demo: Run) -> None:
    run = coded(tmp_path, bits=14)
    assert own_setting(run) == Setting(bits=14)
    found = check(run, Setting(bits=2))
    assert (found.bits, found.keep, found.kl) == (2, None, None)
    assert why_worker(run, Setting(bits=2)) is not None
    assert bytes_by_worker(run, Setting(bits=2)) == round(run.totals["params"] / 4)
    near = Run(run.path)
    near.spec = replace(run.spec, bits=None, same=0.9, evaluation="demo")
    took, file = own_setting(near).bits, 8 * subnetwork_bytes(run) / run.totals["params"]
    assert took is not None
    assert file <= took <= 1.01 * file  # its file fits again
    assert check(near, own_setting(near)).same is None
    with pytest.raises(SpecError, match="keep: 0.5 for a run of bytes; wanted a size in bits"):
        check(run, Setting(keep=0.5))
    with pytest.raises(SpecError, match="bits"):
        check(demo, Setting(bits=2))


@pytest.mark.parametrize("text", ["", "x", "bits", "bitsx", "0.3~q", "0.3~q*", "0.3~slope*x", "k", "0.5~~"])
def test_text_that_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        Setting.from_text(text)


@pytest.mark.parametrize("text", ["2", "0.3~zz*2", "0.3~rule*wanda", "0.3~slope*0.1", "0.3~q*900", "0"])
def test_a_setting_that_the_run_cannot_have_is_refused(demo: Run, text: str) -> None:
    with pytest.raises(SpecError):
        check(demo, Setting.from_text(text))


def test_the_run_s_own_setting_gives_the_run(demo: Run) -> None:
    own = Setting.of(demo.spec)
    assert why_worker(demo, own) is None
    found = totals(demo, own)
    assert (found.kept, found.bytes_stored) == (demo.totals["kept"], demo.totals["bytes_stored"])
    assert set(found.matrices) == set(demo.pruned)


@pytest.mark.parametrize("text", ["0.3", "k40", "0.3~b1*0.5~q*2", "k40~rule*delta~embedding*0.25"])
def test_budgets_are_those_of_a_pruning(demo: Run, tmp_path: Path, text: str) -> None:
    setting = Setting.from_text(text)
    spec = PruneSpec.from_json(check(demo, setting).to_json())
    made = prune(
        PruneSpec.from_dict({**_fields(spec), "evaluation": None, "device": "cpu"}), out=tmp_path / "run", threads=1
    )
    found = budgets(demo, setting)
    for name in demo.pruned:
        np.testing.assert_array_equal(found[name], kept_per_row(made.mask_bits(name)), name)
    said = totals(demo, setting)
    assert said.kept == made.totals["kept"] == said.asked
    assert said.bytes_stored == made.totals["bytes_stored"]
    assert open_run(made.path).spec.balance == setting.balance


def _fields(spec: PruneSpec) -> dict:
    import json

    fields: dict = json.loads(spec.to_json())
    return fields


def test_factors_have_the_names_of_roles_and_blocks(demo: Run) -> None:
    names = balance_names(demo)
    assert names["block"] == [f"b{block}" for block in range(6)]
    assert {"q", "k", "v", "o", "up", "down"} <= set(names["role"])
    assert {*names["role"], *names["block"]} == set(totals(demo, Setting(keep=0.5)).shares)


def test_another_budget_keeps_the_lambdas_that_the_search_chose() -> None:
    run = open_run("demo-lm")
    own = own_setting(run)
    assert run.trace is not None
    chosen = [run.trace[f"{step}_search"]["chosen"] for step in ("block", "row")]
    assert [own.block_lambda, own.row_lambda] == chosen
    assert own_setting(open_run("demo")) == Setting(keep=0.5)


def test_the_ramp_of_a_block_step_is_known_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(open_run("demo-lm").path)
    monkeypatch.setattr(run, "spec", replace(run.spec, step="block"))
    own = own_setting(run)
    assert why_worker(run, own) is None
    found = budgets(run, own)
    for line in run.matrices[run.matrices["status"] == "pruned"].to_dict("records"):
        kept = found[line["name"]].sum() / line["params"]
        # the run's block means are those of this ramp: its row step holds them
        assert kept == pytest.approx(line["kept"] / line["params"], abs=2e-4)
    assert sum(int(rows.sum()) for rows in found.values()) == run.totals["kept"]


def test_a_language_model_s_row_step_needs_the_worker() -> None:
    run = open_run("demo-lm")
    assert "row step" in (why_worker(run, Setting.of(run.spec)) or "")
    with pytest.raises(SpecError, match="worker"):
        budgets(run, Setting.of(run.spec))
