"""Words for what was measured: nothing made up, nothing overstated, nothing missing breaks it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.words import costs as cost_words
from kencore.words import measured


def plain(text: str | None) -> str:
    return (text or "").replace("\xa0", " ").replace("\u2060", "")


def test_a_change_in_pairs_is_said_with_its_counts() -> None:
    found = {"versus_dense": {"lost": 12, "won": 5, "mcnemar_p": 0.1435}}
    said = "Against dense: lost 12 of 872 sentences, won 5; p = .14, could be chance"
    assert plain(measured.change(found, 872)) == said
    found = {"versus_dense": {"lost": 90, "won": 5, "mcnemar_p": 1e-9}}
    assert plain(measured.change(found, 872)).endswith("p < .001, more than chance")


def test_a_change_of_nats_is_said_with_its_interval() -> None:
    versus = {"nll_change": 0.35, "nll_change_low": 0.33, "nll_change_high": 0.38}
    said = "0.350 nats per token more than dense (95 % interval +0.330 to +0.380), more"
    assert plain(measured.change({"versus_dense": versus}, None)).startswith(said)
    versus = {"nll_change": -0.01, "nll_change_low": -0.03, "nll_change_high": 0.01}
    said = "0.010 nats per token less than dense (95 % interval −0.030 to +0.010), could"
    assert plain(measured.change({"versus_dense": versus}, None)).startswith(said)
    one_window = measured.change({"versus_dense": {"nll_change": 0.35}}, None)
    assert one_window == "0.350 nats per token more than dense"


def test_runs_of_before_say_nothing_of_it() -> None:
    assert measured.change({"accuracy": 0.7}, 100) is None
    assert measured.could_be_chance({"accuracy": 0.7}) is None
    assert plain(measured.score({"f1_macro": 0.7}, "f1_macro")) == "70.0 %"
    assert measured.perplexity({"perplexity": 33.3}) == "33.3"


def test_intervals_stand_beside_their_figures() -> None:
    found = {"f1_macro": 0.7, "f1_macro_low": 0.65, "f1_macro_high": 0.745}
    assert plain(measured.score(found, "f1_macro")) == "70.0 % (65.0–74.5)"
    found = {"perplexity": 33.3, "perplexity_low": 31.04, "perplexity_high": 135.8}
    assert plain(measured.perplexity(found)) == "33.3 (31.0–136)"


def test_only_measures_that_both_models_have_are_offered() -> None:
    old = {"dense": {"accuracy": 0.8}, "pruned": {"accuracy": 0.7, "f1_macro": 0.7}}
    assert list(measured.scores(old)) == ["accuracy"]
    assert not measured.scores({})


@given(st.floats(0, 1))
def test_any_p_is_short_and_true(p: float) -> None:
    text = plain(measured.p_value(p))
    if text == "p < .001":
        assert p < 0.001
    else:
        assert abs(float(text.removeprefix("p = ")) - p) <= (0.0005 if p < 0.01 else 0.005) + 1e-12
    assert len(text) <= 8


# --- cost --------------------------------------------------------------------------------------


def cost() -> dict[str, Any]:
    """The ``cost`` of a classifier's metrics, measured on a CPU."""

    def taken(median: float) -> dict[str, Any]:
        return {"median": median, "low": 0.9 * median, "high": 1.2 * median, "repeats": 10}

    return {
        "bytes": {"dense": 2_882_804, "subnetwork": 1_694_862},
        "device": "AMD EPYC",
        "flops": {"dense": 42_675_712, "effective": 21_337_856, "tokens": 21, "note": ""},
        "latency": [
            {"batch": 1, "dense": taken(0.01), "pruned": taken(0.011)},
            {"batch": 32, "dense": taken(1.5), "pruned": taken(1.25)},
        ],
        "memory": {"reason": "not measured: only CUDA tells how much"},
    }


KEPT = {"kept": 709_376, "pruned": 1_418_752, "bytes_dense": 2_871_044, "bytes_stored": 1_630_000}


def test_what_a_run_costs_is_said_in_full() -> None:
    assert [(name, plain(text)) for name, text in cost_words.size(cost(), KEPT, 1_694_862, "kept")] == [
        ("Kept in pruned tensors", "709,376 of 1,418,752"),
        ("Dense weights", "2.88 MB"),
        ("Subnetwork file", "1.69 MB, 59 %"),
    ]
    assert [plain(text) for _, text in cost_words.compute(cost())] == ["21 tokens", "42.7 MFLOP", "21.3 MFLOP, 50 %"]
    assert [(name, plain(text)) for name, text in cost_words.speed(cost())] == [
        ("Dense, batch of 1", "10 ms (9–12)"),
        ("Pruned, batch of 1", "11 ms (9.9–13.2)"),
        ("Dense, batch of 32", "1.5 s (1.35–1.8)"),
        ("Pruned, batch of 32", "1.25 s (1.12–1.5)"),
    ]
    assert cost_words.memory(cost()) == [("Peak memory", "not measured")]
    assert cost_words.memory_notes(cost()) == "Memory: only CUDA tells how much."


def test_what_was_not_measured_says_so() -> None:
    assert cost_words.compute({}) == [("Operations of a pass", "not measured yet")]
    assert cost_words.speed({}) == [("Time of a pass", "not measured yet")]
    assert cost_words.memory({}) == [("Peak memory", "not measured yet")]
    assert cost_words.memory_notes({}) == ""
    assert [plain(text) for _, text in cost_words.size({}, KEPT, 1000, "kept")][1:] == ["2.87 MB", "1 kB, 0 %"]
    assert plain(cost_words.size({}, KEPT, None, "kept")[2][1]) == "about 1.63 MB, 57 %"


def test_memory_that_was_measured_is_said_of_both() -> None:
    found = cost() | {"memory": {"dense": 3_000_000_000, "pruned": 3_000_000_000}}
    said = [(name, plain(text)) for name, text in cost_words.memory(found)]
    assert said == [("Peak memory, dense", "3 GB"), ("Peak memory, pruned", "3 GB")]
    assert cost_words.memory_notes(found) == ""


def test_times_have_no_powers_of_ten() -> None:
    slow = {"median": 0.982, "low": 0.948, "high": 1.02, "repeats": 10}
    lines = cost_words.speed({"latency": [{"batch": 16, "dense": slow}]})
    assert [(name, plain(text)) for name, text in lines] == [("Dense, batch of 16", "982 ms (948–1,020)")]


@pytest.mark.parametrize(("number", "said"), [(0, "0 FLOP"), (999, "999 FLOP"), (1e9, "1 GFLOP"), (2.5e13, "25 TFLOP")])
def test_operations_have_a_unit(number: float, said: str) -> None:
    assert plain(cost_words.operations(number)) == said
