"""Allocations and their rounding against those recorded from the published code, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kencore.allocate.alpha import alpha, hill_exponent
from kencore.allocate.budget import published_counts
from kencore.allocate.neuroal import BLOCK_LAMBDAS, ROW_LAMBDAS, consumer, published_clip, published_rows, ramp
from kencore.methods.scored import keep_lowest_pruned
from tests.allocate.recorded import BLOCKS, MODELS, Case, cases


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As recorded, and faster for matrices of this size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blocks_of(case: Case) -> dict[str, Any]:
    """The block step's shares by slot name, from the recorded lambda."""
    shares, clipped = published_clip(ramp(BLOCKS, case.meta["sparsity"], case.meta["lambda_block"] or 0))
    assert not clipped.any()
    return {slot.name: shares[slot.block] for slot in case.slots}


@pytest.mark.parametrize("model", MODELS)
def test_the_lambdas_tried(shared: Path, model: str) -> None:
    for case in cases(shared, f"{model}__*__neuroal-both__*"):
        assert BLOCK_LAMBDAS(case.meta["sparsity"]) == tuple(case.meta["block_lambdas"])
        assert tuple(case.meta["row_lambdas"]) == ROW_LAMBDAS


@pytest.mark.parametrize("model", MODELS)
def test_the_ramp_over_blocks(shared: Path, model: str) -> None:
    for case in cases(shared, f"{model}__*__neuroal-block__*"):
        shares = blocks_of(case)
        assert np.array_equal([shares[slot.name] for slot in case.slots], case.arrays["dist_layer"]), case.name


@pytest.mark.parametrize("step", ["row", "both"])
@pytest.mark.parametrize("model", MODELS)
def test_the_spread_over_rows(shared: Path, model: str, step: str) -> None:
    for case in cases(shared, f"{model}__*__neuroal-{step}__*"):
        shares, alignment = blocks_of(case), case.alignment
        roles = {slot.role for slot in case.slots}
        place = {(slot.block, slot.role): slot.name for slot in case.slots}
        # all of q, k, v read the same: the published code looks at the first of them
        first = case.slots[0].role
        for slot in case.slots:
            found: Any = shares[slot.name]
            if slot.block < BLOCKS - 1:
                reader = consumer(slot.role, roles, False)
                assert reader is not None
                role = first if reader.ahead else reader.role
                moved = alignment[place[slot.block + reader.ahead, role]]
                found = published_rows(moved, shares[slot.name], case.meta["lambda_row"])
            rows = np.broadcast_to(found, (slot.rows,))
            assert np.array_equal(rows, case.shares[slot.name]), (case.name, slot.name)


@pytest.mark.parametrize("model", MODELS)
def test_alpha_from_the_weights(shared: Path, model: str) -> None:
    case = cases(shared, f"{model}__magnitude__alpha__*")[0]
    exponents = {slot.name: hill_exponent(case.weight(slot)) for slot in case.slots}
    shares = alpha(case.slots, case.meta["sparsity"], exponents)
    found = [shares[slot.name] for slot in case.slots]
    # eigenvalues are float32: with the number of threads alone a share moves by 3e-6
    assert np.allclose(found, case.arrays["dist_layer"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
def test_how_many_of_each_row(shared: Path, model: str) -> None:
    for method in ("magnitude", "wanda", "multiflow"):
        for case in cases(shared, f"{model}__{method}__*"):
            counts = published_counts(case.slots, case.shares, row_adaptive=case.row_adaptive)
            found = np.concatenate([counts[slot.name] for slot in case.slots])
            assert np.array_equal(found, case.arrays["rowcounts"]), case.name


@pytest.mark.parametrize("model", MODELS)
def test_magnitude_masks(shared: Path, model: str) -> None:
    """Weights stored in fp16 have equal magnitudes, so that ties are among them."""
    split = 0
    for case in cases(shared, f"{model}__magnitude__*"):
        if case.meta["top_up"] == "DSnoT":
            continue
        counts = published_counts(case.slots, case.shares, row_adaptive=case.row_adaptive)
        ties, other = ("kept", "pruned") if case.row_adaptive else ("pruned", "kept")
        for slot in case.slots:
            size = case.weight(slot).abs()
            keep = keep_lowest_pruned(size, counts[slot.name], ties=ties)
            assert case.same_mask(slot, keep), (case.name, slot.name)
            recorded = case.pruned(slot)
            assert np.array_equal(~keep.numpy()[: len(recorded)], recorded)
            split += not torch.equal(keep, keep_lowest_pruned(size, counts[slot.name], ties=other))
    assert split > 20  # in so many matrices the two rules for ties differ
