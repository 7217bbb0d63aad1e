"""The rule `random`: seeded, fair, and one stream however a matrix is handed in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from kencore.methods.chunks import CHUNK_ENTRIES
from kencore.methods.select import select, select_rows

ROWS, COLUMNS = 3 * CHUNK_ENTRIES // 501, 501
ZEROS = np.zeros((ROWS, COLUMNS), np.float32)


def mask(rows: np.ndarray, rng: np.random.Generator, threads: int = 1) -> np.ndarray:
    return select_rows(rows, None, 200, "random", rng=rng, threads=threads)


def test_a_seed_gives_one_mask_and_another_seed_another() -> None:
    whole = mask(ZEROS, np.random.default_rng(7))
    np.testing.assert_array_equal(mask(ZEROS, np.random.default_rng(7), threads=4), whole)
    # two independent halves share what chance gives them: 200 / 501 of what is kept
    shared = (mask(ZEROS, np.random.default_rng(8)) & whole).sum() / whole.sum()
    assert abs(shared - 200 / 501) < 0.02


def test_runs_of_rows_get_the_mask_of_the_whole() -> None:
    whole, rng = mask(ZEROS, np.random.default_rng(7)), np.random.default_rng(7)
    cuts = [0, 1, 37, 200, ROWS]
    parts = [mask(ZEROS[a:b], rng) for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_weights_are_not_looked_at() -> None:
    values = np.random.default_rng(0).normal(size=ZEROS.shape).astype(np.float32)
    np.testing.assert_array_equal(mask(values, np.random.default_rng(7)), mask(ZEROS, np.random.default_rng(7)))


def test_every_column_is_as_likely() -> None:
    kept = mask(ZEROS, np.random.default_rng(9)).sum(axis=0)
    share = 200 / 501
    # the sum of squared deviations over their variance: about 501, give or take 32
    spread = ((kept - ROWS * share) ** 2).sum() / (ROWS * share * (1 - share))
    assert 400 < spread < 600


def test_torch_generators() -> None:
    weight, generator = torch.zeros(30, 70), torch.Generator()
    first = select(weight, 20, "random", generator=generator.manual_seed(4))
    again = select(weight, 20, "random", generator=generator.manual_seed(4))
    following = select(weight, 20, "random", generator=generator)
    assert torch.equal(first, again)
    assert not torch.equal(first, following)
    torch.manual_seed(11)
    first = select(weight, 20, "random")
    torch.manual_seed(11)
    assert torch.equal(select(weight, 20, "random"), first)
