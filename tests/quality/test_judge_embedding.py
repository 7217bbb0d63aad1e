"""Similarity of embeddings against transformers itself on the folders that runs save, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from kencore import PruneSpec, Run, open_run, prune
from kencore.cli.evaluate import judged
from kencore.errors import DataFileError, KencoreError, NotALanguageModelError, TaskMismatchError
from kencore.exports.export import export
from kencore.models.figures import mean_interval
from kencore.quality.judge import judge
from kencore.quality.paired import unpacked
from kencore.recovery.run import recover
from kencore.report.build import build
from kencore.report.content import Table
from kencore.report.page import html
from kencore.report.sections.quality import quality as section
from kencore.settings.recover import RecoverSpec
from kencore.settings.sweep import SweepSpec
from kencore.sweeps.sweep import sweep
from kencore.views import tradeoff
from kencore.views.compare.quality import difference
from kencore.views.tables import totals
from kencore.words import cards
from kencore.words import compare as comparing
from kencore.words import run as facts
from kencore.words.verdict import verdict
from tests.models.test_batches import sentences
from tests.models.test_embedder import POOLS, encoder, with_modules

TEXTS = sentences(12)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder with ``modules.json``, and beside it ``lines.txt``."""
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "lines.txt").write_text("\n".join(TEXTS) + "\n")
    return with_modules(encoder(folder / "m"), POOLS["mean"][0], max_seq_length=32)


def spec(model: Path, **more: Any) -> PruneSpec:
    asked: dict[str, Any] = {"method": "magnitude", "keep": 0.6, "evaluation": str(model.parent / "lines.txt")}
    return PruneSpec(model=str(model), cost=False, **asked | more)


@pytest.fixture(scope="module")
def run(model: Path) -> Run:
    return prune(spec(model), out=model.parent / "run")


def embeddings(folder: Path) -> np.ndarray:
    """By transformers alone."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        return np.stack(
            [network(**words(text, return_tensors="pt")).last_hidden_state[0].mean(0).double() for text in TEXTS]
        )


def exported(run: Run, folder: Path) -> Path:
    export(run.path, folder, "folder")
    return folder


def similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return torch.nn.functional.cosine_similarity(torch.from_numpy(first), torch.from_numpy(second)).numpy()


def test_similarity_is_that_of_the_exported_folder(model: Path, run: Run) -> None:
    alike = similarity(embeddings(model), embeddings(exported(run, model.parent / "out")))
    found = run.metrics
    assert (found["task"], found["examples"]) == ("embedding", 12)
    assert found["dense"]["similarity"] == found["dense"]["similarity_low"] == 1.0
    assert 0.1 < alike.mean() < 0.99
    assert found["pruned"]["similarity"] == pytest.approx(alike.mean(), abs=1e-6)
    ends = [found["pruned"][f"similarity_{end}"] for end in ("low", "high")]
    assert ends == pytest.approx(mean_interval(alike), abs=1e-5)
    np.testing.assert_allclose(unpacked(found["outcomes"]), alike, atol=1e-5)
    assert (model.parent / "out/1_Pooling/config.json").is_file()
    assert found["data_notes"] == ["Embedding, as modules.json says: the mean over tokens."]
    assert set(found["baselines"]) == {"random"}
    assert found["baselines"]["random"]["versus_pruned"]["similarity_change"] == pytest.approx(
        found["baselines"]["random"]["similarity"] - found["pruned"]["similarity"]
    )


def test_measuring_again_and_a_model_alone(model: Path, run: Run) -> None:
    lines = str(model.parent / "lines.txt")
    again = judge(str(run.path), lines, cost=False, device="cpu")
    assert again["pruned"]["similarity"] == run.metrics["pruned"]["similarity"]
    alone = judge(str(model), lines, cost=True, device="cpu")
    assert alone["similarity"] == 1.0
    assert "similarity 100.00%" in judged(alone)
    said = judged(again)
    assert "Similarity of embeddings to the dense model's on 12 examples" in said


def test_against_a_base(model: Path, tmp_path: Path) -> None:
    """Where everything is reset, similarity is that of the base."""
    torch.manual_seed(5)
    base = transformers.AutoModel.from_pretrained(model)
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    base.save_pretrained(tmp_path / "base")
    (tmp_path / "base/tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    asked = spec(model, base=str(tmp_path / "base"), method="delta", baselines=False)
    found = prune(asked, out=tmp_path / "run").metrics
    words = transformers.AutoTokenizer.from_pretrained(model)
    words.save_pretrained(tmp_path / "base")
    alike = similarity(embeddings(model), embeddings(tmp_path / "base"))
    assert found["base"]["similarity"] == pytest.approx(alike.mean(), abs=1e-6)
    assert found["base"]["similarity"] < found["pruned"]["similarity"] < 1


def test_what_is_said_of_it(model: Path, run: Run, tmp_path: Path) -> None:
    value = f"{100 * run.metrics['pruned']['similarity']:.1f}\xa0%"
    found = verdict(run.metrics, "magnitude")
    assert found is not None
    assert found.change == f"embeddings are {value} similar to the dense model's."
    assert found.peers.startswith(("Better than random (", "Tied with random", "Random is better"))
    assert facts.headline(run.spec, totals(run.matrices), run.metrics).endswith(f"similarity 100.0\xa0% → {value}")
    card = cards.quality(run.metrics)
    assert (card.label, card.value) == ("Similarity, before → after", f"100.0 → {value}")
    assert cards.baseline(run.metrics, "magnitude").label == "Best baseline"
    page = build(run)
    assert html(page).count("imilarity") > 5
    table = next(block for block in section(run).blocks if isinstance(block, Table))
    assert table.columns == ("Model", "Similarity")
    other = prune(spec(model, keep=0.9, baselines=False), out=tmp_path / "other")
    change = difference(run.metrics, other.metrics)
    assert not isinstance(change, str)
    assert change.paired
    assert change.change > 0
    assert "points more similarity than A" in comparing.quality(change, ("A", "B"))
    assert html(build(run, other))


@pytest.mark.parametrize(
    ("similarities", "level"),
    [((0.999, 0.998, 0.999), "safe"), ((0.99, 0.98, 1.0), "damaged"), ((0.9, 0.85), "damaged"), ((0.7, 0.8), "ruined")],
)
def test_levels(similarities: tuple[float, ...], level: str) -> None:
    values = np.array(similarities)
    low, high = mean_interval(values) or (0, 0)
    pruned = {"similarity": values.mean(), "similarity_low": low, "similarity_high": min(high, 1)}
    found = verdict({"task": "embedding", "examples": 3, "dense": {"similarity": 1.0}, "pruned": pruned}, "random")
    assert found is not None
    assert found.level == level


def test_a_sweep(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KENVIZ_HOME", str(tmp_path))
    asked = SweepSpec(
        model=str(model),
        methods=("magnitude", "random"),
        keeps=(0.5, 0.9),
        evaluation=str(model.parent / "lines.txt"),
        baselines=False,
        cost=False,
    )
    done = sweep(asked)
    points = done.points
    assert set(points["metric"]) == {"similarity"}
    lines = tradeoff.curve(points, done.baselines)
    assert lines["score"].between(-1, 1).all()
    for point in points.itertuples():
        own = open_run(point.run).metrics["pruned"]["similarity"]
        assert own == pytest.approx(point.quality)
    assert html(build(open_run(points["run"].iloc[0])))


def test_what_cannot_be_measured_is_refused(model: Path, run: Run, tmp_path: Path) -> None:
    for data in ("demo", "pydoc"):
        with pytest.raises(TaskMismatchError, match=r"no sentences one by one.*encoder without a head"):
            judge(str(model), data)
    (tmp_path / "one.txt").write_text("one\n")
    with pytest.raises(DataFileError, match="2 or more"):
        judge(str(model), str(tmp_path / "one.txt"))
    asked = RecoverSpec(run=str(run.path), data=str(model.parent / "lines.txt"), steps=1)
    with pytest.raises(KencoreError, match="gives each text one label"):
        recover(asked)
    classifier = encoder(tmp_path / "c", "BertForSequenceClassification")
    with pytest.raises(NotALanguageModelError, match="text without labels"):
        judge(str(classifier), str(model.parent / "lines.txt"))
