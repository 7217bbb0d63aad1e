"""Names under which a wrapper saved a model, read as the names that the model itself has.

What torch.compile, DataParallel, FSDP, activation checkpointing and peft put into names is no name of any model:
it is taken out wherever it stands (`unwrapped`). Any other word before all names (``model.``, ``transformer.``,
``language_model.`` of a trainer or of a larger model) is one only for a model that has no such names: the model of
the config decides (`spare_prefix`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from kencore.errors import ConfigError, CorruptShardError

# words between the dots of a name that stand for a wrapper wherever they are
INSIDE = {
    "_orig_mod": "torch.compile",
    "_fsdp_wrapped_module": "FSDP",
    "_checkpoint_wrapped_module": "activation checkpointing",
    "_forward_module": "Lightning",
    "base_layer": "peft",
}
# words that do so only before every name
BEFORE = {"module": "DataParallel or DeepSpeed", "base_model.model": "peft"}
_ADAPTED = re.compile(r"(^|\.)(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|ia3_l|modules_to_save)(\.|$)")
MOST_WORDS = 3  # of a prefix that only the model can tell


def unwrapped(folder: str, names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Names on disk -> names without a wrapper's words, and sentences that say so.

    Raises:
        CorruptShardError: two names would be one, or the weights hold an adapter that is not merged.
    """
    found = {name: name for name in names}
    _refuse_adapted(folder, found)
    said = []
    for word, who in INSIDE.items():
        marked = [name for name, clean in found.items() if word in clean.split(".")]
        if marked:
            found |= {name: ".".join(part for part in found[name].split(".") if part != word) for name in marked}
            said.append(_said(f"{word}.", who, marked[0], found[marked[0]], len(marked), len(found)))
    again = True
    while again:
        again = False
        for word, who in BEFORE.items():
            if found and all(clean.startswith(f"{word}.") for clean in found.values()):
                found = {name: clean[len(word) + 1 :] for name, clean in found.items()}
                first = next(iter(found))
                said.append(_said(f"{word}.", who, first, found[first], len(found), len(found)))
                again = True
    _refuse_twins(folder, found)
    return found, said


def without(names: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Names on disk -> names without a prefix, where a name has it."""
    return {name: clean.removeprefix(f"{prefix}.") if prefix else clean for name, clean in names.items()}


def spare_prefix(names: Iterable[str], known: Callable[[str], str | None]) -> str:
    """The words before names that a model does not know, without which it knows them; ``""`` if there are none.

    Args:
        names: of all tensors.
        known: the model's name of a tensor, ``None`` if it has none (or one of another shape).
    """
    places = {name: known(name) for name in names}
    unknown = [name for name, place in places.items() if place is None]
    taken = {place for place in places.values() if place is not None}
    best, most = "", 0
    for prefix in _heads(unknown):
        inside = [name[len(prefix) + 1 :] for name in unknown if name.startswith(f"{prefix}.")]
        new = [place for place in map(known, inside) if place is not None]
        fresh = len(set(new)) == len(new) and not taken & set(new)  # a second copy of the weights is none of it
        if fresh and len(new) > most:
            best, most = prefix, len(new)
    return best


def prefix_of(stored: Collection[str], wanted: Iterable[str]) -> str:
    """The words that tensors carry before the names that are looked for; ``""`` if none do."""
    there = set(stored)
    lost = next((name for name in wanted if name not in there), None)
    if lost is None:
        return ""
    return next((name[: -len(lost) - 1] for name in sorted(there) if name.endswith(f".{lost}")), "")


def said_of_prefix(prefix: str) -> str:
    """The sentence that says that a prefix is taken off."""
    return f"Names begin with {prefix}., which this model does not have: they are read and written without it."


def foreign(folder: str, architecture: str, unknown: Collection[str], missing: Collection[str]) -> ConfigError:
    """The error for weights whose names are not those of the model that config.json describes."""
    got = f"no weights for {len(missing)} of its parameters inside the blocks ({_some(sorted(missing))})"
    if unknown:
        got += f", and {len(unknown)} tensors that {architecture} does not have ({_some(sorted(unknown))})"
    return ConfigError(
        folder,
        got=got,
        wanted=f"the weights of every block of {architecture}: it would run with random ones",
        remedy="Take the config.json that was saved with the weights, or rename the tensors as "
        "AutoModel.from_pretrained(...).save_pretrained(folder) would write them.",
    )


def _heads(names: Iterable[str]) -> list[str]:
    """Every beginning of some words without numbers, the shortest first."""
    heads = set()
    for name in names:
        words = name.split(".")
        for length in range(1, min(MOST_WORDS, len(words) - 1) + 1):
            if words[length - 1].isdigit():
                break
            heads.add(".".join(words[:length]))
    return sorted(heads, key=lambda head: (head.count("."), head))


def _refuse_adapted(folder: str, names: Iterable[str]) -> None:
    adapted = [name for name in names if _ADAPTED.search(name)]
    if adapted:
        raise CorruptShardError(
            folder,
            got=f"weights with an adapter inside that is not merged ({_some(adapted)})",
            wanted="the weights of one model",
            remedy="Merge it (peft: merge_and_unload) and save the model again.",
        )


def _refuse_twins(folder: str, names: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, clean in names.items():
        if clean in seen:
            raise CorruptShardError(
                folder,
                got=f"tensors {seen[clean]!r} and {name!r}, which are one without their wrapper's words",
                wanted="each tensor once",
                remedy="Save the model again, with model.state_dict() of the model inside the wrapper.",
            )
        seen[clean] = name


def _said(word: str, who: str, name: str, clean: str, marked: int, total: int) -> str:
    share = "Names" if marked == total else f"{marked} of {total} names"
    return f"{share} carry {word} of {who}: they are read and written without it ({name} is {clean})."


def _some(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
