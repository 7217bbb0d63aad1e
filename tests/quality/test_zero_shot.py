"""Zero-shot tasks, run for real by lm-evaluation-harness on task files of the test's own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from kencore.errors import MissingExtraError, NoNetworkError, ZeroShotTaskError
from kencore.models.language import LanguageModel
from kencore.quality.zero_shot import opened, zero_shot
from kencore.quality.zero_shot_harness import PAPER
from tests.quality.test_zero_shot_task import TASK
from tests.support.tiny_models import save_pair
from tests.support.tiny_text import add_tokenizer

MINE = {"doc_to_text": "{{text}}", "doc_to_choice": ["w3 w4", "w80"]}
ROWS = [{"text": f"w{5 + i % 17} w{9 + 3 * i % 50} w{i + 11}", "label": i % 2} for i in range(40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaMA whose answers differ from row to row."""
    _, tuned = save_pair("llama", tmp_path_factory.mktemp("model"), change=0.5)
    return add_tokenizer(tuned)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A task file with its data."""
    return write_task(tmp_path)


def write_task(folder: Path, **changes: Any) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in ROWS)
    (folder / "film.jsonl").write_text(text, "utf-8")
    path = folder / "film.yaml"
    path.write_text(yaml.safe_dump(TASK | MINE | changes), "utf-8")
    return path


def likelier(folder: Path, rows: list[dict[str, Any]]) -> list[int]:
    """The reference: which of two words the model finds likelier after each text."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    told = []
    for row in rows:
        with torch.no_grad():
            scores = []
            for word in MINE["doc_to_choice"]:
                context = tokenizer(row["text"])["input_ids"]
                whole = tokenizer(f"{row['text']} {word}")["input_ids"]
                logs = model(torch.tensor([whole])).logits[0].log_softmax(-1)
                rest = range(len(context), len(whole))
                scores.append(sum(float(logs[i - 1, whole[i]]) for i in rest))
        told.append(max(range(2), key=scores.__getitem__))
    return told


def test_accuracy_is_that_of_the_likelier_answer(folder: Path, film: Path) -> None:
    model = LanguageModel.load(folder)
    before = {name: p.clone() for name, p in model.model.state_dict().items()}
    pad = model.tokenizer.pad_token
    said: list[tuple[float, float, str]] = []
    with opened([str(film)]) as tasks:
        found = zero_shot(model, tasks, progress=lambda *step: said.append(step))["film"]
        again = zero_shot(model, tasks)["film"]
    wanted = [told == row["label"] for told, row in zip(likelier(folder, ROWS), ROWS, strict=True)]
    assert 0 < sum(wanted) < 40
    assert found.outcomes.tolist() == wanted
    assert found["acc"] == pytest.approx(sum(wanted) / 40)
    assert found["acc_low"] < found["acc"] < found["acc_high"]
    assert (found["examples"], found["seconds"] >= 0) == (40, True)
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in found.items() if k != "seconds"}
    assert said[-1][2].startswith("film: ")
    assert all(0 < done <= total for done, total, _ in said)
    assert all(torch.equal(p, before[name]) for name, p in model.model.state_dict().items())
    assert model.tokenizer.pad_token == pad


def test_a_limit_takes_the_first_examples(folder: Path, film: Path) -> None:
    with opened([str(film)]) as tasks:
        found = zero_shot(LanguageModel.load(folder), tasks, limit=7)["film"]
    assert found["examples"] == 7
    wanted = [told == row["label"] for told, row in zip(likelier(folder, ROWS[:7]), ROWS)]  # noqa: B905
    assert found.outcomes.tolist() == wanted


def test_progress_may_stop_it(folder: Path, film: Path) -> None:
    def stop(done: float, total: float, message: str) -> None:
        raise InterruptedError(message)

    with opened([str(film)]) as tasks, pytest.raises(InterruptedError, match="film"):
        zero_shot(LanguageModel.load(folder), tasks, progress=stop)


def test_nothing_is_printed_and_nothing_is_left_behind(
    folder: Path, film: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from lm_eval import utils

    env = utils.env
    with opened([str(film)]) as tasks:
        zero_shot(LanguageModel.load(folder), tasks, limit=3)
        assert utils.env is not env
    assert utils.env is env
    out, err = capfd.readouterr()
    assert (out, "it/s" in err, "WARNING" in err) == ("", False, False)
    assert sorted(path.name for path in film.parent.iterdir()) == ["film.jsonl", "film.yaml"]


# --- what cannot be measured ------------------------------------------------------------------


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtraError, match=r"pip install"), opened(["boolq"]):
        pass


def test_the_papers_tasks_are_known_and_their_data_are_on_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for name in PAPER:
        with pytest.raises(NoNetworkError, match=f"Task {name}: its data"), opened([name]):
            pass


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("boolqq", "no single task of that name.*boolq"),
        ("ai2_arc", "of a group name its tasks"),
        ("mmlu", "of a group name its tasks"),
        ("gsm8k", "output_type generate_until"),
        ("humaneval", "output_type"),
        ("absent.yaml", "Check the path"),
    ],
)
def test_tasks_that_are_not_measured(name: str, said: str) -> None:
    with pytest.raises(ZeroShotTaskError, match=said), opened([name]):
        pass


def test_no_tasks_and_one_twice(film: Path) -> None:
    with pytest.raises(ZeroShotTaskError, match="none"), opened([]):
        pass
    with pytest.raises(ZeroShotTaskError, match="a second task"), opened([str(film)] * 2):
        pass


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"doc_to_text": "{{ ''.__class__.__mro__ }}"}, "reaches for code"),
        ({"doc_to_text": "{{ text.__init__.__globals__ }}"}, "reaches for code"),
        ({"doc_to_text": "{{ cycler.__init__.__globals__.os.system('touch ran') }}"}, "reaches for code"),
        ({"doc_to_text": "{{ absent }}"}, "absent"),
        ({"doc_to_text": "{{ text"}, "TemplateSyntaxError"),
        ({"validation_split": "test"}, "test"),
        ({"metric_list": [{"metric": "mine"}]}, "the metric mine"),
        ({"metric_list": [{"metric": "acc", "aggregation": "absent"}]}, "an aggregation"),
    ],
)
def test_templates_and_fields_that_do_not_fit(folder: Path, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write_task(tmp_path, **changes)
    with pytest.raises(ZeroShotTaskError, match=said), opened([str(path)]) as tasks:
        zero_shot(LanguageModel.load(folder), tasks)
    assert not Path("ran").exists()


@pytest.mark.parametrize("row", [{"text": None, "label": None}, {"text": "a film", "label": []}])
def test_data_that_do_not_fit_the_task(folder: Path, film: Path, row: dict[str, Any]) -> None:
    with film.with_name("film.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    with pytest.raises(ZeroShotTaskError, match="film"), opened([str(film)]) as tasks:
        zero_shot(LanguageModel.load(folder), tasks)
