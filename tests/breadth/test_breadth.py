"""A sample of odd architectures, each checked as the sweep checks all of them; and the sweep's own parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.breadth.checks import check, outcome
from tests.breadth.models import KINDS
from tests.breadth.page import write_page
from tests.breadth.sweep import POPULAR, cases, read

SAMPLE = (
    ("decoder", "gpt_oss"),  # experts with biases, sinks
    ("decoder", "nemotron_h"),  # a state space, a feed-forward or attention in each block
    ("decoder", "deepseek_v3"),  # keys from a latent vector, experts in groups
    ("decoder", "gpt_bigcode"),  # one key for all queries, fused
    ("decoder", "zamba2"),  # one block's weights used in several
    ("classifier", "t5"),  # an encoder and a decoder, no pooled token
    ("classifier", "bart"),  # answers at the last end token
    ("classifier", "xlnet"),  # pads on the left, no limit of positions
    ("classifier", "funnel"),  # shorter and shorter sequences
    ("classifier", "gpt2"),  # answers at the last token, no padding token
    ("encoder", "albert"),  # one block run several times
    ("encoder", "mobilebert"),  # lists inside blocks
)


@pytest.mark.parametrize(("kind", "name"), SAMPLE)
def test_an_odd_architecture_works_throughout(kind: str, name: str, tmp_path: Path) -> None:
    line = check(kind, name, tmp_path)
    assert line["built"] == ""
    found = {method: (result["outcome"], result.get("said")) for method, result in line["checks"].items()}
    assert found == dict.fromkeys(found, ("works", None))


def test_every_class_of_transformers_is_a_case_and_popular_ones_come_first() -> None:
    found = cases()
    assert len(set(found)) == len(found) == sum(len(kind.classes) for kind in KINDS.values())
    assert [name for _, name in found[:2]] == [POPULAR[0]] * 2
    assert cases(["classifier:bert", "llama"]) == [
        ("classifier", "bert"),
        ("decoder", "llama"),
        ("classifier", "llama"),
    ]


def test_the_last_line_of_a_case_counts(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"kind": "encoder", "type": "a", "n": 1}\n{"kind": "encoder", "type": "a", "n": 2}\n', "utf-8")
    assert read(path) == {("encoder", "a"): {"kind": "encoder", "type": "a", "n": 2}}
    assert read(tmp_path / "none.jsonl") == {}


def test_any_other_exception_is_a_crash_that_says_where() -> None:
    found = outcome(lambda: {}["missing"])
    assert found["outcome"] == "CRASH"
    assert found["error"] == "KeyError"
    assert "test_breadth.py" in found["said"]


def test_the_page_counts_refusals_and_names_every_fault(tmp_path: Path) -> None:
    works = {"outcome": "works", "share": 0.5}
    checks = {"magnitude": works, "ken": {"outcome": "WRONG", "said": "entries | differ"}}
    checks["wanda"] = {"outcome": "refused", "said": "two stacks"}
    lines = {
        ("decoder", "a"): {"kind": "decoder", "type": "a", "class": "A", "built": "", "checks": checks},
        ("encoder", "b"): {"kind": "encoder", "type": "b", "class": "B", "built": "needs timm"},
    }
    write_page(tmp_path / "page.md", lines)
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "| Decoders: 1 built, 0 not | magnitude | 1 | 0 | 0 | 0 |" in page
    assert "| `A` (a) | ken | entries \\| differ |" in page
    assert "| `A` (a) | wanda | two stacks |" in page
    assert "| `A` (a) | 50 | wrong | refused |" in page
    assert "| `B` (b) | needs timm |" in page
    assert f"{len(cases())} of {len(cases())}: `LlamaForCausalLM`" in page
