"""The estimate grows as the work does."""

from __future__ import annotations

from kencore.checkpoint.parameter import Parameter
from kencore.models.inspect import BYTES_AT_REST, estimate


def matrix(rows: int, cols: int, *, prunable: bool = True) -> Parameter:
    return Parameter(name="m", shape=(rows, cols), dtype="F32", rows=rows, cols=cols, prunable=prunable)


def test_the_measured_model_takes_the_measured_time() -> None:
    # BERT-base: 12 blocks of 4 x 768 x 768 and 2 x 768 x 3072, and its word embeddings
    block = [matrix(768, 768)] * 4 + [matrix(3072, 768), matrix(768, 3072)]
    found = estimate([*block * 12, matrix(30522, 768)], threads=1)
    assert 5.5 < found.seconds < 6.5


def test_threads_share_the_work() -> None:
    work = [matrix(1000, 1000)] * 50
    assert estimate(work, threads=4).seconds * 4 == estimate(work, threads=1).seconds
    assert estimate(work, threads=4).threads == 4
    assert "4 CPU threads" in estimate(work, threads=4).how
    assert estimate(work).threads >= 1


def test_memory_is_that_of_the_largest_matrix_and_not_of_the_model() -> None:
    one, many = estimate([matrix(500, 500)]), estimate([matrix(500, 500)] * 100)
    assert one.memory_bytes == many.memory_bytes > BYTES_AT_REST
    huge = estimate([matrix(128_256, 8192)])
    assert huge.memory_bytes < 128_256 * 8192  # one byte a weight: read in pieces


def test_what_cannot_be_pruned_costs_nothing() -> None:
    nothing = estimate([matrix(10_000, 10_000, prunable=False)])
    assert (nothing.seconds, nothing.memory_bytes) == (0, BYTES_AT_REST)
    assert estimate([]).seconds == 0
