"""Codes of a difference: what is opened is what was coded, by rows and whole, and what was damaged is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import constriction
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kencore.codes import coded as coded_module
from kencore.codes.choice import FACTS, Draw, Option, choose, code_with, options
from kencore.codes.coded import Coded, Reader
from kencore.codes.grid import grid
from kencore.codes.levels import levels, signs, symbols_of
from kencore.codes.lowrank import Spectrum, lowrank
from kencore.codes.names import NAMES
from kencore.codes.scales import from_halves, halves
from kencore.codes.seeded import chosen, seeded
from kencore.codes.symbols import decode_symbols, encode_symbols, ideal_bits
from kencore.codes.table import CODES, decode

Floats = np.ndarray
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def drawn(d: Floats, share: float = 0.3, *, by_row: bool = False) -> Coded:
    return seeded(d, share, seed=7, stream=3, by_row=by_row)


MADE: dict[str, Callable[[Floats], Coded]] = {
    "levels": lambda d: levels(d, 0.7),
    "fine": lambda d: levels(d, 0.01),
    "signs": lambda d: signs(d, 0.25),
    "all signs": lambda d: signs(d, 1),
    "seeded": drawn,
    "by row": lambda d: drawn(d, by_row=True),
    "lowrank": lambda d: lowrank(d, 1.0),
    "lowrank then": lambda d: lowrank(d, 2.0, then=drawn),
    "lowrank levels": lambda d: lowrank(d, 2.0, then=lambda left: levels(left, 1.0)),
    "grid": grid,
}
MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
    elements=st.floats(-(2.0**70), 2.0**70, width=32) | st.just(0.0) | st.floats(-(2.0**-13), 2.0**-13, width=32),
)


def difference(rows: int = 60, columns: int = 48, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(rows, columns)) * rng.uniform(0.5, 2, (rows, 1)) * 1e-3).astype(np.float32)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coded_module, "BLOCK", 200)


@pytest.mark.parametrize("name", MADE)
@QUICK
@given(d=MATRICES)
def test_anything_is_coded_and_opens_to_finite_values(name: str, d: Floats) -> None:
    coded = MADE[name](d)
    values, mask = decode(coded)
    assert values.shape == mask.shape == d.shape
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert not values[~mask].any()
    assert not values[(d == 0).all(axis=1) & ("lowrank" not in name) & (name != "seeded")].any()


@pytest.mark.parametrize("name", MADE)
@pytest.mark.usefixtures("small_blocks")
def test_rows_open_without_the_rest(name: str) -> None:
    d = difference()
    d[5] = 0
    d[6] = 1e-3
    coded = MADE[name](d)
    whole = decode(coded)
    for rows in (slice(0, 1), slice(3, 17), slice(5, 7), slice(59, 60), slice(4, 4), slice(None)):
        for part, side in zip(decode(coded, rows), whole, strict=True):
            np.testing.assert_array_equal(part, side[rows])


@pytest.mark.parametrize("name", ["levels", "signs", "all signs", "seeded"])
def test_the_gain_reaches_as_far_as_the_difference(name: str) -> None:
    d = difference().astype(np.float64)
    values = decode(MADE[name](d.astype(np.float32)))[0].astype(np.float64)
    assert (values * d).sum() == pytest.approx((d * d).sum(), rel=2e-3)
    if name != "seeded":  # by row, too
        np.testing.assert_allclose((values * d).sum(axis=1), (d * d).sum(axis=1), rtol=2e-3)


def test_levels_are_those_of_a_dense_reference() -> None:
    d = difference()
    rms = np.sqrt(np.square(d.astype(np.float64)).mean(axis=1, keepdims=True))
    wanted = np.sign(d) * np.floor(np.abs(d) / (0.7 * rms) + 0.33)
    symbols, values = symbols_of(levels(d, 0.7), slice(None))
    assert (symbols != wanted).mean() < 1e-3  # float32 against float64, at the edges
    means = [np.abs(d / rms)[np.abs(symbols) == level].mean() for level in range(1, int(np.abs(symbols).max()) + 1)]
    shape = np.concatenate([[0], means])[np.abs(symbols)] * np.sign(symbols)
    gain = np.square(d).sum(axis=1, keepdims=True) / (shape * d).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(values, shape * gain, rtol=3e-3)


def test_signs_are_those_of_the_largest() -> None:
    d = difference()
    symbols, _ = symbols_of(signs(d, 0.25), slice(None))
    order = np.argsort(-np.abs(d), axis=1)[:, :12]
    wanted = np.zeros_like(symbols)
    np.put_along_axis(wanted, order, np.sign(np.take_along_axis(d, order, axis=1)).astype(np.int8), axis=1)
    np.testing.assert_array_equal(symbols, wanted)


def test_low_rank_finds_what_is_low_rank() -> None:
    rng = np.random.default_rng(0)
    d = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 200)) * 1e-3).astype(np.float32)
    coded = lowrank(d, 0.3)
    values, mask = decode(coded)
    assert mask.all()
    assert np.square(values - d).sum() < 0.01 * np.square(d).sum()
    assert coded.bits < d.size
    left = difference(300, 200) * 0.1
    followed = lowrank(d + left, 2.0, then=lambda rest: levels(rest, 0.2))
    alone = lowrank(d + left, 2.0)
    errors = [np.square(decode(one)[0] - d - left).sum() for one in (followed, alone)]
    assert errors[0] < 0.1 * errors[1]


def test_the_choice_of_a_seed_is_the_same_everywhere() -> None:
    words = philox([1, 5, 0, 0], [7, 3])
    numbers = [word >> (16 * place) & 0xFFFF for word in words for place in range(4)]
    assert chosen(5, 11, 20_000, 7, 3).tolist() == [number < 20_000 for number in numbers[:11]]


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 by its definition (Salmon et al. 2011)."""
    top = (1 << 64) - 1
    for turn in range(10):
        if turn:
            key = [(key[0] + 0x9E3779B97F4A7C15) & top, (key[1] + 0xBB67AE8584CAA73B) & top]
        first, second = 0xD2E7470EE14C6C93 * counter[0], 0xCA5A826395121157 * counter[2]
        counter = [second >> 64 ^ counter[1] ^ key[0], second & top, first >> 64 ^ counter[3] ^ key[1], first & top]
    return counter


def test_entropy_coding_is_near_the_entropy() -> None:
    rng = np.random.default_rng(0)
    for chances in ([0.01, 0.98, 0.01], [0.05, 0.9, 0.05], [0.1, 0.2, 0.4, 0.2, 0.1]):
        symbols = (rng.choice(len(chances), size=(1000, 400), p=chances) - len(chances) // 2).astype(np.int8)
        data = encode_symbols(symbols)
        assert len(data) * 8 <= 1.02 * ideal_bits(symbols)
        np.testing.assert_array_equal(decode_symbols(data, (1000, 400)), symbols)


@QUICK
@given(
    symbols=hnp.arrays(
        np.int8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=30), elements=st.integers(-127, 127)
    )
)
def test_symbols_come_back(symbols: np.ndarray) -> None:
    shape = (symbols.shape[0], symbols.shape[1])
    np.testing.assert_array_equal(decode_symbols(encode_symbols(symbols), shape), symbols)


@pytest.mark.parametrize("step", [3.0, 0.6, 0.05])
def test_words_are_those_of_constriction(step: float) -> None:
    symbols = symbols_of(levels(difference(37, 91), step), slice(None))[0]
    reader = Reader(encode_symbols(symbols))
    low, size = int(reader.take("i1", 1)[0]), int(reader.take("u1", 1)[0])
    frequencies = reader.take("<u2", size)
    chances = single = frequencies / frequencies.sum(dtype=np.int64)
    joined = 1
    while len(chances) * size <= 2048 and joined < 8:
        chances, joined = np.outer(chances, single).reshape(-1), joined + 1
    flat = symbols.reshape(-1).astype(np.int64) - low
    flat = np.append(flat, np.full(-len(flat) % joined, np.argmax(single)))
    combined = flat.reshape(-1, joined) @ size ** np.arange(joined)[::-1]
    model = constriction.stream.model.Categorical(chances, perfect=False)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(combined.astype(np.int32), model)
    wanted = coder.get_compressed()
    assert reader.take("<u4", 1).tolist() == [len(wanted)]
    assert reader.take("<u4", len(wanted)).tolist() == wanted.tolist()


@QUICK
@given(values=st.lists(st.floats(1e-30, 1e30) | st.just(0.0), min_size=1, max_size=9))
def test_scales_keep_eleven_bits(values: list[float]) -> None:
    power, stored = halves(values)
    assert stored.dtype == np.dtype("<f2")
    found = from_halves(power, stored)
    np.testing.assert_allclose(found, values, rtol=2**-11, atol=max(values) * 2**-24)


@pytest.mark.parametrize("name", MADE)
def test_damage_is_refused_or_opens_to_the_same_shape(name: str) -> None:
    rng = np.random.default_rng(1)
    coded = MADE[name](difference(20, 30))
    refused = 0
    for _ in range(150):
        data = bytearray(coded.data)
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = int(rng.integers(256))
        cut = int(rng.integers(len(data) + 1)) if rng.random() < 0.4 else len(data)
        facts = dict(coded.facts)
        if rng.random() < 0.3:
            facts[str(rng.choice(list(facts)))] = [None, -1, 10**30, "x", True, {}][int(rng.integers(6))]
        try:
            values, mask = decode(replace(coded, data=bytes(data[:cut]), facts=facts))
        except ValueError:
            refused += 1
            continue
        assert values.shape == mask.shape == coded.shape
    assert refused > 30
    with pytest.raises(ValueError, match="a code 'other'"):
        decode(replace(coded, code="other"))


@pytest.mark.parametrize("bits", [0.05, 0.3, 1, 3])
def test_a_choice_meets_its_budget_and_more_bits_harm_less(bits: float) -> None:
    table = {
        f"m{i}": options(difference(400, 128, i) * (i + 1), 1e6, 32, vector=False, draw=Draw(seed=0, stream=i))
        for i in range(3)
    }
    size = 3 * 400 * 128
    found = choose(table, bits * size)
    spent = sum(one.bits for one in found.values())
    assert 0.7 * bits * size < spent <= bits * size
    more = choose(table, 1.5 * bits * size)
    assert sum(one.harm for one in more.values()) <= sum(one.harm for one in found.values())
    data = [code_with(difference(400, 128, i) * (i + 1), found[f"m{i}"], Draw(seed=0, stream=i)) for i in range(3)]
    real = sum(one.bits + FACTS * (one.code != "none") for one in data)
    assert real == pytest.approx(spent, rel=0.05)


def test_a_choice_is_the_best_of_all_small_ones() -> None:
    steps = [
        Option(code="none", bits=0, harm=10),
        Option(code="signs", bits=4, harm=5),
        Option(code="exact", bits=16, harm=0),
    ]
    table = {"a": steps, "b": [replace(one, harm=3 * one.harm) for one in steps]}
    for budget in range(0, 40, 4):
        found = sum(one.harm for one in choose(table, budget).values())
        best = min(a.harm + b.harm for a in table["a"] for b in table["b"] if a.bits + b.bits <= budget)
        assert found <= 2 * best


def test_a_matrix_that_was_not_tuned_costs_nothing() -> None:
    found = options(np.zeros((4, 5), np.float32), 1.0, 32, vector=False, draw=Draw(seed=0, stream=0))
    assert [(one.code, one.bits, one.harm) for one in found] == [("none", 0.0, 0.0)]


def test_a_code_alone_is_the_only_one() -> None:
    d = difference(200, 100)
    for code in NAMES:
        found = {one.code for one in options(d, 1.0, 32, vector=False, draw=Draw(seed=0, stream=0), codes=(code,))}
        assert code in found
        assert found <= {code, "none"}
    assert set(NAMES) - {"exact"} <= set(CODES)


@pytest.mark.parametrize("shape", [(300, 90), (90, 300), (320, 320)])
def test_components_are_the_largest_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    d = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    d += 3 * np.outer(np.arange(shape[0]) % 7 - 3, np.arange(shape[1]) % 5 - 2).astype(np.float32)
    found = Spectrum(d)
    left, sizes, right = np.linalg.svd(d.astype(np.float64), full_matrices=False)
    count = max(64, min(shape) // 4)
    assert found.left.shape == (shape[0], count)
    np.testing.assert_allclose(found.sizes, sizes[:count], rtol=1e-6)
    nearest = (left[:, :count] * np.square(sizes[:count])) @ right[:count]  # each side has the sizes once
    np.testing.assert_allclose(found.left @ found.right.T, nearest, atol=1e-5 * np.abs(nearest).max())
    assert found.rms == pytest.approx(np.sqrt(np.square(d, dtype=np.float64).mean()))
