"""Quantiles and exact tails against scipy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm, t

from kencore.models.quantiles import NORMAL, coin_tails, student


@pytest.mark.parametrize("degrees", [*range(1, 40), 99, 100, 353, 1000, 4097, 20_000])
def test_students_quantile_is_that_of_scipy(degrees: int) -> None:
    assert student(degrees) == pytest.approx(float(t.ppf(0.975, degrees)), rel=1e-10)


def test_the_normal_quantile_is_that_of_scipy() -> None:
    assert pytest.approx(float(norm.ppf(0.975)), rel=1e-12) == NORMAL


@settings(deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_tails_are_those_of_the_exact_test(first: int, second: int) -> None:
    fewer, tosses = min(first, second), first + second
    wanted = float(binomtest(fewer, tosses).pvalue) if tosses else 1.0
    assert coin_tails(fewer, tosses) == pytest.approx(wanted, rel=1e-9)
