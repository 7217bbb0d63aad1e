"""Files of a model that are not its weights: tokenizer, settings, whatever lies beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from kencore.checkpoint.shards import INDEX, PICKLES

WEIGHTS = (
    ".safetensors",
    ".gguf",
    ".onnx",
    ".onnx_data",
    ".ot",
    ".tflite",
    ".mlmodel",
    ".npz",
    ".npy",
    ".bin.index.json",
)
CODE = (".py", ".pyc", ".so", ".dll", ".sh", ".exe", ".ipynb")
_DEEPEST = 2  # folders below the model's, such as 1_Pooling
_LARGEST = 200_000_000  # bytes: a larger file is no tokenizer


def copy_beside(source: Path, target: Path, *, leave: Callable[[str], bool] = lambda name: False) -> list[str]:
    """Copy what lies beside the weights: no weights, no code, nothing hidden, no link that leads out of the folder.

    Args:
        leave: says of a name relative to the folder that it stays behind.

    Returns:
        The names of the files that were copied.
    """
    copied = []
    for file in _files(source, source.resolve(), 0):
        name = file.relative_to(source).as_posix()
        if not leave(name) and not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / name)
            copied.append(name)
    return copied


def _files(folder: Path, home: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not _inside(path, home):
            continue
        if path.is_dir():
            if depth < _DEEPEST and not path.is_symlink():
                yield from _files(path, home, depth + 1)
        elif path.is_file() and _plain(path):
            yield path


def _plain(path: Path) -> bool:
    name = path.name.lower()
    weights = name == INDEX or name.endswith((*WEIGHTS, *PICKLES))
    return not weights and not name.endswith(CODE) and path.stat().st_size <= _LARGEST


def _inside(path: Path, home: Path) -> bool:
    """Whether a link stays in the folder; a snapshot of the hub's cache is links into ``blobs`` beside it."""
    allowed = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    return any(path.resolve().is_relative_to(place) for place in allowed)
