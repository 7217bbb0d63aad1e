"""Changed answers against a recount by transformers alone, on the folders that a run saves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import load_file
from typer.testing import CliRunner

from kencore import PruneSpec, Run, flips, open_run, prune
from kencore.cli.main import app
from kencore.errors import CorruptRunError, RunNotFoundError, SchemaError, SpecError
from kencore.quality.answers import divergence, lines_to_keep, log_chances
from kencore.quality.flips import keep_flips
from kencore.quality.flips_text import text_flips
from kencore.quality.judge import fitting_data, load_judge
from kencore.runs.flips import FILE, Flips, read_flips
from kencore.system.progress import silent
from kencore.views.flips import FILTERS, chosen, clearest, worst
from tests.quality.test_judge import with_state
from tests.quality.test_judge_language import WINDOW
from tests.quality.test_judge_language import files as text_files
from tests.support.classifiers import NAMES, WORDS, build, save_tokenizer

_ = text_files  # a fixture


# --- pure -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(arrays(np.float32, (2, 5, 3), elements=st.floats(-30, 30, width=32)))
def test_divergence_is_that_of_torch(logits: np.ndarray) -> None:
    first, second = (log_chances(side) for side in logits)
    there, here = (torch.from_numpy(side).double().log_softmax(1) for side in logits)
    wanted = torch.nn.functional.kl_div(here, there, reduction="none", log_target=True).sum(1)
    assert divergence(first, second) == pytest.approx(wanted.numpy(), abs=1e-9)


def test_a_label_that_the_first_model_rules_out_adds_nothing() -> None:
    first, second = np.log([[0.5, 0.5, 1e-300]]), np.log([[0.25, 0.75, 1e-300]])
    first[0, 2] = -np.inf
    assert divergence(first, second) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_changed_answers_are_kept_first_and_lines_stand_by_kl() -> None:
    kl, changed = np.array([0.1, 0.9, 0.5, 0.9, 0.0]), np.array([False, False, True, False, True])
    assert lines_to_keep(kl, changed, limit=3).tolist() == [1, 2, 4]
    assert lines_to_keep(kl, changed, limit=1).tolist() == [2, 4]
    assert lines_to_keep(kl, changed, limit=1, most=1).tolist() == [2]
    assert lines_to_keep(kl, changed, limit=9).tolist() == [1, 3, 2, 0, 4]


# --- a classifier -----------------------------------------------------------------------------


def logits_of(folder: Path, texts: list[str]) -> torch.Tensor:
    """(N, L) by transformers alone, one sentence at a time."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return torch.cat([network(**tokenizer(text, return_tensors="pt")).logits for text in texts])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """(base, tuned, data): a tiny classifier whose tuned side answers either label to half of the sentences."""
    folder, generator = tmp_path_factory.mktemp("flips"), torch.Generator().manual_seed(1)
    model, drawn = build("bert", NAMES), torch.randint(len(WORDS), (80, 6), generator=generator)
    texts = [" ".join(WORDS[i] for i in row) for row in drawn]
    for side in ("base", "tuned"):
        model.save_pretrained(folder / side)
        save_tokenizer(folder / side)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.4 * torch.randn(parameter.shape, generator=generator)
    state = load_file(folder / "tuned" / "model.safetensors")
    found = logits_of(folder / "tuned", texts)
    state["classifier.bias"][1] -= (found[:, 1] - found[:, 0]).quantile(0.5)
    lines = [f"{text}\t{int(row[0]) % 2}" for text, row in zip(texts, drawn, strict=True)]
    (folder / "data.tsv").write_text("\n".join(lines), "utf-8")
    return folder / "base", with_state(state, folder / "tuned", folder / "balanced"), folder / "data.tsv"


@pytest.fixture(scope="module")
def run(files: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    base, tuned, data = files
    spec = PruneSpec(model=str(tuned), base=str(base), keep=0.2, evaluation=str(data), seed=7, cost=False)
    return prune(spec, out=tmp_path_factory.mktemp("runs") / "run")


def test_a_run_measured_on_sentences_holds_its_changed_answers(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    data = [line.split("\t") for line in files[2].read_text("utf-8").splitlines()]
    texts, truth = [text for text, _ in data], torch.tensor([int(label) for _, label in data])
    dense = logits_of(files[1], texts)
    pruned = logits_of(run.save_pretrained(tmp_path / "pruned"), texts)
    before, after = dense.argmax(1) == truth, pruned.argmax(1) == truth
    found = read_flips(run.path)
    assert found is not None
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    assert lost + won > 0, "a pruning that changes nothing tests nothing"
    assert (found.facts["right_wrong"], found.facts["wrong_right"]) == (lost, won)
    gap = run.metrics["pruned"]["accuracy"] - run.metrics["dense"]["accuracy"]
    assert (won - lost) / len(texts) == pytest.approx(gap, abs=1e-12)
    table = run.flips().set_index("place").sort_index()
    assert table["text"].tolist() == texts  # fewer than are kept: all of them
    names = ["negative", "positive"]
    assert table["truth"].tolist() == [names[i] for i in truth]
    assert table["dense"].tolist() == [names[i] for i in dense.argmax(1)]
    assert table["pruned"].tolist() == [names[i] for i in pruned.argmax(1)]
    logs = [side.double().log_softmax(1) for side in (dense, pruned)]
    kl = torch.nn.functional.kl_div(logs[1], logs[0], reduction="none", log_target=True).sum(1)
    assert table["kl"].to_numpy() == pytest.approx(kl.numpy(), abs=1e-5)
    assert table["pruned_p"].to_numpy() == pytest.approx(logs[1].exp().max(1).values.numpy(), abs=1e-5)
    rise = (logs[0] - logs[1]).gather(1, truth[:, None])[:, 0]
    assert table["nll_change"].to_numpy() == pytest.approx(rise.numpy(), abs=1e-5)
    for name, step in run.metrics["baselines"].items():
        assert (table[name] == table["truth"]).mean() == pytest.approx(step["accuracy"])


def test_computed_later_they_are_the_same_and_are_kept_for_the_runs_own_data_alone(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    stored = read_flips(run.path)
    found = flips(run)
    assert stored is not None
    assert found.facts == {name: value for name, value in stored.facts.items() if name != "version"}
    pd.testing.assert_frame_equal(found.table, stored.table, check_dtype=False, rtol=1e-5, atol=1e-6)
    (tmp_path / "few.tsv").write_text("\n".join(files[2].read_text("utf-8").splitlines()[:9]))
    few = flips(run.path, str(tmp_path / "few.tsv"), baselines=False, limit=2)
    assert (few.facts["count"], few.facts["baselines"]) == (9, [])
    assert not keep_flips(run, few)
    (run.path / FILE).unlink()
    with pytest.raises(RunNotFoundError, match="kencore flips run"):
        Run(run.path).flips()
    assert keep_flips(run, found)
    assert len(run.flips()) == 80


def test_the_shipped_runs_hold_what_their_figures_say() -> None:
    for name, most in (("demo", 40_000), ("demo-lm", 60_000)):
        shipped = open_run(name)
        found = read_flips(shipped.path)
        assert found is not None
        assert (shipped.path / FILE).stat().st_size < most
        assert not keep_flips(shipped, found), "what ships is not written to"
        assert found.facts["data_sha256"] == shipped.metrics["data_sha256"]
        if name == "demo":
            change = shipped.metrics["pruned"]["versus_dense"]
            assert (found.facts["right_wrong"], found.facts["wrong_right"]) == (change["lost"], change["won"])
        else:
            change = shipped.metrics["pruned"]["nll"] - shipped.metrics["dense"]["nll"]
            assert found.facts["nll_change"] == pytest.approx(change, abs=1e-5)
            assert (len(found.table), found.facts["count"]) == (500, shipped.metrics["tokens"])


def test_a_run_that_was_not_measured_wants_data(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    base, tuned, _ = files
    bare = prune(PruneSpec(model=str(tuned), base=str(base), keep=0.4), out=tmp_path / "bare")
    with pytest.raises(SpecError, match="--data"):
        flips(bare)


# --- a text -----------------------------------------------------------------------------------


def test_tokens_are_those_of_two_plain_models(text_files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, tuned, text = text_files
    spec = PruneSpec(
        model=str(tuned), keep=0.4, method="random", evaluation=str(text), seed=7, window=WINDOW, windows=9, cost=False
    )
    run = prune(spec, out=tmp_path / "run")
    found = flips(run, limit=10_000)
    logs, ids = [], None
    for folder in (tuned, run.save_pretrained(tmp_path / "pruned")):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokens = AutoTokenizer.from_pretrained(folder)(text.read_text())["input_ids"]
        ids = torch.tensor(tokens)[: 9 * WINDOW].reshape(9, WINDOW)
        with torch.inference_mode():
            logs.append(network(input_ids=ids).logits[:, :-1].double().log_softmax(-1))
    assert ids is not None
    dense, pruned = logs  # W, T - 1, V
    truth = ids[:, 1:]
    before, after = dense.argmax(-1) == truth, pruned.argmax(-1) == truth
    facts = found.facts
    assert facts["count"] == truth.numel()
    assert facts["right_wrong"] == int((before & ~after).sum())
    assert facts["wrong_right"] == int((~before & after).sum())
    assert facts["changed"] == int((dense.argmax(-1) != pruned.argmax(-1)).sum())
    gap = run.metrics["pruned"]["nll"] - run.metrics["dense"]["nll"]
    assert facts["nll_change"] == pytest.approx(gap, abs=1e-5)
    kl = (dense.exp() * (dense - pruned)).sum(-1)  # W, T - 1
    table = found.table
    window, offset = np.divmod(table["place"].to_numpy(), WINDOW)
    assert table["kl"].to_numpy() == pytest.approx(kl[window, offset - 1].numpy(), abs=1e-5)
    assert table["kl"].is_monotonic_decreasing
    assert table["pruned_right"].to_numpy().tolist() == after[window, offset - 1].tolist()
    chance = pruned.exp().max(-1).values[window, offset - 1].numpy()
    assert table["pruned_p"].to_numpy() == pytest.approx(chance, abs=1e-5)
    with_magnitude(run, tuned, table, ids, tmp_path)
    one_by_one(run, text, found)


def with_magnitude(run: Run, tuned: Path, table: pd.DataFrame, ids: torch.Tensor, folder: Path) -> None:
    """The baseline's answers are those of a model pruned by a plain sort of each row."""
    from transformers import AutoModelForCausalLM

    from kencore.quality.states import baseline_state

    state = load_file(tuned / "model.safetensors") | dict(baseline_state(run, "magnitude", 1))
    made = with_state(state, tuned, folder / "magnitude")
    network = AutoModelForCausalLM.from_pretrained(made, dtype=torch.float32).eval()
    with torch.inference_mode():
        best = network(input_ids=ids).logits.double().softmax(-1).max(-1).values  # W, T
    window, offset = np.divmod(table["place"].to_numpy(), WINDOW)
    assert table["magnitude_p"].to_numpy() == pytest.approx(best[window, offset - 1].numpy(), abs=1e-5)


def one_by_one(run: Run, text: Path, found: Flips) -> None:
    """Where no more than a window of logits may be held the result is the same."""
    data = fitting_data(run.tuned_tensors.folder, str(text), window=WINDOW, limit=9)
    judge = load_judge(run.tuned_tensors.folder, data, device="cpu", threads=1)
    again = text_flips(run, judge, baselines=False, limit=7, threads=1, progress=silent, held=1)
    assert again.facts["right_wrong"] == found.facts["right_wrong"]
    columns = ["place", "dense", "pruned", "kl"]
    pd.testing.assert_frame_equal(again.table[columns], found.table[columns].head(7), rtol=1e-5)


# --- kept, chosen, said -----------------------------------------------------------------------


def test_a_file_of_a_newer_version_and_a_broken_one_are_told(run: Run, tmp_path: Path) -> None:
    found = read_flips(run.path)
    assert found is not None
    table = found.table.head(3)
    Flips(facts=found.facts, table=table).save(tmp_path)
    again = read_flips(tmp_path)
    assert again is not None
    pd.testing.assert_frame_equal(again.table, table)
    import pyarrow.parquet as pq

    stored = pq.read_table(tmp_path / FILE)
    newer = json.dumps({**found.facts, "version": 99}).encode()
    pq.write_table(stored.replace_schema_metadata({b"kenviz": newer}), tmp_path / FILE)
    with pytest.raises(SchemaError, match="newer"):
        read_flips(tmp_path)
    (tmp_path / FILE).write_bytes(b"PAR1")
    with pytest.raises(CorruptRunError, match="Delete this one file"):
        read_flips(tmp_path)
    assert read_flips(tmp_path / "nowhere") is None


def test_filters_are_what_they_say() -> None:
    table = open_run("demo").flips()
    facts = read_flips(open_run("demo").path)
    assert facts is not None
    counts = {which: len(chosen(table, which)) for which in FILTERS}
    wanted = {name: facts.facts[name.replace("-", "_")] for name in FILTERS[:3]} | {"all": 354}
    assert counts == wanted
    assert (worst(table)["truth"] == worst(table)["dense"]).all()
    assert len(worst(table.head(0))) == 0
    clear = clearest(table)
    both = [line for line in table.to_dict("records") if line["dense_right"] and line["pruned_right"]]
    assert clear is not None
    assert clear.iloc[0]["pruned_p"] == max(line["pruned_p"] for line in both)
    assert clearest(chosen(table, "right-wrong")) is None


def test_the_command_lists_and_writes_them(tmp_path: Path) -> None:
    asked = ["flips", "demo", "--filter", "right-wrong", "--csv", str(tmp_path / "lines.csv")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "29 sentences went wrong, 17 came right" in done.output
    assert "46 of 354 answers changed; 12 fewer right" in done.output
    assert len(pd.read_csv(tmp_path / "lines.csv")) == 29
    facts: dict[str, Any] = json.loads(CliRunner().invoke(app, ["flips", "demo", "--limit", "2", "--json"]).stdout)
    assert (facts["run"], facts["filter"], len(facts["lines"])) == ("demo", "changed", 2)
    wrong = CliRunner().invoke(app, ["flips", "demo", "--filter", "worse"])
    assert wrong.exit_code == 1
    assert "right-wrong" in wrong.output
