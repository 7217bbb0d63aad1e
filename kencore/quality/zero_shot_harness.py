"""The parts of lm-evaluation-harness that are used: its tasks, and its model around one of ours.

Importing this module is light. The harness is the extra ``eval``.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.data.hub_text import quiet
from kencore.errors import MissingExtraError, NoNetworkError, ZeroShotTaskError
from kencore.models.seam import running
from kencore.quality.zero_shot_task import OUTPUTS, check_metrics, is_task_file, read_task
from kencore.system.progress import Progress

if TYPE_CHECKING:
    from kencore.models.language import LanguageModel

_NAMED = re.compile(rb"""^task:\s*["']?([\w.+-]+)["']?\s*$""", re.MULTILINE)
PAPER = ("rte", "winogrande", "boolq", "hellaswag", "arc_easy", "arc_challenge", "openbookqa")


def check_installed() -> str:
    """The harness' version.

    Raises:
        MissingExtraError: it is not installed, or not with what it needs for transformers.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        import accelerate  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
        import lm_eval  # noqa: F401

        return version("lm-eval")
    except (ImportError, PackageNotFoundError):
        raise MissingExtraError(
            "Zero-shot tasks",
            got="lm-evaluation-harness is not installed",
            wanted="the extra eval",
            remedy="Run pip install -e '.[eval]' in KEN_viz's folder.",
        ) from None


@contextlib.contextmanager
def harness() -> Iterator[None]:
    """Inside, the harness prints nothing and its templates reach nothing but their document."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from lm_eval import utils
    from lm_eval.api import task

    safe = ImmutableSandboxedEnvironment(undefined=utils.env.undefined, keep_trailing_newline=True)
    safe.filters.update(utils.env.filters)
    log = logging.getLogger("lm_eval")
    before = utils.env, task.tqdm, log.level
    utils.env, task.tqdm = safe, lambda documents, **_: documents
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        utils.env, task.tqdm, level = before
        log.setLevel(level)


def load_tasks(names: Sequence[str], cache: Path) -> dict[str, Any]:
    """Tasks of the harness by name, their data loaded; to be called inside `harness`.

    Args:
        names: names that the harness knows, or task files.
        cache: where data of task files are put while they are used.

    Raises:
        ZeroShotTaskError: a task that is not known, is a group, has a file that is not as it must
            be, or cannot be built from its data.
        NoNetworkError: a task's data are on the hub, which cannot be reached.
    """
    from lm_eval.api.registry import metric_registry
    from lm_eval.tasks import TaskManager

    known = TaskManager(include_defaults=False)  # its own index takes ten seconds
    metrics = [name for name in _registered(metric_registry) if name != "bypass"]
    loaded: dict[str, Any] = {}
    for name in names:
        given: Any
        if is_task_file(name):
            given = read_task(Path(name))
            check_metrics(name, given.get("metric_list") or [], metrics)
            given["dataset_kwargs"] |= {"cache_dir": str(cache)}
        else:
            given = str(_own_task(name, metrics))
        with _told_plainly(name):
            (found,) = known.load([given])["tasks"].items()
        if not all(callable(function) for function in found[1].aggregation().values()):
            raise _wrong(name, "an aggregation that the harness lacks", "mean", "Leave it out.")
        if found[0] in loaded:
            raise _wrong(name, "a second task of that name", "each task once", "Leave one out.")
        loaded[found[0]] = found[1]
        if found[1].get_config("num_fewshot") is None:
            found[1].set_config(key="num_fewshot", value=0)
        found[1].set_fewshot_seed(seed=0)
    return loaded


@functools.cache
def own_tasks() -> dict[str, Path]:
    """Files of the harness' single tasks by name: groups and tags of tasks are not among them."""
    from lm_eval import tasks

    found: dict[str, Path] = {}
    for path in sorted(Path(tasks.__file__).parent.rglob("*.yaml")):
        named = _NAMED.search(path.read_bytes())
        if named is not None:
            found.setdefault(named[1].decode(), path)
    return found


def _registered(registry: Any) -> list[str]:
    if len(registry) == 0:
        import lm_eval.api.metrics  # noqa: F401 - it registers them
    return list(registry)


def _own_task(name: str, metrics: list[str]) -> Path:
    """The harness' file of a task that is measured by likelihoods."""
    from lm_eval.tasks._yaml_loader import load_yaml

    known = own_tasks()
    if name not in known:
        near = difflib.get_close_matches(name, known, 3) or list(PAPER)
        raise _wrong(
            name,
            "no single task of that name",
            f"a task of lm-evaluation-harness ({', '.join(near)}) or a .yaml file",
            "Check the spelling; of a group name its tasks.",
        )
    config = load_yaml(known[name], resolve_func=False)
    if config.get("output_type") not in OUTPUTS or config.get("unsafe_code"):
        raise _wrong(
            name,
            f"output_type {config.get('output_type')}",
            " or ".join(OUTPUTS),
            "Tasks in which the model writes freely are not measured.",
        )
    check_metrics(name, config.get("metric_list") or [], metrics)
    return known[name]


@contextlib.contextmanager
def _told_plainly(name: str) -> Iterator[None]:
    """Errors of loading a task in our words, and no progress bars."""
    import datasets
    import jinja2
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        with quiet(datasets):
            yield
    except (ConnectionError, TimeoutError, HTTPError) as error:
        raise NoNetworkError(
            f"Task {name}",
            got=f"its data could not be read from the hub ({_first(error)})",
            wanted="a network connection, or the data in the local cache",
            remedy="Connect and try again, or give a task file with data files of your own.",
        ) from error
    except jinja2.exceptions.SecurityError as error:
        raise _unsafe(name, error) from error
    except (
        jinja2.TemplateError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        AssertionError,
        OSError,
        RuntimeError,
        SyntaxError,
        datasets.exceptions.DatasetsError,
    ) as error:
        raise _wrong(
            name,
            f"{type(error).__name__}: {_first(error)}",
            "fields that fit its data",
            "Compare the task's templates and splits with its data files.",
        ) from error


def around(model: LanguageModel, *, batch: int, progress: Progress) -> Any:
    """The harness' own model of transformers around a loaded one, which stays as it is.

    Args:
        batch: requests at once.
        progress: called as (requests done, requests, message); what it raises ends the work.
    """
    from lm_eval.models.huggingface import HFLM

    class Watched(HFLM):  # type: ignore[misc, unused-ignore]
        """Says how far it is."""

        done = total = 0

        def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> Any:
            self.done, self.total = 0, len(requests)
            return super().loglikelihood(requests, disable_tqdm=True)

        def _model_call(self, inps: Any, *args: Any, **more: Any) -> Any:
            self.done = min(self.total, self.done + len(inps))
            progress(self.done, self.total, f"{self.done:,} of {self.total:,} requests")
            with running(model.model):
                return super()._model_call(inps, *args, **more)

    tokenizer = copy.deepcopy(model.tokenizer)  # the harness may give it a padding token
    marks = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    return Watched(
        pretrained=model.model,
        tokenizer=tokenizer,
        batch_size=batch,
        trust_remote_code=False,
        max_length=model.positions,
        prefix_token_id=0 if marks == (None, None) else None,
    )


def answers(lm: Any, name: str, task: Any, limit: int | None) -> dict[str, Any]:
    """The harness' results of one task: aggregated metrics, and those of each example."""
    import jinja2
    from lm_eval.evaluator import evaluate

    try:
        found = evaluate(
            lm=lm,
            task_dict={"tasks": {name: task}, "groups": {}, "group_map": {}},
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
        )
    except jinja2.exceptions.SecurityError as error:
        raise _unsafe(name, error) from error
    except jinja2.TemplateError as error:
        raise _wrong(
            name,
            f"a template that fails ({_first(error)})",
            "templates of its data's columns",
            "Correct the task file.",
        ) from error
    except (LookupError, TypeError, ValueError, ArithmeticError, AssertionError) as error:
        raise _wrong(
            name,
            f"data that do not fit ({type(error).__name__}: {_first(error)})",
            "rows that have what the task file asks of them",
            "Correct the data or the task file.",
        ) from error
    assert found is not None
    return dict(found)


def _unsafe(name: str, error: Exception) -> ZeroShotTaskError:
    return _wrong(
        name,
        f"a template that reaches for code ({_first(error)})",
        "templates of its data's columns",
        "It is refused: nothing of a task file is run.",
    )


def _wrong(name: str, got: str, wanted: str, remedy: str) -> ZeroShotTaskError:
    return ZeroShotTaskError(f"Task {name}", got=got, wanted=wanted, remedy=remedy)


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
