"""What a larger classifier says of sentences and of pieces of them, for a small one to learn from.

6,920 labelled sentences do not tell a small model which of their words carry the judgement.
A tuned MiniLM says so for any piece of a sentence ("Well-read students learn better", Turc and
others 2019; pieces as in Tang and others 2019, arXiv 1903.12136).
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def pieces(texts: list[str], each: int, chance: random.Random) -> list[str]:
    """Runs of 1 to 15 neighbouring words, ``each`` of them from every text; no text twice."""
    found: dict[str, None] = {}
    for text in texts:
        words = text.split()
        for _ in range(each):
            length = chance.randint(1, min(15, len(words)))
            start = chance.randint(0, len(words) - length)
            found[" ".join(words[start : start + length])] = None
    return list(found)


@torch.inference_mode()
def positive_shares(teacher: Path, texts: list[str]) -> list[float]:
    """The teacher's probability of label 1 for every text."""
    model = AutoModelForSequenceClassification.from_pretrained(
        teacher, dtype=torch.float32, trust_remote_code=False
    ).eval()
    tokenizer = AutoTokenizer.from_pretrained(teacher, trust_remote_code=False)
    shares = [0.0] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        inputs = tokenizer([texts[i] for i in part], padding=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**inputs).logits
        for i, share in zip(part, logits.float().softmax(-1)[:, 1].tolist(), strict=True):
            shares[i] = share
        if start % 6400 == 0:
            print(f"teacher {start:,}/{len(order):,}", flush=True)
    return shares
