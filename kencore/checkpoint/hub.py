"""Fetching a model from the hub: weights, config and tokenizer, never code or pickle."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kencore.checkpoint.companions import MODULES, SAFE, module_folders
from kencore.checkpoint.shards import INDEX, SINGLE, no_safetensors, read_index
from kencore.errors import AccessError, KencoreError, NoNetworkError, SourceNotFoundError, StoreNotWritableError
from kencore.system.progress import Progress

# read first: they are small, and the index names the weight files
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    INDEX,
    "adapter_config.json",
    "hf_quant_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "*.model",
    "*.jinja",
    "*.spm",
    "*.tiktoken",
    "*.codes",
    "*processor_config.json",
    MODULES,
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "LICENSE*",
)
NO_ROOM = (errno.ENOSPC, errno.EROFS, errno.EDQUOT)
OUTSIDE = ["*/*"]  # folders of a repository hold other formats of the same weights, those of modules.json apart


_offline = False


def stay_offline() -> None:
    """From now on this process takes models from the local cache alone and never asks the hub."""
    global _offline
    _offline = True


def fetch(text: str, *, revision: str | None = None, progress: Progress | None = None) -> Path:
    """Snapshot folder of a hub model in the local cache; its name is the commit.

    Raises:
        SourceNotFoundError: not a hub id, no such repository or revision.
        AccessError: gated or private.
        NoNetworkError: the hub cannot be reached and the files are not all in the local cache.
        NoSafetensorsError: the repository holds no safetensors weights of a full model.
        StoreNotWritableError: the cache cannot be written.
    """
    folder = _download(text, revision, list(SMALL_FILES), progress)
    modules = sorted(module_folders(folder))
    if modules and not all((folder / name).is_dir() for name in modules):
        inside = [f"{name}/*{ending}" for name in modules for ending in (".json", SAFE)]
        _download(text, folder.name, inside, progress, outside=[])
    # of a repository that has both, a folder's reader and transformers take the single file
    single = (folder / SINGLE).is_file() or SINGLE in (_listing(text, folder) or ())
    if single:
        weights = [SINGLE]
        there = (folder / SINGLE).is_file()
    elif (folder / INDEX).is_file():
        weights = sorted(set(read_index(folder).values()))
        there = all((folder / name).is_file() for name in weights)
    else:
        weights = [SINGLE, "model-*.safetensors"]
        there = (folder / SINGLE).is_file()
    if there:
        return folder
    folder = _download(text, folder.name, weights, progress)
    if not any(folder.glob("*.safetensors")):
        names = _listing(text, folder)
        if names is None:  # the cache was filled by others and the hub did not answer
            raise _unreachable(text, "its weights are not in the local cache")
        raise no_safetensors(text, names)
    return folder


def cached(text: str, *, revision: str | None = None) -> Path | None:
    """Snapshot folder of a hub model as far as it is in the local cache; ``None``: nothing of it is."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(text, revision=revision, local_files_only=True))
    except (OSError, ValueError):
        return None


def _download(
    text: str, revision: str | None, patterns: list[str], progress: Progress | None, outside: Sequence[str] = OUTSIDE
) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        return Path(
            huggingface_hub.snapshot_download(
                text,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=list(outside),
                local_files_only=_offline,
                tqdm_class=_bar(progress, f"Downloading {text}"),
            )
        )
    except (OSError, ValueError, HTTPError) as error:
        raise _translated(error, text, revision) from error


def _translated(error: Exception, text: str, revision: str | None) -> KencoreError:
    """The hub's exceptions, told in our words. Order matters: gated is a kind of not found."""
    from huggingface_hub import errors as hub

    chain = list(_chain(error))
    refused = any(_status(link) in (401, 403) for link in chain)
    found = not isinstance(error, hub.RepositoryNotFoundError)
    if isinstance(error, hub.HFValidationError):
        return SourceNotFoundError(
            text,
            got="neither a folder nor a hub id",
            wanted="a folder, or organisation/name",
            remedy="Check the spelling.",
        )
    if isinstance(error, hub.GatedRepoError) or (found and refused):
        return AccessError(
            text,
            got="a repository that this account may not read (gated, private or disabled)",
            wanted="one that it may read",
            remedy="Accept its terms on its hub page, then run `hf auth login`.",
        )
    if not found:
        return SourceNotFoundError(
            text,
            got="neither a folder here nor a repository that this account can see on the hub",
            wanted="a folder, or a hub id such as organisation/name",
            remedy="Check the spelling; for a private repository run `hf auth login`.",
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return SourceNotFoundError(
            text,
            got=f"no revision {revision!r}",
            wanted="a branch, tag or commit of it",
            remedy="Leave the revision out for its main branch.",
        )
    if isinstance(error, PermissionError) or getattr(error, "errno", None) in NO_ROOM:
        return StoreNotWritableError(
            "the hub's local cache",
            got=str(error),
            wanted="room and permission to write",
            remedy="Free space, or set HF_HOME to another folder.",
        )
    if _offline:
        return _unreachable(text, "the app fetches nothing by itself", "Inspect or prune it: a job fetches it.")
    if any(isinstance(link, hub.OfflineModeIsEnabled) for link in chain):
        return _unreachable(text, "offline mode is on: HF_HUB_OFFLINE is set")
    return _unreachable(text, str(chain[-1]).strip().split("\n", 1)[0] or type(error).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came from, down to the first cause."""
    while error is not None:
        yield error
        error = error.__cause__


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _unreachable(
    text: str, why: str, remedy: str = "Connect and try again, or pass a folder that holds the model."
) -> NoNetworkError:
    return NoNetworkError(
        text,
        got=f"no such folder here, and the hub could not be read ({why})",
        wanted="a network connection, or all of its files in the local cache",
        remedy=remedy,
    )


def _listing(text: str, folder: Path) -> list[str] | None:
    """Names of the repository's files as the hub listed them; ``None`` if it never did."""
    import huggingface_hub
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        tree = huggingface_hub.get_cached_repo_tree(text, revision=folder.name)
    except CachedRepoTreeNotFoundError:
        return None
    return [file.path for file in tree]


def _bar(progress: Progress | None, message: str) -> type[Any]:
    """A silent progress bar class that passes the bytes written on to ``progress``."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    lock = threading.Lock()

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._bytes = kwargs.get("name") == "huggingface_hub.snapshot_download"
            self._done = 0.0
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if progress is None or not self._bytes:
                return
            with lock:  # files come on several threads
                self._done += n or 0
                progress(self._done, max(float(self.total or 0), self._done), message)

    return Bar
