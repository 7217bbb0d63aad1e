"""Loading a classifier and its tokenizer from a folder, with plain errors for what is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.as_torch import unread
from kencore.checkpoint.config import read_config, read_known_config
from kencore.checkpoint.layout import open_named
from kencore.checkpoint.misfits import refuse_misfits
from kencore.checkpoint.packed import refuse_packed
from kencore.checkpoint.shards import find_shards
from kencore.checkpoint.skeleton import HEAD, class_for, read_skeleton
from kencore.data.tokens import check_rows, tokenised
from kencore.errors import TaskMismatchError
from kencore.models.labels import meaning_of
from kencore.models.names import find_places
from kencore.models.plain_loading import load_plainly, loads_plainly
from kencore.models.seam import loading
from kencore.models.tokenizer import check_tokenizer, load_tokenizer, stated_limit, stated_rows

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.skeleton import Skeleton
    from kencore.checkpoint.tensors import Tensors
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

    The weights are those that `open_named` gives, under its names: what is measured is what is pruned.

    Raises:
        CorruptShardError: a safetensors file is not whole.
        PackedWeightsError: its weights are packed.
        WeightShapeError: weights of other shapes than config.json says.
        ConfigError: transformers cannot load the model or its tokenizer.
    """
    refuse_packed(f"Model {folder}", folder)
    skeleton = read_skeleton(folder)
    with open_named(folder, skeleton) as tensors, loading(folder):
        kind, config = _class(auto, folder)
        model, report = _model(kind, config, skeleton, tensors, dtype)
        misfits = {name: (tuple(disk), tuple(wanted)) for name, disk, wanted in sorted(report["mismatched_keys"])}
        refuse_misfits(f"Model {folder}", misfits)
        parameters, pieces, joined = find_places(skeleton, tensors, model)
        tensors.release()
    model.config.name_or_path = model.name_or_path = str(folder)
    tokenizer = load_tokenizer(folder)
    model.eval()
    unused = frozenset(name for name, found in parameters.items() if not found and name not in pieces)
    fields = {
        "folder": folder,
        "model": model.to(device),
        "tokenizer": tokenizer,
        "device": device,
        "parameters": parameters,
        "pieces": pieces,
        "joined": joined,
        "ignored": unused,
    }
    return fields, sorted(report["missing_keys"])


def _model(
    kind: Any, config: Any, skeleton: Skeleton, tensors: Tensors, dtype: torch.dtype
) -> tuple[Any, dict[str, Any]]:
    """The model, and what transformers reports of loading it."""
    if loads_plainly(skeleton, tensors):
        return load_plainly(kind, config, tensors, dtype), {"missing_keys": [], "mismatched_keys": []}
    model, report = kind.from_pretrained(
        None,
        config=config,
        state_dict=unread(tensors),
        dtype=dtype,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # told by who loads, with names
    )
    return model, report


def _class(auto: Any, folder: Path) -> tuple[Any, Any]:
    """The class that loads a folder's model, and the config that it takes."""
    config = read_known_config(folder)
    found = class_for(auto, config)
    if found is None:
        raise TaskMismatchError(
            f"Model {folder}",
            got=f"a {config.model_type}",
            wanted=f"a model type that {auto.__name__} of transformers knows",
            remedy="Choose another model, or measure nothing.",
        )
    return found


def load_config(folder: Path) -> Any:
    """The config of a folder, as transformers reads it.

    Raises:
        SourceNotFoundError, ConfigError: no such folder, or no config that transformers can read.
    """
    with loading(folder):
        return read_known_config(folder)


def is_classifier(folder: Path) -> bool:
    """Whether a folder's config.json names a sentence classifier. Reads no weights.

    Raises:
        SourceNotFoundError, ConfigError: no such folder, or no readable config.json.
    """
    return any(str(name).endswith(HEAD) for name in read_config(folder).get("architectures") or [])


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
    if not is_classifier(folder):
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
        CheckpointError: no safetensors weights, an adapter beside them, a shard that is missing: see `find_shards`.
        TaskMismatchError: no tokenizer, see `check_tokenizer`.
    """
    find_shards(folder)
    check_tokenizer(folder)


def labels_told(folder: Path, examples: Examples) -> Examples:
    """The examples with what their labels mean to the model of a folder, in words. Reads no weights.

    Raises as `meaning_of`.
    """
    said = meaning_of(load_config(folder), examples).said
    return replace(examples, notes=(*examples.notes, f"Labels: {said}."))


def check_words(folder: Path, examples: Examples) -> None:
    """Raise unless the config of a folder has a row for every token of the examples, without loading weights.

    Raises:
        TokenizerError: the tokenizer cannot be loaded, or fails.
        TokenTableError: a token outside the model's table.
    """
    config, tokenizer = load_config(folder), load_tokenizer(folder)
    rows = tokenised(tokenizer, examples.texts, examples.pairs, limit=stated_limit(tokenizer, config))
    check_rows(tokenizer, rows, stated_rows(config), None, examples.source or "the examples")


def _mismatch(folder: Path, got: str) -> TaskMismatchError:
    return TaskMismatchError(
        f"Model {folder}",
        got=got,
        wanted=f"a model that gives each text one label (...{HEAD} in config.json)",
        remedy="Choose a tuned classifier, or measure without labeled sentences.",
    )
