r"""Make the demo's encoder pair: a small BERT, and the same BERT tuned to tell good from bad.

    python assets/demo/train_encoder.py --data ../shared/data \
        --teacher ../shared/models/minilm-sst2 --out assets/demo/encoder

``base`` learns masked language modelling on Wikipedia text and film-review sentences. ``tuned``
starts from the stored ``base`` and learns the sentiment of SST-2 sentences, from their labels and
from a larger classifier. One thread, one seed: the same machine makes the same files. About 40
minutes on one processor core.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from sklearn.metrics import accuracy_score, f1_score
from teacher import pieces, positive_shares
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
)

# S sentences of a batch, T tokens, V vocabulary
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIAL))
LENGTH = 128
BATCH = 2048  # tokens
STAGES = ("base", "tuned")
LABELS = {0: "negative", 1: "positive"}
Example = tuple[list[int], int]
Soft = tuple[list[int], float]  # tokens, how likely the text is positive
Row = TypeVar("Row")


def read_wikipedia(data: Path) -> list[str]:
    """Paragraphs of WikiText-2 (valid) and sentences of WikiSplit (first column)."""
    lines = (data / "wikitext-2/valid.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line.strip() and not line.strip().startswith("=")]
    for name in ("tune", "validation", "test"):
        rows = (data / f"wikisplit/{name}.tsv").read_text(encoding="utf-8").splitlines()
        lines += [row.split("\t")[0] for row in rows]
    # WikiText's own marks: " @-@ " for a hyphen inside a word, "<unk>" for a rare word
    return [re.sub(r" @(\W)@ ", r"\1", line).replace("<unk>", "[UNK]").strip() for line in lines]


def read_sentiment(data: Path, split: str) -> tuple[list[str], list[int]]:
    """Sentences and labels (1 = positive) of one SST-2 split."""
    rows = (data / f"sst2/{split}.tsv").read_text(encoding="utf-8").splitlines()
    texts, labels = zip(*(row.rsplit("\t", 1) for row in rows), strict=True)
    return list(texts), [int(label) for label in labels]


def make_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """WordPiece, lower-cased; "does n't" and "doesn't" become the same pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.BertNormalizer(lowercase=True),
            normalizers.Replace(Regex("[‘’]"), "'"),
            normalizers.Replace(" n't", "n't"),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), limit_alphabet=90, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LENGTH, **{f"{role}_token": token for role, token in names.items()}
    )


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[list[int]]:
    """Token numbers without [CLS] and [SEP]; a text may be longer than the model's limit."""
    found = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    return [encoding.ids for encoding in found]


# --- the base: masked language modelling ------------------------------------------------------


@torch.no_grad()
def start_local(model: BertForMaskedLM) -> None:
    """Start with every head looking at near positions.

    From a plain random start a model this small stays at word frequencies for thousands of steps.
    Sinusoids as position embeddings and equal query and key weights (Trockman and Kolter 2023,
    "Mimetic initialization") let it see its neighbours at once; all of it is trained afterwards.
    """
    table = model.bert.embeddings.position_embeddings.weight  # (128 positions, 128)
    angles = torch.arange(LENGTH)[:, None] * 200.0 ** -torch.linspace(0, 1, table.shape[1] // 2)
    table.copy_(0.15 * torch.cat([angles.sin(), angles.cos()], dim=1))
    for block in model.bert.encoder.layer:
        attention = block.attention.self
        attention.query.weight *= 1.5
        attention.key.weight.copy_(attention.query.weight)


def packed(texts: list[list[int]], length: int, chance: random.Random) -> Iterator[torch.Tensor]:
    """Endless batches of 2048 tokens: texts in random order, [SEP] after each, cut to length."""
    sequences: list[list[int]] = []
    rest: list[int] = []
    while True:
        for text in chance.sample(texts, len(texts)):
            rest += [*text, SEP]
            while len(rest) >= length - 1:
                sequences.append([CLS, *rest[: length - 1]])
                rest = rest[length - 1 :]
            if len(sequences) * length >= BATCH:
                yield torch.tensor(sequences[: BATCH // length])  # (S, T)
                sequences = sequences[BATCH // length :]


def hide(ids: torch.Tensor, vocabulary: int, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Hide a share of the tokens: 80 % become [MASK], 10 % any token, 10 % stay as they are."""
    hidden = (torch.rand(ids.shape) < share) & (ids >= len(SPECIAL))
    fate = torch.rand(ids.shape)
    shown = torch.where(hidden & (fate < 0.8), MASK, ids)
    other = torch.randint(len(SPECIAL), vocabulary, ids.shape)
    return torch.where(hidden & (fate >= 0.9), other, shown), hidden


def faster() -> torch.autocast:
    """Half-precision products, float32 weights: twice as fast where the processor has them."""
    return torch.autocast("cpu", torch.bfloat16)


def optimiser(model: torch.nn.Module, rate: float, decay: float) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def ramp(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate rises over the first 6 % of the steps and falls to nothing at the end."""
    rise = max(1, int(0.06 * steps))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
    )


def train_base(model: BertForMaskedLM, texts: list[list[int]], args: argparse.Namespace) -> None:
    optimizer = optimiser(model, args.base_rate, 0.01)
    schedule = ramp(optimizer, args.base_steps)
    chance = random.Random(args.seed)
    short, whole = packed(texts, LENGTH // 2, chance), packed(texts, LENGTH, chance)
    model.train()
    start, running = time.monotonic(), math.log(model.config.vocab_size)
    for step in range(1, args.base_steps + 1):
        # short sequences learn faster; the far positions get the last fifth of the steps
        ids = next(short if step < 0.8 * args.base_steps else whole)
        shown, hidden = hide(ids, model.config.vocab_size, args.hidden_share)
        with faster():
            states = model.bert(shown).last_hidden_state[hidden]  # (S, T, 128) -> (hidden, 128)
            logits = model.cls(states)  # (hidden, V)
        loss = torch.nn.functional.cross_entropy(logits.float(), ids[hidden])
        descend(loss, model, optimizer, schedule)
        running += 0.02 * (loss.item() - running)
        if step % 50 == 0 or step == args.base_steps:
            passed = time.monotonic() - start
            print(f"base {step}/{args.base_steps} loss {running:.3f} {passed:.0f} s", flush=True)


def descend(
    loss: torch.Tensor,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
) -> None:
    """One step down the gradient."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad(set_to_none=True)


# --- the tuned model: sentiment ---------------------------------------------------------------


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, both (S, T), of sentences given without special tokens."""
    rows = [[CLS, *row[: LENGTH - 2], SEP] for row in rows]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    return ids, (ids != PAD).long()


@torch.inference_mode()
def measure(model: BertForSequenceClassification, examples: list[Example]) -> dict[str, float]:
    """Accuracy, binary F1 and mean cross-entropy."""
    model.eval()
    guesses, total = [], 0.0
    for start in range(0, len(examples), 64):
        part = examples[start : start + 64]
        ids, attend = padded([tokens for tokens, _ in part])
        logits = model(ids, attention_mask=attend).logits
        truth = torch.tensor([label for _, label in part])
        total += torch.nn.functional.cross_entropy(logits, truth, reduction="sum").item()
        guesses += logits.argmax(-1).tolist()
    labels = [label for _, label in examples]
    return {
        "accuracy": float(accuracy_score(labels, guesses)),
        "f1": float(f1_score(labels, guesses)),
        "loss": total / len(examples),
    }


def train_tuned(
    model: BertForSequenceClassification, train: list[Soft], dev: list[Example], args: argparse.Namespace
) -> None:
    """Tune in place; what stays is the running average of the weights that was best on dev."""
    optimizer = optimiser(model, args.tuned_rate, 0.05)
    schedule = ramp(optimizer, args.tuned_epochs * math.ceil(len(train) / args.tuned_batch))
    average = copy.deepcopy(model)
    best, best_state, step = -1.0, copy.deepcopy(model.state_dict()), 0
    chance = random.Random(args.seed)
    for epoch in range(1, args.tuned_epochs + 1):
        for part in by_length(train, args.tuned_batch, chance):
            model.train()
            ids, attend = padded([tokens for tokens, _ in part])
            blank = (torch.rand(ids.shape) < args.word_dropout) & (ids >= len(SPECIAL))
            with faster():
                logits = model(torch.where(blank, MASK, ids), attention_mask=attend).logits
            positive = torch.tensor([share for _, share in part])
            truth = torch.stack([1 - positive, positive], dim=1)  # (S, 2)
            descend(torch.nn.functional.cross_entropy(logits.float(), truth), model, optimizer, schedule)
            step += 1
            blend(average, model, max(0.005, 1 / step))
        figures = measure(average, dev)
        print(f"tuned {epoch}/{args.tuned_epochs}", figures, flush=True)
        if figures["accuracy"] > best:
            best, best_state = figures["accuracy"], copy.deepcopy(average.state_dict())
    model.load_state_dict(best_state)


def by_length(rows: list[Soft], batch: int, chance: random.Random) -> Iterator[list[Soft]]:
    """Batches in random order, each of rows of similar length."""
    for part in shuffled(rows, 20 * batch, chance):
        part.sort(key=lambda row: len(row[0]))
        yield from chance.sample(
            [part[start : start + batch] for start in range(0, len(part), batch)], math.ceil(len(part) / batch)
        )


def shuffled(rows: list[Row], batch: int, chance: random.Random) -> Iterator[list[Row]]:
    order = chance.sample(rows, len(rows))
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


@torch.no_grad()
def blend(average: torch.nn.Module, model: torch.nn.Module, share: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), share)


# --- all of it --------------------------------------------------------------------------------


def save(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Half precision, with the tokenizer beside it."""
    copy.deepcopy(model).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="wikitext-2, wikisplit, sst2")
    parser.add_argument("--teacher", type=Path, required=True, help="a tuned classifier's folder")
    parser.add_argument("--out", type=Path, required=True, help="gets base/ and tuned/")
    parser.add_argument("--start", choices=STAGES, default="base", help="go on from this stage")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocabulary", type=int, default=3200)
    parser.add_argument("--base-steps", type=int, default=10000, help="of 2048 tokens each")
    parser.add_argument("--base-rate", type=float, default=1.5e-3)
    parser.add_argument("--hidden-share", type=float, default=0.2)
    parser.add_argument("--film-weight", type=int, default=3, help="times a film sentence is read")
    parser.add_argument("--tuned-epochs", type=int, default=8)
    parser.add_argument("--tuned-batch", type=int, default=64)
    parser.add_argument("--tuned-rate", type=float, default=5e-4)
    parser.add_argument("--pieces", type=int, default=4, help="of each sentence, for the teacher")
    parser.add_argument("--word-dropout", type=float, default=0.1)
    return parser.parse_args()


def make_base(args: argparse.Namespace) -> None:
    wikipedia, (film, _) = read_wikipedia(args.data), read_sentiment(args.data, "train")
    tokenizer = make_tokenizer(wikipedia + film * args.film_weight, args.vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=6,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=LENGTH,
        initializer_range=0.06,  # 0.02 is meant for 768 columns: too faint for 128
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=PAD,
    )
    model = AutoModelForMaskedLM.from_config(config, attn_implementation="eager", trust_remote_code=False)
    start_local(model)
    texts = encode(tokenizer, wikipedia) + encode(tokenizer, film) * args.film_weight
    print(f"{sum(map(len, texts)):,} tokens, {model.num_parameters():,} parameters", flush=True)
    train_base(model, texts, args)
    save(model, tokenizer, args.out / "base")


def make_tuned(args: argparse.Namespace) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(args.out / "base", trust_remote_code=False)
    splits = {}
    for split in ("train", "dev", "test"):
        texts, labels = read_sentiment(args.data, split)
        splits[split] = list(zip(encode(tokenizer, texts), labels, strict=True))
    model = BertForSequenceClassification.from_pretrained(
        args.out / "base",
        dtype=torch.float32,
        attn_implementation="eager",
        id2label=LABELS,
        label2id={name: label for label, name in LABELS.items()},
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        trust_remote_code=False,
    )
    train_tuned(model, taught(tokenizer, args), splits["dev"], args)
    save(model, tokenizer, args.out / "tuned")
    stored = BertForSequenceClassification.from_pretrained(
        args.out / "tuned", dtype=torch.float32, trust_remote_code=False
    )
    print(json.dumps({split: measure(stored, splits[split]) for split in ("dev", "test")}))


def taught(tokenizer: PreTrainedTokenizerFast, args: argparse.Namespace) -> list[Soft]:
    """Sentences, half label and half teacher, and pieces of them as the teacher sees them."""
    texts, labels = read_sentiment(args.data, "train")
    parts = pieces(texts, args.pieces, random.Random(args.seed))
    shares = positive_shares(args.teacher, texts + parts)
    for i, label in enumerate(labels):
        shares[i] = (shares[i] + label) / 2
    return list(zip(encode(tokenizer, texts + parts), shares, strict=True))


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    for stage in STAGES[STAGES.index(args.start) :]:
        # each stage starts from files and from the seed: starting late changes nothing
        torch.manual_seed(args.seed)
        {"base": make_base, "tuned": make_tuned}[stage](args)


if __name__ == "__main__":
    main()
