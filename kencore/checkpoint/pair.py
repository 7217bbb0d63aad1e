"""A model to prune, and the base it started from if there is one, matched tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.layout import open_model
from kencore.checkpoint.misfits import refuse_misfits
from kencore.checkpoint.packed import refuse_packed
from kencore.checkpoint.parameter import Layout, Parameter
from kencore.checkpoint.resized import common_rows, fitted, table_sizes
from kencore.checkpoint.source import Source, resolve
from kencore.checkpoint.tensors import FLOATS, Tensors, round_to, same_bytes
from kencore.errors import NonFiniteWeightError, PairMismatchError, WeightShapeError

if TYPE_CHECKING:
    from kencore.settings.prune import PruneSpec

Floats = NDArray[np.float32]
NAMED = 3  # differences that a message names
NO_BASE = "only in the tuned model, so there is no base: kept dense"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both checkpoints open, and where each tuned tensor has its counterpart.

    Args:
        base, base_tensors: ``None`` where there is no base: what is not kept becomes zero then.
        layout: of the tuned checkpoint.
        base_names: for each parameter of the layout, the base's name of it on disk; ``None`` if
            the base has none (a new head): it is kept dense. All ``None`` without a base.
        notes: what a person should know, in plain words, those of the layout included.
        common: rows that a table has in both models, where it has others too; rows beyond them are kept.
    """

    tuned: Source
    base: Source | None
    tuned_tensors: Tensors
    base_tensors: Tensors | None
    layout: Layout
    base_names: dict[str, str | None]
    notes: tuple[str, ...] = ()
    common: Mapping[str, int] = field(default_factory=dict)

    @property
    def opened(self) -> tuple[Tensors, ...]:
        """The checkpoints that there are: one or two."""
        tuned, base = self.tuned_tensors, self.base_tensors
        return (tuned,) if base is None else (tuned, base)

    def release(self) -> None:
        """Give back the memory of what was read; both checkpoints stay open."""
        for tensors in self.opened:
            tensors.release()

    def close(self) -> None:
        """Let go of the checkpoints' files."""
        for tensors in self.opened:
            tensors.close()

    def rows(
        self, parameter: Parameter, step: int, rows: slice = slice(None)
    ) -> Iterator[tuple[slice, Floats, Floats]]:
        """Tuned and base values of a matrix as float32 (r, C), ``step`` rows at a time, rows being outputs.

        The base is rounded to the tuned dtype first: that is the value that a reset entry gets.
        Without a base it is zero.

        Raises:
            NonFiniteWeightError: NaN or infinity in either model, naming the tensor and the row.
        """
        first, last, _ = rows.indices(parameter.rows)
        for start in range(first, last, step):
            piece = slice(start, min(start + step, last))
            tuned = self.tuned_tensors.matrix(parameter.name, transposed=parameter.transposed, rows=piece)
            check_finite(tuned, start, parameter.name, "tuned")
            yield piece, tuned, self.base_rows(parameter, piece)

    def base_rows(self, parameter: Parameter, rows: slice) -> Floats:
        """What the entries of some rows (r, C) become where they are not kept, as float32."""
        first, last, _ = rows.indices(parameter.rows)
        if self.base_tensors is None:
            return np.zeros((last - first, parameter.cols), np.float32)
        name = self.base_names[parameter.name]
        assert name is not None
        values = self.base_tensors.matrix(name, transposed=parameter.transposed, rows=rows)
        values = round_to(values, parameter.dtype)
        check_finite(values, first, name, "base")
        if parameter.name in self.common:
            return fitted(values, self.tuned_tensors.matrix(parameter.name, rows=rows))
        return values


def open_models(spec: PruneSpec) -> Pair:
    """Open what is asked for: the model, and its base if one is named.

    Raises:
        WeightShapeError: the model is to be run and cannot be.
        CheckpointError: see `resolve` and `open_pair`.
    """
    tuned = resolve(spec.model, revision=spec.model_revision)
    base = None if spec.base is None else resolve(spec.base, revision=spec.base_revision)
    pair = open_pair(tuned, base)
    if spec.streams or spec.evaluation is not None:
        try:
            refuse_misfits(tuned.text, pair.layout.misfits)
        except WeightShapeError:
            pair.close()
            raise
    return pair


def open_pair(tuned: Source, base: Source | None) -> Pair:
    """Open both checkpoints and check that the tuned one can have come from the base.

    Without a base there is nothing to match, and no parameter has a counterpart.

    Names may differ by the base model's prefix, by a head, by tied weights stored under another
    name, and by the renamings that transformers knows. Weights are not read, except to see
    whether both are the same; NaN is found by the selection when it reads.

    Raises:
        PairMismatchError: another model type, number of blocks, names or shapes.
        PackedWeightsError: the tuned model's weights are packed.
        CheckpointError: one of them cannot be opened.
    """
    refuse_packed(tuned.text, tuned.folder)
    if base is None:
        return _open_alone(tuned)
    tuned_tensors, layout = open_model(tuned.folder)
    try:
        base_tensors, base_layout = open_model(base.folder, whole=False)
        try:
            matcher = _Matcher(tuned, base, layout, base_layout)
            names = matcher.names()
            notes = (*_merged(tuned), *layout.notes, *matcher.notes(names))
            if _identical(tuned_tensors, base_tensors, names):
                notes = (*notes, "Base and tuned are the same, bit for bit: nothing was tuned.")
        except BaseException:
            base_tensors.close()
            raise
    except BaseException:
        tuned_tensors.close()
        raise
    return Pair(
        tuned=tuned,
        base=base,
        tuned_tensors=tuned_tensors,
        base_tensors=base_tensors,
        layout=layout,
        base_names=names,
        notes=notes,
        common=matcher.common,
    )


def _merged(tuned: Source) -> tuple[str, ...]:
    """What a person should know of a tuned model that is an adapter."""
    if tuned.kind != "adapter":
        return ()
    return (f"{tuned.text} is a LoRA adapter: W + B A, merged with the base that it names.",)


def _open_alone(tuned: Source) -> Pair:
    tensors, layout = open_model(tuned.folder)
    return Pair(
        tuned=tuned,
        base=None,
        tuned_tensors=tensors,
        base_tensors=None,
        layout=layout,
        base_names=dict.fromkeys((p.name for p in layout.parameters), None),
        notes=(*_merged(tuned), *layout.notes),
    )


class _Matcher:
    """Finds each tuned parameter in the base, and collects what does not fit."""

    def __init__(self, tuned: Source, base: Source, ours: Layout, theirs: Layout) -> None:
        self.tuned, self.base, self.ours, self.theirs = tuned, base, ours, theirs
        self.sizes = table_sizes(ours.parameters), table_sizes(theirs.parameters)
        self.common: dict[str, int] = {}
        self.prefixes = {layout.prefix for layout in (ours, theirs) if layout.prefix}
        loose: dict[str, list[Parameter]] = {}
        for parameter in theirs.parameters:
            for key in set(self._keys(parameter)):
                loose.setdefault(key, []).append(parameter)
        # the model's name of joined tensors (experts) belongs to several: to none
        self.by_key = {key: found[0] for key, found in loose.items() if len(found) == 1}
        self.by_key |= {parameter.name: parameter for parameter in theirs.parameters}

    def names(self) -> dict[str, str | None]:
        """The base's name of each tuned parameter.

        Raises:
            PairMismatchError: they are not of one architecture.
        """
        self._check_kind()
        names: dict[str, str | None] = {}
        wrong: list[str] = []
        for parameter in self.ours.parameters:
            other = self._find(parameter)
            common = None if other is None else common_rows(parameter, other, self.sizes)
            fault = _fault(parameter, other, resized=common is not None)
            if common is not None and not fault:
                self.common[parameter.name] = common
            # what has no counterpart there is kept, where that may be: heads, poolers, tables of another shape
            new = parameter.part == "head" or (other is None and parameter.part == "pooler")
            new = new or (other is not None and parameter.part == "embedding" and parameter.shape != other.shape)
            if fault and not new:
                wrong.append(fault)
            names[parameter.name] = None if fault or other is None else other.name
        if wrong:
            more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
            raise self._mismatch("; ".join(wrong[:NAMED]) + more, "the same names and shapes")
        return names

    def notes(self, names: dict[str, str | None]) -> Iterator[str]:
        """What differs and is no obstacle."""
        yield from (f"Base: {note}" for note in self.theirs.notes if note not in self.ours.notes)
        yield from (self._resized(name, str(names[name])) for name in self.common)
        new = [p.name for p in self.ours.prunable if names[p.name] is None]
        if new:
            yield f"Only in the tuned model, so kept dense: {_some(new)}."
        used = {other for other in names.values() if other}
        left = [p.name for p in self.theirs.parameters if p.name not in used and p.prunable]
        if left:
            yield f"Only in the base, so left out: {_some(left)}."
        dtypes = {p.name: p.dtype for p in self.theirs.parameters}
        kinds = sorted(
            {
                (p.dtype, dtypes[other])
                for p in self.ours.prunable
                if (other := names[p.name]) and dtypes[other] != p.dtype
            }
        )
        for ours, theirs in kinds:
            yield (
                f"The tuned model is stored as {ours} and the base as {theirs}: both are read as "
                f"F32, and weights that go back to the base are stored as {ours}."
            )

    def _resized(self, name: str, other: str) -> str:
        sides = ((self.ours, name), (self.theirs, other))
        ours, theirs = (next(p.rows for p in layout.parameters if p.name == one) for layout, one in sides)
        said = f"{name} has {ours:,} rows, {theirs:,} in the base: the first {self.common[name]:,} are compared"
        return said + (f", the other {ours - theirs:,} kept dense." if ours > theirs else ".")

    def _check_kind(self) -> None:
        ours, theirs = self.ours, self.theirs
        if ours.model_type != theirs.model_type:
            raise self._mismatch(f"a tuned {ours.model_type} and a base {theirs.model_type}", "one architecture")
        if ours.stacks.keys() == theirs.stacks.keys() and ours.stacks != theirs.stacks:
            stack = next(name for name in ours.stacks if ours.stacks[name] != theirs.stacks[name])
            word = "blocks" if stack == "blocks" else f"{stack} blocks"
            raise self._mismatch(
                f"{ours.stacks[stack]} {word} in the tuned model, {theirs.stacks[stack]} in the base", "as many of them"
            )

    def _find(self, parameter: Parameter) -> Parameter | None:
        found = (self.by_key[key] for key in self._keys(parameter) if key in self.by_key)
        return next(found, None)

    def _keys(self, parameter: Parameter) -> Iterator[str]:
        """Every name the parameter may go by, the surest first."""
        for name in (parameter.name, parameter.model_name, *parameter.aliases):
            if name:
                yield name
                yield self._bare(name)

    def _bare(self, name: str) -> str:
        for prefix in self.prefixes:
            if name.startswith(f"{prefix}."):
                return name[len(prefix) + 1 :]
        return name

    def _mismatch(self, got: str, wanted: str) -> PairMismatchError:
        return PairMismatchError(
            f"{self.tuned.text} and {self.base.text}",
            got=got,
            wanted=wanted,
            remedy="Pass the exact model the tuned one started from.",
        )


def _fault(parameter: Parameter, other: Parameter | None, *, resized: bool) -> str:
    """Why a tuned parameter cannot go back to what was found in the base; ``""`` if it can."""
    if other is None:
        missing = f"{parameter.name} {parameter.shape} is not in the base"
        return missing if parameter.prunable else ""
    if parameter.shape != other.shape and not resized and (parameter.prunable or other.prunable):
        return f"{parameter.name} is {parameter.shape} in the tuned model, {other.shape} in the base"
    if parameter.prunable and other.dtype not in FLOATS:
        return f"{parameter.name} is stored as {other.dtype} in the base"
    return ""


def _identical(tuned: Tensors, base: Tensors, names: dict[str, str | None]) -> bool:
    """Whether every matched tensor is the same in both; small ones first, to end soon."""
    pairs = [(name, other) for name, other in names.items() if other is not None]
    pairs.sort(key=lambda pair: tuned.info(pair[0]).nbytes)
    return bool(pairs) and all(same_bytes(tuned, a, base, b) for a, b in pairs)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def check_finite(values: Floats, first: int, name: str, which: str) -> None:
    """Raise `NonFiniteWeightError` for a row (of r, counted from ``first``) that no rule can
    rank.
    """
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise NonFiniteWeightError(
            f"{name} of the {which} model",
            got=f"NaN or infinity in row {first + row}",
            wanted="weights that are finite in the tuned model's dtype",
            remedy="This checkpoint is damaged or too coarse: train or export it anew.",
        )
