"""Models and data that people have and that cannot be used as they are: one small folder of each kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from tests.support.packed import save_packed, write_gguf
from tests.support.tiny_models import build
from tests.support.tiny_text import add_tokenizer, write_text

SENTENCES = "sentence\tlabel\nw5 w6 w7 w8\t0\nw9 w10\t1\n"
Paths = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Bad:
    """A kind: what makes it, the class of the error and what its message says.

    ``make`` gives what is typed: ``model``, and maybe ``base`` and ``evaluation``. ``noted``: what `inspect` tells of
    it; empty where it refuses it, too.
    """

    make: Callable[[Path], Paths]
    error: str
    said: str
    noted: str = ""


def llama(folder: Path) -> Path:
    """A small language model with a tokenizer."""
    build("llama").save_pretrained(folder)
    return add_tokenizer(folder)


def bert(folder: Path, **config: Any) -> Path:
    """A small classifier with a tokenizer and other fields in its config."""
    build("bert").save_pretrained(folder)
    edit(folder, **config)
    return add_tokenizer(folder)


def edit(folder: Path, **changes: Any) -> None:
    """Change fields of config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _packed(where: Path, form: str) -> Paths:
    return {"model": str(save_packed(llama(where / "plain"), where / "packed", form))}


def _gguf(where: Path) -> Paths:
    write_gguf(where / "model.gguf", build("llama"))  # type: ignore[arg-type]
    return {"model": str(where / "model.gguf")}


def _adapter(where: Path, *, alone: bool) -> Paths:
    folder = llama(where / "lora")
    config = {"peft_type": "LORA", "base_model_name_or_path": "org/base"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    some = {f"base_model.model.{name}": tensor for name, tensor in list(weights.items())[:2]}
    save_file(some, folder / "adapter_model.safetensors")
    if alone:
        (folder / "model.safetensors").unlink()
    return {"model": str(folder)}


def _own_code(where: Path) -> Paths:
    folder = llama(where / "own")
    edit(folder, model_type="nobodys", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    return {"model": str(folder)}


def _misfit(where: Path) -> Paths:
    folder = llama(where / "misfit")
    edit(folder, intermediate_size=40)
    return {"model": str(folder), "evaluation": str(write_text(where / "text.txt", 400))}


def _vocabulary(where: Path) -> Paths:
    """A tokenizer of more tokens than the model has rows for."""
    folder = add_tokenizer(bert(where / "words"), 120)
    (where / "many.tsv").write_text("sentence\tlabel\nw5 w110\t0\nw6 w7\t1\n")
    return {"model": str(folder), "evaluation": str(where / "many.tsv")}


def _labels(where: Path) -> Paths:
    names = {"id2label": {"0": "1", "1": "0"}, "label2id": {"1": 0, "0": 1}}
    return _judged(where, SENTENCES.encode(), **names)


def _judged(where: Path, content: bytes, **config: Any) -> Paths:
    (where / "data.tsv").write_bytes(content)
    return {"model": str(bert(where / "model", **config)), "evaluation": str(where / "data.tsv")}


def _other_base(where: Path) -> Paths:
    return {"model": str(bert(where / "model")), "base": str(llama(where / "base"))}


_TWO_TEXTS = b"sentence\tother\tlabel\nw5 w6\tw1 w2 w3 w4\t0\nw7 w8\tw5 w6 w7 w8\t1\n"
_LATIN = b"sentence\tlabel\ncaf\xe9 w6\t0\nw7\t1\n"
BAD: dict[str, Bad] = {
    "packed": Bad(partial(_packed, form="gptq"), "PackedWeightsError", "GPTQ", noted="gptq"),
    "packed, with scales": Bad(
        partial(_packed, form="fp8 by row"), "PackedWeightsError", "kencore convert", noted="kencore convert"
    ),
    "gguf": Bad(_gguf, "NoSafetensorsError", "kencore convert"),
    "adapter": Bad(partial(_adapter, alone=True), "AdapterFolderError", "adapter"),
    "adapter beside a model": Bad(partial(_adapter, alone=False), "AdapterFolderError", "adapter"),
    "own code": Bad(_own_code, "ConfigError", "code"),
    "shapes": Bad(_misfit, "WeightShapeError", "(48, 32) on disk", noted="Of another shape"),
    "vocabulary": Bad(_vocabulary, "TokenTableError", "w110", noted="w110"),
    "labels two ways": Bad(_labels, "AmbiguousLabelsError", "number", noted="number"),
    "two texts": Bad(partial(_judged, content=_TWO_TEXTS), "DataFileError", "two columns", noted="two columns"),
    "encoding": Bad(partial(_judged, content=_LATIN), "DataFileError", "row 2", noted="row 2"),
    "another base": Bad(_other_base, "PairMismatchError", "base"),
    "no folder": Bad(lambda where: {"model": str(where / "none")}, "SourceNotFoundError", "no such folder"),
}
