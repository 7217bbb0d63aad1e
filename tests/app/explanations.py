"""A made-up explanation of a sentence, as a worker leaves it: no model is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kencore.explain import Explanation, compare
from kencore.runs.run import Run
from tests.app.fake_jobs import FakeJobs

TOKENS = ["[CLS]", "good", "<b>film</b>", "[SEP]"]
NAME = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48


def made(run: Run, text: str, *, left_out: str = "") -> Explanation:
    """Dense says negative, pruned says positive; block 1 was watched, one matrix of it."""
    rng = np.random.default_rng(4)
    hidden = rng.normal(size=(5, len(TOKENS), 48)).astype(np.float32)
    told = compare(hidden, hidden + rng.normal(scale=0.2, size=hidden.shape).astype(np.float32))
    x = rng.normal(size=(len(TOKENS), 48)).astype(np.float32)
    facts: dict[str, Any] = {
        "run": run.id,
        "text": text,
        "block": None,
        "device": "cpu",
        "task": "classification",
        "tokens": [{"text": token, "unknown": token == "good"} for token in TOKENS],
        "cut": 2,
        "states": ["dense", "pruned", "base"],
        "answers": [
            {"text": "negative", "dense": 0.7, "pruned": 0.4, "base": 0.5},
            {"text": "positive", "dense": 0.3, "pruned": 0.6, "base": 0.5},
        ],
        "loss": None,
        "distance": {
            name: getattr(told, name).tolist() for name in ("relative", "cosine", "token_relative", "token_cosine")
        },
        "matrices": {
            NAME: {"block": 1, "role": "up", "input": 0, "rows": [{"row": 7, "change": 0.9}, {"row": 3, "change": 0.5}]}
        },
        "effects": {
            "answer": "negative",
            "dense": 0.85,
            "pruned": -0.41,
            "matrices": {
                NAME: {
                    "effect": -0.9,
                    "rows": [{"row": 3, "effect": 0.2, "token": 0}, {"row": 7, "effect": -0.6, "token": 1}],
                }
            },
            "entry": -0.1,
            "biases": 0.0,
            "others": -0.26,
        },
        "left_out": {left_out: "too much to keep of all blocks at once: ask for its block"} if left_out else {},
        "seconds": 0.1,
    }
    arrays = {"0.dense": x, "0.pruned": x + np.float32(0.1)}
    return Explanation(facts=facts, arrays=arrays)


def finish(fake: FakeJobs, job: str, run: Run, **rest: Any) -> Explanation:
    """End a job of a sentence with a made-up result."""
    found = made(run, str(fake.found[job].params["text"]), **rest)
    folder: Path = fake.results / job
    folder.mkdir(parents=True, exist_ok=True)
    found.save(folder)
    fake.change(job, state="succeeded", started=1.0, finished=2.0)
    return found
