"""Grids: which points they have, in which order, and what is refused."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kencore.allocate.table import ALLOCATIONS
from kencore.errors import SpecError
from kencore.methods.table import METHODS
from kencore.settings.prune import RESCALES, PruneSpec
from kencore.settings.sweep import MOST_POINTS, SweepSpec

AXES = st.fixed_dictionaries(
    {
        "methods": st.lists(st.sampled_from(list(METHODS)), min_size=1, max_size=3),
        "allocations": st.lists(st.sampled_from(list(ALLOCATIONS)), min_size=1, max_size=2),
        "rescales": st.lists(st.sampled_from(RESCALES), min_size=1, max_size=2),
        "keeps": st.lists(st.sampled_from([0.1, 0.25, 0.5, 1, 1.0]), min_size=1, max_size=3),
        "seeds": st.lists(st.integers(0, 3), min_size=1, max_size=3),
    }
)


@given(axes=AXES, base=st.sampled_from([None, "base"]))
def test_a_grid_has_every_combination_that_can_be(axes: dict[str, Any], base: str | None) -> None:
    """Against asking `PruneSpec` for each combination."""
    common = {"model": "model", "base": base}
    able, unable = set(), set()
    for method, allocation, rescale, keep, seed in itertools.product(
        *(axes[name] for name in ("methods", "allocations", "rescales", "keeps", "seeds"))
    ):
        own = {"method": method, "allocation": allocation, "rescale": rescale, "keep": keep}
        try:
            able.add(PruneSpec(**common, **own, seed=seed))
        except SpecError:
            unable.add((method, allocation, rescale, float(keep)))
    if not able:
        with pytest.raises(SpecError, match="no combination that can be"):
            SweepSpec(**common, **axes)
        return
    mixed = any(point.streams for point in able)
    able = {replace(point, measured=mixed and not point.streams) for point in able}  # one set for all
    spec = SweepSpec(**common, **axes)
    points = spec.points()
    assert len(set(points)) == len(points)
    assert len({spec.point_id(point) for point in points}) == len(points)
    assert {(s.method, s.allocation, s.rescale, float(s.keep or 0)) for s in spec.skipped()} == (unable)
    assert set(points) <= able
    first = min(axes["seeds"])
    for point in able - set(points):  # left out: the smallest seed's point is the same
        assert point.method in ("ken", "ken-density", "delta", "magnitude")
        assert point.allocation in ("uniform", "alpha")
        assert replace(point, seed=first) in points
    assert SweepSpec.from_json(spec.to_json()) == spec
    assert SweepSpec.from_dict(json.loads(json.dumps(asdict(spec)))).points() == points
    turned = SweepSpec(**common, **{name: values[::-1] for name, values in axes.items()})
    assert set(turned.points()) == set(points)  # or one sweep would have two sets of runs
    assert turned.id == spec.id


def test_the_order_is_that_of_the_axes() -> None:
    spec = SweepSpec(
        model="m", base="b", methods=("random", "delta"), keeps=(0.5, 0.1), rescales=("none", "share"), seeds=(3, 1)
    )
    names = [spec.point_id(point).removeprefix(f"sweep-{spec.id}-") for point in spec.points()]
    assert names == [
        "random-0.5-s3",
        "random-0.5-s1",
        "random-0.1-s3",
        "random-0.1-s1",
        "random-share-0.5-s3",
        "random-share-0.5-s1",
        "random-share-0.1-s3",
        "random-share-0.1-s1",
        "delta-0.5-s1",
        "delta-0.1-s1",
        "delta-share-0.5-s1",
        "delta-share-0.1-s1",
    ]


def test_combinations_that_cannot_be_say_why() -> None:
    spec = SweepSpec(model="m", base="b", methods=("sparsegpt", "delta"), keeps=(0.5,))
    (skipped,) = spec.skipped()
    with pytest.raises(SpecError) as error:
        PruneSpec(model="m", base="b", method="sparsegpt", keep=0.5)
    assert (skipped.method, skipped.keep, skipped.reason) == ("sparsegpt", 0.5, str(error.value))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keeps": ()}, "keeps and ks: neither"),
        ({"ks": (3,)}, "keeps and ks: both"),
        ({"methods": ()}, "methods: nothing"),
        ({"methods": ("kenn",)}, "methods: 'kenn'"),
        ({"methods": "ken"}, "methods: 'ken'"),
        ({"keeps": (0.5, 1.5)}, "keeps: keep 1.5, that is sparsity -0.5"),
        ({"keeps": (True,)}, "keeps: True"),
        ({"keeps": ([0.5],)}, "keeps: "),
        ({"keeps": (None, 0.5)}, "keeps: None among"),
        ({"keeps": (), "ks": (0,)}, "ks: 0"),
        ({"seeds": (-1,)}, "seeds: -1"),
        ({"allocations": ("even",)}, "allocations: 'even'"),
        ({"model": " "}, "model: nothing"),
        ({"scope": ()}, "scope: nothing"),
        ({"sequences": 0}, "sequences: 0"),
        ({"baselines": 1}, "baselines: 1"),
        ({"device": "gpu"}, "gpu"),
        ({"base": None, "methods": ("ken", "delta")}, "no combination that can be"),
        ({"methods": ("random",), "seeds": tuple(range(MOST_POINTS + 1))}, "1,001 combinations"),
        (
            {
                "methods": tuple(METHODS),
                "allocations": tuple(ALLOCATIONS),
                "rescales": RESCALES,
                "keeps": tuple(i / 5000 for i in range(1, 5000)),
                "seeds": tuple(range(50)),
            },
            "at most 1,000",
        ),
    ],
)
def test_what_no_point_could_have_is_refused(settings: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"model": "m", "base": "b", "keeps": (0.5,)}
    with pytest.raises(SpecError, match=message):
        SweepSpec(**(usual | settings))


def test_a_thousand_points_are_allowed() -> None:
    spec = SweepSpec(model="m", methods=("random",), keeps=(0.5,), seeds=tuple(range(MOST_POINTS)))
    assert len(spec.points()) == MOST_POINTS


@pytest.mark.parametrize("text", ["[]", "nonsense", '{"model": "m", "keep": 0.5}', "{}"])
def test_json_that_is_no_sweep_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="settings"):
        SweepSpec.from_json(text)


def test_sizes_of_files_are_points_of_what_codes_differences_alone() -> None:
    both = SweepSpec(model="m", base="b", methods=("delta", "bytes"), keeps=(0.5, 0.1), bits=(0.1, 2), bytes=(400_000,))
    asked = [(p.method, p.keep, p.bits, p.bytes) for p in both.points()]
    assert asked == [
        ("delta", 0.5, None, None),
        ("delta", 0.1, None, None),
        ("bytes", None, 0.1, None),
        ("bytes", None, 2.0, None),
        ("bytes", None, None, 400_000),
    ]
    ids = [both.point_id(point).split("-", 2)[2] for point in both.points()]
    assert ids == ["delta-0.5-s0", "delta-0.1-s0", "bytes-bits0.1-s0", "bytes-bits2.0-s0", "bytes-bytes400000-s0"]
    assert not both.skipped()
    alone = SweepSpec(model="m", base="b", methods=("bytes",), bits=(0.5,), rescales=("none", "share"))
    assert len(alone.points()) == len(alone.skipped()) == 1
    assert SweepSpec.from_dict(json.loads(both.to_json())) == both


def test_a_grid_without_sizes_of_files_has_the_id_that_it_had() -> None:
    spec = SweepSpec(model="demo", methods=("ken", "delta"), keeps=(0.5, 0.25))
    data = {name: value for name, value in asdict(spec).items() if name not in ("bits", "bytes")}
    assert SweepSpec.from_dict(data).id == spec.id == "ddda573a7c67"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"methods": ("delta",), "keeps": (0.5,), "bits": (1,)}, "bits: sizes of a file without a method"),
        ({"methods": ("bytes",), "keeps": (0.5,), "bits": (1,)}, "keeps: a number of weights beside bytes alone"),
        ({"methods": ("bytes",), "keeps": (0.5,)}, "no combination that can be .*bits, bytes, kl and same"),
        ({"methods": ("bytes", "ken"), "bits": (0.5,)}, "keeps and ks: neither"),
    ],
)
def test_sizes_and_shares_go_with_their_methods(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        SweepSpec(model="m", base="b", **wrong)
