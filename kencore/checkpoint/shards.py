"""Which safetensors files of a folder hold its weights, and whether it is safe to open them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from kencore.checkpoint.gguf import SUFFIX, gguf_alone
from kencore.errors import (
    AdapterFolderError,
    CorruptShardError,
    MissingShardError,
    NoSafetensorsError,
    UnsafeIndexError,
)
from kencore.system.plain_json import read_json

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
ADAPTER = "adapter_model.safetensors"
ADAPTER_FILES = ("adapter_config.json", ADAPTER, "adapter_model.bin")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
NO_WEIGHTS = ("training_args.bin", "optimizer.bin", "scheduler.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")
_NUMBERED = re.compile(r"model-(\d+)-of-(\d+)\.safetensors")


@dataclass(frozen=True, slots=True)
class Shards:
    """The weight files of a folder: ``files`` by name, ``index`` (tensor -> file) if it has one, and ``notes``:
    what lies beside them and is not read.
    """

    files: dict[str, Path]
    index: dict[str, str] | None
    notes: tuple[str, ...] = ()


def find_shards(folder: Path) -> Shards:
    """The file that config.json names, else ``model.safetensors``, else the shards of the index, else every
    ``model-*.safetensors``.

    The order of preference is that of transformers. What lies beside them and is not read is told in the notes.

    Raises:
        NoSafetensorsError: only pickle files, only GGUF, or no weights.
        AdapterFolderError: a LoRA adapter, alone or beside a full model.
        MissingShardError: the index or the numbering names a shard that is not there.
        UnsafeIndexError: the index points outside the folder.
        CorruptShardError: the index is not readable.
    """
    _refuse_adapter(folder)
    single = folder / (_named(folder) or SINGLE)
    if single.is_file():
        return Shards({single.name: single}, None, _beside(folder, [single.name]))
    if (folder / INDEX).is_file():
        index = read_index(folder)
        names = sorted(set(index.values()))
        _check_present(folder, names, "the index names")
        return Shards({name: _inside(folder, name) for name in names}, index, _beside(folder, names))
    files = {path.name: path for path in sorted(folder.glob("model-*.safetensors"))}
    if not files:
        raise no_safetensors(str(folder), (path.name for path in folder.iterdir()))
    _check_present(folder, _announced(files), "their numbering promises")
    return Shards(files, None, _beside(folder, list(files)))


def _named(folder: Path) -> str | None:
    """The file of weights that config.json names, which transformers then reads before any other.

    Raises:
        UnsafeIndexError: it is outside the folder, or an index.
        MissingShardError: it is not there.
    """
    try:
        named = read_json(folder / "config.json").get("transformers_weights")
    except (OSError, ValueError, AttributeError):
        return None  # whoever needs the config says what is wrong with it
    if not isinstance(named, str) or not named:
        return None
    if not _plain(named) or not named.endswith(".safetensors") or "/" in named or "\\" in named:
        raise UnsafeIndexError(
            str(folder / "config.json"),
            got=f"transformers_weights {named!r}",
            wanted="the name of a safetensors file in the folder",
            remedy=f"Remove it from config.json: {SINGLE} or its shards are read then.",
        )
    if not _is_file(folder / named):
        raise MissingShardError(
            str(folder),
            got=f"no {named}, which transformers_weights in config.json names",
            wanted="the file that config.json names",
            remedy="Download it, or remove transformers_weights from config.json.",
        )
    return named


def _beside(folder: Path, read: list[str]) -> tuple[str, ...]:
    """A sentence for other weights in the folder, which are not read."""
    present = sorted(path.name for path in folder.iterdir())
    sets = [name for name in present if name.lower().endswith(".safetensors") and name not in read]
    if INDEX in present and len(read) == 1 and read[0] not in set(_indexed(folder)):
        sets.append(INDEX)
    pickles = [name for name in present if name.endswith(PICKLES) and name not in NO_WEIGHTS]
    if not sets and not pickles:
        return ()
    what = read[0] if len(read) == 1 else f"{len(read)} shards ({_some(read, 1)})"
    why = ", as transformers chooses" if sets else ": safetensors come first"
    return (f"Weights are read from {what}{why}; what lies beside is not read: {_some([*sets, *pickles])}.",)


def _indexed(folder: Path) -> Iterable[str]:
    """Files that an index names, none of an index that cannot be read."""
    try:
        return read_index(folder).values()
    except (CorruptShardError, UnsafeIndexError):
        return ()


def _refuse_adapter(folder: Path) -> None:
    """Raise for an adapter: transformers would add it to the model, so that another one would be measured."""
    found = [name for name in ADAPTER_FILES if (folder / name).is_file()]
    weights = [path.name for path in folder.glob("*.safetensors") if path.name != ADAPTER] if found else []
    if found and weights:
        raise AdapterFolderError(
            str(folder),
            got=f"a full model ({_some(sorted(weights))}) and an adapter beside it ({_some(found)})",
            wanted="one model",
            remedy="Merge the adapter (peft: merge_and_unload, save_pretrained into another folder), or move its "
            "files out of the folder to use the model without it.",
        )
    if found:
        raise no_safetensors(str(folder), (path.name for path in folder.iterdir()))


def read_index(folder: Path) -> dict[str, str]:
    """Tensor name -> file name, from ``model.safetensors.index.json``.

    Raises:
        CorruptShardError: not JSON, or without a usable ``weight_map``.
        UnsafeIndexError: a file name that is absolute or climbs out of the folder.
    """
    path = folder / INDEX
    try:
        data = read_json(path)
        index = data["weight_map"]
        good = isinstance(index, dict) and len(index) > 0
        good = good and all(isinstance(name, str) and name for name in index.values())
    except (OSError, ValueError, KeyError, TypeError):
        good = False
    if not good:
        raise CorruptShardError(
            str(path),
            got="no usable weight_map",
            wanted="a JSON object that gives each tensor its file",
            remedy="Download or save the model again.",
        )
    for name in set(index.values()):
        if not _plain(name):
            raise _unsafe(path, name)
    return dict(index)


def no_safetensors(subject: str, names: Iterable[str]) -> NoSafetensorsError:
    """The error for a source with these files, saying what it holds instead of weights."""
    present = sorted(names)
    others = [name for name in present if name.lower().endswith(".safetensors")]
    pickles = [name for name in present if name.endswith(PICKLES) and name not in NO_WEIGHTS]
    if any(name in present for name in ADAPTER_FILES):
        return AdapterFolderError(
            subject,
            got=f"a LoRA adapter ({ADAPTER}), which is not a full model",
            wanted=f"{SINGLE}, or shards with {INDEX}",
            remedy="Merge it into its base model (peft: merge_and_unload, save_pretrained).",
        )
    packed = [name for name in present if name.lower().endswith(SUFFIX)]
    if packed and not others:
        return gguf_alone(subject, packed)
    if others:
        got = f"safetensors under other names ({_some(others)})"
        remedy = f"Rename the full model's weights to {SINGLE}."
    elif pickles:
        got = f"only pickle weights ({_some(pickles)}), which can run code when they are opened"
        remedy = (
            "Convert it where you trust it: AutoModel.from_pretrained(...).save_pretrained(folder) "
            "with the model's own Auto class writes safetensors."
        )
    else:
        got = "no weights at all" + (f" (it holds {_some(present)})" if present else "")
        remedy = "Pass the folder that save_pretrained wrote."
    return NoSafetensorsError(subject, got=got, wanted=f"{SINGLE}, or shards with {INDEX}", remedy=remedy)


def _announced(files: Iterable[str]) -> list[str]:
    """Every file that ``model-00001-of-00003`` and its like promise."""
    names = []
    for name in files:
        match = _NUMBERED.fullmatch(name)
        if match:
            digits, total = match.groups()
            width = len(digits)
            names += [f"model-{i:0{width}d}-of-{total}.safetensors" for i in _upto(int(total))]
    return sorted(set(names))


def _upto(total: int) -> range:
    return range(1, min(total, 100_000) + 1)


def _check_present(folder: Path, names: list[str], who: str) -> None:
    missing = [name for name in names if not _is_file(folder / name)]
    if missing:
        raise MissingShardError(
            str(folder),
            got=f"{len(missing)} of {len(names)} shards missing ({_some(missing)})",
            wanted=f"every shard that {who}",
            remedy="Download the missing files, or save the model again.",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than a file's
        return False


def _inside(folder: Path, name: str) -> Path:
    """The file's path, once it is clear that no link in it leads out of the folder.

    A snapshot of the hub's cache is a folder of links into ``blobs`` beside ``snapshots``:
    these are the one way out that is allowed.
    """
    home = folder.resolve()
    allowed = [home]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    target = (folder / name).resolve()
    if not any(target.is_relative_to(place) for place in allowed):
        raise _unsafe(folder / INDEX, name)
    return folder / name


def _plain(name: str) -> bool:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    rooted = posix.is_absolute() or bool(windows.drive) or bool(windows.root)
    return not rooted and ".." not in windows.parts and "\0" not in name


def _unsafe(path: Path, name: str) -> UnsafeIndexError:
    return UnsafeIndexError(
        str(path),
        got=f"a shard at {name!r}, outside the model's folder",
        wanted="file names inside the folder",
        remedy="Do not use this checkpoint unless you know who wrote it; correct the index.",
    )


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
