"""A GGUF file as a folder of plain weights, through the reader of transformers.

That reader leaves out what it does not know, without a word. Here every tensor and every number that the file states
of its model must come out again, or the conversion is refused.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kencore.checkpoint.gguf import Gguf, read_gguf
from kencore.checkpoint.quiet import quiet
from kencore.checkpoint.sizes import OnDisk, bounded_build, check_sizes
from kencore.errors import GgufError, MissingExtraError

LIBRARIES: Final = ("gguf", "accelerate")
INSTALL: Final = "pip install gguf accelerate"
"""What the extra ``gguf`` installs."""
# follow from other numbers, or say nothing of what the model computes
_IMPLIED: Final = frozenset({"vocab_size", "rope.dimension_count", "attention.key_length", "attention.value_length"})
_AS_GPT2: Final = frozenset({"default", "gpt-2", "gpt2"})
# vocabularies that take each digit by itself and then cut as GPT-2 does (llama.cpp, src/llama-vocab.cpp)
_DIGIT_BY_DIGIT: Final = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"})
TOKENIZERS: Final = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


def check_installed() -> None:
    """Raise `MissingExtraError` unless what reads GGUF is installed."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            "GGUF",
            got=f"{' and '.join(missing)} not installed",
            wanted="the extra gguf",
            remedy=f"Run {INSTALL}, or pip install -e '.[gguf]' in KEN_viz's folder.",
        )


def unpack_gguf(path: Path, folder: Path) -> list[str]:
    """Write a GGUF file as float32 weights, config and tokenizer.

    Args:
        folder: is there, and empty.

    Returns:
        What a person should know, in sentences.

    Raises:
        MissingExtraError: the libraries are not installed.
        GgufError: damaged, not known to transformers, or its reader would leave something out.
    """
    check_installed()
    gguf = read_gguf(path)
    if not gguf.architecture:
        raise _refused(gguf, "it does not say its architecture", "general.architecture")
    with _told_plainly(gguf), _quiet():
        kind = _check(gguf)
        model = _load(gguf, kind)
        model.save_pretrained(folder)
    try:
        with _quiet():
            notes = _write_tokenizer(gguf, folder)
    except Exception as error:  # noqa: BLE001 - libraries raise what they like; the weights are right without it
        said = " ".join(str(error).split())[:200]
        notes = [f"transformers cannot read the tokenizer inside ({said}): put the model's own beside the weights."]
    for file in folder.iterdir():
        file.chmod(0o644)
    return notes


def _check(gguf: Gguf) -> Any:
    """The class that loads the model, once its sizes and numbers are those of the file."""
    import torch
    import transformers

    disk = OnDisk.of(tuple(tensor.shape) for tensor in gguf.tensors)
    check_sizes(gguf.path, gguf.facts, disk)
    config = transformers.AutoConfig.from_pretrained(
        gguf.path.parent, gguf_file=gguf.path.name, local_files_only=True, trust_remote_code=False
    )
    kind = _kind(config)
    with bounded_build(gguf.path, disk), torch.device("meta"):
        own = hasattr(kind, "_from_config")
        model = kind._from_config(config) if own else kind.from_config(config, trust_remote_code=False)
    twins = set(model.all_tied_weights_keys)
    wanted = sum(tensor.numel() for name, tensor in model.named_parameters() if name not in twins)
    wanted += sum(buffer.numel() for name, buffer in model.named_buffers() if name in model.state_dict())
    held = sum(math.prod(tensor.shape) for tensor in gguf.tensors)
    if "rope_freqs.weight" in {tensor.name for tensor in gguf.tensors}:
        raise _refused(gguf, "it stretches its positions by factors of its own (rope_freqs)", "none of them")
    if wanted != held:
        raise _refused(
            gguf, f"{held:,} weights where {type(model).__name__} has {wanted:,}", "one place for each of them"
        )
    left = _unread(gguf, config.to_dict())
    if left:
        raise _refused(gguf, f"it says {', '.join(left)}, which the reader leaves out", "facts that it takes over")
    return kind


def _kind(config: Any) -> Any:
    """The class of transformers that such a model is loaded by."""
    import transformers

    named = getattr(transformers, (config.architectures or [""])[0], None)
    if named is not None:
        return named
    if type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        return transformers.AutoModelForCausalLM
    if type(config) in transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING:
        return transformers.AutoModelForSeq2SeqLM
    return transformers.AutoModel


def _load(gguf: Gguf, kind: Any) -> Any:
    import torch
    import transformers

    model, report = kind.from_pretrained(
        gguf.path.parent,
        gguf_file=gguf.path.name,
        dtype=torch.float32,
        quantization_config=transformers.GgufConfig(dequantize=True),
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    absent = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])})
    if absent:
        raise _refused(gguf, f"nothing for {', '.join(absent[:3])}", "a value for every weight")
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.is_quantized, model.hf_quantizer = False, None
    return model


def _unread(gguf: Gguf, config: Mapping[str, Any]) -> list[str]:
    """Numbers that the file states of its model and that the config does not hold."""
    numbers = list(_numbers(config))
    start = f"{gguf.architecture}."
    left = []
    for name, value in gguf.facts.items():
        key = name.removeprefix(start)
        if key == name or key in _IMPLIED or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if value not in (0, 1) and not any(math.isclose(value, number, rel_tol=1e-5) for number in numbers):
            left.append(f"{name} = {value:g}")
    stretched = gguf.facts.get(f"{start}rope.scaling.type")
    if stretched not in (None, "none") and stretched not in str(config.get("rope_parameters")):
        left.append(f"{start}rope.scaling.type = {stretched}")
    return left


def _numbers(value: Any) -> Iterator[float]:
    """Every number in nested settings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _write_tokenizer(gguf: Gguf, folder: Path) -> list[str]:
    """The tokenizer that lies beside the file, else the one inside of it."""
    import transformers

    if any((gguf.path.parent / name).is_file() for name in TOKENIZERS):
        return ["The tokenizer is the one that lies beside the GGUF file."]
    if "tokenizer.ggml.tokens" not in gguf.facts:
        return ["The GGUF file holds no tokenizer: put the model's own beside the weights."]
    tokenizer = transformers.AutoTokenizer.from_pretrained(
        gguf.path.parent, gguf_file=gguf.path.name, local_files_only=True, trust_remote_code=False
    )
    notes = ["The tokenizer was made of the words and merges inside the GGUF file."]
    split = str(gguf.facts.get("tokenizer.ggml.pre", "default"))
    if split in _DIGIT_BY_DIGIT:
        _take_digits_apart(tokenizer)
    elif gguf.facts.get("tokenizer.ggml.model") == "gpt2" and split not in _AS_GPT2 and not _known_split(split):
        notes.append(
            f"transformers knows no rule {split!r} for cutting text before merging and cuts as GPT-2 does: a few "
            "tokens, of digits mostly, may differ from the model's own tokenizer."
        )
    tokenizer.save_pretrained(folder)
    return notes


def _take_digits_apart(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers as cuts

    digits, rest = cuts.Digits(individual_digits=True), cuts.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.pre_tokenizer = cuts.Sequence([digits, rest])


def _known_split(name: str) -> bool:
    """Whether transformers knows how a vocabulary of this kind cuts text."""
    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS
    except ImportError:  # moved in another version
        return False
    return name in GGUF_PRE_TOKENIZER_SPLITS


@contextlib.contextmanager
def _told_plainly(gguf: Gguf) -> Iterator[None]:
    """What transformers, gguf and tokenizers raise, as one of our errors."""
    try:
        yield
    except (GgufError, OSError, MemoryError):
        raise
    except Exception as error:  # a file can be wrong in any place, and each library raises what it likes
        said = " ".join(str(error).split()) or type(error).__name__
        raise _refused(gguf, f"transformers cannot read it ({said[:200]})", "an architecture that it knows") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no advice of transformers."""
    # a bar that cannot be switched off goes to standard error
    with quiet(logging.CRITICAL), contextlib.redirect_stderr(io.StringIO()):
        yield


def _refused(gguf: Gguf, got: str, wanted: str) -> GgufError:
    return GgufError(
        str(gguf.path),
        got=f"GGUF of {gguf.architecture or 'an unknown model'}: {got}",
        wanted=wanted,
        remedy="Pass the model's safetensors instead: a model that computes something else would be measured.",
    )
