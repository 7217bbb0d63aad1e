"""A LoRA adapter as a tuned model: W + scale B A for every matrix that it changes, merged once into the store.

scale = lora_alpha / r, or lora_alpha / sqrt(r) with ``use_rslora`` (2312.03732); ``rank_pattern`` and ``alpha_pattern``
name modules that have others. What the adapter saves whole (``modules_to_save``, such as a new head) is taken as it
is. Merging is done in float32 and rounded to the base's dtype, as peft's ``merge_and_unload`` does for float32 models;
no code of the adapter runs, and peft is not needed.

Shapes: R rows (outputs), C columns (inputs), r rank.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.companions import CARD
from kencore.checkpoint.header import TensorInfo, read_header
from kencore.checkpoint.readme import write_readme
from kencore.checkpoint.shards import ADAPTER, SINGLE, find_shards
from kencore.checkpoint.tensors import FLOATS, STORAGE, Tensors, open_tensors, round_to, to_float32
from kencore.checkpoint.write import write_weights
from kencore.errors import AdapterFolderError, KencoreError
from kencore.system.locks import locked
from kencore.system.places import models_folder, not_writable
from kencore.system.plain_json import read_json_object
from kencore.system.progress import Progress
from kencore.system.whole import is_taken, whole_folder

CONFIG: Final = "adapter_config.json"
OUTER: Final = "base_model.model."
PATIENCE: Final = 600.0  # seconds that another process may take to merge the same adapter
KEPT: Final = (".json", ".txt", ".model", ".jinja")  # files of a folder that are copied, weights and code never
UNREAD: Final = ("use_dora", "use_qalora", "megatron_config", "layer_replication", "trainable_token_indices")
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """A LoRA adapter, read. ``base``: what it says it was trained on."""

    folder: Path
    base: str
    config: Mapping[str, Any]
    infos: dict[str, TensorInfo]

    def pairs(self) -> dict[str, tuple[str, str]]:
        """Names of A and B of each module that it changes; embeddings have theirs the other way round."""
        found: dict[str, tuple[str, str]] = {}
        for name in self.infos:
            if match := re.fullmatch(r"(.+)\.lora_(embedding_)?A(\.default)?(\.weight)?", name):
                module, kind = match.group(1), match.group(2) or ""
                other = name.replace(f".lora_{kind}A", f".lora_{kind}B")
                if other in self.infos:
                    found[module.removeprefix(OUTER)] = (name, other)
        return found

    def whole(self) -> dict[str, str]:
        """Names in the file of tensors that it saves whole, by the model's names."""
        return {
            name.removeprefix(OUTER).replace(".modules_to_save.default", "").replace(".original_module", ""): name
            for name in self.infos
            if ".lora_" not in name
        }

    def scale(self, module: str, rank: int) -> float:
        """By what B A of a module is multiplied."""
        alpha = float(_patterned(self.config, "alpha_pattern", module, self.config.get("lora_alpha", rank)))
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no full model."""
    try:
        found = (folder / CONFIG).is_file() and (folder / ADAPTER).is_file()
        return found and all(path.name == ADAPTER for path in folder.glob("*.safetensors"))
    except OSError:  # a name that nothing can have, or a place that is not shown: who opens it says so
        return False


def merged_folder(folder: Path, base_folder: Callable[[str], Path], progress: Progress | None = None) -> Path:
    """The folder of base and adapter merged, made the first time.

    Args:
        base_folder: finds the model that the adapter names as its base.

    Raises:
        AdapterFolderError: it is no plain LoRA adapter, its base cannot be opened, or the two do not fit.
        StoreNotWritableError: the store cannot be written.
    """
    adapter = read_adapter(folder)
    try:
        base = base_folder(adapter.base)
        key = _key(folder, base)
    except KencoreError as error:
        raise _refused(folder, f"its base {adapter.base} cannot be opened ({error.got or error})") from error
    place = models_folder() / f"adapter-{key}"
    if is_taken(place):
        return place
    try:
        with locked(models_folder() / f".{place.name}.lock", seconds=PATIENCE):
            if not is_taken(place):
                if progress is not None:
                    progress(0, 1, f"Merging the adapter {folder.name} into {adapter.base} once")
                _merge(adapter, base, place)
    except OSError as error:
        raise not_writable(models_folder(), error) from error
    return place


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter's settings and headers.

    Raises:
        AdapterFolderError: it is not a plain LoRA adapter.
        CorruptShardError: its weights cannot be read.
    """
    try:
        config = read_json_object(folder / CONFIG)
    except (OSError, ValueError) as error:
        raise _refused(folder, f"an {CONFIG} that cannot be read ({error})") from error
    if str(config.get("peft_type", "")).upper() != "LORA":
        raise _refused(folder, f"an adapter of type {str(config.get('peft_type', 'unknown'))[:40]}")
    odd = [name for name in UNREAD if config.get(name)]
    odd += [f"bias {config['bias']}"] if config.get("bias") not in (None, "none", "lora_only", "all") else []
    if odd:
        raise _refused(folder, f"an adapter with {', '.join(odd)}, which is more than W + B A")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise _refused(folder, f"an {CONFIG} that names no base model")
    infos = {info.name: info for info in read_header(folder / ADAPTER)}
    adapter = Adapter(folder=folder, base=base, config=config, infos=infos)
    if not adapter.pairs():
        raise _refused(folder, "no pair of A and B in its weights")
    return adapter


def _merge(adapter: Adapter, base: Path, place: Path) -> None:
    with open_tensors(base) as tensors, whole_folder(place) as temporary:
        known = {name: tensors.info(name) for name in tensors.stored}
        changed = {
            _of_base(adapter, f"{module}.weight", known): (module, *pair) for module, pair in adapter.pairs().items()
        }
        whole = {_of_base(adapter, name, known, new=True): file for name, file in adapter.whole().items()}
        entries = {name: (info.dtype, tuple(info.shape)) for name, info in known.items()}
        new = {name: adapter.infos[file] for name, file in whole.items()}
        entries |= {name: (info.dtype, tuple(info.shape)) for name, info in new.items()}

        def pieces(name: str) -> Iterator[NDArray[np.generic]]:
            if name in whole:
                yield _bits(adapter, whole[name])
            elif name in changed:
                yield _merged(adapter, tensors, name, *changed[name])
            else:
                yield tensors.raw(name)

        write_weights(temporary, {SINGLE: sorted(entries)}, entries, pieces)
        _copy(base, temporary)
        _copy(adapter.folder, temporary)
        _configure(adapter, temporary, [name for name in new if name not in known], entries)
        write_readme(temporary, [said(adapter)])


def said(adapter: Adapter) -> str:
    """What a person should know of the merged model."""
    return f"{adapter.base} with the LoRA adapter {adapter.folder.name} merged into it: W + B A, rounded to W's dtype."


def _merged(adapter: Adapter, tensors: Tensors, name: str, module: str, a: str, b: str) -> NDArray[np.generic]:
    first, second = _floats(adapter, a), _floats(adapter, b)  # r x C, R x r; of a table of tokens r x R, C x r
    info = tensors.info(name)
    product = second @ first
    if "lora_embedding_" in a or adapter.config.get("fan_in_fan_out"):  # stored as inputs x outputs
        product = product.T
    if tuple(product.shape) != tuple(info.shape) or info.dtype not in FLOATS:
        raise _refused(
            adapter.folder, f"B A of {product.shape} for {name}, which is {tuple(info.shape)} {info.dtype} in the base"
        )
    rank = int(first.shape[0])
    weight = tensors.floats(name).reshape(info.shape)
    return _stored(weight + np.float32(adapter.scale(module, rank)) * product, info.dtype)


def _stored(values: Floats, dtype: str) -> NDArray[np.generic]:
    """float32 values as the storage bits of a dtype."""
    if dtype == "BF16":
        return (np.ascontiguousarray(round_to(values, dtype)).view(np.uint32) >> 16).astype(STORAGE[dtype])
    return values.astype(STORAGE[dtype])


def _floats(adapter: Adapter, name: str) -> Floats:
    bits = _bits(adapter, name)
    return to_float32(bits, adapter.infos[name].dtype).reshape(adapter.infos[name].shape)


def _bits(adapter: Adapter, name: str) -> NDArray[np.generic]:
    info = adapter.infos[name]
    raw = np.fromfile(adapter.folder / ADAPTER, np.uint8, info.nbytes, offset=info.start)
    return raw.view(STORAGE[info.dtype]).reshape(info.shape)


def _of_base(adapter: Adapter, name: str, known: Mapping[str, Any], *, new: bool = False) -> str:
    """A model's name of a tensor as the base has it on disk; where it has none and may have none, the name itself."""
    if name in known:
        return name
    like = [other for other in known if name.endswith(f".{other}") or other.endswith(f".{name}")]
    if len(like) == 1:
        return like[0]
    if new and not like:
        return name
    raise _refused(adapter.folder, f"{name} is {'ambiguous' if like else 'not'} in the base {adapter.base}")


def _configure(
    adapter: Adapter, folder: Path, new: list[str], entries: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """A new head makes the model one of another task: the config says so."""
    if not new or adapter.config.get("task_type") != "SEQ_CLS":
        return
    path = folder / "config.json"
    config = read_json_object(path)
    names = config.get("architectures") or [""]
    config["architectures"] = [re.sub(r"(Model|For\w+)$", "", str(names[0])) + "ForSequenceClassification"]
    labels = max((entries[name][1][0] for name in new if name.endswith(".weight")), default=2)
    if len(config.get("id2label") or {}) != labels:
        config["id2label"] = {str(i): f"LABEL_{i}" for i in range(labels)}
        config["label2id"] = {f"LABEL_{i}": i for i in range(labels)}
    path.write_text(json.dumps(config, indent=2, sort_keys=True), "utf-8")


def _copy(source: Path, folder: Path) -> None:
    """Configuration and tokenizer of a folder; the adapter's own stand before the base's."""
    for path in sorted(source.iterdir()):
        plain = path.is_file() and path.suffix in KEPT and not path.name.startswith((CONFIG, "."))
        if plain and not path.name.endswith(".index.json") and path.name != CARD:
            (folder / path.name).write_bytes(path.read_bytes())


def _patterned(config: Mapping[str, Any], name: str, module: str, usual: Any) -> Any:
    """A number of a module: that of the pattern that its name ends with, as peft matches them, else the usual one."""
    for key, value in dict(config.get(name) or {}).items():
        if module == key or module.endswith(f".{key}"):
            return value
    return usual


def _key(folder: Path, base: Path) -> str:
    """What a merged folder is called by: the adapter's bytes, and which files the base is."""
    found = hashlib.sha256()
    for path in (folder / CONFIG, folder / ADAPTER):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    for name, path in sorted(find_shards(base).files.items()):
        stat = path.stat()
        found.update(f"{name} {path.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode())
    return found.hexdigest()[:16]


def _refused(folder: Path, got: str) -> AdapterFolderError:
    return AdapterFolderError(
        str(folder),
        got=got,
        wanted="a plain LoRA adapter beside a base that is here",
        remedy="Merge it into its base model (peft: merge_and_unload, save_pretrained) and pass that folder.",
    )
