"""``flips.parquet``: where the dense and the pruned model answer differently, a line per sentence or token.

One file: the table, and what is true of all the data (counts, what they were) in its metadata, with a version.
No torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kencore.errors import CorruptRunError, RunNotFoundError
from kencore.runs.forms import FACTS, misfit
from kencore.system import schema
from kencore.system.plain_json import parse_json
from kencore.system.plain_parquet import read_parquet
from kencore.system.whole import whole_file

FILE: Final = "flips.parquet"
KEY: Final = b"kenviz"
COLUMNS: Final = pa.schema(
    [
        ("place", pa.int64()),
        *((name, pa.string()) for name in ("text", "pair", "truth", "dense", "pruned")),
        *((f"{name}_p", pa.float32()) for name in ("dense", "pruned")),
        *((f"{name}_right", pa.bool_()) for name in ("dense", "pruned")),
        *((name, pa.float32()) for name in ("nll_change", "kl")),
    ]
)
COUNTS: Final = ("count", "right_wrong", "wrong_right", "changed", "dense_right", "pruned_right")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flips:
    """What pruning changed in the answers to some data.

    Attributes:
        facts: of all the data, plain values:

            - ``task``: ``classification`` or ``language``
            - ``data``, ``data_sha256``, and of a text ``window`` and ``windows``: what the answers are to
            - ``count``: sentences, or tokens that are predicted
            - ``right_wrong``: only the dense model is right; ``wrong_right``: only the pruned one; ``changed``:
              the two answers differ, whatever is right; ``dense_right``, ``pruned_right``
            - ``kl``, ``nll_change``: means, in nats
            - ``baselines``: rules whose answers stand beside
        table: the largest KL first; of sentences all whose answer changed, as far as `quality.answers.CHANGED`, and
            of a text the tokens of largest KL alone. Columns:

            - ``place``: number of the sentence in its file, or of the token in the text, from 0
            - ``text``: the sentence, or some of what stands before the token; ``pair``: a second sentence, or nothing
            - ``truth``: the label, or the token that follows; ``dense``, ``pruned``: the model's answer;
              ``dense_p``, ``pruned_p``: the probability that it gives to its own answer
            - ``dense_right``, ``pruned_right``
            - ``nll_change``: of the truth, pruned - dense, in nats; ``kl``: KL(dense || pruned), in nats
            - of each baseline its answer, under its name, and ``NAME_p``
    """

    facts: dict[str, Any]
    table: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Write the file into a folder, whole or not at all; one that is there is replaced.

        Raises:
            StoreNotWritableError: it cannot be written.
        """
        facts = {**self.facts, "version": schema.current("flips")}
        told = json.dumps(facts, sort_keys=True, allow_nan=False).encode()
        table = pa.Table.from_pandas(self.table, schema=_schema(self.facts["baselines"]), preserve_index=False)
        with whole_file(folder / FILE, force=True) as temporary:
            pq.write_table(table.replace_schema_metadata({KEY: told}), temporary, compression="zstd")


def _schema(baselines: Iterable[str]) -> pa.Schema:
    """The columns of a table beside these baselines."""
    fields = [COLUMNS.field(name) for name in COLUMNS.names]
    for name in baselines:
        fields += [pa.field(name, pa.string()), pa.field(f"{name}_p", pa.float32())]
    return pa.schema(fields)


def read_flips(folder: Path) -> Flips | None:
    """What `Flips.save` wrote into a folder; ``None`` where there is none.

    Raises:
        SchemaError: a newer version wrote it, or one that is too old.
        CorruptRunError: it cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        table = read_parquet(path)
        facts = parse_json((table.schema.metadata or {})[KEY], ours=True)
        schema.migrate("flips", f"{FILE} of {folder.name}", facts)
        if wrong := misfit(FACTS, facts):
            raise ValueError(f"a wrong value of {wrong[:100]}")
        known = facts["task"] in ("classification", "language")
        if not known or None in (*map(facts.get, COUNTS), *facts["baselines"]):
            raise ValueError("no task or no counts")
        return Flips(facts=facts, table=table.cast(_schema(facts["baselines"])).to_pandas())
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CorruptRunError(
            f"{FILE} of {folder.name}",
            got=f"it cannot be read ({error})",
            wanted="what a run keeps of its changed answers",
            remedy="Delete this one file and compute it again.",
        ) from error


def same_data(metrics: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether changed answers are to the data that a run's quality was measured on, as its metrics say now."""
    return all(facts.get(name) == metrics.get(name) for name in ("data_sha256", "window", "windows", "bos"))


def known_flips(folder: Path, metrics: Mapping[str, Any]) -> Flips | None:
    """`read_flips` of a run, where they are to the data of its quality; else ``None``. Raises as it does."""
    found = read_flips(folder)
    return found if found is not None and same_data(metrics, found.facts) else None


def stored_flips(folder: Path, run: str) -> Flips:
    """The changed answers that a run keeps.

    Args:
        folder: of the run.
        run: its id, for the message.

    Raises:
        RunNotFoundError: it keeps none.
        SchemaError, CorruptRunError: as `read_flips`.
    """
    found = read_flips(folder)
    if found is None:
        raise RunNotFoundError(
            f"Changed answers of run {run}",
            got="none in its folder",
            wanted=FILE,
            remedy=f"Compute them with `python -m kencore flips {run}`.",
        )
    return found
