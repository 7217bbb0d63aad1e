"""Which matrix: names for people, groups to choose from, the same matrix in other blocks.

Pure functions of the table of matrices of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from kencore.checkpoint.stacks import expert_of
from kencore.views import tables
from kencore.words import numbers as wording
from kencore.words import outside

if TYPE_CHECKING:
    Line = pd.Series[Any]

OUTSIDE: Final = "Outside the blocks"
_SILENT: Final = {"self", "dense", "weight", "attn", "self_attn", "mlp", "layer"}
_NAMED_BY_ROLE: Final = {"q", "k", "v", "qkv", "o", "up", "gate", "gate_up", "down"}


def group(line: Line, several_stacks: bool) -> str:
    """The group that a matrix is chosen from: its block, or the rest of the model."""
    if pd.isna(line["block"]):
        return OUTSIDE
    label = wording.block_label(int(line["block"]), str(line["stack"]), several_stacks)
    return label[:1].upper() + label[1:]


def groups(table: pd.DataFrame) -> dict[str, list[str]]:
    """Names of the pruned matrices by group, in the order of the model."""
    pruned = table[table["status"] == "pruned"]
    several = stacks(table) > 1
    found: dict[str, list[str]] = {}
    for _, line in pruned.iterrows():
        found.setdefault(group(line, several), []).append(str(line["name"]))
    return found


def stacks(table: pd.DataFrame) -> int:
    """How many stacks of blocks the model has (an encoder and a decoder are two)."""
    inside = zip(table["block"].notna().to_list(), table["stack"].to_list(), strict=True)
    return len({stack for there, stack in inside if there})


def label(line: Line) -> str:
    """What a matrix is, in words: ``attention query``, ``attention query bias``, ``expert 3 feed-forward gate``."""
    role = str(line["role"])
    if role in _NAMED_BY_ROLE:
        return _whose(str(line["name"])) + str(wording.ROLES_EXPLAINED[role])
    if pd.isna(line["block"]) and (what := outside.what(str(line["name"]), role)):
        return what
    words = str(line["name"]).split(".")
    inside = not pd.isna(line["block"])
    if inside:
        words = words[_place(words, int(line["block"])) + 1 :]
    tail = [word for word in words if word not in _SILENT][-3:]
    if role == "embedding":
        tail = tail[-1:]
    elif not inside and len(tail) > 1:
        tail = tail[1:]  # what comes first names the model
    if role == "norm" and words[-1] == "weight":
        tail.append("gain")
    return " ".join(tail).replace("_", " ") or str(line["name"])


def _whose(name: str) -> str:
    """The expert that a matrix belongs to, in words; nothing for one that all tokens pass."""
    expert = expert_of(name)
    if expert is not None:
        return f"expert {expert} "
    return "shared expert " if "shared_expert" in name else ""


def title(line: Line, table: pd.DataFrame) -> str:
    """The matrix as a heading: its block and what it is."""
    what = label(line)
    if pd.isna(line["block"]):
        return what[:1].upper() + what[1:]
    return f"{group(line, stacks(table) > 1)} {what}"


def noun(line: Line) -> str:
    """A matrix as the subject of a sentence: ``attention query matrix``, ``second feed-forward matrix``."""
    role = str(line["role"])
    if role in _NAMED_BY_ROLE:
        return f"{_whose(str(line['name']))}{wording.ROLE_NOUNS[role]} matrix"
    return label(line) if str(line["role"]) in ("embedding", "head", "pooler", "router") else f"{label(line)} matrix"


def finding(line: Line, table: pd.DataFrame, done: str = "kept") -> str:
    """The heading with what was kept: ``Block 3 attention query: 50 % of 16,384 weights kept``.

    Args:
        done: of `kencore.words.numbers.Terms`.
    """
    share = wording.short_percent(int(line["kept"]) / int(line["params"]))
    return f"{title(line, table)}: {share} of {wording.exact(line['params'])} weights {done}"


def siblings(line: Line, table: pd.DataFrame) -> list[str]:
    """The same matrix in every block (this one included), in the order of the blocks."""
    if pd.isna(line["block"]):
        return [str(line["name"])]
    same = tables.family_blocks(table[table["status"] == "pruned"], tables.family(str(line["name"]), line["block"]))
    return [str(name) for name in same.loc[same["stack"] == line["stack"], "name"]]


def _place(words: list[str], block: int) -> int:
    """Where in a dotted name the number of the block stands; before the name where it does not."""
    return words.index(str(block)) if str(block) in words else -1
