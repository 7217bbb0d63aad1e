"""Models that answer, from a base and subnetwork files: one at a time, or many over one base."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.config import read_config
from kencore.errors import SpecError, TaskMismatchError
from kencore.exports.subnetwork.open import Restorer, restore_subnetwork
from kencore.exports.subnetwork.read import opened
from kencore.system.devices import resolve_device, usable_threads

if TYPE_CHECKING:
    from kencore.models.loaded import LoadedModel

MOST_THREADS = 8


def load(base: str | Path | None, file: str | Path, device: str = "cpu") -> Any:
    """The model that a subnetwork file makes of its base: one of transformers, ready to answer.

    Args:
        base: the base model: a demo's name, a folder or a hub id; ``None``: the one that the file names.
        file: the subnetwork file.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Returns:
        The class that the file's configuration names, in evaluation mode, weights in their dtype on disk.

    Raises:
        CorruptSubnetworkError, WrongBaseError, SourceNotFoundError, MissingExtraError: see
            `kencore.open_subnetwork`.
        DeviceNotFoundError: this machine has no such device.
        SpecError: transformers has no class of that name.
    """
    import transformers

    from kencore.models.seam import loading

    place = resolve_device(device)
    with tempfile.TemporaryDirectory(prefix="kencore-") as parent:
        folder = restore_subnetwork(file, base, Path(parent) / "model")
        name = str((read_config(folder).get("architectures") or ["none"])[0])
        kind = getattr(transformers, name, None)
        if kind is None:
            raise SpecError(
                str(file),
                got=f"a model of class {name}",
                wanted="a class of transformers",
                remedy="Restore it with `open` and load the folder with the code that it needs.",
            )
        with loading(folder):
            model = kind.from_pretrained(folder, dtype="auto", local_files_only=True, trust_remote_code=False)
        return model.eval().to(place)


class TunedModels:
    """One base, many tuned models: one loaded model that becomes each of them in place.

    In memory are the model in float32 and the files; the base is read from its own file. Each tensor's hash is checked
    as it is put in, so a model is what its file says, to the last bit, however often it was switched.

    Args:
        base: the base model: a demo's name, a folder or a hub id.
        files: subnetwork files by the names that they are to have; of one architecture with the same tensors.
        device: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
        threads: of a switch, each of which holds a tensor; ``None``: one a core, eight at most.

    Raises:
        SpecError: no files, or files of unlike models.
        CorruptSubnetworkError, WrongBaseError, SourceNotFoundError, MissingExtraError: see
            `kencore.open_subnetwork`.

    Attributes:
        model: of transformers; it is the tuned model that was switched to last.
        now: the name of that.
    """

    def __init__(
        self, base: str | Path, files: Mapping[str, str | Path], device: str = "cpu", threads: int | None = None
    ) -> None:
        if not files:
            raise SpecError("files", got="none", wanted="one or more subnetwork files", remedy="Name one.")
        self._threads = threads or min(MOST_THREADS, usable_threads())
        self._open = contextlib.ExitStack()
        try:
            self._files = {
                name: Restorer(self._open.enter_context(opened(path)), base, None) for name, path in files.items()
            }
            self.now = next(iter(files))
            self._check()
            self._loaded = _loaded(base, files[self.now], resolve_device(device))
        except BaseException:
            self._open.close()
            raise
        self.model = self._loaded.model

    @property
    def names(self) -> tuple[str, ...]:
        """Of all tuned models."""
        return tuple(self._files)

    def switch(self, name: str) -> Any:
        """Make the model another one, in place; the model.

        Raises:
            SpecError: no such name.
            CorruptSubnetworkError: a tensor is not what its file says; the model is then part this, part that.
        """
        if name not in self._files:
            raise SpecError("name", got=repr(name), wanted=f"one of {', '.join(self.names)}", remedy="Check it.")
        if name != self.now:
            file = self._files[name]
            self._loaded.replace_each(file.names, file.tensor, self._threads)
            file.release()
            self.now = name
        return self.model

    def close(self) -> None:
        """Let go of the files; the model stays as it is."""
        self._open.close()

    def __enter__(self) -> TunedModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        first = self._files[self.now].content.tensors
        for name, one in self._files.items():
            other = one.content.tensors
            if {key: value.shape for key, value in other.items()} != {key: value.shape for key, value in first.items()}:
                raise SpecError(
                    name,
                    got=f"other tensors than {self.now} has",
                    wanted="files of one architecture",
                    remedy="Hold unlike models in two of these.",
                )


def _loaded(base: str | Path, file: str | Path, device: str) -> LoadedModel:
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel, is_language_model

    with tempfile.TemporaryDirectory(prefix="kencore-") as parent:
        folder = restore_subnetwork(file, base, Path(parent) / "model")
        if is_language_model(folder):
            return LanguageModel.load(folder, device=device)
        try:
            return Classifier.load(folder, device=device)
        except TaskMismatchError:  # an encoder without a head
            from kencore.models.embedder import Embedder

            return Embedder.load(folder, device=device)
