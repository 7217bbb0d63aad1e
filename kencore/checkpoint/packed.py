"""Whether a checkpoint's weights are packed (quantised), in which format, and what can be done about it.

The one place that decides: `kencore.checkpoint.source` refuses such a model wherever one is asked for, the layout
counts nothing of it as prunable, loading refuses it, and `kencore.checkpoint.convert` unpacks what can be unpacked.
Decided from config.json and, where that says nothing, from names and dtypes of the tensors.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kencore.checkpoint.gguf import COMMAND
from kencore.checkpoint.header import TensorInfo, read_header
from kencore.checkpoint.scales import BYTES, Plan, plan_scales
from kencore.checkpoint.shards import find_shards
from kencore.errors import CheckpointError, PackedWeightsError
from kencore.system.plain_json import read_json

_SCALED: Final = "numbers with scales"
# ends of names that no plain model has -> the format; what stands before "." is the layer
_MARKS: Final = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\.g_idx$", "GPTQ"),
        (r"\.(qweight|qzeros)$", "GPTQ or AWQ"),
        (r"\.(SCB|absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..+)$", "bitsandbytes"),
        (r"\.weight_(packed|shape|zero_point|g_idx|global_scale)$", "compressed-tensors"),
        (r"\.(bitmask|compressed|row_offsets)$", "compressed-tensors"),
        (r"\.weight_scale_2$", "ModelOpt NVFP4"),
        (r"_scale_inv$|\.scale_weight$", "fp8"),
        (r"\.weight_scale$", _SCALED),
        (r"\.W_q$", "HQQ"),
        (r"\.weight\._(data|scale|shift|zeropoint)$", "quanto"),
        (r"[._:](qdata|_qdata|tensor_impl.*)$", "torchao"),
        (r"\.codebooks$", "AQLM"),
        (r"\.Qidxs(_\d+)?$", "QuIP#"),
        (r"\.q_(weight|scale|scale_max|groups|group_map|invperm|perm)$", "EXL2"),
        (r"\.(trellis|suh|svh)$", "EXL3"),
    )
)
_BY_METHOD: Final = {
    "gptq": "GPTQ",
    "awq": "AWQ",
    "hqq": "HQQ",
    "mxfp4": "MXFP4",
    "gguf": "GGUF",
    "aqlm": "AQLM",
    "bitnet": "BitNet",
    "eetq": "EETQ",
    "vptq": "VPTQ",
    "spqr": "SpQR",
    "higgs": "HIGGS",
}
_UNNAMED: Final = re.compile(rf"(\w+ numbers|{_SCALED})$")  # formats that dtypes alone tell
_WHILE_RUNNING: Final = frozenset({"bitnet"})  # plain weights that mean something else when the model runs
_NARROW: Final = BYTES | {"F4", "F6_E2M3", "F6_E3M2", "F8_E8M0"}
_WHOLE: Final = frozenset({"I8", "U8", "I16", "U16", "I32", "U32"})
_WEIGHT: Final = re.compile(r"(^|[._])(weight|gate_up_proj|down_proj|up_proj|gate_proj)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What is packed in a checkpoint.

    Args:
        format: its name, for people.
        announced: the method that config.json names; ``""`` where it says nothing.
        layers: modules that hold packed weights; none where config.json alone says that there are.
        plan: how they become plain.
    """

    format: str
    announced: str
    layers: frozenset[str]
    plan: Plan

    def holds(self, name: str) -> bool:
        """Whether a tensor belongs to a packed layer."""
        return any(layer in self.layers for layer in _above(name))

    @property
    def note(self) -> str:
        """One sentence for a list of notes; nothing where dtypes say all there is to say."""
        named = self.announced or ("" if _UNNAMED.match(self.format) else self.format)
        return f"Quantised ({named}): packed weights cannot be pruned." if named else ""

    def remedy(self, subject: str) -> str:
        """What to do about it."""
        if self.plan.problem:
            return f"Pass the model that it was quantised from ({self.plan.problem}, so it cannot be unpacked here)."
        command = f"{COMMAND} {shlex.quote(subject)} FOLDER"
        return f"{'Unpack it' if self.layers else 'Write it without that entry'}: {command}"

    def error(self, subject: str) -> PackedWeightsError:
        """The refusal."""
        if self.layers:
            got, wanted = f"weights packed as {self.format}", "plain weights: a packed number alone means nothing"
        else:
            got, wanted = f"plain weights, but a config.json that says {self.format}", "one that fits the weights"
        return PackedWeightsError(subject, got=got, wanted=wanted, remedy=self.remedy(subject))


def refuse_packed(subject: str, folder: Path, *, named: bool = False) -> None:
    """Raise unless the weights of a folder are plain. What cannot be read at all is left to those who read it.

    Args:
        named: only for a format that has a name or scales, not for narrow numbers that stand alone.

    Raises:
        PackedWeightsError: they are packed: which format, and what to do.
    """
    try:
        found = packed_in(folder)
    except (CheckpointError, OSError):
        return
    if found is not None and (found.note or not named):
        raise found.error(subject)


def packed_in(folder: Path) -> Packed | None:
    """What is packed in a folder; ``None`` where all is plain. Reads config.json and headers alone."""
    infos = [info for path in find_shards(folder).files.values() for info in read_header(path)]
    return find_packed(infos, settings_in(folder))


def settings_in(folder: Path) -> dict[str, Any]:
    """What the files beside the weights say of a quantisation; empty where they say nothing."""
    config = _json(folder / "config.json")
    inner = config.get("text_config")
    for holder in (config, inner if isinstance(inner, dict) else {}):
        for key in ("quantization_config", "compression_config", "quantization"):
            said = holder.get(key)
            if isinstance(said, dict) and said:
                return {"quant_method": _usual(key), **said}
            if said:
                return {"quant_method": str(said)}
    own = _json(folder / "hf_quant_config.json").get("quantization")
    if isinstance(own, dict) and own:
        return {"quant_method": f"modelopt {own.get('quant_algo', '')}".strip()} | own
    return {}


def find_packed(infos: Iterable[TensorInfo], settings: Mapping[str, Any]) -> Packed | None:
    """What is packed among tensors, given what config.json says of it."""
    known = {info.name: info for info in infos}
    hits = list(_hits(known))
    if not hits and not settings:
        return None
    announced = str(settings.get("quant_method") or "method unknown") if settings else ""
    return Packed(
        format=_format({word for _, word in hits}, announced),
        announced=announced,
        layers=frozenset(layer for layer, _ in hits),
        plan=_plan(known, settings),
    )


def _format(names: set[str], announced: str) -> str:
    if announced and announced != "method unknown":
        return _BY_METHOD.get(announced.lower(), announced)
    if "GPTQ" in names:
        return "GPTQ"
    strong = sorted(name for name in names if not _UNNAMED.match(name))
    if strong or _SCALED not in names:
        return " and ".join(strong or sorted(names)) or "a quantisation that it does not name"
    return f"{' and '.join(sorted(names - {_SCALED}))} with scales" if len(names) > 1 else _SCALED


def _plan(infos: Mapping[str, TensorInfo], settings: Mapping[str, Any]) -> Plan:
    plan = plan_scales(infos, settings)
    if plan.problem:
        return plan
    if not plan.scaled and str(settings.get("quant_method")).lower() in _WHILE_RUNNING:
        return Plan(problem="its layers quantise plain weights as they run")
    rest = {name: info for name, info in infos.items() if name not in plan.scaled and name not in plan.dropped}
    layer = next((layer for layer, _ in _hits(rest)), None)
    return plan if layer is None else Plan(problem=f"{layer or 'it'} is more than 8-bit numbers and their scales")


def _hits(infos: Mapping[str, TensorInfo]) -> Iterator[tuple[str, str]]:
    """Layers that hold something packed, with the format that its names or dtypes tell."""
    for name, info in infos.items():
        marked = next(((found, word) for pattern, word in _MARKS if (found := pattern.search(name))), None)
        if marked is not None:
            stem = name[: marked[0].start()]
            dotted = name[len(stem)] == "."
            yield (stem.removesuffix(".weight") if dotted else _module(stem)), marked[1]
        elif (word := _by_dtype(info, infos)) is not None:
            yield _module(name), word


def _by_dtype(info: TensorInfo, infos: Mapping[str, TensorInfo]) -> str | None:
    """The format that a tensor's dtype and what lies beside it tell."""
    whole = info.dtype in _WHOLE and len(info.shape) > 1
    if info.dtype == "U8" and info.name.endswith("_blocks") and f"{info.name[:-7]}_scales" in infos:
        return "MXFP4"
    if whole and f"{_module(info.name)}.biases" in infos:
        return "MLX"
    weight = len(info.shape) > 1 or _WEIGHT.search(info.name)  # a vector of another name is passed on as it is
    narrow = info.dtype in _NARROW - {"I8"} and info.shape and weight
    return f"{info.dtype} numbers" if narrow or (whole and _WEIGHT.search(info.name)) else None


def _module(name: str) -> str:
    return name.rpartition(".")[0]


def _above(name: str) -> Iterator[str]:
    """A name and all modules around it."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _usual(key: str) -> str:
    return {"compression_config": "compressed-tensors", "quantization": "mlx"}.get(key, "method unknown")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
