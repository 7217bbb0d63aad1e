"""Settings, schedule, data and gap of a tuning, each against a brute force of its own."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kencore.data.examples import Examples
from kencore.errors import AdapterError, SpecError
from kencore.models.language import Windows
from kencore.recovery import RecoverSpec
from kencore.recovery.data import keys, shared_lines, some_of, subset
from kencore.recovery.gap import difference_interval, gap_of, recovered
from kencore.recovery.loop import batch_at, rate_at, total_steps
from kencore.settings.recover import SCHEDULES

USUAL: dict[str, Any] = {"run": "r", "data": "demo"}


# --- settings -----------------------------------------------------------------------------------


@given(
    settings=st.fixed_dictionaries(
        {},
        optional={
            "held_out": st.sampled_from(["dev.tsv", "pydoc"]),
            "train": st.sampled_from(["kept"]),
            "steps": st.integers(1, 10**6),
            "batch": st.integers(1, 999),
            "lr": st.floats(1e-9, 1),
            "weight_decay": st.floats(0, 0.99),
            "warmup": st.floats(0, 0.99),
            "schedule": st.sampled_from(SCHEDULES),
            "clip": st.none() | st.floats(0.01, 100),
            "patience": st.integers(1, 9),
            "window": st.integers(2, 999),
            "evaluation": st.none() | st.just("demo"),
            "seed": st.integers(0, 2**63 - 1),
            "baselines": st.booleans(),
        },
    )
)
def test_settings_go_to_json_and_back(settings: dict[str, Any]) -> None:
    spec = RecoverSpec(**USUAL, **settings)
    assert RecoverSpec.from_json(spec.to_json()) == spec
    assert RecoverSpec.from_dict(json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
    assert spec.resolved(language=True).resolved(language=False) == spec.resolved(language=True)


def test_usual_settings_are_those_of_ken() -> None:
    spec = RecoverSpec(**USUAL)
    assert (spec.epochs, spec.steps) == (2, None)
    full = spec.resolved(language=False)
    assert (full.batch, full.lr) == (32, 2e-5)
    assert RecoverSpec(**USUAL, steps=7).epochs is None


@pytest.mark.parametrize(
    ("settings", "subject", "got"),
    [
        ({"run": " "}, "run", "nothing"),
        ({"data": ""}, "data", "nothing"),
        ({"held_out": 3}, "held_out", "3"),
        ({"held_out_share": 1.0}, "held_out_share", "1.0"),
        ({"held_out_share": 0}, "held_out_share", "0"),
        ({"train": "some"}, "train", "'some'"),
        ({"schedule": "steep"}, "schedule", "'steep'"),
        ({"epochs": 1, "steps": 1}, "epochs and steps", "both"),
        ({"epochs": 0}, "epochs", "0"),
        ({"steps": True}, "steps", "True"),
        ({"batch": 2.5}, "batch", "2.5"),
        ({"lr": 0.0}, "lr", "0.0"),
        ({"lr": math.nan}, "lr", "nan"),
        ({"weight_decay": -0.1}, "weight_decay", "-0.1"),
        ({"warmup": 1.1}, "warmup", "1.1"),
        ({"clip": math.inf}, "clip", "inf"),
        ({"patience": 0}, "patience", "0"),
        ({"max_length": 2}, "max_length", "2"),
        ({"window": 1}, "window", "1"),
        ({"sample": 0}, "sample", "0"),
        ({"save_every": 0}, "save_every", "0"),
        ({"baselines": "yes"}, "baselines", "'yes'"),
        ({"method": "half"}, "method", "'half'"),
        ({"seed": -1}, "seed", "-1"),
        ({"device": "tpu"}, "device", "'tpu'"),
    ],
)
def test_each_setting_that_cannot_be_has_its_message(settings: dict[str, Any], subject: str, got: str) -> None:
    with pytest.raises(SpecError) as caught:
        RecoverSpec(**(USUAL | settings))
    assert (caught.value.subject, caught.value.got) == (subject, got)


@pytest.mark.parametrize("data", ["[]", "{", '{"run": "r"}', '{"run": "r", "data": "d", "color": "red"}'])
def test_what_are_no_settings(data: str) -> None:
    with pytest.raises(SpecError):
        RecoverSpec.from_json(data)


@pytest.mark.parametrize("method", ["lora", "LoRA", "qlora", "peft", "adapter"])
def test_adapters_are_refused_with_the_reason(method: str) -> None:
    with pytest.raises(AdapterError, match="undo the mask"):
        RecoverSpec(**USUAL, method=method)


# --- schedule and order -------------------------------------------------------------------------


@given(total=st.integers(1, 300), warmup=st.floats(0, 0.99), schedule=st.sampled_from(SCHEDULES))
def test_the_learning_rate_rises_then_falls(total: int, warmup: float, schedule: str) -> None:
    spec = RecoverSpec(**USUAL, lr=0.5, warmup=warmup, schedule=schedule, steps=total)
    rates = [rate_at(spec, total, step) for step in range(1, total + 1)]
    rise = round(warmup * total)
    assert all(0 < rate <= 0.5 for rate in rates)
    assert rates[:rise] == sorted(rates[:rise])
    assert rates[rise:] == sorted(rates[rise:], reverse=True)
    assert max(rates) == pytest.approx(0.5)
    if schedule == "constant":
        assert rates[rise:] == [0.5] * (total - rise)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_schedules_are_those_of_transformers(schedule: str) -> None:
    import transformers

    spec = RecoverSpec(**USUAL, lr=1.0, warmup=0.25, schedule=schedule, steps=40)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    make = getattr(transformers, f"get_{schedule}_schedule_with_warmup")
    theirs = make(optimizer, 10, 40)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    ours = [rate_at(spec, 40, step) for step in range(1, 41)]
    assert ours[10:] == pytest.approx(rates[10:])
    assert ours[:9] == pytest.approx(rates[1:10])  # ours does not waste its first step at zero


@given(size=st.integers(1, 60), batch=st.integers(1, 20), seed=st.integers(0, 99))
def test_every_epoch_reads_everything_once(size: int, batch: int, seed: int) -> None:
    spec = RecoverSpec(**USUAL, batch=batch, epochs=3, seed=seed)
    total, epoch = total_steps(spec, size)
    read = [batch_at(spec, size, step) for step in range(1, total + 1)]
    assert all(1 <= len(part) <= batch for part in read)
    for first in range(0, total, epoch):
        seen = [i for part in read[first : first + epoch] for i in part]
        assert sorted(seen) == list(range(size))
    assert read == [batch_at(spec, size, step) for step in range(1, total + 1)]


# --- data ---------------------------------------------------------------------------------------


def examples(count: int) -> Examples:
    return Examples(
        texts=tuple(f"text {i}" for i in range(count)),
        labels=tuple(range(count)),
        pairs=tuple(f"pair {i}" for i in range(count)),
        sha256="x",
    )


def test_some_of_the_data_are_in_order_and_told_apart_by_their_hash() -> None:
    data = examples(50)
    some = some_of(data, 7, 3)
    assert isinstance(some, Examples)
    assert len(some) == 7
    assert list(some.labels) == sorted(some.labels)
    assert some.texts == tuple(f"text {i}" for i in some.labels)
    assert some.pairs == tuple(f"pair {i}" for i in some.labels)
    assert some_of(data, 50, 3) is data
    assert len({some.sha256, some_of(data, 7, 4).sha256, data.sha256}) == 3
    ids = torch.arange(12).reshape(4, 3)
    part = subset(Windows(ids=ids, source="s", sha256="x"), [2, 0])
    assert isinstance(part, Windows)
    assert part.ids.tolist() == [[6, 7, 8], [0, 1, 2]]


def test_content_is_compared_without_case_and_spaces() -> None:
    found = keys(Examples(texts=("A  film ", "a film", "a  song"), labels=(0, 1, 0)))
    assert found[0] == found[1] != found[2]


@given(lines=st.lists(st.sampled_from("abcd"), min_size=1), other=st.sets(st.sampled_from("abcd")))
def test_shared_lines_are_counted(lines: list[str], other: set[str]) -> None:
    found = shared_lines("\n".join(other), "\n\n".join(f" {line} " for line in lines))
    assert found == sum(line in other for line in lines) / len(lines)


# --- gap ----------------------------------------------------------------------------------------


def test_the_gap_is_positive_where_known_data_are_easier() -> None:
    train = {"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92}
    held_out = {"accuracy": 0.8, "accuracy_low": 0.75, "accuracy_high": 0.84}
    found = gap_of(train, held_out)
    assert found["gap"] == pytest.approx(0.1)
    assert found["gap_low"] < 0.1 < found["gap_high"]
    texts = [{"nll": 2.0}, {"nll": 2.5}]
    assert gap_of(*texts) == {"gap": 0.5}
    wide = [{"nll": n, "perplexity_low": math.exp(n - 0.3), "perplexity_high": math.exp(n + 0.4)} for n in (2.0, 2.5)]
    found = gap_of(*wide)
    assert found["gap_low"] == pytest.approx(0.5 - math.hypot(0.3, 0.4))
    assert found["gap_high"] == pytest.approx(0.5 + math.hypot(0.4, 0.3))


def test_the_interval_is_newcombes() -> None:
    """His example: 56/70 against 48/80, 0.0524 to 0.3339 (1998, table II, method 10)."""
    from scipy.stats import binomtest

    sides = []
    for hits, count in ((56, 70), (48, 80)):
        interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
        sides += [hits / count, (interval.low, interval.high)]
    low, high = difference_interval(*sides)
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_the_interval_holds_as_often_as_it_says() -> None:
    from scipy.stats import binomtest

    chance, held = np.random.default_rng(0), 0
    for _ in range(400):
        sides: list[Any] = []
        for share, count in ((0.9, 200), (0.8, 120)):
            hits = int(chance.binomial(count, share))
            interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
            sides += [hits / count, (interval.low, interval.high)]
        low, high = difference_interval(*sides)
        held += low <= 0.1 <= high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    ("dense", "untuned", "tuned", "wanted"),
    [(0.9, 0.7, 0.8, 0.5), (0.9, 0.7, 0.95, 1.25), (0.9, 0.7, 0.6, -0.5), (0.7, 0.7, 0.9, None)],
)
def test_the_recovered_share(dense: float, untuned: float, tuned: float, wanted: float | None) -> None:
    found = {"dense": dense, "untuned": untuned, "pruned": tuned}
    by_accuracy = recovered({name: {"accuracy": value} for name, value in found.items()})
    by_nll = recovered({name: {"accuracy": 0, "nll": -value} for name, value in found.items()})
    assert by_accuracy == by_nll == (None if wanted is None else pytest.approx(wanted))
    assert recovered({"dense": {"accuracy": 1.0}}) is None
