"""Loading a classifier and its tokenizer from a folder, with plain errors for what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.checkpoint.skeleton import read_config
from kencore.errors import ConfigError, CorruptShardError, NoSafetensorsError, TaskMismatchError
from kencore.models.names import match_names, match_pieces

HEAD = "ForSequenceClassification"
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)

if TYPE_CHECKING:
    import torch

    from kencore.data.examples import Examples


def load_classifier(folder: Path, device: str) -> dict[str, Any]:
    """The fields of a `Classifier`: folder, model, tokenizer, device, parameters, pieces, ignored.

    Raises as `Classifier.load`.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    check_task(folder)
    fields, missing = load_fields(AutoModelForSequenceClassification, folder, device=device, dtype=torch.float32)
    if missing:
        raise _mismatch(folder, f"no weights for {', '.join(missing[:3])}")
    return fields


def load_fields(auto: Any, folder: Path, *, device: str, dtype: torch.dtype) -> tuple[dict[str, Any], list[str]]:
    """The fields of a `LoadedModel` but for ``threads``, and the parameters without weights.

    Args:
        auto: the class of transformers that loads the kind of model wanted.

    Raises:
        CorruptShardError: a safetensors file is not whole.
        ConfigError: transformers cannot load the model or its tokenizer.
    """
    with _told_plainly(folder):
        model, report = auto.from_pretrained(
            folder, dtype=dtype, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    _, tokenizer = load_tokenizer(folder)
    model.eval()
    state = model.state_dict()
    parameters = match_names(folder, state, model.base_model_prefix)
    unused = frozenset(report["unexpected_keys"])
    fields = {
        "folder": folder,
        "model": model.to(device),
        "tokenizer": tokenizer,
        "device": device,
        "parameters": parameters,
        "pieces": match_pieces(folder, state, parameters),
        "ignored": unused & frozenset(parameters),
    }
    return fields, sorted(report["missing_keys"])


def load_tokenizer(folder: Path) -> tuple[Any, Any]:
    """The config and the tokenizer of a folder, as transformers loads them.

    Raises:
        ConfigError: transformers cannot load them.
    """
    from transformers import AutoConfig, AutoTokenizer

    with _told_plainly(folder):
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        return config, AutoTokenizer.from_pretrained(folder, local_files_only=True)


@contextmanager
def _told_plainly(folder: Path) -> Iterator[None]:
    """Errors of loading in our words, and no progress bar or report of transformers."""
    from safetensors import SafetensorError

    try:
        with _quiet():
            yield
    except SafetensorError as error:
        raise CorruptShardError(
            f"Model {folder}",
            got=str(error),
            wanted="whole safetensors files",
            remedy="Copy or download the model again.",
        ) from None
    except (ValueError, KeyError, OSError) as error:
        raise ConfigError(
            f"Model {folder}",
            got=str(error).splitlines()[0],
            wanted="a model and a tokenizer that transformers can load",
            remedy="Check the folder's files.",
        ) from None


def check_task(folder: Path) -> None:
    """Raise unless the folder holds a classifier of one label per text, and a tokenizer.

    Raises:
        SourceNotFoundError: no such folder.
        ConfigError: no readable config.json.
        NoSafetensorsError: no safetensors weights.
        TaskMismatchError: another task, or no tokenizer files.
    """
    config = read_config(folder)
    architectures = [str(name) for name in config.get("architectures") or []]
    if not any(name.endswith(HEAD) for name in architectures):
        raise _mismatch(folder, ", ".join(architectures) or "no architecture in config.json")
    kind = config.get("problem_type")
    if kind not in (None, "single_label_classification") or config.get("num_labels") == 1:
        raise _mismatch(folder, f"problem type {kind or 'regression'}")
    if len(config.get("id2label") or (0, 1)) < 2:
        raise _mismatch(folder, "a head of one output")
    check_files(folder)


def check_files(folder: Path) -> None:
    """Raise unless the folder holds safetensors weights and a tokenizer.

    Raises:
        NoSafetensorsError: no safetensors weights.
        TaskMismatchError: no tokenizer files.
    """
    if not any(folder.glob("*.safetensors")):
        raise NoSafetensorsError(
            f"Model {folder}",
            got="no safetensors files",
            wanted="model.safetensors, or its shards with their index",
            remedy="Save the model as safetensors.",
        )
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        raise TaskMismatchError(
            f"Model {folder}",
            got="no tokenizer files in the folder",
            wanted="the tokenizer that the model was trained with, such as tokenizer.json",
            remedy="Copy the tokenizer's files beside config.json.",
        )


def check_labels(folder: Path, examples: Examples) -> None:
    """Raise unless the model of a folder knows every label, without loading its weights.

    Raises:
        TaskMismatchError: a label that the model does not know.
    """
    from transformers import AutoConfig

    label_numbers(AutoConfig.from_pretrained(folder), examples)


def label_numbers(config: Any, examples: Examples) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(N,) the examples' labels as the model numbers them.

    Raises:
        TaskMismatchError: a label that the model does not know.
    """
    names = {str(name): int(number) for name, number in config.label2id.items()}
    names = {name.lower(): number for name, number in names.items()} | names
    found = np.empty(len(examples), dtype=np.int64)
    for i, label in enumerate(examples.labels):
        number = label if isinstance(label, int) else names.get(label, names.get(label.lower()))
        if number is None or not 0 <= number < config.num_labels:
            known = [f"{n} ({config.id2label[n]})" for n in range(config.num_labels)]
            raise TaskMismatchError(
                f"Labels of {examples.source or 'the examples'}",
                got=f"{label!r} at example {i + 1}",
                wanted=f"a label the model knows: {', '.join(known)}",
                remedy="Choose data made for this model, or correct the labels.",
            )
        found[i] = number
    return found


def _mismatch(folder: Path, got: str) -> TaskMismatchError:
    return TaskMismatchError(
        f"Model {folder}",
        got=got,
        wanted=f"a model that gives each text one label (...{HEAD} in config.json)",
        remedy="Choose a tuned classifier, or measure without labelled sentences.",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar and no report from transformers: what is amiss becomes an error here."""
    from transformers.utils import logging as library

    logging: Any = library  # its functions are not typed
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
