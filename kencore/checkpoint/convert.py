"""Any model that can be unpacked without loss of meaning, as a folder of plain safetensors."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kencore.checkpoint.companions import companions, left_behind
from kencore.checkpoint.gguf import SUFFIX, is_gguf, read_gguf
from kencore.checkpoint.packed import Packed, find_packed, packed_in, settings_in
from kencore.checkpoint.readme import write_readme
from kencore.checkpoint.scales import Plan
from kencore.checkpoint.source import Source, resolve
from kencore.checkpoint.tensors import FLOATS, Tensors, open_tensors
from kencore.checkpoint.unpack import DTYPES, Tally, write_plain
from kencore.checkpoint.unpack_gguf import unpack_gguf
from kencore.errors import NoSafetensorsError, SpecError
from kencore.system.plain_json import read_json
from kencore.system.progress import Progress, silent
from kencore.system.whole import check_free, whole_folder

SETTINGS: Final = ("quantization_config", "compression_config", "quantization")
OF_THE_PACKING: Final = ("hf_quant_config.json", "quantize_config.json", "quant_config.json", "recipe.yaml")
# beside a GGUF file, which may lie anywhere, only what surely belongs to it is copied
_OF_A_MODEL: Final = re.compile(
    r"(tokenizer.*\.json|vocab\.(json|txt)|merges\.txt|special_tokens_map\.json|added_tokens\.json|[^/]*\.model"
    r"|chat_template\.jinja|README\.md|LICENSE[^/]*)$"
)


def convert(
    source: str,
    folder: Path,
    *,
    dtype: str | None = None,
    revision: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a model as plain weights, with everything that lies beside them and a README of what was done.

    Args:
        source: a GGUF file, or a folder or hub id with packed or plain safetensors.
        folder: new or empty; it appears whole or not at all.
        dtype: ``float32``, ``bfloat16`` or ``float16``; packed weights become float32 by default, which holds their
            values exactly.
        revision: branch, tag or commit of a hub id.

    Returns:
        source, format, folder, dtype, parameters, unpacked, rounded, largest_change, files, notes.

    Raises:
        PackedWeightsError: a packing that cannot be undone here.
        GgufError, MissingExtraError: see `unpack_gguf`.
        SpecError: not a dtype, or nothing to do.
        CheckpointError: see `resolve`.
        RunExistsError, StoreNotWritableError: the folder.
    """
    if dtype is not None and dtype not in DTYPES:
        raise SpecError("dtype", got=repr(dtype), wanted=f"one of {', '.join(DTYPES)}", remedy="Choose one.")
    check_free(folder)
    file = _gguf(source)
    if file is not None:
        return _from_gguf(file, folder, DTYPES[dtype or "float32"], progress or silent)
    found = resolve(source, revision=revision, progress=progress, packed=True)
    return _from_folder(found, folder, dtype, progress or silent)


def _gguf(source: str) -> Path | None:
    """The GGUF file that is meant: itself, or the only one of a folder without safetensors."""
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return path if is_gguf(path) else None
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() and not any(path.glob("*.safetensors")) else []
    except OSError:
        return None
    if not inside:
        return None
    if len(inside) == 1:
        return inside[0]
    read_gguf(inside[0])  # says what to do about the parts of one model
    raise NoSafetensorsError(
        source,
        got=f"{len(inside)} GGUF files ({', '.join(file.name for file in inside[:3])})",
        wanted="one of them",
        remedy=f"Name the file: {inside[0]}",
    )


def _from_gguf(file: Path, folder: Path, dtype: str, progress: Progress) -> dict[str, Any]:
    gguf = read_gguf(file)
    progress(0, 1, f"Unpacking {file.name}")
    with whole_folder(folder) as temporary:
        exact = temporary / "exact"
        exact.mkdir()
        notes = unpack_gguf(file, exact)
        with open_tensors(exact) as tensors:
            tally = write_plain(tensors, Plan(), dtype, temporary, progress)
        config = _json(exact / "config.json") | {"dtype": _word(dtype)}
        (temporary / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
        _copy(companions(exact), temporary)
        shutil.rmtree(exact)
        near = {name: path for name, path in companions(file.parent).items() if _OF_A_MODEL.match(name)}
        copied = _copy(near, temporary)
        tally.unpacked = sum(math.prod(t.shape) for t in gguf.tensors if t.kind not in ("F32", "F16", "BF16", "F64"))
        facts = _facts(str(file), f"GGUF ({gguf.kinds})", folder, dtype, tally, notes, copied)
        write_readme(temporary, _told(facts))
    return facts


def _from_folder(found: Source, folder: Path, dtype: str | None, progress: Progress) -> dict[str, Any]:
    with open_tensors(found.folder) as tensors:
        packed = find_packed(map(tensors.info, tensors.stored), settings_in(found.folder))
        if packed is not None and packed.plan.problem:
            raise packed.error(found.text)
        chosen = DTYPES[dtype] if dtype is not None else _usual(found, tensors, packed)
        plan = packed.plan if packed is not None else Plan()
        with whole_folder(folder) as temporary:
            tally = write_plain(tensors, plan, chosen, temporary, progress)
            near = {name: path for name, path in companions(found.folder).items() if name not in OF_THE_PACKING}
            copied = _copy(near, temporary)
            config = _without_packing(_json(temporary / "config.json")) | {"dtype": _word(chosen)}
            (temporary / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
            notes = _notes(plan, packed)
            notes += [f"{name} stays behind: {why}." for name, why in left_behind(found.folder).items()]
            facts = _facts(found.text, packed.format if packed else "plain", folder, chosen, tally, notes, copied)
            write_readme(temporary, _told(facts))
            assert packed_in(temporary) is None
    return facts


def _copy(files: Mapping[str, Path], target: Path) -> list[str]:
    """Copy files under their names, but for those that are there already; returns the names."""
    copied = [name for name in files if not (target / name).exists()]
    for name in copied:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[name], target / name)
    return copied


def _usual(found: Source, tensors: Tensors, packed: Packed | None) -> str:
    """The dtype where none is asked for: float32 holds what was packed exactly, else as it is stored."""
    if packed is None:
        raise SpecError(
            found.text,
            got="plain safetensors already, and no dtype",
            wanted="packed weights, GGUF, or a dtype to write the weights as",
            remedy=f"Use it as it is, or name one with --dtype: {', '.join(DTYPES)}.",
        )
    stored = {tensors.info(name).dtype for name in tensors.stored} & FLOATS
    return "F32" if packed.plan.scaled or len(stored) != 1 or stored == {"F64"} else stored.pop()


def _notes(plan: Plan, packed: Packed | None) -> list[str]:
    if packed is None:
        return []
    if not plan.scaled:
        return [f"config.json said {packed.announced}, but every weight was plain: they are what they were."]
    left = sorted(plan.dropped - {entry.scale for entry in plan.scaled.values()})
    notes = ["Each number was multiplied by its scale, in float32."]
    if left:
        notes.append(f"Scales of activations are left out, weights alone count: {left[0]} and its like ({len(left)}).")
    return notes


def _without_packing(config: dict[str, Any]) -> dict[str, Any]:
    """The config with nothing said of a quantisation, at any depth, nor of a dtype that is no longer true."""
    gone = {*SETTINGS, "dtype", "torch_dtype"}
    return {
        key: _without_packing(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in gone
    }


def _facts(
    source: str, form: str, folder: Path, dtype: str, tally: Tally, notes: list[str], copied: list[str]
) -> dict[str, Any]:
    return {
        "source": source,
        "format": form,
        "folder": str(folder),
        "dtype": _word(dtype),
        "parameters": tally.parameters,
        "unpacked": tally.unpacked,
        "rounded": tally.rounded,
        "largest_change": tally.largest,
        "files": copied,
        "notes": notes,
    }


def _told(facts: dict[str, Any]) -> list[str]:
    """What the README says."""
    lines = [f"From {Path(facts['source']).name or facts['source']}, {facts['format']}, to {facts['dtype']}."]
    lines.append(f"{facts['parameters']:,} weights, of which {facts['unpacked']:,} were packed.")
    if facts["rounded"]:
        lines.append(
            f"{facts['rounded']:,} of them were rounded to {facts['dtype']}, by {facts['largest_change']:.2%} at most."
        )
    elif facts["unpacked"]:
        lines.append("None was rounded further: they are the values that the packed file stands for.")
    return [*lines, *facts["notes"]]


def _word(dtype: str) -> str:
    return next(word for word, code in DTYPES.items() if code == dtype)


def _json(path: Path) -> dict[str, Any]:
    found = read_json(path)
    return found if isinstance(found, dict) else {}
