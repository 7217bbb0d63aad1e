"""What is said of the order of codes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kencore.words.orders import order_of, ordered

KL = {"both": 0.0201, "gradients": 0.05, "rule": None}


@pytest.mark.parametrize(
    ("said", "evaluation", "text", "order"),
    [
        ({}, "demo", "", "auto"),  # of runs before orders were compared
        ({}, None, "", "rule"),
        ({"by": "rule", "kl": {}}, None, "Codes are ordered by the rule.", "rule"),
        (
            {"by": "both", "kl": KL},
            "demo",
            "Codes are ordered by gradients and the rule together: at this size that came nearest on calibration text "
            "(KL 0.02; 0.05 by gradients).",
            "both",
        ),
        ({"by": "<b>", "kl": {}}, None, "", "rule"),  # a record is a file that anybody may write
        ("rule", "demo", "", "auto"),
        ({"by": "rule", "kl": ["both"]}, "demo", "Codes are ordered by the rule.", "rule"),
        ({"by": "rule", "kl": {"rule": "<b>", "both": 1}}, "demo", "Codes are ordered by the rule.", "rule"),
    ],
)
def test_the_order_of_codes_is_told(said: Any, evaluation: str | None, text: str, order: str) -> None:
    run: Any = SimpleNamespace(
        record={"ordered": said} if said else {}, spec=SimpleNamespace(harm="auto", evaluation=evaluation)
    )
    assert ordered(run) == text
    assert order_of(run) == order
