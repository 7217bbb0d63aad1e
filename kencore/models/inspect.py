"""Everything a person wants to know of a model before anything is loaded, as plain JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from kencore.checkpoint.config import read_config
from kencore.checkpoint.layout import open_model
from kencore.checkpoint.packed import packed_in
from kencore.checkpoint.pair import NO_BASE, open_pair
from kencore.checkpoint.parameter import PARTS, ROLES, Layout, Parameter
from kencore.checkpoint.plain import family_of
from kencore.checkpoint.scope import without_numbers
from kencore.checkpoint.skeleton import HEAD
from kencore.checkpoint.source import Source, resolve
from kencore.checkpoint.tensors import FLOATS, Tensors
from kencore.errors import ConfigError
from kencore.system.devices import usable_threads
from kencore.system.progress import Progress

WEIGHTS_AT_ONCE = 1 << 22
# One thread, per weight and per doubling of the row length: the rule costs about 1.2 times a sort
# of its rows, and all matrices of BERT-base (109 million weights, rows of 768 mostly) take 6 s.
SECONDS_PER_WEIGHT_AND_LEVEL = 6.0 / 109.5e6 / math.log2(768)
# Python with torch, transformers and numba loaded
BYTES_AT_REST = 500 * 2**20
# tuned and base as float32 (8), sort keys and order (16), levels, masks and copies (16)
BYTES_PER_WEIGHT_IN_WORK = 40
WEIGHTS_IN_WORK = 1 << 22


def inspect(
    model: str,
    base: str | None = None,
    *,
    model_revision: str | None = None,
    base_revision: str | None = None,
    check_values: bool = False,
    data: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What a checkpoint is made of, what of it can be pruned, and what that will cost.

    Reads headers and config only, whatever the size; tied tensors are counted once.

    Args:
        model, base: ``"demo"``, a folder or a hub id; with a base the pair is checked.
        check_values: also read every weight and count NaN and infinity.
        data: what its quality is to be measured on; see `kencore.models.labelled.look_at`.
        progress: called as (done, total, message); what it raises ends the work.

    Returns:
        model, base: where they come from (``text``, ``kind``, ``folder``, ``revision``).
        task: ``language`` (continues a text), ``classification`` (one label per text),
        ``embedding`` (an encoder without a head), ``other``.
        positions: tokens that the model can read at once, ``None`` where config.json says nothing.
        streams: of a language model, ``matrices`` and ``parameters`` that methods which look at
        activations would prune (the matrices of its blocks, routers apart); ``None`` of others.
        architecture, model_type, blocks, stacks (blocks by stack).
        parameters: ``total`` = ``prunable`` + ``untouchable``, and ``tensors``.
        roles, parts: rows of ``name``, ``tensors``, ``parameters``, ``prunable``.
        patterns: names with ``#`` for numbers: ``pattern``, ``role``, ``part``, ``shape``,
        ``tensors``, ``parameters``: each pattern is a scope.
        dtypes: rows of ``name``, ``tensors``, ``parameters``, ``bytes``; bytes, shards.
        unprunable: ``name``, ``shape``, ``dtype``, ``parameters``, ``reason`` of each.
        tied: ``name`` and ``aliases``; new_heads: names only in the tuned model.
        notes: plain sentences, those of the pair included.
        estimate: ``seconds``, ``memory_bytes``, ``threads``, ``how``.
        not_finite: ``name`` and ``count`` of tensors with NaN or infinity; ``None`` if not asked.
        data: ``data``, ``notes`` and ``problem``, where data are named.

    Raises:
        CheckpointError: see `resolve`, `open_tensors`, `read_layout` and `open_pair`.
    """
    source = resolve(model, revision=model_revision, progress=progress, packed=True)
    found = _looked_at(source, base, base_revision, check_values=check_values, progress=progress)
    if data is None:
        return found
    from kencore.models.labelled import look_at

    return found | {"data": look_at(source.folder, data)}


def _looked_at(
    source: Source, base: str | None, base_revision: str | None, *, check_values: bool, progress: Progress | None
) -> dict[str, Any]:
    if base is None:
        tensors, layout = open_model(source.folder)
        with tensors:
            bad = _not_finite(tensors, layout, progress) if check_values else None
            return _report(source, None, layout, tensors, (*layout.notes, *_way_on(source)), [], bad)
    pair = open_pair(source, resolve(base, revision=base_revision, progress=progress))
    try:
        bad = _not_finite(pair.tuned_tensors, pair.layout, progress) if check_values else None
        heads = [p.name for p in pair.layout.prunable if pair.base_names[p.name] is None]
        layout = _with_heads_kept(pair.layout, set(heads))
        return _report(source, pair.base, layout, pair.tuned_tensors, pair.notes, heads, bad)
    finally:
        pair.close()


def _way_on(source: Source) -> list[str]:
    """What to do about packed weights."""
    packed = packed_in(source.folder)
    return [] if packed is None else [packed.remedy(source.text)]


def _with_heads_kept(layout: Layout, heads: set[str]) -> Layout:
    """The layout of a pair: what the base does not have cannot be pruned."""
    parameters = tuple(
        replace(parameter, prunable=False, reason=NO_BASE) if parameter.name in heads else parameter
        for parameter in layout.parameters
    )
    return replace(layout, parameters=parameters)


def _report(
    source: Source,
    base: Source | None,
    layout: Layout,
    tensors: Tensors,
    notes: tuple[str, ...],
    new_heads: list[str],
    not_finite: list[dict[str, Any]] | None,
) -> dict[str, Any]:
    parameters = layout.parameters
    total = sum(parameter.params for parameter in parameters if parameter.trained)
    prunable = sum(parameter.params for parameter in layout.prunable)
    return {
        "model": _source(source),
        "base": _source(base) if base else None,
        **_task(source, layout),
        "architecture": layout.architecture,
        "model_type": layout.model_type,
        "blocks": layout.blocks,
        "stacks": layout.stacks,
        "parameters": {
            "total": total,
            "prunable": prunable,
            "untouchable": total - prunable,
            "tensors": len(parameters),
        },
        "roles": _table(parameters, ROLES, lambda parameter: parameter.role),
        "parts": _table(parameters, PARTS, lambda parameter: parameter.part),
        "patterns": _patterns(parameters),
        "dtypes": _dtypes(parameters, tensors),
        "bytes": tensors.nbytes,
        "shards": list(tensors.shards),
        "unprunable": [
            {"name": p.name, "shape": list(p.shape), "dtype": p.dtype, "parameters": p.params, "reason": p.reason}
            for p in parameters
            if not p.prunable
        ],
        "tied": [{"name": p.name, "aliases": list(p.aliases)} for p in parameters if p.aliases],
        "new_heads": new_heads,
        "notes": list(notes),
        "estimate": asdict(estimate(parameters)),
        "not_finite": not_finite,
    }


def _task(source: Source, layout: Layout) -> dict[str, Any]:
    """What the model is for, how much it reads at once, and what activations could prune."""
    from kencore.models.language import is_language_model

    language = is_language_model(source.folder)
    classifier = layout.architecture.endswith(HEAD)
    inside = [p for p in layout.prunable if p.measured and p.role != "router"]
    return {
        "task": "language" if language else "classification" if classifier else _other(source),
        "positions": _positions(source),
        "streams": {"matrices": len(inside), "parameters": sum(p.params for p in inside)} if language else None,
    }


def _other(source: Source) -> str:
    from kencore.models.embedder import is_encoder

    try:
        return "embedding" if is_encoder(source.folder) else "other"
    except ConfigError:  # of a model type that only the layout can read
        return "other"


def _positions(source: Source) -> int | None:
    """As the configuration says, its own defaults included."""
    from kencore.models.loaded import stated_positions
    from kencore.models.loading import load_config

    plain = read_config(source.folder)
    if family_of(plain) is not None:  # which states everything
        return stated_positions(plain)

    try:
        return stated_positions(load_config(source.folder))
    except ConfigError:  # of a model type that only the layout can read
        return None


def _source(source: Source) -> dict[str, Any]:
    return {"text": source.text, "kind": source.kind, "folder": str(source.folder), "revision": source.revision}


def _table(
    parameters: Iterable[Parameter], words: tuple[str, ...], key: Callable[[Parameter], str]
) -> list[dict[str, Any]]:
    """One row for each word that occurs, in the order of ``words``."""
    rows = {word: {"name": word, "tensors": 0, "parameters": 0, "prunable": 0} for word in words}
    for parameter in parameters:
        row: dict[str, Any] = rows[key(parameter)]
        row["tensors"] += 1
        row["parameters"] += parameter.params * parameter.trained
        row["prunable"] += parameter.params if parameter.prunable else 0
    return [row for row in rows.values() if row["tensors"]]


def _patterns(parameters: Iterable[Parameter]) -> list[dict[str, Any]]:
    """Names that differ in numbers only, as one; of different shapes, the first one's."""
    rows: dict[str, dict[str, Any]] = {}
    for parameter in parameters:
        pattern = without_numbers(parameter.name)
        row = rows.setdefault(
            pattern,
            {
                "pattern": pattern,
                "role": parameter.role,
                "part": parameter.part,
                "shape": list(parameter.shape),
                "tensors": 0,
                "parameters": 0,
            },
        )
        row["tensors"] += 1
        row["parameters"] += parameter.params * parameter.trained
    return list(rows.values())


def _dtypes(parameters: Iterable[Parameter], tensors: Tensors) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for parameter in parameters:
        row = rows.setdefault(parameter.dtype, {"name": parameter.dtype, "tensors": 0, "parameters": 0, "bytes": 0})
        row["tensors"] += 1
        row["parameters"] += parameter.params * parameter.trained
        row["bytes"] += tensors.info(parameter.name).nbytes
    return sorted(rows.values(), key=lambda row: -row["bytes"])


def _not_finite(tensors: Tensors, layout: Layout, progress: Progress | None) -> list[dict[str, Any]]:
    """Tensors with NaN or infinity, read in pieces of a few million weights."""
    bad, done = [], 0
    total = sum(parameter.params for parameter in layout.parameters)
    for parameter in layout.parameters:
        if progress is not None:
            progress(done, total, f"Reading {parameter.name}")
        done += parameter.params
        if parameter.dtype not in FLOATS:
            continue
        # first dimension by the rest; a piece is never less than one row of it
        length = parameter.shape[0] if parameter.shape else 1
        step = max(1, WEIGHTS_AT_ONCE * length // max(parameter.params, 1))
        pieces = [slice(at, at + step) for at in range(0, length, step)]
        count = sum(
            int(np.count_nonzero(~np.isfinite(tensors.floats(parameter.name, rows))))
            for rows in (pieces if parameter.shape else [None])
        )
        if count:
            bad.append({"name": parameter.name, "count": count})
    return bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds and peak bytes of memory, and in words what they rest on."""

    seconds: float
    memory_bytes: int
    threads: int
    how: str


def estimate(parameters: Iterable[Parameter], *, threads: int | None = None) -> Estimate:
    """Cost of pruning every prunable parameter with ``ken`` on the CPU.

    Args:
        threads: CPU threads; `kencore.system.devices.usable_threads` if left out.
    """
    threads = threads or usable_threads()
    shapes = [(p.rows, p.cols) for p in parameters if p.prunable]
    work = sum(rows * cols * math.log2(max(cols, 2)) for rows, cols in shapes)
    largest = max((rows * cols for rows, cols in shapes), default=0)
    longest = max((cols for _, cols in shapes), default=0)
    in_work = min(largest, max(WEIGHTS_IN_WORK, longest))
    return Estimate(
        seconds=work * SECONDS_PER_WEIGHT_AND_LEVEL / threads,
        memory_bytes=BYTES_AT_REST + in_work * BYTES_PER_WEIGHT_IN_WORK + largest // 8,
        threads=threads,
        how=(
            "An estimate from the shapes: about 1.2 sorts of every row on "
            f"{threads} CPU thread{'s' if threads > 1 else ''}, one piece of a matrix in memory "
            "at a time; measuring quality is not included."
        ),
    )
