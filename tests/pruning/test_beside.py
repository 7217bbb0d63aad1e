"""Rules that are measured beside a run of bytes: their weights by hand, and that they take at most its bytes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kencore import Run, prune
from kencore.checkpoint.pair import open_models
from kencore.models.classifier import Classifier
from kencore.pruning.beside import coded_baselines, exact_bits, exact_state, largest, largest_share, signs, signs_bits
from kencore.pruning.coder import Coder
from kencore.quality.judge import fitting_data, judge
from kencore.quality.judge_model import Judge
from tests.pruning.test_by_bytes import coded
from tests.support.tuned_cases import write_sentences


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("beside")
    data = write_sentences(folder / "sentences.tsv", 60)
    return coded(folder, bits=20, harm="rule", evaluation=str(data), cost=False), data


@pytest.fixture(scope="module")
def coder(made: tuple[Run, Path]) -> Coder:
    return Coder(open_models(made[0].spec), made[0].spec)


def sides(coder: Coder, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Tuned and base (R, C)."""
    _, tuned, base = next(iter(coder.pair.rows(coder.chosen[name].parameter, coder.chosen[name].parameter.rows)))
    return tuned, base


def as_rows(coder: Coder, name: str, tensor: torch.Tensor) -> np.ndarray:
    parameter = coder.chosen[name].parameter
    found = tensor.float().numpy()
    return (found.T if parameter.transposed else found).reshape(parameter.rows, parameter.cols)


def test_exact_values_of_the_largest_differences(coder: Coder) -> None:
    state = dict(exact_state(coder, 0.3))
    assert set(state) == set(coder.chosen)
    for name, tensor in state.items():
        tuned, base = sides(coder, name)
        size = np.abs(tuned - base).ravel()
        kept = np.argsort(-size, kind="stable")[: int(0.3 * tuned.size)]
        wanted = base.ravel().copy()
        wanted[kept] = tuned.ravel()[kept]
        np.testing.assert_array_equal(as_rows(coder, name, tensor).ravel(), wanted)


def test_of_equal_sizes_the_first_are_kept() -> None:
    sizes = np.array([[1, 2, 1], [3, 1, 0]], np.float32)
    for kept in range(7):
        wanted = np.zeros(6, bool)
        wanted[np.argsort(-sizes.ravel(), kind="stable")[:kept]] = True
        np.testing.assert_array_equal(largest(sizes, kept).ravel(), wanted)


def test_signs_with_one_scale(coder: Coder) -> None:
    for name, tensor in coder.state(signs(coder.chosen)):
        tuned, base = sides(coder, name)
        d = tuned - base
        moved = as_rows(coder, name, tensor) - base
        if len(coder.chosen[name].parameter.shape) == 1:
            assert np.abs(moved - d).max() <= np.abs(d).max() / 127
            continue
        np.testing.assert_allclose(moved, np.sign(d) * np.abs(d).mean(), rtol=2e-3, atol=1e-7)


def test_the_share_is_the_largest_that_fits(coder: Coder) -> None:
    everything = exact_bits(coder.chosen, 1.0)
    assert everything == sum(32 * one.size for one in coder.chosen.values())
    assert largest_share(coder.chosen, everything) == 1.0
    for room in (everything / 3, everything / 10, everything / 1000):
        share = largest_share(coder.chosen, room)
        assert exact_bits(coder.chosen, share) <= room < exact_bits(coder.chosen, share + 0.001)
    one = next(one for one in coder.chosen.values() if len(one.parameter.shape) == 2)
    p = int(0.25 * one.size) / one.size
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    assert exact_bits({"it": one}, 0.25) == pytest.approx(one.size * (32 * p + entropy))


def test_what_is_measured_is_those_weights(made: tuple[Run, Path], coder: Coder) -> None:
    run, data = made
    assert set(run.metrics["baselines"]) == {"delta", "bitdelta"}
    examples = fitting_data(coder.pair.tuned.folder, str(data))
    dense = [coder.chosen[name].size for name in run.pruned if name not in run.codes]  # stored as they are
    room = 8 * sum(len(one.data) for one in run.codes.values()) + 32 * sum(dense)
    assert signs_bits(coder.chosen) <= room
    share = largest_share(coder.chosen, room)
    for name, state in {"delta": exact_state(coder, share), "bitdelta": coder.state(signs(coder.chosen))}.items():
        classifier = Classifier.load(coder.pair.tuned.folder, threads=1)
        classifier.replace(dict(state))
        said = run.metrics["baselines"][name]
        assert {key: said[key] for key in ("accuracy", "loss")} == {
            key: value for key, value in classifier.quality(examples).items() if key in ("accuracy", "loss")
        }
        assert said["versus_dense"]["kl"] > 0
        assert "accuracy_change" in said["versus_pruned"]


def test_small_files_have_no_signs_beside_them_and_nobody_asked_for_none(
    made: tuple[Run, Path], coder: Coder, tmp_path: Path
) -> None:
    run, data = made
    examples = fitting_data(coder.pair.tuned.folder, str(data))
    held = Judge(Classifier.load(coder.pair.tuned.folder, threads=1), examples)
    coder.look(lambda *_: None)
    nothing = {name: min(found, key=lambda one: one.bits) for name, found in coder.table.items()}
    assert coded_baselines(coder, held, nothing) == {}
    spec = dataclasses.replace(run.spec, baselines=False)
    assert prune(spec, out=tmp_path / "run", threads=1).metrics["baselines"] == {}


def test_measuring_again_keeps_them(made: tuple[Run, Path]) -> None:
    run, data = made
    found: dict[str, Any] = judge(str(run.path), str(data), baselines=True, cost=False)
    assert found["baselines"] == run.metrics["baselines"]
