"""How a sentence encoder makes one vector of a sentence: read from its folder's own files, as sentence-transformers
writes them. What is not understood is refused, never skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.companions import MODULES, may_travel
from kencore.errors import TaskMismatchError
from kencore.models.loaded import limit_of
from kencore.models.seam import loading
from kencore.system.plain_json import read_json

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

# B sentences of T tokens each, H hidden units, D numbers of an embedding

ORDER = ("cls", "max", "mean", "mean_sqrt_len", "weightedmean", "lasttoken")  # in which several are joined
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
SIZES = ("word_embedding_dimension", "embedding_dimension", "include_prompt")
SAID = {
    "cls": "the first token",
    "max": "the largest value over tokens",
    "mean": "the mean over tokens",
    "mean_sqrt_len": "the sum over tokens by the root of their number",
    "weightedmean": "the mean over tokens, weighted by place",
    "lasttoken": "the last token",
}
ACTIVATIONS = ("Tanh", "Identity", "ReLU", "GELU", "Sigmoid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What happens to the last hidden states.

    Args:
        modes: of pooling, one or several that are joined.
        after: folders of dense layers, and ``None`` for scaling to length 1, in their order.
        limit: tokens of a sentence, if the folder says.
        lower: whether sentences are written in small letters first.
        said: all of it in words.
    """

    modes: tuple[str, ...] = ("mean",)
    after: tuple[Path | None, ...] = ()
    limit: int | None = None
    lower: bool = False
    said: str = ""


def recipe_of(folder: Path) -> Recipe:
    """The recipe of a folder; of one without ``modules.json`` the mean over tokens.

    Raises:
        TaskMismatchError: its files say what is not understood.
    """
    if not (folder / MODULES).is_file():
        return Recipe(said="Embedding: the mean over tokens, since the folder has no modules.json.")
    modes: tuple[str, ...] = ()
    after: list[Path | None] = []
    modules = _read(folder, MODULES, list)
    for n, module in enumerate(modules):
        kind, path = _module(folder, n, module)
        if n == 0 and kind == "Transformer" and not path:
            continue
        if kind == "Pooling" and n == 1:
            modes = _modes(folder, f"{path}/config.json")
        elif kind in ("Normalize", "Dense") and modes:
            after.append(None if kind == "Normalize" else folder / path)
        else:
            raise _refused(folder, f"module {n + 1} of {MODULES}, {kind} in {path or 'the folder itself'}")
    if not modes:
        raise _refused(folder, f"{MODULES} without a module Pooling after the Transformer")
    told = _read(folder, "sentence_bert_config.json", dict) if (folder / "sentence_bert_config.json").is_file() else {}
    joined = " and ".join(SAID[mode] for mode in modes)
    layers = sum(step is not None for step in after)
    said = f"Embedding, as {MODULES} says: {joined}" + (f", then {layers} dense layer(s)" if layers else "")
    return Recipe(
        modes=modes,
        after=tuple(after),
        limit=limit_of(told.get("max_seq_length")),
        lower=told.get("do_lower_case") is True,
        said=f"{said}.{_prompt(folder)}",
    )


def pool(hidden: torch.Tensor, modes: tuple[str, ...]) -> torch.Tensor:
    """(B, D) of last hidden states (B, T, H) of sentences without padding."""
    import torch

    tokens = hidden.shape[1]
    place = torch.arange(1, tokens + 1, device=hidden.device, dtype=hidden.dtype)  # T
    made: dict[str, Callable[[], torch.Tensor]] = {
        "cls": lambda: hidden[:, 0],
        "max": lambda: hidden.amax(dim=1),
        "mean": lambda: hidden.mean(dim=1),
        "mean_sqrt_len": lambda: hidden.sum(dim=1) / tokens**0.5,
        "weightedmean": lambda: (hidden * place[:, None]).sum(dim=1) / place.sum(),
        "lasttoken": lambda: hidden[:, -1],
    }
    return torch.cat([made[mode]() for mode in modes], dim=1)


def load_dense(folder: Path, device: str) -> Any:
    """A dense layer with its activation, from its own folder.

    Raises:
        TaskMismatchError: an activation or files that are not understood.
        ConfigError, CorruptShardError: its weights cannot be read.
    """
    import torch
    from safetensors.torch import load_file

    told = _read(folder, "config.json", dict)
    name = str(told.get("activation_function") or "torch.nn.modules.linear.Identity").rpartition(".")[2]
    weights = folder / "model.safetensors"
    if name not in ACTIVATIONS or not weights.is_file():
        raise _refused(folder, f"activation {name}" if name not in ACTIVATIONS else "no model.safetensors")
    with loading(folder):
        state = {key.removeprefix("linear."): value.float() for key, value in load_file(weights).items()}
        rows, columns = state["weight"].shape if "weight" in state else (1, 1)
        layer = torch.nn.Linear(columns, rows, bias="bias" in state)
        layer.load_state_dict(state)
    return torch.nn.Sequential(layer, getattr(torch.nn, name)()).eval().requires_grad_(False).to(device)


def _module(folder: Path, n: int, module: Any) -> tuple[str, str]:
    kind, path = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(path, str) or (path and not may_travel(f"{path}/config.json")):
        raise _refused(folder, f"entry {n + 1} of {MODULES}")
    return kind.rpartition(".")[2], path.rstrip("/")


def _modes(folder: Path, name: str) -> tuple[str, ...]:
    told = _read(folder, name, dict)
    named = told.pop("pooling_mode", None)
    found = {named} if isinstance(named, str) else set(named or ()) if isinstance(named, list | tuple) else set()
    found |= {FLAGS.get(key, key) for key, value in told.items() if key not in SIZES and value}
    unknown = sorted(str(mode) for mode in found if mode not in ORDER)
    if unknown or not found:
        raise _refused(folder, f"pooling {', '.join(unknown) or 'of no kind'} in {name}")
    return tuple(mode for mode in ORDER if mode in found)


def _prompt(folder: Path) -> str:
    name = "config_sentence_transformers.json"
    usual = _read(folder, name, dict).get("default_prompt_name") if (folder / name).is_file() else None
    return f" Its default prompt ({usual}) is not put before the sentences." if usual else ""


def _read(folder: Path, name: str, kind: type) -> Any:
    try:
        found = read_json(folder / name)
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        raise _refused(folder, f"no readable {name}")
    return found


def _refused(folder: Path, got: str) -> TaskMismatchError:
    return TaskMismatchError(
        f"Model {folder}",
        got=got,
        wanted=f"a Transformer, Pooling ({', '.join(ORDER)}), then Dense or Normalize, as sentence-transformers "
        "writes them",
        remedy="Embeddings of other kinds are not measured: prune without evaluation data.",
    )
