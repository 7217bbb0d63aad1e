"""What is said of the order of codes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kencore.runs.forms import RECORD, misfit
from kencore.words.orders import ordered

KL = {"both": 0.0201, "gradients": 0.05, "rule": None}
COMPARED = {"bits": 0.5, "kl": KL, "fresh": True}
BOTH = "Codes are ordered by gradients and the rule together"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (None, ""),  # of runs before orders were compared
        ({"by": "rule"}, "Codes are ordered by the rule."),
        (
            {"by": "both", **COMPARED},
            f"{BOTH}: at 0.5 bits per weight that came nearest on other calibration text (KL 0.02; 0.05 by gradients).",
        ),
        (
            {"by": "both", **COMPARED, "fresh": False},
            f"{BOTH}: at 0.5 bits per weight that came nearest on the text that ordered them "
            "(KL 0.02; 0.05 by gradients).",
        ),
        (
            {"by": "gradients", **COMPARED},
            "Codes are ordered by gradients: at 0.5 bits per weight no other came nearer beyond chance on other "
            "calibration text (KL 0.05; 0.02 by gradients and the rule together).",
        ),
        ({"by": "both", **COMPARED, "kl": {"both": 0.1}}, f"{BOTH}."),
        ({"by": "both", **COMPARED, "bits": None}, f"{BOTH}."),
        ({"by": "<b>", **COMPARED}, ""),
    ],
)
def test_the_order_of_codes_is_told(said: Any, text: str) -> None:
    run: Any = SimpleNamespace(record={} if said is None else {"ordered": said})
    assert ordered(run) == text


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"ordered": {"by": []}}, "ordered.by"),
        ({"ordered": "rule"}, "ordered"),
        ({"ordered": {"by": "rule", "kl": {"rule": "<b>"}}}, "ordered.kl.rule"),
        ({"ordered": {"by": "rule", "kl": []}}, "ordered.kl"),
        ({"subnetwork_bytes": "1"}, "subnetwork_bytes"),
        ({"ordered": {"by": "both", **COMPARED}, "subnetwork_bytes": 5}, ""),
    ],
)
def test_a_record_that_says_it_otherwise_is_refused(said: Any, where: str) -> None:
    assert misfit(RECORD, said) == where
