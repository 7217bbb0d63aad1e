"""Two seams around other people's code: loading a user's model, and running it.

Whatever transformers, tokenizers, safetensors or torch raise in there becomes one of our errors: which model,
what happened, what to do. The original is chained and logged (logger ``kencore``, level INFO). Where the cause
is not certain, the remedy says that it is a guess.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kencore.checkpoint.quiet import quiet
from kencore.errors import (
    ConfigError,
    CorruptShardError,
    JobCancelled,
    KencoreError,
    MissingExtraError,
    ModelRunError,
    NotEnoughMemoryError,
    OwnCodeError,
)

LOG = logging.getLogger("kencore")
LONGEST = 300
OF_CODE = ("trust_remote_code", "custom code", "remote code")
OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
OF_THE_HUB = ("huggingface.co", "couldn't connect", "offline mode", "internet connection")
# of what torch says -> what it most often means
GUESSES = (
    (
        "index out of range",
        "A guess: a token, position or token type lies outside of the model's tables; the tokenizer may be another "
        "model's.",
    ),
    ("device-side assert", "A guess: a token or position lies outside of the model's tables. Run it on the CPU."),
    ("size mismatch", "A guess: config.json names other sizes than the weights have. Take the one saved with them."),
    ("shapes cannot be multiplied", "A guess: config.json names other sizes than the weights have."),
    ("must match the size", "A guess: a sentence is longer than the model can read, or config.json is another's."),
    ("not implemented for", "A guess: this device or type of number lacks an operation. Run it on the CPU."),
    ("expected all tensors to be on the same device", "A guess: the model does not run on this device. Try the CPU."),
)
NO_GUESS = "Its cause is not known here: see whether transformers alone runs the model."


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """Around what reads a model's config, tokenizer or weights with transformers.

    Raises:
        CorruptShardError: a safetensors file is not whole.
        OwnCodeError: it needs code that the model brings.
        MissingExtraError: it needs a library that is not installed.
        NotEnoughMemoryError: the machine's memory is full.
        ConfigError: anything else that transformers cannot load.
    """
    try:
        with quiet():
            yield
    except (KencoreError, JobCancelled):
        raise
    except Exception as error:  # constructors and tokenizers raise what they like
        LOG.info("Loading %s failed", folder, exc_info=True)
        raise _of_loading(folder, error) from error


@contextmanager
def running(model: Any) -> Iterator[None]:
    """Around one pass of a loaded model, or of a part of it.

    Args:
        model: a module of transformers; errors name where it came from.

    Raises:
        NotEnoughMemoryError: the machine's or the device's memory is full.
        ModelRunError: anything else that torch or transformers raise.
    """
    try:
        yield
    except (KencoreError, JobCancelled):
        raise
    except Exception as error:  # a model's own code raises what it likes
        subject = named(model)
        LOG.info("Running %s failed", subject, exc_info=True)
        raise _of_memory(subject, error) or _of_running(subject, error) from error


def forward(model: Any, *args: Any, **kwargs: Any) -> Any:
    """``model(*args, **kwargs)``, told as `running` tells it."""
    with running(model):
        return model(*args, **kwargs)


def named(model: Any) -> str:
    """How errors call a module of transformers: by its folder, else by its class."""
    place = getattr(getattr(model, "config", None), "name_or_path", "")
    return f"Model {place or type(model).__name__}"


def line_of(error: BaseException) -> str:
    """What an error says, as one line of some length; its class where it says nothing."""
    text = " ".join(str(error).split())
    return (text[:LONGEST] + "..." if len(text) > LONGEST else text) or type(error).__name__


def _of_loading(folder: Path, error: Exception) -> KencoreError:
    from safetensors import SafetensorError

    subject, said = f"Model {folder}", line_of(error)
    if isinstance(error, SafetensorError):
        return CorruptShardError(
            subject, got=said, wanted="whole safetensors files", remedy="Copy or download the model again."
        )
    if any(word in str(error) for word in OF_CODE):
        return own_code(subject)
    if isinstance(error, ImportError):
        return MissingExtraError(
            subject,
            got=f"it needs a library that is not installed ({said})",
            wanted="that library",
            remedy="Install it with pip, then try again.",
        )
    if any(word in str(error).lower() for word in OF_THE_HUB):  # a folder is read: the network has no part in it
        said = "a file that transformers looks for is missing, or cannot be read"
    elif not isinstance(error, ValueError | OSError):
        said = f"{type(error).__name__}: {said}"
    return _of_memory(subject, error) or ConfigError(
        subject,
        got=said,
        wanted="a model and a tokenizer that transformers can load",
        remedy="A guess: a file of the folder is damaged, missing or of another model. Check them.",
    )


def own_code(subject: str, what: str = "code of its own") -> OwnCodeError:
    """The error for a model that cannot be used without the code that it brings."""
    return OwnCodeError(
        subject,
        got=f"a model that needs {what}",
        wanted="an architecture and a tokenizer that transformers itself has",
        remedy="Models that bring their own code are not run. Convert it where you trust it.",
    )


def _of_memory(subject: str, error: Exception) -> KencoreError | None:
    full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not full and not any(word in str(error).lower() for word in OF_MEMORY):
        return None
    return NotEnoughMemoryError(
        subject,
        got="no memory left",
        wanted="memory for the model and what is computed from it",
        remedy="Close other programs, take a smaller model or shorter texts, or another device.",
    )


def _of_running(subject: str, error: Exception) -> ModelRunError:
    said = line_of(error)
    guess = next((words for part, words in GUESSES if part in said.lower()), NO_GUESS)
    return ModelRunError(
        subject,
        got=f"{type(error).__name__} while it ran: {said}".rstrip("."),
        wanted="a model that reads what it is given",
        remedy=guess,
    )
