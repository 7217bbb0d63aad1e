"""What a code makes of the base's rows, as bits, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kencore.errors import NonFiniteWeightError
from kencore.runs.restore import moved_bits

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
STORED = {"F32": np.float32, "BF16": np.uint16, "F16": np.float16}


def rows(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A base as stored, differences and where they count, with ties of rounding among them."""
    rng = np.random.default_rng(0)
    base = torch.from_numpy(rng.normal(size=(9, 37)).astype(np.float32)).to(DTYPES[dtype])
    d = (rng.normal(size=(9, 37)) * 0.01).astype(np.float32)
    base[0], d[0] = 1, np.arange(37, dtype=np.float32) * 2.0**-9
    own = base.view(torch.uint8).numpy().view(STORED[dtype])
    own.flags.writeable = False  # as a file's is
    return own, d, rng.random((9, 37)) < 0.7


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_moved_are_those_of_torch(dtype: str) -> None:
    own, d, mask = rows(dtype)
    base = torch.from_numpy(own.copy().view(np.uint8)).view(DTYPES[dtype])
    wanted = torch.where(torch.from_numpy(mask), (base.float() + torch.from_numpy(d)).to(DTYPES[dtype]), base)
    found = moved_bits(own, d, mask, dtype, name="w")
    assert found.dtype == STORED[dtype]
    np.testing.assert_array_equal(found.view(np.uint8), wanted.view(torch.uint8).numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_value_too_large_is_refused_where_it_counts_alone(dtype: str) -> None:
    own, d, mask = rows(dtype)
    d[4, 5], mask[4, 5] = 3.4e38 if dtype == "BF16" else np.inf, False
    moved_bits(own, d, mask, dtype, name="w")
    mask[4, 5] = True
    if dtype == "BF16":
        d[4, 5] = np.finfo(np.float32).max  # finite until it is rounded
    with pytest.raises(NonFiniteWeightError, match="w, rescaled: infinity in row 14"):
        moved_bits(own, d, mask, dtype, name="w", first=10)
