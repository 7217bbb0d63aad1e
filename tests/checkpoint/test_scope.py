"""Which parameters a scope reaches, over all architectures."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.parameter import PARTS, ROLES, Parameter
from kencore.checkpoint.scope import choose, without_numbers
from kencore.errors import ScopeError
from tests.checkpoint.conftest import Pairs
from tests.support.tiny_models import ARCHITECTURES

WORDS = {"all", "blocks", *ROLES, *PARTS}
EACH = pytest.mark.parametrize("name", sorted(ARCHITECTURES))


def parameter(name: str, role: str, part: str, *, block: int | None = None, **more: object):
    """A parameter of 4 x 4, or of 4 if it is a norm or a bias."""
    flat = role in ("norm", "bias")
    return Parameter(
        name=name,
        shape=(4,) if flat else (4, 4),
        dtype="F32",
        rows=1 if flat else 4,
        cols=4,
        block=block,
        stack="" if block is None else "blocks",
        role=role,
        part=part,
        **more,
    )


MODEL = (
    parameter("embed.weight", "embedding", "embedding", aliases=("lm_head.weight",)),
    parameter("project.weight", "other", "embedding"),
    parameter("layers.0.q.weight", "q", "attention", block=0, model_name="h.0.query.weight"),
    parameter("layers.0.q.bias", "bias", "attention", block=0),
    parameter("layers.0.up.weight", "up", "feed-forward", block=0),
    parameter("layers.0.norm.weight", "norm", "norm", block=0),
    parameter("layers.1.q.weight", "q", "attention", block=1),
    parameter("layers.1.fixed", "other", "other", block=1, prunable=False, reason="a buffer"),
    parameter("head.weight", "head", "head"),
    parameter("head.norm.weight", "norm", "head"),
)


def inside(*scope: str, **switches: bool) -> set[str]:
    return {name for name, (taken, _) in choose(MODEL, scope, **switches).items() if taken}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("all", {p.name for p in MODEL if p.prunable}),
        ("blocks", {p.name for p in MODEL if p.block is not None and p.prunable}),
        ("attention", {"layers.0.q.weight", "layers.0.q.bias", "layers.1.q.weight"}),
        ("feed-forward", {"layers.0.up.weight"}),
        ("q", {"layers.0.q.weight", "layers.1.q.weight"}),
        ("bias", {"layers.0.q.bias"}),
        ("embedding", {"embed.weight", "project.weight"}),
        ("norm", {"layers.0.norm.weight", "head.norm.weight"}),
        ("head", {"head.weight", "head.norm.weight"}),
        ("layers.0.*", {p.name for p in MODEL if p.block == 0}),
        ("layers.?.q.weight", {"layers.0.q.weight", "layers.1.q.weight"}),
        ("layers.[1-9].q.*", {"layers.1.q.weight"}),
        ("layers.0.up.weight", {"layers.0.up.weight"}),
        ("lm_head.weight", {"embed.weight"}),
        ("h.*", {"layers.0.q.weight"}),
        ("layers.#.q.weight", {"layers.0.q.weight", "layers.1.q.weight"}),
        ("layers.#.*", {p.name for p in MODEL if p.block is not None and p.prunable}),
    ],
)
def test_terms(scope: str, expected: set[str]) -> None:
    assert inside(scope) == expected


def test_a_number_sign_is_a_number_and_nothing_else() -> None:
    assert without_numbers("a.12.b.3") == "a.#.b.#"
    assert without_numbers("0.a1.x") == "#.a1.x"
    assert inside("*.q.weight") == inside("layers.#.q.weight")
    with pytest.raises(ScopeError):
        inside("#.weight")


def test_terms_are_united() -> None:
    assert inside("q", "norm", "layers.0.*") == inside("q") | inside("norm") | inside("layers.0.*")


def test_switches_take_out_and_say_so() -> None:
    reasons = choose(MODEL, ("all",), embeddings=False, vectors=False, head=False)
    assert reasons == {
        "embed.weight": (False, "embeddings are left out"),
        "project.weight": (False, "embeddings are left out"),
        "layers.0.q.weight": (True, ""),
        "layers.0.q.bias": (False, "vectors (norms and biases) are left out"),
        "layers.0.up.weight": (True, ""),
        "layers.0.norm.weight": (False, "vectors (norms and biases) are left out"),
        "layers.1.q.weight": (True, ""),
        "layers.1.fixed": (False, "a buffer"),
        "head.weight": (False, "the head is left out"),
        "head.norm.weight": (False, "vectors (norms and biases) are left out"),
    }
    assert choose(MODEL, ("q",))["embed.weight"] == (False, "outside the scope")


@pytest.mark.parametrize(
    ("term", "switch"), [("embedding", "embeddings"), ("norm", "vectors"), ("bias", "vectors"), ("head", "head")]
)
def test_a_term_against_its_switch_is_refused(term: str, switch: str) -> None:
    with pytest.raises(ScopeError, match=f"{switch}=False beside it"):
        choose(MODEL, ("all", term), **{switch: False})
    assert inside("all", term, **{switch: True}) == inside("all")


@pytest.mark.parametrize(
    ("term", "close"),
    [("atention", "attention"), ("layers.0.q.wieght", "layers.0.q.weight"), ("feedforward", "feed-forward")],
)
def test_a_term_that_matches_nothing_suggests_close_ones(term: str, close: str) -> None:
    with pytest.raises(ScopeError) as caught:
        choose(MODEL, ("q", term))
    assert repr(term) in caught.value.subject
    assert close in caught.value.remedy


@pytest.mark.parametrize("term", ["gate", "layers.7.*", "Q", "LAYERS.*", ""])
def test_a_term_that_matches_nothing_lists_what_there_is(term: str) -> None:
    with pytest.raises(ScopeError) as caught:
        choose(MODEL, (term,))
    assert "all, blocks, q, up, embedding, norm, bias, head, other, attention" in str(caught.value)
    assert 'names are like "layers.0.norm.weight"' in str(caught.value)


def test_a_term_that_matches_only_what_cannot_be_pruned() -> None:
    with pytest.raises(ScopeError, match=r"layers\.1\.fixed: a buffer"):
        choose(MODEL, ("*.fixed",))


def test_blocks_of_a_model_without_blocks() -> None:
    with pytest.raises(ScopeError, match="wanted one of all, "):
        choose(MODEL[:2], ("blocks",))


@EACH
def test_every_role_and_part_of_every_architecture_is_a_scope(pairs: Pairs, name: str) -> None:
    parameters = read_layout(pairs(name)[1]).parameters
    everything = {p.name for p in parameters if p.prunable}
    for words, key in ((ROLES, "role"), (PARTS, "part")):
        union = set()
        for word in words:
            expected = {p.name for p in parameters if p.prunable and getattr(p, key) == word}
            if expected:
                taken = {n for n, (yes, _) in choose(parameters, (word,)).items() if yes}
                assert expected <= taken
                union |= taken
        assert union == everything
    assert {n for n, (yes, _) in choose(parameters, ("all",)).items() if yes} == everything


@EACH
def test_a_tied_head_is_an_embedding_and_goes_with_it(pairs: Pairs, name: str) -> None:
    parameters = read_layout(pairs(name)[1]).parameters
    without = choose(parameters, ("all",), embeddings=False)
    tables = [p for p in parameters if p.role == "embedding"]
    assert {p.name for p in parameters if p.aliases} <= {p.name for p in tables}
    assert tables
    assert not any(without[p.name][0] for p in tables)


@given(pattern=st.text("layers.01quptweigh*?[]-", max_size=12))
def test_patterns_reach_what_fnmatch_reaches(pattern: str) -> None:
    expected = {p.name for p in MODEL if any(fnmatchcase(n, pattern) for n in (p.name, p.model_name, *p.aliases) if n)}
    try:
        reached = {n for n, (_, why) in choose(MODEL, (pattern,)).items() if why != "outside the scope"}
    except ScopeError:
        assert expected <= {"layers.1.fixed"} or pattern in WORDS
    else:
        assert pattern in WORDS or expected <= reached <= expected | {"layers.1.fixed"}
