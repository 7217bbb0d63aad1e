"""Put what was exported on the hub, when somebody asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kencore.errors import NoNetworkError, UploadError

REFUSED = (401, 403)


def check_name(repository: str) -> None:
    """Raise UploadError for what the hub takes for no name, before anything is written."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise _misnamed(repository, "Check the spelling; nothing was written.") from error


def _misnamed(repository: str, remedy: str) -> UploadError:
    return UploadError(repository, got="not the name of a repository", wanted="organisation/name", remedy=remedy)


def upload(path: Path, repository: str, *, private: bool = True, api: Any = None) -> str:
    """Upload a folder's files, or one file, to a model repository, which is made if it is new.

    Args:
        path: what to upload.
        repository: ``organisation/name``, or ``name`` in one's own account.
        private: of a new repository; one that is there stays as it is.
        api: a `huggingface_hub.HfApi`; by default one with the token of this machine.

    Returns:
        Where it is, as the hub says.

    Raises:
        UploadError: no login, no permission, or a name that cannot be.
        NoNetworkError: the hub cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    hub = huggingface_hub.HfApi() if api is None else api
    try:
        place = hub.create_repo(repository, private=private, exist_ok=True)
        name = getattr(place, "repo_id", repository)  # with the account's own name before it
        if path.is_dir():
            hub.upload_folder(repo_id=name, folder_path=str(path))
        else:
            hub.upload_file(path_or_fileobj=str(path), path_in_repo=path.name, repo_id=name)
    except (OSError, ValueError, HTTPError) as error:
        raise _told(error, path, repository) from error
    return str(place)


def _told(error: Exception, path: Path, repository: str) -> UploadError | NoNetworkError:
    from huggingface_hub import errors as hub

    written = f"What was written is at {path}."
    if isinstance(error, hub.HFValidationError):
        return _misnamed(repository, f"Check the spelling. {written}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, hub.LocalTokenNotFoundError) or status in REFUSED:
        return UploadError(
            repository,
            got="no login, or one that may not write there",
            wanted="a token that may write",
            remedy=f"Run `hf auth login` with a token of the role write. {written}",
        )
    reason = str(error).strip().split("\n", 1)[0] or type(error).__name__
    if isinstance(error, hub.HfHubHTTPError):
        return UploadError(
            repository, got=f"the hub refused it ({reason})", wanted="an upload the hub accepts", remedy=written
        )
    return NoNetworkError(
        repository,
        got=f"the hub could not be reached ({reason})",
        wanted="a network connection",
        remedy=f"Connect and export again. {written}",
    )
