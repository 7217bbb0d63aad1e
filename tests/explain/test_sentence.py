"""A sentence through a run, against transformers alone on the folder that the run saves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from typer.testing import CliRunner

from kencore import PruneSpec, Run, prune
from kencore.cli.main import app
from kencore.errors import MatrixNotFoundError, RunNotFoundError, SourceNotFoundError, SpecError, TaskMismatchError
from kencore.explain import LONGEST_TEXT, ExplainSpec, Explanation, explain, open_explanation
from kencore.explain import sentence as module
from tests.support.classifiers import NAMES, build, save_tokenizer
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

TEXTS = {"bert": "the film is not very good zebra", "gpt2": "w3 w9 w4 w12 w7", "llama": "w5 w5 w30 w2 w8 w11"}
KINDS = list(TEXTS)


def classifier(folder: Path) -> tuple[Path, Path]:
    model = build("bert", NAMES)
    for side in ("base", "tuned"):
        model.save_pretrained(folder / side)
        save_tokenizer(folder / side)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator())
    return folder / "base", folder / "tuned"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Run, Explanation, Path]]:
    """By kind: a run, its explanation of a sentence, and the pruned model as a folder."""
    found = {}
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        if kind == "bert":
            base, tuned = classifier(folder)
        else:
            base, tuned = save_pair(kind, folder, change=0.2)
            add_tokenizer(tuned)
        if kind == "llama":
            spec = PruneSpec(model=str(tuned), method="magnitude", keep=0.4)
        else:
            spec = PruneSpec(model=str(tuned), base=str(base), keep=0.4)
        run = prune(spec, out=folder / "run")
        pruned = run.save_pretrained(folder / "pruned")
        found[kind] = (run, explain(ExplainSpec(run=str(run.path), text=TEXTS[kind])), pruned)
    return found


def by_transformers(folder: Path, kind: str) -> tuple[torch.Tensor, list[torch.Tensor], Any]:
    """Logits, hidden states after each block, and the model."""
    auto: Any = AutoModelForSequenceClassification if kind == "bert" else AutoModelForCausalLM
    model = auto.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[kind], return_tensors="pt")
    with torch.no_grad():
        out = model(input_ids=tokens["input_ids"], output_hidden_states=True)
    return out.logits[0], [state[0] for state in out.hidden_states], model


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_transformers(made: dict[str, Any], kind: str) -> None:
    run, found, pruned = made[kind]
    folders = {"dense": run.tuned_tensors.folder, "pruned": pruned}
    for state, folder in folders.items():
        logits, _, model = by_transformers(folder, kind)
        last = logits if kind == "bert" else logits[-1]
        chances = last.double().softmax(0)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        for answer in found.facts["answers"]:
            if kind == "bert":
                number = model.config.label2id[answer["text"]]
            else:
                number = tokenizer.convert_tokens_to_ids(answer["text"])
            assert answer[state] == pytest.approx(float(chances[number]), abs=1e-6)
        if kind != "bert":
            best = tokenizer.convert_ids_to_tokens(chances.topk(5).indices.tolist())
            assert set(best) <= {answer["text"] for answer in found.facts["answers"]}
    dense = [answer["dense"] for answer in found.facts["answers"]]
    assert dense == sorted(dense, reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_distances_are_those_of_hidden_states(made: dict[str, Any], kind: str) -> None:
    run, found, pruned = made[kind]
    _, before, _ = by_transformers(run.tuned_tensors.folder, kind)
    _, after, _ = by_transformers(pruned, kind)
    told = found.facts["distance"]
    assert len(told["relative"]) == len(before)
    # what transformers calls the last hidden state of a decoder has gone through the final norm
    last = len(before) if kind == "bert" else len(before) - 1
    for place in range(last):
        a, b = before[place].double(), after[place].double()
        assert told["relative"][place] == pytest.approx(float((b - a).norm() / a.norm()), abs=1e-5)
        cosine = float((a * b).sum() / (a.norm() * b.norm()))
        assert told["cosine"][place] == pytest.approx(cosine, abs=1e-5)
        each = ((b - a).norm(dim=1) / a.norm(dim=1)).tolist()
        assert told["token_relative"][place] == pytest.approx(each, abs=1e-5)
    assert max(value for value in told["relative"] if value is not None) > 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_against_the_model_itself(made: dict[str, Any], kind: str) -> None:
    """The output of a neuron by a hook on a model that transformers loaded."""
    run, found, pruned = made[kind]
    names = list(found.facts["matrices"])
    assert set(names) == {n for n in run.pruned if run.matrix(n)["block"] >= 0 and run.matrix(n)["rows"] > 1}
    sides = {}
    for side, folder in (("dense", run.tuned_tensors.folder), ("pruned", pruned)):
        _, _, model = by_transformers(folder, kind)
        outputs: dict[str, torch.Tensor] = {}
        for path, part in model.named_modules():
            part.register_forward_hook(lambda _m, _a, out, path=path, seen=outputs: seen.__setitem__(path, out))
        tokens = AutoTokenizer.from_pretrained(folder)(TEXTS[kind], return_tensors="pt")
        with torch.no_grad():
            model(input_ids=tokens["input_ids"])
        sides[side] = outputs
    for name in names:
        path = name.removesuffix(".weight")
        path = path if path in sides["dense"] else f"transformer.{path}"
        dense, after = (sides[side][path][0].double() for side in ("dense", "pruned"))  # T, R
        for row in {0, int(found.facts["matrices"][name]["rows"][0]["row"])}:
            for token in (0, len(dense) - 1):
                parts = found.contributions(run, name, row, token)
                assert parts.dense == pytest.approx(float(dense[token, row]), abs=2e-5)
                assert parts.pruned == pytest.approx(float(after[token, row]), abs=2e-5)
                total = parts.weights + parts.inputs + parts.bias
                assert total == pytest.approx(parts.dense - parts.pruned, abs=1e-9)
                kept = run.keep(name, slice(row, row + 1))[0]
                assert not parts.entries[kept].any()
            both = found.outputs(run, name, row)
            np.testing.assert_allclose(both[0], dense[:, row], atol=2e-5)
        change = (after - dense).square().mean(dim=0).sqrt()
        top = found.facts["matrices"][name]["rows"]
        assert top[0]["change"] == pytest.approx(float(change.max()), abs=2e-5)
        assert int(change.argmax()) in [one["row"] for one in top]


def test_the_first_place_of_a_model_whose_embeddings_stayed(made: dict[str, Any]) -> None:
    assert made["llama"][1].facts["distance"]["relative"][0] == 0.0
    assert made["llama"][1].facts["states"] == ["dense", "pruned"]
    assert made["gpt2"][1].facts["states"] == ["dense", "pruned", "base"]


def test_unknown_words_and_cuts_are_told(made: dict[str, Any]) -> None:
    run, found, _ = made["bert"]
    assert [token["text"] for token in found.facts["tokens"] if token["unknown"]] == ["[UNK]"]
    assert found.facts["cut"] == 0
    longer = explain(ExplainSpec(run=str(run.path), text="good " * 40))
    assert len(longer.facts["tokens"]) == 12
    assert longer.facts["cut"] == 30


def test_written_and_read_it_is_the_same(made: dict[str, Any], tmp_path: Path) -> None:
    run, found, _ = made["bert"]
    found.save(tmp_path)
    again = open_explanation(tmp_path)
    assert again.facts == json.loads(json.dumps(found.facts))
    name = next(iter(found.facts["matrices"]))
    one, other = (e.contributions(run, name, 1, 2) for e in (found, again))
    np.testing.assert_array_equal(one.entries, other.entries)


def test_a_large_model_is_looked_into_block_by_block(made: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run, found, _ = made["llama"]
    monkeypatch.setattr(module, "MOST_BYTES", 9000)
    less = explain(ExplainSpec(run=str(run.path), text=TEXTS["llama"]))
    assert 0 < len(less.facts["matrices"]) < len(found.facts["matrices"])
    name = next(n for n in less.facts["left_out"] if ".1." in n)
    with pytest.raises(MatrixNotFoundError, match="ask for its block"):
        less.contributions(run, name, 0, 0)
    one = explain(ExplainSpec(run=str(run.path), text=TEXTS["llama"], block=1))
    assert {line["block"] for line in one.facts["matrices"].values()} == {1}
    with pytest.raises(SpecError, match="0 to 1"):
        explain(ExplainSpec(run=str(run.path), text="w3", block=2))


@pytest.mark.parametrize(
    ("kind", "watched", "why"),
    [
        ("opt", 12, ""),
        ("gpt_neox", 8, ""),
        ("mixtral", 8, "not a linear layer"),
        ("albert", 0, "several blocks use it"),
        ("deberta-v2", 12, "each token once"),
    ],
)
def test_what_cannot_be_watched_is_told(tmp_path: Path, kind: str, watched: int, why: str) -> None:
    base, tuned = save_pair(kind, tmp_path, change=0.2)
    add_tokenizer(tuned)
    run = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.4), out=tmp_path / "run")
    found = explain(ExplainSpec(run=str(run.path), text="w3 w4 w9"))
    assert len(found.facts["matrices"]) == watched
    assert all(why in reason for reason in found.facts["left_out"].values())
    assert bool(found.facts["left_out"]) == bool(why)
    assert len(found.facts["distance"]["relative"]) == 3
    for name in found.facts["matrices"]:
        row, token = found.chosen(run, name)
        parts = found.contributions(run, name, row, token)
        total = parts.weights + parts.inputs + parts.bias
        assert total == pytest.approx(parts.dense - parts.pruned, abs=1e-9)
    for relative, block in (([0.1, 0.8, 0.9], {0}), ([0.1, 0.2, 0.9], {1}), ([0.1, 0.4, 0.7], {0, 1})):
        apart = replace(found, facts=found.facts | {"effects": "", "distance": {"relative": relative}})
        assert not watched or run.matrix(apart.telling(run))["block"] in block


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"text": ""}, "a sentence"),
        ({"text": "  \n "}, "a sentence"),
        ({"text": "a" * (LONGEST_TEXT + 1)}, "2,000 at most"),
        ({"text": "a", "block": -1}, "0 or more"),
        ({"text": "a", "block": True}, "0 or more"),
        ({"text": "a", "device": "tpu"}, "auto"),
    ],
)
def test_what_cannot_be_asked(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        ExplainSpec(run="demo", **settings)


def test_a_model_that_is_gone_or_of_another_task(made: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RunNotFoundError):
        explain(ExplainSpec(run="nobody", text="a"))
    base, tuned = classifier(tmp_path)
    run = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.5), out=tmp_path / "run")
    shutil.rmtree(tuned)
    with pytest.raises(SourceNotFoundError):
        explain(ExplainSpec(run=str(run.path), text="good"))
    old, new = save_pair("t5", tmp_path / "t5")
    other = prune(PruneSpec(model=str(new), base=str(old), keep=0.5), out=tmp_path / "other")
    with pytest.raises(TaskMismatchError):
        explain(ExplainSpec(run=str(other.path), text="good"))


def test_the_command_line_says_the_same(made: dict[str, Any]) -> None:
    run, found, _ = made["llama"]
    name = list(found.facts["matrices"])[3]
    words = ["explain", str(run.path), TEXTS["llama"], "--matrix", name, "--top", "2"]
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    neuron = told.pop("neuron")
    for facts in (told, expected := json.loads(json.dumps(found.facts))):
        facts.pop("seconds")
    assert told == expected
    parts = found.contributions(run, name, neuron["row"], neuron["token"])
    assert neuron["weights"] == pytest.approx(-parts.weights)
    assert [line["column"] for line in neuron["top"]] == parts.top(2).tolist()
    text = CliRunner().invoke(app, words).stdout
    assert f"Neuron {neuron['row']} of {name}" in text
    assert "Next token" in text
    wrong = CliRunner().invoke(app, ["explain", str(run.path), "w1", "--neuron", "3", "--json"])
    assert wrong.exit_code == 1
    assert "--matrix" in wrong.stdout


def test_markup_is_only_text(made: dict[str, Any]) -> None:
    text = "good <b>film</b> **not** [x](http://y)"
    found = explain(ExplainSpec(run=str(made["bert"][0].path), text=text))
    assert found.facts["text"] == text


@pytest.mark.parametrize("kind", KINDS)
def test_progress_rises_to_its_end_and_says_every_phase(made: dict[str, Any], kind: str) -> None:
    run = made[kind][0]
    told: list[tuple[float, float, str]] = []
    explain(ExplainSpec(run=str(run.path), text=TEXTS[kind]), progress=lambda *one: told.append(one))
    shares = [done / total for done, total, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    models = ("dense", "pruned", *(("base",) if run.restore == "base" else ()))
    phases = ["Checking that the models are those of the run", "Loading the model"]
    phases += [f"Reading the sentence: {name} model" for name in models]
    assert list(dict.fromkeys(words for *_, words in told)) == [*phases, "Comparing"]
    check = [share for share, (*_, words) in zip(shares, told, strict=True) if words == phases[0]]
    assert len(set(check)) == len(run.matrices)  # one step a parameter, so that what is left can be told
