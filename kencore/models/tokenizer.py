"""Loading the tokenizer of a folder, and what of its tables a model has rows for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kencore.data.tokens import Row, check_rows, tokenizer_errors
from kencore.errors import ConfigError, TaskMismatchError
from kencore.models.loaded import LoadedModel, limit_of, stated_positions
from kencore.models.seam import loading

# one of them is in nearly every folder; tokenizers of characters or bytes have none
FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
LONGEST = 1 << 15  # tokens, where neither tokenizer nor config states a limit
FEW = 32  # words, beside special ones, of a tokenizer that transformers makes up where its file is missing


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, as transformers loads it. Code in the folder is not run.

    Raises:
        ConfigError, MissingExtraError, OwnCodeError: transformers cannot load it, see `loading`.
        TaskMismatchError: its files are missing. transformers then makes a tokenizer up that
            knows special tokens only.
    """
    from transformers import AutoTokenizer

    with (
        tokenizer_errors(
            f"Model {folder}",
            wanted="a tokenizer that transformers can load",
            remedy="Copy the tokenizer's files again; where the message names a library, install it with pip. "
            "Tokenizers that bring their own code are not run.",
        ),
        loading(folder),
    ):
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        made_up = _made_up(folder, found)
    if made_up:
        raise _no_files(folder)
    return found


def check_tokenizer(folder: Path) -> None:
    """Raise unless a folder has one of the usual files of a tokenizer, or a tokenizer that needs none.

    Raises:
        TaskMismatchError: it has neither, as far as transformers can tell.
    """
    if any((folder / name).is_file() for name in FILES):
        return
    try:
        load_tokenizer(folder)
    except ConfigError as error:  # a kind that needs a file
        raise _no_files(folder) from error


def _no_files(folder: Path) -> TaskMismatchError:
    """The error for a folder without a tokenizer."""
    return TaskMismatchError(
        f"Model {folder}",
        got="no tokenizer files in the folder",
        wanted="the tokenizer that the model was trained with, such as tokenizer.json",
        remedy="Copy the tokenizer's files beside config.json.",
    )


def _made_up(folder: Path, tokenizer: Any) -> bool:
    """Whether the files of a kind of tokenizer that needs some are missing."""
    needs = set((getattr(type(tokenizer), "vocab_files_names", None) or {}).values())
    if not needs or any((folder / name).is_file() for name in needs):
        return False
    return len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)) <= FEW


def check_model_rows(loaded: LoadedModel, rows: list[Row], name: str) -> None:
    """Raise `TokenTableError` unless a loaded model's tables have a row for every token and token type."""
    check_rows(loaded.tokenizer, rows, table_rows(loaded.model), type_rows(loaded.model), name)


def table_rows(model: Any) -> int | None:
    """Rows of a loaded model's table of token embeddings; ``None`` where it has none, as models of characters."""
    try:
        table = model.get_input_embeddings()
    except (AttributeError, NotImplementedError):
        return None
    weight = getattr(table, "weight", None)
    return int(weight.shape[0]) if weight is not None and weight.dim() == 2 else None


def type_rows(model: Any) -> int | None:
    """Rows of a loaded model's table of token types; ``None`` where it has none."""
    found = [m for name, m in model.named_modules() if name.endswith("token_type_embeddings")]
    return min((int(m.num_embeddings) for m in found if hasattr(m, "num_embeddings")), default=None)


def stated_rows(config: Any) -> int | None:
    """Rows of the table of token embeddings as a config says; ``None`` where it says nothing."""
    stated = getattr(config.get_text_config(decoder=True), "vocab_size", None)
    return stated if isinstance(stated, int) and stated > 0 else None


def stated_limit(tokenizer: Any, config: Any) -> int:
    """Tokens of a text that a classifier is given: the tokenizer's limit, bounded by the config's positions."""
    # a tokenizer without a limit states 1e30; rotary models have no table to ask
    limit, positions = limit_of(tokenizer.model_max_length), stated_positions(config)
    return min(limit or LONGEST, positions or LONGEST)


def piece(tokenizer: Any, number: int) -> str:
    """A token as it stands in a text; where it is half a sign, as the tokenizer calls it."""
    text = str(tokenizer.decode([number]))
    if text and "\N{REPLACEMENT CHARACTER}" not in text:
        return text
    return str(tokenizer.convert_ids_to_tokens(number))
