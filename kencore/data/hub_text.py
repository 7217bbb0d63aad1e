"""Texts of the hub as papers on pruned language models read them, through ``datasets``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kencore.errors import NoNetworkError, TextError
from kencore.system import roots

Part = Literal["calibration", "evaluation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one part of a data set becomes one text.

    Args:
        path, config, files, revision: which rows, as ``datasets.load_dataset`` takes them.
        split: the rows, as ``datasets`` writes it.
        column: the one that holds the text.
        between: what joins the rows.
        windows: how many windows are taken; ``None``: all of them.
    """

    path: str
    split: str
    column: str = "text"
    between: str = " "
    config: str | None = None
    files: str | None = None
    revision: str | None = None
    windows: int | None = None


# The recipes of SparseGPT (2301.00774) and Wanda (2306.11695), in their published code. They take
# each calibration window of C4 from one document of the whole first shard; here it is from the
# first documents of that shard, joined, as for the other texts.
WIKITEXT, WIKITEXT_CONFIG = "Salesforce/wikitext", "wikitext-2-raw-v1"
C4 = "allenai/c4"
# kept on the hub as a script, which no version from 4 on runs: this is the hub's own conversion
PTB, PTB_REVISION = "ptb-text-only/ptb_text_only", "refs/convert/parquet"
HUB: dict[str, dict[Part, Recipe]] = {
    "wikitext2": {
        "calibration": Recipe(path=WIKITEXT, config=WIKITEXT_CONFIG, split="train"),
        "evaluation": Recipe(path=WIKITEXT, config=WIKITEXT_CONFIG, split="test", between="\n\n"),
    },
    "c4": {
        "calibration": Recipe(path=C4, files="en/c4-train.00000-of-01024.json.gz", split="train[:10000]"),
        "evaluation": Recipe(
            path=C4, files="en/c4-validation.00000-of-00008.json.gz", split="validation[:1100]", windows=256
        ),
    },
    "ptb": {
        "calibration": Recipe(
            path=PTB, revision=PTB_REVISION, files="penn_treebank/train/*.parquet", split="train", column="sentence"
        ),
        "evaluation": Recipe(
            path=PTB, revision=PTB_REVISION, files="penn_treebank/test/*.parquet", split="test", column="sentence"
        ),
    },
}


def read_hub_text(name: str, part: Part) -> tuple[list[str], str, int | None]:
    """The documents of a hub data set, what joins them, and how many windows are usual.

    Args:
        name: ``wikitext2`` (test split joined by an empty line; calibration: train, by a space),
            ``c4`` (first 1,100 documents of the first validation shard, by a space, at most 256
            windows; calibration: first 10,000 documents of the first training shard) or ``ptb``
            (test split by a space; calibration: train).

    Raises:
        TextError: the library is not installed, or the hub's data set is not what it was.
        NoNetworkError: the hub cannot be reached and the data are not in the local cache.
    """
    try:
        import datasets
    except ImportError:
        raise missing_library(name) from None
    recipe = HUB[name][part]
    roots.check_hub(recipe.path)
    with quiet(datasets):
        rows = _load(datasets, name, recipe)
    if recipe.column not in rows.column_names:
        raise _changed(name, f"columns {', '.join(rows.column_names)}")
    texts = [str(text) for text in rows[recipe.column]]
    if not any(text.strip() for text in texts):
        raise _changed(name, "no text in it")
    return texts, recipe.between, recipe.windows


def missing_library(name: str) -> TextError:
    """The error for a hub data set where nothing can read it."""
    return TextError(
        f"Text {name}",
        got="the library datasets, which reads it from the hub, is not installed",
        wanted="the extra eval, or a text of your own",
        remedy="Run pip install -e '.[eval]' in KEN_viz's folder, or pass a .txt, .jsonl or "
        ".parquet file; pydoc needs none.",
    )


def _load(datasets: Any, name: str, recipe: Recipe) -> Any:
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    split = recipe.split.partition("[")[0]
    files = None if recipe.files is None else {split: recipe.files}
    try:
        return datasets.load_dataset(
            recipe.path, recipe.config, data_files=files, split=recipe.split, revision=recipe.revision
        )
    except (ConnectionError, TimeoutError, HTTPError) as error:
        raise NoNetworkError(
            f"Text {name}",
            got=f"the hub's data set {recipe.path} could not be read ({_reason(error)})",
            wanted="a network connection, or the data set in the local cache",
            remedy="Connect and try again, or choose pydoc or a file of your own.",
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _changed(name, _reason(error)) from error


def _changed(name: str, got: str) -> TextError:
    return TextError(
        f"Text {name}",
        got=got,
        wanted="the hub's data set as papers read it",
        remedy="Choose pydoc or a file of your own.",
    )


def _reason(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__


@contextlib.contextmanager
def quiet(datasets: Any) -> Iterator[None]:
    """No progress bars of the library datasets on the terminal of whoever called."""
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if bars:
            datasets.enable_progress_bars()
