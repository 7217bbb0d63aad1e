"""Files of a model's folder that are not its weights: tokenizer, templates, modules around it.

All of them belong to the model and go where it goes, but for what could run, what training left behind,
and weights in any form that the pruning did not change. A folder of sentence-transformers names more
modules in ``modules.json``; those have weights of their own, which belong to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from kencore.system.plain_json import read_json

MODULES = "modules.json"
CARD = "README.md"
LARGEST = 1 << 28  # bytes of one file
DEEPEST = 3  # names in a path
SAFE = ".safetensors"
WEIGHTS = (
    SAFE,
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".pickle",
    ".joblib",
    ".h5",
    ".hdf5",
    ".keras",
    ".msgpack",
    ".onnx",
    ".onnx_data",
    ".ot",
    ".gguf",
    ".ggml",
    ".npz",
    ".npy",
    ".tflite",
    ".mlmodel",
    ".pb",
    ".distcp",
    ".index.json",
    ".zip",
    ".tar",
    ".gz",
    ".xz",
    ".bz2",
    ".zst",
    ".7z",
    ".rar",
)
CODE = (
    ".py",
    ".pyc",
    ".pyd",
    ".pyi",
    ".pyx",
    ".so",
    ".dll",
    ".dylib",
    ".sh",
    ".bash",
    ".zsh",
    ".bat",
    ".cmd",
    ".ps1",
    ".exe",
    ".com",
    ".msi",
    ".js",
    ".mjs",
    ".ts",
    ".ipynb",
    ".jar",
    ".wasm",
    ".php",
    ".rb",
    ".pl",
    ".lua",
    ".html",
    ".htm",
    ".svg",
    ".desktop",
)
OF_TRAINING = (
    "trainer_state.json",
    "training_args",
    "optimizer",
    "scheduler",
    "rng_state",
    "scaler.",
    "events.out.tfevents",
    "all_results.json",
    "eval_results.json",
    "train_results.json",
    "adapter_config.json",
    "adapter_model",
    "quantize_config.json",
    "quant_config.json",
)
FOLDERS_OF_TRAINING = ("checkpoint-", "global_step", "runs", "logs", "wandb", "mlruns")


def companions(folder: Path) -> dict[str, Path]:
    """The files that go with a model, by their names in its folder, ``config.json`` first."""
    modules = module_folders(folder)
    found = {name: path for name, path in _files(folder) if _why_not(folder, name, path, modules) is None}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "config.json", item[0])))


def left_behind(folder: Path) -> dict[str, str]:
    """Files that a person may miss where the model goes, and why they stay."""
    modules = module_folders(folder)
    found = {name: _why_not(folder, name, path, modules) for name, path in _files(folder)}
    return {name: why for name, why in sorted(found.items()) if why}


def may_travel(name: object) -> bool:
    """Whether a name is that of a file that `companions` may find, on every system."""
    if not isinstance(name, str) or "\0" in name:
        return False
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    plain = posix.as_posix() == name == windows.as_posix() and not windows.drive and not windows.root
    parts = windows.parts
    if not plain or not 0 < len(parts) <= DEEPEST or any(part.startswith(".") or part[-1] in ". " for part in parts):
        return False
    return not _is(name, CODE) and (not _is(name, WEIGHTS) or (len(parts) > 1 and _is(name, (SAFE,))))


def module_folders(folder: Path) -> frozenset[str]:
    """Folders of the modules around a model that ``modules.json`` names."""
    try:
        modules = read_json(folder / MODULES)
        paths = [str(module.get("path") or "") for module in modules]
    except (OSError, ValueError, AttributeError, TypeError):
        return frozenset()
    return frozenset(path.rstrip("/") for path in paths if path and may_travel(f"{path.rstrip('/')}/config.json"))


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """All files as deep as may be; nothing hidden, and no folder that is a link."""
    places = [folder]
    while places:
        for path in sorted(places.pop().iterdir()):
            name = path.relative_to(folder).as_posix()
            if path.name.startswith("."):
                continue
            if path.is_dir():
                if not path.is_symlink() and name.count("/") < DEEPEST - 1:
                    places.append(path)
            elif path.is_file():
                yield name, path


def _why_not(folder: Path, name: str, path: Path, modules: frozenset[str]) -> str | None:
    """Why a file stays behind: ``""`` where nobody will miss it, ``None`` where it goes along."""
    *places, file = PurePosixPath(name).parts
    inside = "/".join(places) in modules
    if file.startswith(OF_TRAINING) or any(place.startswith(FOLDERS_OF_TRAINING) for place in places):
        return ""
    if _is(name, CODE):
        return "code is not copied"
    if _is(name, WEIGHTS) and not (inside and _is(name, (SAFE,))):
        return "weights that may run code when they are opened: save them as safetensors" if inside else ""
    if places and not inside and any(_is(one.name, WEIGHTS) for one in path.parent.iterdir()):
        return ""  # another form of the same model
    if not _within(folder, path):
        return "a link that leads out of the folder"
    if path.stat().st_size > LARGEST:
        return f"larger than {LARGEST >> 20} MB"
    return None if may_travel(name) else "a name that not every system can have"


def _is(name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings)


def _within(folder: Path, path: Path) -> bool:
    """Whether a file lies in the folder, or in the hub's cache of which the folder is a snapshot."""
    home, target = folder.resolve(), path.resolve()
    blobs = home.parent.parent / "blobs"
    return target.is_relative_to(home) or (home.parent.name == "snapshots" and target.is_relative_to(blobs))
