"""Checkpoints of a tuning, so that it goes on where it was killed.

One safetensors file per tuning: weights, best weights and AdamW's moments as tensors, all else as
JSON in its header. It is written beside its place and renamed: there is the old one or the new one,
whole. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kencore.errors import TuningBusyError
from kencore.settings.recover import RecoverSpec
from kencore.system import people
from kencore.system.locks import FileLock
from kencore.system.places import home, not_writable, private_folder
from kencore.system.plain_json import parse_json
from kencore.system.whole import whole_file

if TYPE_CHECKING:
    import torch

VERSION = 1
FILE = "checkpoint.safetensors"
LOCK = ".lock"
WEEK = 7 * 86_400.0


class Saved:
    """The work folder of one tuning, below the store.

    Args:
        spec: what was asked.
        facts: what it is asked of: the run's and the data's content. The same of both is the same
            folder, whoever asks and in whatever process.
    """

    def __init__(self, spec: RecoverSpec, facts: Mapping[str, Any]) -> None:
        asked = {"version": VERSION, "spec": asdict(spec), "facts": facts}
        if (owner := people.owner()) is not None:  # nobody goes on with what is another's
            asked["owner"] = owner
        text = json.dumps(asked, sort_keys=True)
        self.run = spec.run
        self.folder = home() / "tuning" / hashlib.sha256(text.encode()).hexdigest()[:32]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only process that works on this tuning; the system frees it of a dead one.

        Raises:
            TuningBusyError: another process works on it.
            StoreNotWritableError: the store cannot be written.
        """
        private_folder(self.folder.parent)
        lock = FileLock(self.folder.with_suffix(LOCK))
        while not lock.is_in_place():  # who held it before removes the file
            lock.release()
            try:
                free = lock.acquire()
            except OSError as error:
                raise not_writable(lock.path, str(error)) from error
            if not free:
                raise TuningBusyError(
                    f"Recovery of {self.run}",
                    got="another process that does the same",
                    wanted="one at a time",
                    remedy="Wait for its result, or cancel it first.",
                )
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows keeps what is open
                lock.path.unlink()
            lock.release()

    def load(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        """Tensors and state of the last checkpoint; ``None`` where there is none that is whole."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / FILE, framework="pt") as file:
                state = parse_json((file.metadata() or {})["state"], ours=True)
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError, KeyError):
            return None
        return tensors, state

    def save(self, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint, whole or not at all.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        private_folder(self.folder)
        whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        try:
            with whole_file(self.folder / FILE, force=True) as temporary:
                save_file(whole, temporary, {"state": json.dumps(state, allow_nan=False)})
        except SafetensorError as error:
            raise not_writable(self.folder, str(error)) from error

    def remove(self) -> None:
        """Remove the folder: the tuning is done, or cannot be done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def sweep(older: float = WEEK) -> None:
    """Remove the checkpoints of tunings that nobody went on with for a week."""
    with contextlib.suppress(OSError):
        for folder in (home() / "tuning").iterdir():
            if folder.suffix == LOCK:
                _remove_free(FileLock(folder))
                continue
            with contextlib.suppress(OSError):  # somebody else sweeps, or it is in use
                newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
                if time.time() - newest > older:
                    shutil.rmtree(folder)


def _remove_free(lock: FileLock) -> None:
    """Remove the lock of a process that was killed."""
    with contextlib.suppress(OSError):
        if lock.acquire():
            lock.path.unlink()
    lock.release()
