"""Blocks and roles of a checkpoint: its tensors laid over the model that its config describes."""

from __future__ import annotations

import math
import re
from pathlib import Path

from kencore.checkpoint.header import TensorInfo
from kencore.checkpoint.packed import find_packed, settings_in
from kencore.checkpoint.parameter import BUFFER, UNUSED, Layout, Parameter
from kencore.checkpoint.roles import classify
from kencore.checkpoint.skeleton import Skeleton, read_skeleton
from kencore.checkpoint.stacks import expert_of
from kencore.checkpoint.tensors import FLOATS, Tensors, open_tensors, same_bytes
from kencore.checkpoint.wrappers import foreign, spare_prefix

COUNTED = frozenset({"BOOL", "I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"})  # positions, masks, steps
_IN_LIST = re.compile(r"(.+?)\.(\d+)\.")
# float tensors of older checkpoints that models compute themselves today
_COMPUTED = re.compile(r"(^|\.)(inv_freq|masked_bias|cos_cached|sin_cached)$")


def read_layout(folder: Path, tensors: Tensors | None = None) -> Layout:
    """Blocks, roles and orientation of every tensor on disk, tied ones counted once.

    Reads config.json and the headers; the model is built without weights. Only where two tensors
    on disk may be tied are their bytes compared.

    Args:
        tensors: the folder's tensors, if they are open already.

    Raises:
        ConfigError: see `read_skeleton`.
        CheckpointError: see `open_tensors`.
    """
    if tensors is None:
        own, layout = open_model(folder)
        own.close()
        return layout
    return lay_out(read_skeleton(Path(folder)), tensors)


def open_model(folder: Path, *, whole: bool = True) -> tuple[Tensors, Layout]:
    """A folder's tensors under the names that its model has for them, and their layout.

    Args:
        whole: refuse a model without the weights of every block; where it is not, the notes say so.

    Raises as `read_layout`.
    """
    skeleton = read_skeleton(Path(folder))
    tensors = open_named(folder, skeleton)
    try:
        return tensors, lay_out(skeleton, tensors, whole=whole)
    except BaseException:
        tensors.close()
        raise


def open_named(folder: Path, skeleton: Skeleton) -> Tensors:
    """A folder's tensors, without a prefix that their names carry and no name of the model has.

    Raises:
        CheckpointError: see `open_tensors`.
    """
    tensors = open_tensors(folder)

    def known(name: str) -> str | None:
        return skeleton.rename(name)[0]

    prefix = spare_prefix(tensors.stored, known)
    if not prefix:
        return tensors
    tensors.close()
    return open_tensors(folder, prefix=prefix)


def lay_out(skeleton: Skeleton, tensors: Tensors, *, whole: bool = True) -> Layout:
    """Tensors laid over the model that their config describes.

    Raises:
        ConfigError: ``whole``, and no weights for what is inside the blocks.
    """
    reader = _Reader(skeleton, tensors)
    if whole and reader.packed is None:  # packed ones are refused in their own words
        reader.check_blocks()
    parameters = reader.parameters()
    return Layout(
        architecture=skeleton.architecture,
        model_type=skeleton.model_type,
        blocks=sum(skeleton.lists.values()),
        parameters=parameters,
        stacks={reader.stacks[path]: count for path, count in skeleton.lists.items()},
        prefix=skeleton.loose_prefix,
        notes=(*tensors.notes, *skeleton.notes, *reader.notes(parameters)),
        misfits=reader.misfits(),
    )


class _Reader:
    """Lays the tensors on disk over a skeleton."""

    def __init__(self, skeleton: Skeleton, tensors: Tensors) -> None:
        self.skeleton, self.tensors = skeleton, tensors
        self.stacks = stack_names(list(skeleton.lists))
        whole = {name: skeleton.renamed(name) for name in tensors.stored}
        self.stack = {part: name for name in whole for part in tensors.parts(name)}
        self.found = {part: whole[name] for part, name in self.stack.items()}
        self.experts = any("expert" in name or expert_of(name) is not None for name in tensors.names)
        self.groups = _tie_groups(skeleton.ties)
        self.packed = find_packed(map(tensors.info, tensors.stored), settings_in(tensors.folder))

    def parameters(self) -> tuple[Parameter, ...]:
        order = {name: place for place, name in enumerate(self.skeleton.shapes)}
        taken: dict[str, tuple[str, ...]] = {}
        twins: set[str] = set()
        for name in self.tensors.names:
            if name not in twins:
                taken[name] = self._aliases(name)
                twins.update(alias for alias in taken[name] if alias in self.tensors)
        names = sorted(taken, key=lambda name: (order.get(self.found[name][0] or "", len(order)), _natural(name)))
        return tuple(self._parameter(name, taken[name]) for name in names)

    def _parameter(self, name: str, aliases: tuple[str, ...]) -> Parameter:
        info = self.tensors.info(name)
        model_name, pattern = self.found[name]
        block, stack = self._place(model_name or name)
        role, part = self._role(name, model_name, in_block=block is not None, joined=pattern is not None)
        if aliases and any(self._is_table(alias) for alias in (model_name or name, *aliases)):
            role, part = "embedding", "embedding"
        reason = self._why_not(info, model_name)
        expert, first = expert_of(name), self._first(name, model_name, pattern)
        transposed = len(info.shape) == 2 and self._turned(model_name, pattern, first)
        rows, cols = _matrix_shape(info.shape, transposed)
        multiplied = first is not None or (pattern is None and model_name in self.skeleton.linear)
        return Parameter(
            name=name,
            shape=info.shape,
            dtype=info.dtype,
            rows=rows,
            cols=cols,
            transposed=transposed,
            block=block,
            stack=stack,
            role=role,
            part=part,
            aliases=aliases,
            prunable=not reason,
            reason=reason,
            model_name=model_name or "",
            expert=expert,
            first=first,
            measured=multiplied and block is not None and len(info.shape) == 2 and not aliases and not reason,
        )

    def _first(self, name: str, model_name: str | None, pattern: str | None) -> int | None:
        """See `Parameter.first`."""
        if model_name is None or expert_of(name) is None:
            return None
        shape, whole = self.tensors.info(name).shape, self.skeleton.shapes[model_name]
        return self.skeleton.first_row(model_name, pattern, shape) if len(whole) == len(shape) + 1 else None

    def _turned(self, model_name: str | None, pattern: str | None, first: int | None) -> bool:
        """Whether a matrix lies on disk as inputs x outputs."""
        if model_name is None:
            return False
        if first is not None:
            return model_name in self.skeleton.turned
        return pattern is None and self.skeleton.owners.get(model_name) == "Conv1D"

    def _role(self, name: str, model_name: str | None, *, in_block: bool, joined: bool) -> tuple[str, str]:
        role, part = self._by_name(self.stack[name], model_name, in_block=in_block, joined=joined)
        # a gate where there are no experts is no router
        return ("other" if role == "router" and not self.experts else role), part

    def _by_name(self, name: str, model_name: str | None, *, in_block: bool, joined: bool) -> tuple[str, str]:
        if model_name is None:
            return classify(name, in_block=in_block)
        prefix = self.skeleton.prefix
        in_head = not model_name.startswith(prefix) if prefix else None
        owner = "" if joined else self.skeleton.owners.get(model_name, "")
        role, part = classify(name, module=owner, in_block=in_block, in_head=in_head)
        if role == "other" or part == "other":
            again = classify(model_name, module=owner, in_block=in_block, in_head=in_head)
            role = again[0] if role == "other" and not joined else role
            part = again[1] if part == "other" else part
        return role, part

    def _place(self, name: str) -> tuple[int | None, str]:
        for path, stack in self.stacks.items():
            if name.startswith(f"{path}."):
                return int(name[len(path) + 1 :].split(".", 1)[0]), stack
        if name not in self.skeleton.shapes and (match := _IN_LIST.match(name)):
            # unknown to the model: a place in the same list, with or without the base prefix
            bare = match[1].removeprefix(f"{self.skeleton.loose_prefix}.")
            for path, stack in self.stacks.items():
                if path.removeprefix(f"{self.skeleton.loose_prefix}.") == bare:
                    return int(match[2]), stack
        return None, ""

    def _aliases(self, name: str) -> tuple[str, ...]:
        """Other names of the tensor: of the model's, and of equal tied tensors on disk."""
        model_name = self.found[name][0]
        group = self.groups.get(model_name or "")
        if group is None:
            return ()
        aliases = []
        for other in sorted(group - {model_name}):
            stored = [disk for disk, (found, _) in self.found.items() if found == other]
            if not stored:
                aliases.append(other)
            elif same_bytes(self.tensors, name, self.tensors, stored[0]):
                aliases.append(stored[0])
        return tuple(aliases)

    def _is_table(self, model_name: str) -> bool:
        found = self.found.get(model_name, (model_name, False))[0] or model_name
        return "embedding" in self.skeleton.owners.get(found, "").lower()

    def _why_not(self, info: TensorInfo, model_name: str | None) -> str:
        spare = model_name is None or model_name in self.skeleton.buffers
        if self.packed is None and info.dtype in COUNTED and spare:
            return f"{BUFFER}: stored as {info.dtype}"
        if info.dtype not in FLOATS:
            return f"stored as {info.dtype}: only F16, BF16, F32 and F64 are pruned"
        if self.packed is not None and self.packed.holds(self.stack[info.name]):
            return f"part of a layer packed as {self.packed.format}: its numbers mean nothing by themselves"
        if self.packed is not None:
            return f"beside weights packed as {self.packed.format}: the model is pruned once they are plain"
        if model_name in self.skeleton.buffers or _COMPUTED.search(info.name):
            return BUFFER
        if model_name is None:
            return f"{UNUSED} {self.skeleton.architecture}"
        if info.elements == 0:
            return "empty"
        if len(info.shape) == 0:
            return "a single number"
        if len(info.shape) > 2:
            return f"{len(info.shape)} dimensions: only vectors and matrices are pruned"
        return ""

    def notes(self, parameters: tuple[Parameter, ...]) -> list[str]:
        """What a person should know of what is on disk and what is not."""
        model, notes = self.skeleton, []
        if self.packed is not None and self.packed.note:
            notes.append(self.packed.note)
        layers, blocks = model.layers, sum(model.lists.values())
        if layers is not None and len(model.lists) == 1 and blocks < layers:
            word = "block holds" if blocks == 1 else "blocks hold"
            notes.append(f"{blocks} {word} the weights of {layers} layers.")
        if self.packed is not None and self.packed.note and self.packed.layers:
            return notes  # names and shapes are those of the packing
        unknown = [p.name for p in parameters if p.reason == f"{UNUSED} {model.architecture}"]
        if unknown:
            notes.append(f"{model.architecture} does not use {_some(unknown)}.")
        notes += self.loosened(parameters)
        missing = self.missing()
        if missing:
            notes.append(f"Not on disk, so random when the model is loaded: {_some(missing)}.")
        wrong = list(self.misfits())
        if wrong:
            notes.append(f"Of another shape than config.json says: {_some(wrong)}.")
        return notes

    def loosened(self, parameters: tuple[Parameter, ...]) -> list[str]:
        """A note for weights that the config calls tied and the files hold with different values."""
        notes, seen = [], set[str]()
        for p in parameters:
            group = self.groups.get(p.model_name, set())
            names = [other.name for other in parameters if other.model_name in group]
            if len(names) > 1 and p.name not in seen:
                seen.update(names)
                told = " and ".join(names)
                notes.append(f"config.json ties {told}, but their values differ: each is used as it is.")
        return notes

    def check_blocks(self) -> None:
        """Raise unless there are weights for everything inside the blocks."""
        inside = [name for name in self.missing() if self._place(name)[0] is not None]
        if inside:
            unknown = [name for name, (found, _) in self.found.items() if found is None]
            raise foreign(str(self.tensors.folder), self.skeleton.architecture, unknown, inside)

    def missing(self) -> list[str]:
        """The model's parameters that nothing on disk becomes, and that are tied to none that is there."""
        present = {name for disk in self.tensors.stored for name in self.skeleton.targets(disk)}
        tied = set().union(*(g for g in self.groups.values() if g & present)) if present else set()
        there = present | tied | self.skeleton.buffers
        return [name for name in self.skeleton.shapes if name not in there and not self.skeleton.optional(name)]

    def misfits(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Shapes on disk and by config.json, by name, where they differ."""
        found = {name: self.found[self.tensors.parts(name)[0]] for name in self.tensors.stored}
        shapes = {
            name: (self.tensors.info(name).shape, self.skeleton.shapes[model_name])
            for name, (model_name, pattern) in found.items()
            if model_name and pattern is None
        }
        return {name: both for name, both in shapes.items() if both[0] != both[1]}


def stack_names(paths: list[str]) -> dict[str, str]:
    """A short name for each list of blocks: ``blocks`` for a single one, else the first word in
    which the paths differ (``encoder``, ``decoder``), else the path.
    """
    if len(paths) == 1:
        return {paths[0]: "blocks"}
    words = [path.split(".") for path in paths]
    depth = 0
    while len({tuple(path[: depth + 1]) for path in words}) == 1 and words:
        depth += 1
    short = [path[depth] if depth < len(path) else path[-1] for path in words]
    names = short if len(set(short)) == len(paths) else paths
    return dict(zip(paths, names, strict=True))


def _tie_groups(ties: dict[str, str]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for target, source in ties.items():
        joined = groups.get(target, {target}) | groups.get(source, {source})
        groups |= dict.fromkeys(joined, joined)
    return groups


def _matrix_shape(shape: tuple[int, ...], transposed: bool) -> tuple[int, int]:
    if len(shape) < 2:
        return 1, math.prod(shape)
    rows, cols = shape[0], math.prod(shape[1:])
    return (cols, rows) if transposed else (rows, cols)


def _natural(name: str) -> list[tuple[int, int, str]]:
    words = name.split(".")
    return [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in words]


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
