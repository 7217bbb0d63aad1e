"""The settings that one pruning and a grid of them share: the model, where it is pruned, on which text,
measured on what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kencore.settings.checks import PROPAGATIONS, REFERENCES, REFINEMENTS, SCOPES, STEPS, checked_device, checked_scope
from kencore.settings.demo import MODEL_FORMS, SENTENCES, TUNED
from kencore.settings.fields import setting
from kencore.settings.json import JsonSettings
from kencore.settings.source import tidy_source
from kencore.system.devices import DEVICES

TABLES = (".tsv", ".csv", ".jsonl", ".json", ".parquet")
"""Endings of files with rows and columns."""
PLAIN = (".txt", ".md")
"""Endings of files that are one text."""
TABLE_FILE = f"{', '.join(TABLES[:-1])} or {TABLES[-1]} file"
TEXT_FILE = f"{', '.join(PLAIN)}, {TABLE_FILE}"
TEXTS = f"pydoc, wikitext2, c4, ptb or a {TEXT_FILE}"
LABELLED = f"{SENTENCES} or a {TABLE_FILE} of labeled sentences"


def device_setting() -> Any:
    """What a job runs on."""
    return setting(
        "text",
        "auto",
        choices=DEVICES,
        check=checked_device,
        label="Device",
        help="auto, cpu, mps, cuda or cuda:N. auto takes CUDA where there is one, else MPS, else the CPU.",
        wanted="auto, cpu, mps, cuda or cuda:N",
    )


def cost_setting() -> Any:
    """Whether a measurement says what the model costs to run."""
    return setting(
        "switch",
        True,
        label="Measure cost too",
        help="Where quality is measured, also operations, seconds and memory of a pass: a few seconds, once per sweep.",
    )


def seed_setting(what: str) -> Any:
    """What a random stream starts from; ``what`` it decides."""
    wanted = "a whole number from 0 to 2**63 - 1"
    declared = {"low": 0, "high": 2**63 - 1, "offered": (0, 2**53 - 1), "label": "Seed"}
    return setting("count", 0, help=what, wanted=wanted, **declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningSettings(JsonSettings):
    """What a `PruneSpec` and a `SweepSpec` share.

    Args:
        model: the model to prune: ``"demo"``, ``"demo-lm"``, a folder, or a hub id.
        base: its pretrained base, same forms. With a base, entries that are not kept go back to
            it; without, they become zero. `kencore.methods.table` says which methods need one and which take
            none. ``None`` means the demo's own base where ``model`` is a demo
            and the method needs one; the encoder ``"demo"`` is always paired with its base.
        model_revision, base_revision: hub revision (branch, tag or commit).
        scope: what is pruned: one or more of ``all``, ``blocks`` (everything inside the
            transformer blocks), ``attention``, ``feed-forward``, a role (``q``, ``down``, ...)
            or a name pattern such as ``"*.layer.0.*"``. Several are united. Without a base,
            embeddings, vectors and the head are reached only by a term that names them.
        embeddings, vectors, head: whether embeddings, 1-D parameters (norms and biases) and the
            task head may be pruned where the scope reaches them.
        step: of ``neuroal``: search the ramp over ``block``, over each ``row``, or ``both``.
        reference: of ``neuroal``: activations are compared with those of the dense block on the
            pruned stream (``local``, as published) or of the whole dense model (``global``).
        refine: ``dsnot`` (2310.08915) swaps entries of attention's masks afterwards. With
            ``sparsegpt`` it starts from that method's scores, and kept weights stay as they are.
        calibration: text for activations: ``pydoc``, ``wikitext2``, ``c4``, ``ptb``, or a file.
        sequences: windows of calibration text.
        search_sequences: at most so many of them are used to search an allocation.
        window: tokens of a window; ``None``: 2048, or what the model has positions for.
        bos: every window, for calibration and for measuring, begins with the token that the tokenizer puts before a
            text, such as ``<bos>``; as published, only the first of a text does.
        propagate: a block is pruned on what the ``pruned`` blocks before it give, or the
            ``dense`` ones.
        fast: search an allocation on fewer candidates.
        published: prune as NeuroAL's published code does, its rounding included: the share is
            then met only about.
        evaluation: what quality is measured on. For a classifier a file of labelled
            sentences or ``"demo"``; for a language model text, named as ``calibration``.
            ``None``: no measurement.
        windows: at most so many windows of evaluation text; ``None``: all.
        baselines: where quality is measured, also measure other methods at the same budget.
        cost: where quality is measured, also measure what the model costs: operations, seconds, memory.
        device: ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
    """

    remedy: ClassVar[str] = "Say which model to prune."

    model: str = setting(
        "text",
        tidy=tidy_source,
        label="Model",
        help=f"The model: {MODEL_FORMS}.",
        wanted=f"the model to prune: {MODEL_FORMS}",
    )
    base: str | None = setting(
        "text",
        None,
        tidy=tidy_source,
        label="Its base model",
        help="Its pretrained base, same forms: what is not kept goes back to it, and becomes zero without one. "
        f"{' and '.join(TUNED)} bring theirs along.",
        wanted="the base it was tuned from: a folder or a hub id",
    )
    model_revision: str | None = setting(
        "text", None, tidy=str.strip, label="Revision of the model", help="Hub revision: branch, tag or commit."
    )
    base_revision: str | None = setting(
        "text", None, tidy=str.strip, label="Revision of the base model", help="Hub revision: branch, tag or commit."
    )
    scope: tuple[str, ...] = setting(
        "several",
        ("all",),
        label="Parts of the model",
        help="all, blocks, attention, feed-forward, a role (q, down, ...) or a name pattern. Several are united; "
        "all stands alone.",
        choices=SCOPES,
        check=checked_scope,
    )
    embeddings: bool = setting("switch", True, label="Embeddings", help="Prune embeddings too.")
    vectors: bool = setting("switch", True, label="Norms and biases", help="Prune norms and biases too.")
    head: bool = setting(
        "switch",
        True,
        label="Task head",
        help="Prune the head too. A head that only the tuned model has is always kept whole.",
    )
    step: str = setting("choice", "block", choices=STEPS, label="Search over", help="Of neuroal: what is searched.")
    reference: str = setting(
        "choice",
        "local",
        choices=REFERENCES,
        label="Compare activations with",
        help="Of neuroal: what is compared with.",
    )
    refine: str = setting(
        "choice",
        "none",
        choices=REFINEMENTS,
        label="Refine with DSnoT",
        help="Afterwards swap pruned and kept weights of a row until the row's error is small; as many stay kept.",
    )
    calibration: str = setting(
        "text",
        "pydoc",
        label="Text",
        help=f"Text for activations: {TEXTS}. What is not pydoc is fetched from the hub.",
        wanted="pydoc, wikitext2, c4, ptb or a text file",
    )
    sequences: int = setting(
        "count",
        128,
        low=1,
        offered=(1, 100_000),
        label="Sequences",
        help="Windows of calibration text, cut out at random places. Papers use 128.",
        wanted="sequences of calibration text, 1 or more",
    )
    search_sequences: int = setting(
        "count",
        8,
        low=1,
        offered=(1, 100_000),
        label="Sequences to search on",
        help="An allocation is searched on at most so many of the sequences; each candidate is run on them.",
        wanted="sequences that an allocation is searched on, 1 or more",
    )
    window: int | None = setting(
        "count",
        None,
        low=2,
        offered=(2, 1_000_000),
        label="Window, in tokens",
        help="Tokens of a window, for calibration and for measuring; by default 2,048, or what the model reads.",
        wanted="tokens of a window, 2 or more: one to read and one to predict",
    )
    bos: bool = setting(
        "switch",
        False,
        label="Begin every window as the tokenizer begins a text",
        help="Every window, for calibration and for measuring, begins with the token that the tokenizer puts before a "
        "text, such as <bos>. Gemma needs it; published figures of LLaMA are without it.",
    )
    propagate: str = setting(
        "choice",
        "pruned",
        choices=PROPAGATIONS,
        label="A block is pruned on",
        help="What a block is pruned on: what the pruned blocks before it give, or the dense ones.",
    )
    fast: bool = setting(
        "switch",
        False,
        label="Fast search",
        help="Search on every other candidate, in bfloat16 where that is faster here; the best few in float32 again.",
    )
    published: bool = setting(
        "switch",
        False,
        label="As NeuroAL's published code does",
        help="As NeuroAL's published code, its rounding included: the sparsity is then met only about.",
    )
    evaluation: str | None = setting(
        "text",
        None,
        label="Sentences or text",
        help=f"Measure quality: a classifier on {LABELLED}, a language model on text ({TEXTS}), an "
        "encoder without a head on a file of sentences.",
        wanted=f"{SENTENCES} or a {TABLE_FILE} for a classifier; pydoc, wikitext2, c4, "
        "ptb or a text file for a language model; a file of sentences for an encoder",
    )
    windows: int | None = setting(
        "count",
        None,
        low=1,
        label="Measure on at most so many windows",
        help="Measure on at most so many windows of text; by default all. Perplexities are compared on the same "
        "windows only.",
        wanted="windows of evaluation text, 1 or more",
    )
    baselines: bool = setting(
        "switch",
        True,
        label="Compare with baselines",
        help="Where quality is measured, also measure other methods at the same budget: random, largest magnitude "
        "and, where they apply, largest difference, Wanda and the same method with uniform sparsity.",
    )
    cost: bool = cost_setting()
    device: str = device_setting()
