"""A run that ships without its masks is pruned again, and known to be the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kencore import PruneSpec, prune
from kencore.errors import RunExistsError
from kencore.pruning.whole import make_whole
from kencore.runs.run import Run
from kencore.runs.thin import thinned
from tests.pruning.test_by_bytes import coded
from tests.support.tiny_models import save_pair
from tests.support.tuned_cases import write_sentences


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KENVIZ_GALLERY", str(tmp_path / "gallery"))
    return tmp_path / "gallery" / "runs"


def test_masks_come_back(gallery: Path, tmp_path: Path) -> None:
    base, tuned = save_pair("bert", tmp_path)
    run = prune(PruneSpec(model=str(tuned), base=str(base), method="delta", keep=0.3), out=tmp_path / "made", threads=1)
    thinned(run, gallery / "thin")
    whole, same = make_whole("thin", threads=1)
    assert same
    assert not whole.thin
    for name in run.pruned:
        np.testing.assert_array_equal(whole.keep(name), run.keep(name))
    with pytest.raises(RunExistsError):
        make_whole("thin")


def test_codes_come_back_in_the_order_that_data_gave_them(gallery: Path, tmp_path: Path) -> None:
    data = write_sentences(tmp_path / "sentences.tsv", 60)
    run = coded(tmp_path, bits=12, evaluation=str(data), cost=False, baselines=False)
    rule = coded(tmp_path / "rule", bits=12)
    assert {name: one.data for name, one in run.codes.items()} != {name: one.data for name, one in rule.codes.items()}
    thinned(run, gallery / "thin")
    whole, same = make_whole("thin", threads=1)
    assert same
    assert {name: one.data for name, one in whole.codes.items()} == {name: one.data for name, one in run.codes.items()}
    assert whole.metrics == Run(gallery / "thin").metrics
