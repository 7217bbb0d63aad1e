"""Selection on numpy matrices: once (`select_rows`), or again and again for another k (`RowIndex`).

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kencore.errors import SpecError
from kencore.methods.checks import check_base, check_matrix, check_rule, checked_budget
from kencore.methods.chunks import Mask, Matrix, Prepared, Rows, in_order
from kencore.methods.random import draw
from kencore.methods.registry import load
from kencore.methods.table import METHODS


def select_rows(
    tuned: NDArray[Any],
    base: NDArray[Any] | None,
    k: Any,
    rule: str,
    *,
    rng: np.random.Generator | None = None,
    threads: int = 1,
    name: str = "weight",
) -> Mask:
    """Which entries of each row are kept: bool (R, C), exactly min(k, C) per row.

    Args:
        tuned: floating (R, C), of any strides; half precision is rounded up to float32. float64
            is ranked as it is by ``delta`` and ``magnitude``, rounded to float32 by the others.
        base: the pretrained weight (R, C); needed by a rule that ``compares``, checked and unused otherwise.
        k: entries kept per row: one number, or one per row (R,).
        rule: a method with a ``rule`` in `kencore.methods.table`.
        rng: for a rule that ``draws``: one number is drawn per entry, in order, so that a matrix handed in
            by runs of rows gets the mask of the whole.
        threads: rows are shared out to so many; the mask does not depend on it.
        name: of the tensor, for messages.

    Raises:
        ShapeError: not floating, not two-dimensional, or base or k of another shape.
        SpecError: unknown rule, k below 1 or not whole, a missing base or rng.
        NonFiniteWeightError: a NaN or infinity, naming tensor and row.
    """
    matrix = _matrix(tuned, base, rule, rng, name)
    budget, prepare = checked_budget(k, *tuned.shape), _rule(rule)
    keep = np.empty(tuned.shape, np.bool_)

    def fill(first: int) -> None:
        own = slice(first, first + matrix.height)
        keep[own] = prepare(matrix.rows(first)).keep(budget[own])

    in_order(fill, matrix.starts, threads)
    return keep


class RowIndex:
    """One matrix made ready once; `keep` gives the mask of any k, equal to a fresh selection.

    Another k costs no sort and no density estimate: for ``ken`` work in proportion to k per row
    and one pass over its sorted values. Memory beside the matrix: 8 bytes per entry for ``ken``
    and 8 per density node (32 to some 400 a row), 16 bytes per entry for the other rules.
    """

    def __init__(
        self,
        tuned: NDArray[Any],
        *,
        rule: str = "ken",
        base: NDArray[Any] | None = None,
        rng: np.random.Generator | None = None,
        threads: int = 1,
        name: str = "weight",
    ) -> None:
        """Rank the rows of ``tuned`` (R, C); arguments and errors as in `select_rows`."""
        matrix = _matrix(tuned, base, rule, rng, name)
        prepare = _rule(rule)
        self.shape: tuple[int, int] = (tuned.shape[0], tuned.shape[1])
        self._threads, self._starts, self._height = threads, matrix.starts, matrix.height
        self._parts = in_order(lambda first: prepare(matrix.rows(first)), matrix.starts, threads)

    def keep(self, k: Any) -> Mask:
        """Which entries are kept at ``k`` (one number, or one per row): bool (R, C)."""
        budget = checked_budget(k, *self.shape)
        keep = np.empty(self.shape, np.bool_)

        def fill(part: int) -> None:
            own = self.part(part)
            keep[own] = self.keep_part(part, budget[own])

        in_order(fill, range(self.parts), self._threads)
        return keep

    @property
    def parts(self) -> int:
        """How many runs of rows there are; each can be selected by itself."""
        return len(self._parts)

    def part(self, number: int) -> slice:
        """The rows of one part."""
        first = self._starts[number]
        return slice(first, min(first + self._height, self.shape[0]))

    def keep_part(self, number: int, budget: NDArray[np.int64]) -> Mask:
        """The keep mask (r, C) of one part's rows, for 1 to C entries of each row (r,)."""
        return self._parts[number].keep(budget)


def _rule(name: str) -> Callable[[Rows], Prepared]:
    """The rule of a method that `check_rule` let pass."""
    where = METHODS[name].rule
    assert where is not None
    found: Callable[[Rows], Prepared] = load(where)
    return found


def _matrix(
    tuned: NDArray[Any], base: NDArray[Any] | None, rule: str, rng: np.random.Generator | None, name: str
) -> Matrix:
    """The request, checked; the random numbers drawn."""
    check_rule(rule, has_base=base is not None)
    check_matrix(tuned.shape, tuned.dtype, floating=tuned.dtype.kind == "f", ranks=(2,), name=name)
    if base is not None:
        check_base(tuned.shape, base.shape, base.dtype, floating=base.dtype.kind == "f", name=name)
    row = METHODS[rule]
    if row.draws and rng is None:
        raise SpecError(
            "rng",
            got="none",
            wanted=f"a numpy.random.Generator for the {rule} rule",
            remedy="Pass rng=numpy.random.default_rng(seed).",
        )
    draws = draw(rng, tuned.shape) if rng is not None and row.draws else None
    return Matrix(tuned=tuned, base=base if row.compares else None, draws=draws, name=name)
