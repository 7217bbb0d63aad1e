r"""Make the demo's causal LM pair: a small LLaMA, and the same LLaMA tuned to documentation.

    python assets/demo/train_lm.py --data ../shared/data --out assets/demo/lm

``base`` learns Wikipedia text. ``tuned`` starts from the stored ``base`` and learns the reference
topics that come with Python (``pydoc_data.topics``), but for a fifth of them that is held out. One
thread, one seed: the same machine makes the same files. ``--measure`` trains nothing and prints the
perplexity of the stored pair, dense and pruned.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# S sequences of a batch, T tokens, V vocabulary, R rows (outputs), C columns (inputs)
END = "<|end|>"
LENGTH = 256
STAGES = ("base", "tuned")
SPARSITIES = (0.0, 0.5, 0.6, 0.7, 0.8)
PART = 200_000  # characters, for pruned models
BEGINNING = 40_000  # characters, for a quick check
Tokens = list[int]


# --- text -------------------------------------------------------------------------------------


def read_articles(data: Path) -> list[str]:
    """The articles of WikiText-2 (valid), letter for letter."""
    text = (data / "wikitext-2/valid.txt").read_text(encoding="utf-8")
    return re.split(r"(?<=\n)(?= = [^=].*[^=] = \n)", text)


def read_sentences(data: Path) -> list[str]:
    """Sentences of WikiSplit (first column), written the way WikiText writes them."""
    names = ("tune", "validation", "test")
    files = [(data / f"wikisplit/{name}.tsv").read_text(encoding="utf-8") for name in names]
    return [as_wikitext(row.split("\t")[0]) for text in files for row in text.splitlines()]


def as_wikitext(sentence: str) -> str:
    """WikiText's marks: `" word "`, `well @-@ known`, `10 @,@ 000`, `did n 't`."""
    sentence = f" {sentence} ".replace(" '' ", ' " ').replace(" -- ", " – ").replace("n't ", "n 't ")
    sentence = re.sub(r"(?<=\d)([.,])(?=\d)", r" @\1@ ", sentence)
    sentence = re.sub(r"(?<=[^\W\d]) - (?=[^\W\d])|(?<=\w)-(?=\w)", " @-@ ", sentence)
    return re.sub(" +", " ", sentence).rstrip()


def hide_rare(sentences: list[str], articles: list[str]) -> list[str]:
    """Words that occur once become <unk>, as in WikiText: one word in 18 here, one in 17 there."""
    count = Counter(word for text in (*sentences, *articles) for word in text.split())
    return ["".join(f" {word if count[word] > 1 else '<unk>'}" for word in sentence.split()) for sentence in sentences]


def is_held_out(topic: str) -> bool:
    """A fifth of the topics, the same in every version of Python."""
    return int(hashlib.sha256(topic.encode()).hexdigest(), 16) % 5 == 0


def read_topics(held_out: bool) -> list[str]:
    return [topics[name] for name in sorted(topics) if is_held_out(name) == held_out]


def read_unrepeated() -> list[str]:
    """The held-out topics, but for those that stand almost word for word inside another topic."""
    known = {line for text in read_topics(held_out=False) for line in text.splitlines()}
    found = []
    for text in read_topics(held_out=True):
        lines = [line for line in text.splitlines() if line.strip()]
        if sum(line in known for line in lines) < len(lines) / 2:
            found.append(text)
    return found


# --- tokens -----------------------------------------------------------------------------------


def make_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE: every text can be written, and reads back letter for letter."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=LENGTH,
        bos_token=END,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
    )


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> list[Tokens]:
    """Token numbers, nothing added; a text may be longer than the model's limit."""
    found = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    return [encoding.ids for encoding in found]


def paragraphs(sentences: list[Tokens], after: Tokens, chance: random.Random) -> list[Tokens]:
    """Sentences in random order, three to seven to a paragraph, as long as WikiText's."""
    order, found = chance.sample(sentences, len(sentences)), []
    while order:
        size = chance.randint(3, 7)
        found.append([token for sentence in order[:size] for token in sentence] + after)
        order = order[size:]
    return found


def windows(texts: list[Tokens], length: int, chance: random.Random) -> list[Tokens]:
    """The texts one after the other in random order, cut from a random first token."""
    stream = [token for text in chance.sample(texts, len(texts)) for token in text]
    first = chance.randrange(length)
    cut = [stream[start : start + length] for start in range(first, len(stream), length)]
    return chance.sample(cut[:-1], len(cut) - 1)  # the last one is short


# --- training ---------------------------------------------------------------------------------


def optimiser(model: torch.nn.Module, rate: float, decay: float) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=True)


def ramp(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate rises over the first 4 % of the steps and falls to nothing at the end."""
    rise = max(1, int(0.04 * steps))
    return torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / rise, (steps - step) / max(1, steps - rise))
    )


def mean_loss(model: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of every token but the first of each sequence; ids (S, T)."""
    # half-precision products, float32 weights: faster where the processor has them
    with torch.autocast("cpu", torch.bfloat16):
        states = model.model(ids[:, :-1], use_cache=False).last_hidden_state  # (S, T - 1, 192)
        logits = model.lm_head(states)  # (S, T - 1, V)
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten())


def batches(epoch: Iterator[list[Tokens]], length: int, tokens: int, chance: random.Random) -> Iterator[torch.Tensor]:
    """Endless batches (S, T) of `tokens` tokens."""
    waiting: list[Tokens] = []
    while True:
        while len(waiting) * length < tokens:
            waiting += windows(next(epoch), length, chance)
        yield torch.tensor(waiting[: tokens // length])
        waiting = waiting[tokens // length :]


def train(name: str, model: LlamaForCausalLM, epoch: Iterator[list[Tokens]], args: argparse.Namespace) -> None:
    """Train in place; `epoch` gives all texts, again and again."""
    steps, rate = {"base": (args.base_steps, args.base_rate), "tuned": (args.tuned_steps, args.tuned_rate)}[name]
    optimizer = optimiser(model, rate, args.decay)
    schedule = ramp(optimizer, steps)
    chance = random.Random(args.seed)
    model.train()
    start, running = time.monotonic(), math.log(model.config.vocab_size)
    rows = batches(epoch, LENGTH, args.batch, chance)
    for step in range(1, steps + 1):
        loss = mean_loss(model, next(rows))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        running += 0.05 * (loss.item() - running)
        if step % 25 == 0 or step == steps:
            passed = time.monotonic() - start
            print(f"{name} {step}/{steps} loss {running:.3f} {passed:.0f} s", flush=True)
        if args.checkpoints and step % 200 == 0:
            keep(model, args.checkpoints / f"{name}.pt")


def keep(model: torch.nn.Module, path: Path) -> None:
    """The weights so far, so that a stopped training is not lost."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


@torch.no_grad()
def start_wide(model: LlamaForCausalLM) -> None:
    """A random start meant for few columns: each product keeps the size of its input."""
    layers = model.config.num_hidden_layers
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            continue
        spread = 0.04 if "embed" in name else weight.shape[1] ** -0.5
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            spread /= math.sqrt(2 * layers)  # these add to the residual stream
        torch.nn.init.normal_(weight, std=spread)


# --- the pair, measured -----------------------------------------------------------------------


@torch.inference_mode()
def perplexity(model: LlamaForCausalLM, ids: Tokens) -> float:
    """exp(mean negative log-likelihood) over whole windows of 256; a window's first is given."""
    rows = torch.tensor(ids[: len(ids) // LENGTH * LENGTH]).view(-1, LENGTH)  # (S, T)
    total = 0.0
    for part in rows.split(16):
        logits = model(part[:, :-1], use_cache=False).logits  # (S, T - 1, V)
        total += torch.nn.functional.cross_entropy(
            logits.flatten(0, 1).float(), part[:, 1:].flatten(), reduction="sum"
        ).item()
    return math.exp(total / rows[:, 1:].numel())


@torch.no_grad()
def prune(model: LlamaForCausalLM, sparsity: float) -> LlamaForCausalLM:
    """A copy whose blocks keep the largest |w| of each row of each matrix (magnitude pruning)."""
    model = copy.deepcopy(model)
    for module in model.model.layers.modules():
        if isinstance(module, torch.nn.Linear):
            order = module.weight.abs().argsort(dim=1, stable=True)  # (R, C)
            lowest = order[:, : int(order.shape[1] * sparsity)]
            module.weight.scatter_(1, lowest, 0.0)
    return model


def measure(args: argparse.Namespace) -> None:
    """Print, one line of JSON each, the perplexities of the stored weights in float32."""
    wikipedia = (args.data / "wikitext-2/test.txt").read_text(encoding="utf-8")
    documentation = "\n\n".join(read_topics(held_out=True))
    print("topics", hashlib.sha256(documentation.encode()).hexdigest(), flush=True)
    texts = {
        "WikiText-2 test": (wikipedia, (0.0,)),
        f"WikiText-2 test, first {PART:,} characters": (wikipedia[:PART], SPARSITIES),
        f"WikiText-2 test, first {BEGINNING:,} characters": (wikipedia[:BEGINNING], (0.0,)),
        "held-out topics": (documentation, SPARSITIES),
        "held-out topics, unrepeated": ("\n\n".join(read_unrepeated()), (0.0,)),
        f"held-out topics, first {BEGINNING:,} characters": (documentation[:BEGINNING], (0.0,)),
    }
    for which in STAGES:
        tokenizer = AutoTokenizer.from_pretrained(args.out / which, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            args.out / which, dtype=torch.float32, trust_remote_code=False
        ).eval()
        for name, (text, sparsities) in texts.items():
            (ids,) = encode(tokenizer, [text])
            for sparsity in sparsities:
                found = perplexity(prune(model, sparsity), ids)
                figures = {"model": which, "text": name, "tokens": len(ids), "sparsity": sparsity}
                print(json.dumps({**figures, "perplexity": round(found, 3)}), flush=True)


# --- all of it --------------------------------------------------------------------------------


def make_base(args: argparse.Namespace) -> None:
    articles = read_articles(args.data)
    sentences = hide_rare(read_sentences(args.data), articles)
    tokenizer = make_tokenizer(articles + sentences, args.vocabulary)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        num_hidden_layers=5,
        num_attention_heads=6,
        num_key_value_heads=3,
        intermediate_size=512,
        max_position_embeddings=LENGTH,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    start_wide(model)
    parts, lines = encode(tokenizer, articles), encode(tokenizer, sentences)
    (after,) = encode(tokenizer, [" \n \n"])
    count = sum(map(len, parts)), sum(map(len, lines))
    print(f"{count[0]:,} + {count[1]:,} tokens, {model.num_parameters():,} parameters", flush=True)
    chance = random.Random(args.seed)

    def epochs() -> Iterator[list[Tokens]]:
        while True:
            yield parts + paragraphs(lines, after, chance)

    train("base", model, epochs(), args)
    save(model, tokenizer, args.out / "base")


def make_tuned(args: argparse.Namespace) -> None:
    tokenizer = AutoTokenizer.from_pretrained(args.out / "base", trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(args.out / "base", dtype=torch.float32, trust_remote_code=False)
    parts = encode(tokenizer, [text + "\n\n" for text in read_topics(held_out=False)])
    print(f"{sum(map(len, parts)):,} tokens of {len(parts)} topics", flush=True)

    def epochs() -> Iterator[list[Tokens]]:
        while True:
            yield parts

    train("tuned", model, epochs(), args)
    save(model, tokenizer, args.out / "tuned")
    for name in ("tokenizer.json", "tokenizer_config.json"):  # without notes on where it was read
        shutil.copy(args.out / "base" / name, args.out / "tuned" / name)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Half precision, with the tokenizer beside it."""
    copy.deepcopy(model).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="holds wikitext-2 and wikisplit")
    parser.add_argument("--out", type=Path, required=True, help="gets base/ and tuned/")
    parser.add_argument("--start", choices=STAGES, default="base", help="go on from this stage")
    parser.add_argument("--measure", action="store_true", help="train nothing, measure --out")
    parser.add_argument("--checkpoints", type=Path, help="gets the weights every 200 steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=2048, help="tokens of a step")
    parser.add_argument("--base-steps", type=int, default=4200)
    parser.add_argument("--base-rate", type=float, default=3e-3)
    parser.add_argument("--tuned-steps", type=int, default=400)
    parser.add_argument("--tuned-rate", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.1)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.set_num_threads(1)
    if args.measure:
        measure(args)
        return
    for stage in STAGES[STAGES.index(args.start) :]:
        # each stage starts from files and from the seed: starting late changes nothing
        torch.manual_seed(args.seed)
        {"base": make_base, "tuned": make_tuned}[stage](args)


if __name__ == "__main__":
    main()
