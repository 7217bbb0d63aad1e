"""Which parameters a scope reaches: a union of places, roles, parts and name patterns."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase

from kencore.checkpoint.parameter import PARTS, ROLES, Parameter
from kencore.errors import ScopeError

_NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
# terms that a switch takes out again: asking for both is a contradiction
SWITCHES = {"embeddings": ("embedding",), "vectors": ("norm", "bias"), "head": ("head",)}


def choose(
    parameters: Sequence[Parameter],
    scope: tuple[str, ...],
    *,
    embeddings: bool = True,
    vectors: bool = True,
    head: bool = True,
) -> dict[str, tuple[bool, str]]:
    """For each parameter by name: whether it is in the scope, and if not, why.

    Args:
        parameters: of a `Layout`.
        scope: terms, united: ``all``; ``blocks`` (everything inside the transformer blocks);
            ``attention`` or ``feed-forward`` (matrices and biases, not norms); a role or part; a
            name on disk or in the model, or a pattern of such names: ``*`` is any text (dots
            included), ``?`` any character, ``[...]`` one of these, ``#`` a whole number.
        embeddings: may embeddings be reached (role or part ``embedding``)?
        vectors: may 1-D parameters be reached (norms, biases)?
        head: may the task head be reached (part ``head``)?

    Raises:
        ScopeError: a term matches nothing, or contradicts a switch.
    """
    switches = {"embeddings": embeddings, "vectors": vectors, "head": head}
    for switch, allowed in switches.items():
        _check_switch(scope, switch, allowed)
    reached: set[str] = set()
    for term in scope:
        reached.update(_matching(parameters, term))
    return {parameter.name: _verdict(parameter, parameter.name in reached, switches) for parameter in parameters}


def is_fragile(parameter: Parameter) -> bool:
    """Whether setting entries to zero would do more than thin a matrix out: a vector, an
    embedding, a head, a router, or what lies in a block and multiplies nothing (the decays of a
    state space model).
    """
    if len(parameter.shape) == 1 or "embedding" in (parameter.role, parameter.part) or parameter.part == "head":
        return True
    inside = parameter.block is not None and bool(parameter.model_name)
    odd = inside and parameter.role == "other" and not (parameter.measured or parameter.aliases)
    return odd or parameter.role in ("bias", "norm", "router")


def named_fragile(parameters: Sequence[Parameter], scope: tuple[str, ...]) -> set[str]:
    """The fragile parameters that a term of the scope means, not merely includes.

    A term means them if it matches nothing else: ``norm``, ``embedding``, ``*.bias`` or a
    parameter's own name do, ``all``, ``attention`` and ``*.layers.0.*`` do not.
    """
    meant: set[str] = set()
    for term in scope:
        test = _test(term)
        found = [parameter for parameter in parameters if parameter.prunable and test(parameter)]
        if all(is_fragile(parameter) for parameter in found):
            meant.update(parameter.name for parameter in found)
    return meant


def without_numbers(name: str) -> str:
    """The name with ``#`` for each number between dots, so that one stands for all blocks."""
    return _NUMBER.sub("#", name)


def _verdict(parameter: Parameter, inside: bool, switches: dict[str, bool]) -> tuple[bool, str]:
    if not parameter.prunable:
        return False, parameter.reason
    if not inside:
        return False, "outside the scope"
    if not switches["embeddings"] and "embedding" in (parameter.role, parameter.part):
        return False, "embeddings are left out"
    if not switches["vectors"] and len(parameter.shape) == 1:
        return False, "vectors (norms and biases) are left out"
    if not switches["head"] and parameter.part == "head":
        return False, "the head is left out"
    return True, ""


def _matching(parameters: Sequence[Parameter], term: str) -> set[str]:
    test = _test(term)
    found = [parameter for parameter in parameters if test(parameter)]
    if not found:
        raise _nothing(parameters, term)
    if not any(parameter.prunable for parameter in found):
        raise ScopeError(
            f"scope {term!r}",
            got=f"only tensors that cannot be pruned ({found[0].name}: {found[0].reason})",
            wanted="at least one that can",
            remedy="Leave the term out.",
        )
    return {parameter.name for parameter in found}


def _test(term: str) -> Callable[[Parameter], bool]:
    if term == "all":
        return lambda parameter: True
    if term == "blocks":
        return lambda parameter: parameter.block is not None
    if term in ROLES or term in PARTS:
        return lambda parameter: term in (parameter.role, parameter.part)
    return lambda parameter: any(
        name == term or fnmatchcase(without_numbers(name) if "#" in term else name, term)
        for name in (parameter.name, parameter.model_name, *parameter.aliases)
        if name
    )


def _nothing(parameters: Iterable[Parameter], term: str) -> ScopeError:
    parameters = list(parameters)
    present = {parameter.role for parameter in parameters} | {p.part for p in parameters}
    words = [word for word in dict.fromkeys((*ROLES, *PARTS)) if word in present]
    words = ["all", *(["blocks"] if any(p.block is not None for p in parameters) else []), *words]
    names = [parameter.name for parameter in parameters]
    close = difflib.get_close_matches(term, words, 2) + difflib.get_close_matches(term, names, 2)
    example = f'; names are like "{names[len(names) // 2]}"' if names else ""
    return ScopeError(
        f"scope {term!r}",
        got="no parameter of this model",
        wanted=f"one of {', '.join(words)}, or a name pattern{example}",
        remedy=f"Did you mean {' or '.join(close)}?" if close else "Choose one of these.",
    )


def _check_switch(scope: tuple[str, ...], switch: str, allowed: bool) -> None:
    for term in SWITCHES[switch]:
        if term in scope and not allowed:
            raise ScopeError(
                f"scope {term!r}",
                got=f"{switch}=False beside it",
                wanted="one or the other",
                remedy=f"Leave the term out, or set {switch}=True.",
            )
