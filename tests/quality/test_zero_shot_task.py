"""Task files are data: what is read, what is refused, and that nothing of them is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kencore.errors import ZeroShotTaskError
from kencore.quality.zero_shot_task import check_metrics, is_task_file, read_task

TASK: dict[str, Any] = {
    "task": "film",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"validation": "film.jsonl"}},
    "validation_split": "validation",
    "output_type": "multiple_choice",
    "doc_to_text": "{{text}} The film was",
    "doc_to_choice": ["good", "bad"],
    "doc_to_target": "label",
}


def write(folder: Path, task: dict[str, Any] | str, name: str = "film.yaml") -> Path:
    (folder / "film.jsonl").write_text('{"text": "Dull.", "label": 1}\n', "utf-8")
    path = folder / name
    path.write_text(task if isinstance(task, str) else yaml.safe_dump(task), "utf-8")
    return path


def test_a_task_and_its_data_files(tmp_path: Path) -> None:
    found = read_task(write(tmp_path, TASK))
    files = {"validation": [str(tmp_path / "film.jsonl")]}
    assert found == TASK | {"dataset_kwargs": {"data_files": files}}
    assert is_task_file("Film.YAML")
    assert is_task_file("a/b.yml")
    assert not is_task_file("boolq")


def test_includes_are_merged_and_own_fields_win(tmp_path: Path) -> None:
    base = {key: value for key, value in TASK.items() if key != "task"}
    write(tmp_path, base | {"num_fewshot": 2}, "base.yaml")
    path = write(tmp_path, {"include": "base.yaml", "task": "mine", "num_fewshot": 0})
    found = read_task(path)
    assert (found["task"], found["num_fewshot"]) == ("mine", 0)
    assert found["doc_to_text"] == TASK["doc_to_text"]
    assert "include" not in found


MARK = "import pathlib; pathlib.Path(__file__).with_name('ran').touch()\ndef f(x): return x\n"


@pytest.mark.parametrize("inside", ["doc_to_text", "process_docs", "include"])
def test_functions_are_refused_before_anything_is_run(tmp_path: Path, inside: str) -> None:
    (tmp_path / "utils.py").write_text(MARK, "utf-8")
    text = yaml.safe_dump(TASK)
    if inside == "include":
        write(tmp_path, "doc_to_target: !function utils.f\n", "part.yaml")
        text += "include: part.yaml\n"
    else:
        text += f"{inside}: !function utils.f\n"
    with pytest.raises(ZeroShotTaskError, match="the tag !function.*run Python code"):
        read_task(write(tmp_path, text))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch ran']", "!other x"])
def test_other_tags_are_refused(tmp_path: Path, tag: str) -> None:
    with pytest.raises(ZeroShotTaskError, match="the tag"):
        read_task(write(tmp_path, yaml.safe_dump(TASK) + f"metadata: {tag}\n"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class": "os.system"}, "the field class"),
        ({"use_prompt": "prompts.yaml:x"}, "the field use_prompt"),
        ({"process_results": "x"}, "the field process_results"),
        ({"task": None}, "no name"),
        ({"output_type": "generate_until"}, "output_type generate_until"),
        ({"metric_list": [{"metric": "acc", "hf_evaluate": True}]}, "hf_evaluate"),
        ({"dataset_path": "pandas"}, "dataset_path pandas"),
        ({"dataset_path": None}, "dataset_path missing"),
        ({"dataset_kwargs": {"data_files": "film.jsonl", "streaming": True}}, "streaming"),
        ({"dataset_kwargs": {"data_files": {"validation": "none.jsonl"}}}, "no data file"),
        ({"dataset_kwargs": {}}, "no data_files"),
        ({"include": "film.yaml"}, "includes that never end"),
        ({"include": "absent.yaml"}, "absent.yaml"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ZeroShotTaskError, match=said):
        read_task(write(tmp_path, TASK | changes))


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "", "\x00"])
def test_what_is_no_task_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ZeroShotTaskError, match="Task file"):
        read_task(write(tmp_path, text))
    with pytest.raises(ZeroShotTaskError, match="Check the path"):
        read_task(tmp_path / "absent.yaml")


def test_data_of_the_hub_are_named_by_owner_and_name(tmp_path: Path) -> None:
    hub = TASK | {"dataset_path": "someone/films", "dataset_kwargs": {"trust_remote_code": True}}
    assert read_task(write(tmp_path, hub))["dataset_kwargs"] == {}


def test_metrics_that_would_be_fetched_as_code() -> None:
    check_metrics("film", [{"metric": "acc"}], ["acc", "acc_norm"])
    for metric in ({"metric": "mine"}, {"metric": "acc", "hf_evaluate": True}):
        with pytest.raises(ZeroShotTaskError, match="acc, acc_norm"):
            check_metrics("film", [metric], ["acc", "acc_norm"])
