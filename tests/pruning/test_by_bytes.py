"""Pruning to a budget of bytes: the file has the size that was asked for, and opens to what the run holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kencore import PruneSpec, Run, prune
from kencore.checkpoint.pair import open_models
from kencore.codes.choice import Choice, choose
from kencore.codes.names import NAMES
from kencore.errors import CorruptRunError, NonFiniteWeightError, RunExistsError, SpecError
from kencore.exports.subnetwork.open import open_subnetwork, restore_subnetwork
from kencore.exports.subnetwork.plan import subnetwork_bytes
from kencore.exports.subnetwork.read import inspect_subnetwork
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.pruning import by_bytes
from kencore.pruning.by_bytes import sized
from kencore.pruning.coder import Coder
from kencore.pruning.nearness import best_of, nearest, take_nearest_order
from kencore.runs.naming import describe
from kencore.runs.run import open_run
from kencore.system.progress import silent
from tests.exports.test_subnetwork import same_bits
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer
from tests.support.tuned_cases import write_sentences


def coded(folder: Path, name: str = "bert", *, dtype: torch.dtype = torch.float32, **asked: object) -> Run:
    """A bytes run of a tiny pair."""
    base, tuned = save_pair(name, folder, dtype=dtype, change=0.02)
    for side in (base, tuned):
        add_tokenizer(side)
    settings: dict[str, object] = {"method": "bytes", "base": str(base), **asked}
    return prune(PruneSpec(model=str(tuned), **settings), out=folder / "run", threads=1)  # type: ignore[arg-type]


def round_trip(run: Run, folder: Path) -> Path:
    file = write_subnetwork(run, folder / "run.subnetwork")
    assert file.stat().st_size == subnetwork_bytes(run)
    assert write_subnetwork(run, folder / "again").read_bytes() == file.read_bytes()
    same_bits(open_subnetwork(file), run.apply())
    return file


@pytest.mark.parametrize(
    ("name", "dtype", "code"),
    [
        ("bert", torch.float32, None),
        ("bert", torch.bfloat16, "levels"),
        ("bert", torch.float16, "signs"),
        ("gpt2", torch.float32, "lowrank"),  # Conv1D, tied
        ("qwen3", torch.bfloat16, "seeded"),
        ("bert", torch.float32, "exact"),
    ],
)
def test_what_the_file_opens_to_is_what_the_run_holds(
    name: str, dtype: torch.dtype, code: str | None, tmp_path: Path
) -> None:
    run = coded(tmp_path, name, dtype=dtype, bits=14, code=code)
    file = round_trip(run, tmp_path)
    assert 8 * file.stat().st_size <= 14 * run.totals["params"]
    facts = inspect_subnetwork(file)
    assert facts["version"] == 2
    assert code in (None, "exact") or code in facts["codes"]
    saved = run.save_pretrained(tmp_path / "saved")
    restored = restore_subnetwork(file, None, tmp_path / "restored")
    for path in saved.iterdir():
        assert path.read_bytes() == (restored / path.name).read_bytes(), path.name


def test_the_mask_and_the_values_are_those_of_the_code(tmp_path: Path) -> None:
    run = coded(tmp_path, bits=14, code="levels")
    name = next(name for name in run.pruned if run.codes[name].code == "levels")
    keep, base = run.keep(name), run.values(name, "base")
    pruned, tuned = run.values(name, "pruned"), run.values(name, "tuned")
    np.testing.assert_array_equal(pruned[~keep], base[~keep])
    moved, wanted = (pruned - base).astype(float), (tuned - base).astype(float)
    np.testing.assert_allclose((moved * wanted).sum(axis=1), (wanted * wanted).sum(axis=1), rtol=5e-3)
    line = run.matrix(name)
    assert line["bytes_stored"] == len(run.codes[name].data)
    assert line["kept"] == keep.sum()


def test_more_bits_come_nearer(tmp_path: Path) -> None:
    lost = []
    for bits in (11, 14, 20):
        run = coded(tmp_path / str(bits), bits=bits)
        lines = run.matrices[run.matrices["status"] == "pruned"]
        lost.append(float((lines["diff_lost"].fillna(0) * lines["diff_rms"] ** 2 * lines["params"]).sum()))
    assert lost[0] > lost[1] > lost[2]


def test_a_budget_of_bytes_holds_and_one_too_small_names_the_least(tmp_path: Path) -> None:
    run = coded(tmp_path, bytes=60_000)
    assert 0.9 * 60_000 < round_trip(run, tmp_path).stat().st_size <= 60_000
    with pytest.raises(SpecError, match="or more, as the smallest file has"):
        prune(dataclasses.replace(run.spec, bytes=1000), out=tmp_path / "small")
    assert not (tmp_path / "small").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    with pytest.raises(RunExistsError):
        prune(run.spec, out=tmp_path / "run")


def test_a_divergence_is_met_as_measured(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "sentences.tsv", 60)
    run = coded(tmp_path, kl=0.01, code="levels", evaluation=str(data), cost=False)
    found = run.metrics["pruned"]["versus_dense"]
    assert 0 < found["kl"] <= 0.01
    assert found["same_answer"] > 0.5
    assert run.metrics["baselines"] == {}  # no matrix of so small a model takes a byte: nothing else fits into none
    assert {one.code for one in run.codes.values()} == {"none"}
    with pytest.raises(SpecError, match="16 bits per weight reach"):
        prune(dataclasses.replace(run.spec, kl=1e-12, code="signs"), out=tmp_path / "near")


class Answers:
    """Stands for a measured model whose answers are as near as its bits make them."""

    def __init__(self, coder: Coder, found: Callable[[float], dict[str, float]]) -> None:
        self.judge: Any = SimpleNamespace(bring=lambda tensors, state: None)
        self.of = lambda: found(self.bits)
        self.each = lambda: np.full(8, self.of()["kl"])
        self.bits, own = 0.0, coder.state

        def state(choice: Choice) -> Any:
            self.bits = sum(one.bits for one in choice.values()) / coder.size
            return own(choice)

        coder.state = state  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("asked", "found", "refused"),
    [
        ({"same": 0.97}, lambda bits: {"kl": 1.0, "same_answer": min(0.97, bits / 10)}, "0.99 of the answers the same"),
        ({"kl": 0.5}, lambda bits: {"kl": max(0.5, 4.85 / max(bits, 0.01)), "same_answer": 0.0}, "0.1 nats"),
    ],
    ids=["same", "kl"],
)
def test_the_smallest_choice_that_is_near_enough_is_found(
    asked: dict[str, float], found: Callable[[float], dict[str, float]], refused: str, tmp_path: Path
) -> None:
    base, tuned = save_pair("bert", tmp_path, change=0.02)
    spec = PruneSpec(model=str(tuned), base=str(base), method="bytes", evaluation="demo", **asked)  # type: ignore[arg-type]
    coder = Coder(open_models(spec), spec)
    coder.look(silent)
    choice = nearest(coder, Answers(coder, found), silent)  # type: ignore[arg-type]
    bits = sum(one.bits for one in choice.values()) / coder.size
    assert 9.7 <= bits <= 10.2  # 9.7 are enough; the search ends within some 2 % of that, or at the next option
    least = dict.fromkeys(asked, 0.99 if "same" in asked else 0.1)
    coder.spec = dataclasses.replace(spec, **least)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=f"{next(iter(asked))}: {refused}; wanted what 16 bits per weight reach"):
        nearest(coder, Answers(coder, found), silent)  # type: ignore[arg-type]


def test_a_share_of_same_answers_is_met_as_measured(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "sentences.tsv", 60)
    run = coded(tmp_path, same=0.9, code="levels", evaluation=str(data), cost=False)
    assert run.metrics["pruned"]["versus_dense"]["same_answer"] >= 0.9
    assert describe(dataclasses.asdict(run.spec)).endswith("90 % same")


def test_gradients_order_codes_and_say_on_what(tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "sentences.tsv", 60)
    run = coded(tmp_path, bits=9, evaluation=str(data), cost=False)  # auto: there is data, so gradients are taken
    assert any(note.startswith("Codes were ordered on the sentences") for note in run.notes)
    round_trip(run, tmp_path)
    rule = prune(dataclasses.replace(run.spec, harm="rule"), out=tmp_path / "rule", threads=1)
    assert not any(note.startswith("Codes were ordered") for note in rule.notes)
    assert {one.code for one in run.codes.values()} | {one.code for one in rule.codes.values()} >= {"levels"}
    named = write_sentences(tmp_path / "others.tsv", 60, seed=5)
    other = prune(dataclasses.replace(run.spec, calibration=str(named)), out=tmp_path / "other", threads=1)
    assert not any(note.startswith("Codes were ordered") for note in other.notes)


@pytest.mark.parametrize("harm", ["auto", "both", "gradients", "rule"])
def test_the_order_that_comes_nearest_is_taken_and_said(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[Coder] = []
    monkeypatch.setattr(by_bytes, "sized", lambda coder, *rest: (chosen.append(coder), sized(coder, *rest))[1])
    data = write_sentences(tmp_path / "sentences.tsv", 60)
    run = coded(tmp_path, bits=12, harm=harm, evaluation=str(data), cost=False, baselines=False)
    said = run.record["ordered"]
    if harm != "auto":
        assert said == {"by": harm}
        return
    assert not said["fresh"]  # sixty sentences are few
    assert set(said["kl"]) == {"both", "gradients", "rule"}
    (coder,) = chosen
    assert coder.order == said["by"]
    assert coder.table is coder.orders[said["by"]]


@pytest.mark.parametrize("room", [True, False])
def test_orders_are_compared_for_a_language_model_where_its_logits_find_room(
    room: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not room:
        monkeypatch.setattr("kencore.models.held.MOST", 0)
    text = {"evaluation": "pydoc", "windows": 2, "window": 24, "sequences": 3}
    run = coded(tmp_path, "gpt2", bits=12, **text, cost=False, baselines=False)
    said = run.record["ordered"]
    assert set(said.get("kl", {})) == ({"both", "gradients", "rule"} if room else set())
    assert said["by"] in (said["kl"] if room else ["gradients"])
    round_trip(run, tmp_path)


@pytest.fixture
def coder(tmp_path: Path) -> Coder:
    """Of a pair, with three orders that choose other options each, though of the same bits."""
    base, tuned = save_pair("bert", tmp_path, change=0.02)
    spec = PruneSpec(model=str(tuned), base=str(base), method="bytes", evaluation="demo", kl=0.5)
    made = Coder(open_models(spec), spec)
    made.look(silent)
    made.orders = {
        order: {
            name: [dataclasses.replace(one, value=one.value + 1e-6 * number) for one in options]
            for name, options in made.table.items()
        }
        for number, order in enumerate(("gradients", "both", "rule"))
    }
    made.take("gradients")
    return made


@pytest.mark.parametrize(
    ("enough", "order", "bits"),
    [
        ({"gradients": 9.7, "both": 7.0, "rule": 14.0}, "both", 7.0),
        ({"gradients": 9.7, "both": 14.0, "rule": 2.6}, "rule", 2.6),  # less than half
        ({"gradients": 9.3, "both": 9.8, "rule": 9.8}, "gradients", 9.3),
        ({"gradients": 99.0, "both": 99.0, "rule": 7.0}, "rule", 7.0),  # not near enough in the first at any size
    ],
)
def test_a_search_goes_on_in_an_order_that_is_nearer_where_it_ended(
    enough: dict[str, float], order: str, bits: float, coder: Coder
) -> None:
    def near(bits: float) -> dict[str, float]:
        return {"kl": 0.5 * enough[coder.order] / max(bits, 0.01), "same_answer": 0.0}

    answers: Any = Answers(coder, near)
    kl: dict[str, float] = {}

    def compare(room: float) -> None:  # as `take_nearest_order`: what a choice comes to depends on its order here
        kl.update({name: enough[name] for name in coder.orders})
        coder.take(min(kl, key=lambda name: kl[name]))
        coder.compared = {"bits": 8 * room / coder.size, "kl": dict(kl)}

    choice = nearest(coder, answers, silent, compare)
    assert coder.order == order
    assert 0.97 * bits <= sum(one.bits for one in choice.values()) / coder.size <= 1.05 * bits
    assert bool(coder.compared) == bool(kl)


def test_an_order_that_is_nearer_and_saves_nothing_is_not_taken(coder: Coder) -> None:
    answers: Any = Answers(coder, lambda bits: {"kl": 0.5 * 9.7 / max(bits, 0.01), "same_answer": 0.0})

    def compare(room: float) -> None:
        coder.take("rule")
        coder.compared = {"bits": 1.0, "kl": {"both": 1.0, "gradients": 1.0, "rule": 0.5}}

    choice = nearest(coder, answers, silent, compare)
    assert coder.order == "both"
    assert coder.compared == {}  # nothing is said of it
    assert choice == choose(coder.orders["both"], sum(one.bits for one in choice.values()))


def test_only_choices_that_differ_are_measured(coder: Coder) -> None:
    measured: list[float] = []

    def near(bits: float) -> dict[str, float]:
        measured.append(bits)
        return {"kl": float(len(measured)), "same_answer": 0.0}

    answers: Any = Answers(coder, near)
    coder.take("rule")
    take_nearest_order(coder, answers, silent, coder.size)
    assert (coder.order, len(measured)) == ("gradients", 3)
    assert coder.compared["kl"] == {"gradients": 1.0, "both": 2.0, "rule": 3.0}
    assert coder.compared["bits"] == 8
    measured.clear()
    coder.orders["both"] = {  # another harm of the same options: the same choice
        name: [dataclasses.replace(one, harm=2 * one.harm) for one in options]
        for name, options in coder.orders["gradients"].items()
    }
    take_nearest_order(coder, answers, silent, coder.size)
    assert coder.compared["kl"] == {"gradients": 1.0, "both": 1.0, "rule": 2.0}
    coder.orders = dict.fromkeys(coder.orders, coder.table)
    coder.compared = {}
    measured.clear()
    take_nearest_order(coder, answers, silent, coder.size)
    assert (measured, coder.compared) == ([], {})


def test_an_order_that_breaks_the_model_loses(coder: Coder) -> None:
    def near(bits: float) -> dict[str, float]:
        if len(seen) < 2:
            seen.append(bits)
            raise NonFiniteWeightError("Model", got="infinite logits", wanted="finite ones", remedy="Look.")
        return {"kl": 5.0, "same_answer": 0.0}

    seen: list[float] = []
    take_nearest_order(coder, Answers(coder, near), silent, coder.size)  # type: ignore[arg-type]
    assert coder.order == "rule"
    assert coder.compared["kl"] == {"gradients": None, "both": None, "rule": 5.0}


SPREAD = np.linspace(-1, 1, 101)  # of mean 0 and a standard error of 0.058


@pytest.mark.parametrize(
    ("both", "rule", "taken"),
    [
        (5 - 0.11 + SPREAD, 5 + SPREAD, "gradients"),  # nearer by less than two standard errors
        (5 - 0.13 + SPREAD, 5 + SPREAD, "both"),
        (5 - 0.13 + SPREAD, 5 - 0.2 + SPREAD, "rule"),
        (5 - 0.13 + SPREAD, 5 - 0.2 + 3 * SPREAD, "both"),  # nearer in the mean, and by chance
        (5 + SPREAD, None, "gradients"),
    ],
)
def test_gradients_stay_unless_another_order_is_nearer_beyond_chance(both: Any, rule: Any, taken: str) -> None:
    own = np.full(101, 5.0)
    assert best_of({"gradients": own, "both": both, "rule": rule}) == taken
    assert best_of({"gradients": None, "both": own + 1, "rule": own}) == "rule"
    assert best_of({"gradients": None, "both": None, "rule": None}) == "gradients"


def test_text_to_order_codes_needs_no_label_that_the_model_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kencore.quality.second_order.SENTENCES", 20)
    monkeypatch.setattr("kencore.quality.second_order.FEW", 10)
    data = write_sentences(tmp_path / "sentences.tsv", 60)
    head, *lines = write_sentences(tmp_path / "others.tsv", 40, seed=5).read_text().splitlines()
    named = tmp_path / "named.tsv"
    named.write_text("\n".join([head, *(f"{line.split(chr(9))[0]}\tunheard of" for line in lines)]) + "\n")
    run = coded(tmp_path, bits=12, evaluation=str(data), calibration=str(named), cost=False, baselines=False)
    assert run.record["ordered"]["fresh"]  # there are others than those of the gradients
    assert set(run.record["ordered"]["kl"]) == {"both", "gradients", "rule"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "none of them; wanted exactly one"),
        ({"bits": 1, "kl": 0.1}, "bits and kl"),
        ({"bits": 1, "keep": 0.5}, "keep: 0.5 beside bytes"),
        ({"bits": 1, "rescale": "share"}, "rescale: share beside bytes"),
        ({"bits": 0}, "bits: 0; wanted a number above 0"),
        ({"kl": 0.1}, "without data"),
        ({"bits": 1, "code": "zip"}, f"one of {', '.join(NAMES)}"),
        ({"bits": 1, "method": "delta", "keep": 0.5}, "bits: one beside delta; wanted method bytes"),
        ({"code": "signs", "method": "delta", "keep": 0.5}, "code: one beside delta"),
        ({"harm": "gradients", "method": "delta", "keep": 0.5}, "harm: one beside delta"),
        ({"harm": "gradients", "bits": 1}, "gradients without evaluation data"),
        ({"harm": "both", "bits": 1}, "both without evaluation data"),
    ],
)
def test_settings_that_cannot_be_are_refused(asked: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        PruneSpec(**{"model": "m", "base": "b", "method": "bytes", **asked})  # type: ignore[arg-type]


def test_not_a_number_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path)
    tensors = load_file(tuned / "model.safetensors")
    tensors["bert.pooler.dense.weight"][0, 0] = float("nan")
    save_file(tensors, tuned / "model.safetensors", {"format": "pt"})
    with pytest.raises(NonFiniteWeightError, match="pooler"):
        prune(PruneSpec(model=str(tuned), base=str(base), method="bytes", bits=14), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_without_its_codes_is_corrupt(tmp_path: Path) -> None:
    run = coded(tmp_path, bits=14)
    (run.path / "codes.safetensors").unlink()
    with pytest.raises(CorruptRunError, match=r"codes\.safetensors"):
        write_subnetwork(open_run(run.path), tmp_path / "file")
