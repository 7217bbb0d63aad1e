"""Everything that KEN_viz reads of what others may have written, with a small good input for each."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file
from starlette.requests import Request

from app.data import answers
from kencore.checkpoint.gguf import read_gguf
from kencore.checkpoint.header import read_header
from kencore.checkpoint.packed import refuse_packed
from kencore.checkpoint.skeleton import read_skeleton
from kencore.checkpoint.tensors import open_tensors
from kencore.data.examples import read_examples
from kencore.data.text import read_text
from kencore.exports.masks import export_mask, read_masks
from kencore.exports.subnetwork.open import open_subnetwork
from kencore.exports.subnetwork.read import inspect_subnetwork, opened
from kencore.exports.subnetwork.write import write_subnetwork
from kencore.models.tokenizer import load_tokenizer
from kencore.runs.run import Run
from kencore.runs.shelf import summarise
from kencore.settings.explain import ExplainSpec
from kencore.settings.prune import PruneSpec
from kencore.settings.recover import RecoverSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps import journal
from kencore.sweeps.shelf import Sweep
from kencore.system.places import assets_folder, runs_folder
from kencore.system.plain_json import parse_json
from kencore.views.tables import totals
from kencore.words import cards
from kencore.words import run as facts
from kencore.words.verdict import verdict
from tests.faults.fuzz import Reader
from tests.faults.mutate import damaged_bytes, damaged_json
from tests.faults.signed import as_signed

SPECS = (PruneSpec, SweepSpec, RecoverSpec, ExplainSpec)


def as_json(content: bytes, rng: random.Random) -> bytes:
    """Damage to a JSON text."""
    return damaged_json(content.decode(), rng)


def as_any(content: bytes, rng: random.Random) -> bytes:
    """Damage to JSON as JSON, and to all else as bytes."""
    try:
        json.loads(content)
    except ValueError:  # a line of it may be JSON all the same
        return damaged_bytes(content, rng)
    return as_json(content, rng)


def as_header(content: bytes, rng: random.Random) -> bytes:
    """Damage to the header of a safetensors file, its length set right again half of the time; or to all of it."""
    if rng.random() < 0.3:
        return damaged_bytes(content, rng)
    length = int.from_bytes(content[:8], "little")
    header = damaged_json(content[8 : 8 + length].decode(), rng)
    said = len(header) if rng.random() < 0.8 else length
    return said.to_bytes(8, "little") + header + content[8 + length :]


def as_weights(content: bytes, rng: random.Random) -> bytes:
    """Damage to an index, or to the header of a shard."""
    return as_json(content, rng) if content[:1] == b"{" else as_header(content, rng)


def files_of(folder: Path, *names: str) -> list[Path]:
    """Those files of a folder, or all of it."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and (not names or path.name in names))


# --- a good input of each kind ------------------------------------------------------------------


def text_in(folder: Path, name: str, text: str) -> list[Path]:
    """One file of text."""
    (folder / name).write_text(text)
    return [folder / name]


def a_run(*names: str) -> Callable[[Path], list[Path]]:
    """A copy of a demo run; those of its files are damaged."""

    def make(folder: Path) -> list[Path]:
        shutil.copytree(assets_folder() / "demo" / "run-lm", folder / "run")
        return files_of(folder / "run", *names)

    return make


def look_at_run(folder: Path) -> None:
    """What lists and pages read of a run, and say of it."""
    assert summarise(folder / "run").id == "run"
    run = Run(folder / "run")
    name = run.pruned[-1]
    seen = [run.rows(name), run.keep(name, slice(0, 4)), run.trace, run.tuning, run.activation_norms(name), run.flips()]
    said = [verdict(run.metrics, run.spec.method), cards.quality(run.metrics), facts.best_baseline(run.metrics)]
    said += [cards.baseline(run.metrics, run.spec.method), facts.headline(run.spec, totals(run.matrices), run.metrics)]
    assert len(seen) + len(said) + len(facts.origin(run))


def a_sweep(folder: Path) -> list[Path]:
    """The file of a sweep."""
    asked = {"version": 1, "spec": json.loads(SweepSpec(model="demo", keeps=(0.5, 0.25)).to_json()), "created": "2026"}
    return text_in(folder, "sweep.json", json.dumps(asked))


def look_at_sweep(folder: Path) -> None:
    """A sweep as lists show it."""
    sweep = Sweep(folder)
    assert len(sweep.skipped) + len(sweep.label) + len(sweep.progress) > 0


def a_journal(folder: Path) -> list[Path]:
    """Two lines of a sweep's journal."""
    for event in ("began", "failed"):
        journal.note(folder, event, "a", {"message": "why"})  # type: ignore[arg-type]
    return [folder / journal.NAME]


def weights(folder: Path) -> list[Path]:
    """Two shards and their index."""
    for n in (1, 2):
        save_file(
            {f"t{n}": np.ones((3, n), np.float32), f"u{n}": np.ones(2)}, folder / f"model-0000{n}-of-00002.safetensors"
        )
    index = {"weight_map": {f"{t}{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2) for t in "tu"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return files_of(folder)


def look_at_weights(folder: Path) -> None:
    """All tensors of a folder."""
    with open_tensors(folder) as tensors:
        for name in tensors.names:
            tensors.floats(name)


def a_model(which: str, *names: str) -> Callable[[Path], list[Path]]:
    """A copy of a demo model; those of its files are damaged."""

    def make(folder: Path) -> list[Path]:
        shutil.copytree(assets_folder() / "demo" / which / "tuned", folder, dirs_exist_ok=True)
        return files_of(folder, *names)

    return make


def a_language_model(folder: Path) -> list[Path]:
    """The demo's language model. It is known without transformers, which some damage needs: imported here."""
    read_skeleton(assets_folder() / "demo" / "encoder" / "tuned")
    return a_model("lm", "config.json")(folder)


def look_at_model(folder: Path) -> None:
    """A model as far as it is known before anything is loaded."""
    refuse_packed(str(folder), folder)
    read_skeleton(folder)


def use_tokenizer(folder: Path) -> None:
    """Load a tokenizer and use it."""
    load_tokenizer(folder)


def a_gguf(folder: Path) -> list[Path]:
    """A file of two facts and one tensor, by hand."""

    def word(text: str) -> bytes:
        return len(text).to_bytes(8, "little") + text.encode()

    def number(value: int, size: int = 8) -> bytes:
        return value.to_bytes(size, "little")

    facts_ = word("general.architecture") + number(8, 4) + word("llama") + word("llama.block_count") + number(4, 4)
    head = b"GGUF" + number(3, 4) + number(1) + number(2) + facts_ + number(1, 4)
    head += word("token_embd.weight") + number(2, 4) + number(4) + number(2) + number(0, 4) + number(0)
    head += b"\0" * (-len(head) % 32)
    (folder / "model.gguf").write_bytes(head + np.ones(8, np.float32).tobytes())
    return [folder / "model.gguf"]


def some_specs(folder: Path) -> list[Path]:
    """Settings of every kind, a file each."""
    made = (
        PruneSpec(model="demo", keep=0.5),
        SweepSpec(model="demo", keeps=(0.5,)),
        RecoverSpec(run="demo", data="demo"),
        ExplainSpec(run="demo", text="a"),
    )
    return [path for spec in made for path in text_in(folder, f"{type(spec).__name__}.json", spec.to_json())]


def read_specs(folder: Path) -> None:
    """All of them."""
    for kind in SPECS:
        kind.from_json((folder / f"{kind.__name__}.json").read_text("utf-8", "replace"))


def a_subnetwork(folder: Path) -> list[Path]:
    """A demo run as a subnetwork file."""
    return [write_subnetwork(Run(assets_folder() / "demo" / "run"), folder / "a.safetensors")]


def a_coded_file(folder: Path) -> list[Path]:
    """A small run of coded differences as a subnetwork file, of every code."""
    from tests.pruning.test_by_bytes import coded

    made = write_subnetwork(coded(folder / "made", bits=9), folder / "a.safetensors")
    return [made]


def open_coded_file(folder: Path) -> None:
    """All of it: every code is read."""
    open_subnetwork(folder / "a.safetensors")


def bytes_or_header(content: bytes, rng: random.Random) -> bytes:
    """Damage anywhere, or in what the file says of itself."""
    return (as_header if rng.random() < 0.3 else damaged_bytes)(content, rng)


def look_at_subnetwork(folder: Path) -> None:
    """What `inspect` says of the file, and all that is in it."""
    inspect_subnetwork(folder / "a.safetensors")
    with opened(folder / "a.safetensors"):
        pass


def some_tables(folder: Path) -> list[Path]:
    """Labelled sentences in every form."""
    rows = [{"text": f'sentence {n}, "quoted"', "label": n % 2} for n in range(6)]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "a.json").write_text(json.dumps(rows))
    (folder / "a.tsv").write_text("text\tlabel\n" + "\n".join(f"sentence {n}\t{n % 2}" for n in range(6)))
    (folder / "a.csv").write_text("text,label\n" + "\n".join(f'"a, {n}",{n % 2}' for n in range(6)))
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    return files_of(folder)


def read_tables(folder: Path) -> None:
    """All of them, as sentences with labels and as text."""
    for path in files_of(folder):
        read_examples(path)
        read_text(path, part="evaluation")


def an_address(folder: Path) -> list[Path]:
    """Words of an address: a route and its query."""
    shutil.copytree(assets_folder() / "demo" / "run", runs_folder() / "fuzzed", dirs_exist_ok=True)
    query = {"run": "fuzzed", "matrix": "bert.encoder.layer.0.attention.self.key.weight", "layer": "kept"}
    return text_in(
        folder, "query", json.dumps(query | {"r0": "0", "r1": "8", "c0": "0", "c1": "8", "row": "1", "col": "1"})
    )


def ask_routes(folder: Path) -> None:
    """Every data route is asked with them; an answer is a status below 500, or that it is getting ready."""
    try:
        said = json.loads((folder / "query").read_bytes())
        pairs = said.items() if isinstance(said, dict) else [("run", said)]
        text = "&".join(f"{quote(str(k), errors='replace')}={quote(str(v), errors='replace')}" for k, v in pairs)
    except (ValueError, RecursionError):
        text = (folder / "query").read_bytes().decode("latin-1")
    for name in ("window", "cell", "window_csv", "mask_npy", "atlas", "setting", "export"):
        only = text if name != "window" else "&".join(p for p in text.split("&") if not p.startswith(("row=", "col=")))
        scope = {"type": "http", "method": "GET", "path": f"/kenviz/{name}", "headers": []}
        status = answers.answer(name, Request(scope | {"query_string": only[:20_000].encode()})).status_code
        assert status < 500 or status == 503


READERS: dict[str, Reader] = {
    "json": Reader(
        make=lambda folder: text_in(folder, "a", '{"a": [1, 2.5, "x", {"b": null}], "c": true}'),
        read=lambda folder: parse_json((folder / "a").read_bytes(), ours=True),
        damage=as_json,
        own=(ValueError,),
    ),
    "run": Reader(
        make=a_run("spec.json", "record.json", "metrics.json", "trace.json"), read=look_at_run, damage=as_json
    ),
    "run-tables": Reader(
        make=a_run("matrices.parquet", "rows.parquet", "flips.parquet", "masks.safetensors", "activations.safetensors"),
        read=look_at_run,
        damage=damaged_bytes,
    ),
    "sweep": Reader(make=a_sweep, read=look_at_sweep, damage=as_json),
    "journal": Reader(make=a_journal, read=journal.read, damage=damaged_bytes),
    "header": Reader(
        make=lambda folder: weights(folder)[:1], read=lambda folder: read_header(files_of(folder)[0]), damage=as_header
    ),
    "weights": Reader(
        make=weights, read=look_at_weights, damage=lambda c, r: as_any(c, r) if c[:1] == b"{" else as_header(c, r)
    ),
    "config": Reader(make=a_language_model, read=look_at_model, damage=as_json),
    "config-built": Reader(make=a_model("encoder", "config.json"), read=look_at_model, damage=as_json),
    "tokenizer": Reader(
        make=a_model("encoder", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"),
        read=use_tokenizer,
        damage=as_any,
    ),
    "gguf": Reader(make=a_gguf, read=lambda folder: read_gguf(folder / "model.gguf"), damage=damaged_bytes),
    "specs": Reader(make=some_specs, read=read_specs, damage=as_json),
    "coded-file": Reader(make=a_coded_file, read=open_coded_file, damage=bytes_or_header),
    "coded-signed": Reader(make=a_coded_file, read=open_coded_file, damage=as_signed),
    "subnetwork-signed": Reader(make=a_subnetwork, read=look_at_subnetwork, damage=as_signed),
    "subnetwork": Reader(make=a_subnetwork, read=look_at_subnetwork, damage=as_header),
    "masks": Reader(
        make=lambda folder: [export_mask(Run(assets_folder() / "demo" / "run"), folder / "a.safetensors", pack=True)],
        read=lambda folder: read_masks(folder / "a.safetensors"),
        damage=as_header,
    ),
    "tables": Reader(make=some_tables, read=read_tables, damage=as_any),
    "addresses": Reader(make=an_address, read=ask_routes, damage=as_json),
}
