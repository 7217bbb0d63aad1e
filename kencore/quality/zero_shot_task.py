"""Task files of lm-evaluation-harness, read without running anything of theirs.

The harness itself imports the Python functions that a task file names (``!function``) and renders
its templates with everything that Jinja can reach. Here a file is data: it is read with YAML's safe
loader, holds known fields only, and is handed on as a dictionary; the harness never opens it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kencore.errors import ZeroShotTaskError

ENDINGS = (".yaml", ".yml")
OUTPUTS = ("multiple_choice", "loglikelihood")
BUILDERS = ("json", "csv", "parquet", "text")
FIELDS = frozenset(
    {
        "task",
        "task_alias",
        "tag",
        "include",
        "dataset_path",
        "dataset_name",
        "dataset_kwargs",
        "training_split",
        "validation_split",
        "test_split",
        "fewshot_split",
        "output_type",
        "doc_to_text",
        "doc_to_target",
        "doc_to_choice",
        "description",
        "target_delimiter",
        "fewshot_delimiter",
        "num_fewshot",
        "metric_list",
        "metadata",
    }
)
DATA_FIELDS = frozenset({"data_files", "field", "delimiter", "sep", "revision"})
METRIC_FIELDS = frozenset({"metric", "aggregation", "higher_is_better"})
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
DEEPEST = 8  # includes within includes


def is_task_file(name: str) -> bool:
    """Whether a task is meant as a file, not as a name that the harness knows."""
    return name.lower().endswith(ENDINGS)


def read_task(path: Path) -> dict[str, Any]:
    """The content of a task file, its includes merged in and its data files found.

    Relative paths of data files start at the task file's own folder.

    Raises:
        ZeroShotTaskError: no such file, no YAML, a field or tag that is not known (``!function``
            among them), no name, another kind of task, or data files that are not there.
    """
    task = _merged(path, 0)
    unknown = sorted(str(name) for name in task if name not in FIELDS)
    if unknown:
        raise _bad(
            path,
            f"the field {unknown[0]}",
            f"fields among {', '.join(sorted(FIELDS))}",
            "Leave the field out: it may name code that would be run.",
        )
    if not isinstance(task.get("task"), str):
        raise _bad(path, "no name", "the field task", "Give the task a name.")
    if task.get("output_type") not in OUTPUTS:
        raise _bad(
            path,
            f"output_type {task.get('output_type')}",
            " or ".join(OUTPUTS),
            "Tasks in which the model writes freely are not measured.",
        )
    for metric in task.get("metric_list") or []:
        if not isinstance(metric, dict) or set(metric) - METRIC_FIELDS:
            raise _bad(
                path,
                f"the metric {metric}",
                f"{', '.join(sorted(METRIC_FIELDS))} of each metric",
                "hf_evaluate fetches code from the hub; other fields are not needed.",
            )
    return {**task, "dataset_kwargs": _data(path, task)}


def check_metrics(name: str, metrics: Iterable[Any], known: Iterable[str]) -> None:
    """Raise unless the harness computes these metrics itself: it looks others up on the hub and
    runs what it finds.

    Raises:
        ZeroShotTaskError: a metric that is not known.
    """
    names = sorted(known)
    for metric in metrics:
        if metric.get("hf_evaluate") or metric.get("metric") not in names:
            raise ZeroShotTaskError(
                f"Task {name}",
                got=f"the metric {metric.get('metric')}",
                wanted=f"one that the harness computes itself: {', '.join(names)}",
                remedy="Others would be fetched from the hub as code.",
            )


def _merged(path: Path, depth: int) -> dict[str, Any]:
    import yaml

    if depth > DEEPEST:
        raise _bad(path, "includes that never end", "a file without them", "Break the circle.")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except yaml.constructor.ConstructorError as error:
        tag = re.search(r"'(!\S*)'", str(error.problem))
        raise _bad(
            path,
            f"the tag {tag[1] if tag else 'of another kind'}",
            "plain YAML",
            "!function would import and run Python code, so it is refused: write a template.",
        ) from None
    except yaml.YAMLError as error:
        raise _bad(path, str(error).replace("\n", " "), "YAML", "Correct the file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(path, str(error), "a readable task file", "Check the path.") from None
    if not isinstance(content, dict):
        raise _bad(path, "no fields", "a task of lm-evaluation-harness", "Correct the file.")
    parts = content.pop("include", None) or []
    merged: dict[str, Any] = {}
    for part in [parts] if isinstance(parts, str) else parts:
        merged |= _merged(path.parent / str(part), depth + 1)
    return merged | content


def _data(path: Path, task: dict[str, Any]) -> dict[str, Any]:
    """The ``dataset_kwargs``, with data files as they lie on this machine."""
    source, given = str(task.get("dataset_path") or ""), task.get("dataset_kwargs") or {}
    if source not in BUILDERS and not HUB_NAME.fullmatch(source):
        raise _bad(
            path,
            f"dataset_path {source or 'missing'}",
            f"{', '.join(BUILDERS)} with data_files, or owner/name of the hub",
            "Name how the data files are to be read.",
        )
    given = {name: value for name, value in given.items() if name != "trust_remote_code"}
    if set(given) - DATA_FIELDS:
        raise _bad(
            path,
            f"dataset_kwargs {', '.join(sorted(set(given) - DATA_FIELDS))}",
            f"fields among {', '.join(sorted(DATA_FIELDS))}",
            "Leave it out.",
        )
    files = given.get("data_files")
    if source not in BUILDERS:
        return given
    if not files:
        raise _bad(path, "no data_files", "the files of each split", "Add dataset_kwargs.")
    return given | {"data_files": dict(_found(path, files))}


def _found(path: Path, files: Any) -> Iterator[tuple[str, list[str]]]:
    """The data files of each split, absolute."""
    for split, names in (files if isinstance(files, dict) else {"train": files}).items():
        places = [path.parent / str(name) for name in ([names] if isinstance(names, str) else names)]
        for place in places:
            if not place.is_file():
                raise _bad(
                    path, f"no data file {place}", "a file on this machine", "Paths start at the task file's folder."
                )
        yield str(split), [str(place.resolve()) for place in places]


def _bad(path: Path, got: str, wanted: str, remedy: str) -> ZeroShotTaskError:
    return ZeroShotTaskError(f"Task file {path}", got=got, wanted=wanted, remedy=remedy)
