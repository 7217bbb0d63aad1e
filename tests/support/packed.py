"""Checkpoints as libraries of quantisation write them, made from plain ones; and GGUF files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

State = dict[str, torch.Tensor]
FP8 = torch.float8_e4m3fn
LARGEST = 448.0  # of F8_E4M3


def save_packed(source: Path, folder: Path, form: str) -> Path:
    """A copy of a saved model with its projections packed as ``form`` of `FORMS`, config.json included."""
    change, settings = FORMS[form]
    folder.mkdir(parents=True, exist_ok=True)
    state: State = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        packed = name.endswith("_proj.weight")
        state |= change(name.removesuffix(".weight"), tensor) if packed else {name: tensor.to(torch.bfloat16)}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    config = json.loads((source / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    for file in source.glob("tokenizer*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _integers(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.randint(0, 100, shape, dtype=dtype)


def _gptq(layer: str, w: torch.Tensor) -> State:
    rows, cols = w.shape
    return _awq(layer, w) | {f"{layer}.g_idx": _integers(cols), f"{layer}.qweight": _integers(cols // 8, rows)}


def _awq(layer: str, w: torch.Tensor) -> State:
    rows, cols = w.shape
    return {
        f"{layer}.qweight": _integers(cols, rows // 8),
        f"{layer}.qzeros": _integers(cols // 16, rows // 8),
        f"{layer}.scales": torch.rand(cols // 16, rows).half(),
    }


def _nf4(layer: str, w: torch.Tensor) -> State:
    return {
        f"{layer}.weight": _integers(w.numel() // 2, 1, dtype=torch.uint8),
        f"{layer}.weight.absmax": torch.rand(w.numel() // 64 + 1),
        f"{layer}.weight.quant_map": torch.rand(16),
        f"{layer}.weight.quant_state.bitsandbytes__nf4": _integers(80, dtype=torch.uint8),
    }


def _int4(layer: str, w: torch.Tensor) -> State:
    return {
        f"{layer}.weight_packed": _integers(w.shape[0], w.shape[1] // 8),
        f"{layer}.weight_scale": torch.rand(w.shape[0], 1).half(),
        f"{layer}.weight_shape": torch.tensor(w.shape),
    }


def _mxfp4(layer: str, w: torch.Tensor) -> State:
    return {
        f"{layer}_blocks": _integers(w.shape[0], w.shape[1] // 16, 16, dtype=torch.uint8),
        f"{layer}_scales": _integers(w.shape[0], w.shape[1] // 16, dtype=torch.uint8),
    }


def _nvfp4(layer: str, w: torch.Tensor) -> State:
    return {
        f"{layer}.weight": _integers(w.shape[0], w.shape[1] // 2, dtype=torch.uint8),
        f"{layer}.weight_scale": torch.rand(w.shape[0], w.shape[1] // 16).to(FP8),
        f"{layer}.weight_scale_2": torch.rand(()),
        f"{layer}.input_scale": torch.rand(()),
    }


def _mlx(layer: str, w: torch.Tensor) -> State:
    return {
        f"{layer}.weight": _integers(w.shape[0], w.shape[1] // 8).to(torch.uint32),
        f"{layer}.scales": torch.rand(w.shape[0], w.shape[1] // 16).half(),
        f"{layer}.biases": torch.rand(w.shape[0], w.shape[1] // 16).half(),
    }


def _quanto(layer: str, w: torch.Tensor) -> State:
    return {f"{layer}.weight._data": w.to(torch.int8), f"{layer}.weight._scale": torch.rand(w.shape[0], 1)}


def _hqq(layer: str, w: torch.Tensor) -> State:
    return {f"{layer}.W_q": _integers(*w.shape, dtype=torch.uint8), f"{layer}.scale": torch.rand(w.shape[0], 1)}


def _bare(layer: str, w: torch.Tensor) -> State:
    return {f"{layer}.weight": w.to(FP8)}


def _by(scale: torch.Tensor, spread: torch.Tensor, layer: str, w: torch.Tensor, name: str) -> State:
    """fp8: numbers of at most 448 in size, and the scales that give the weights back."""
    return {f"{layer}.weight": (w / spread).to(FP8), f"{layer}.{name}": scale}


def _tensorwise(layer: str, w: torch.Tensor) -> State:
    scale = w.abs().max() / LARGEST
    return _by(scale.reshape(()), scale, layer, w, "weight_scale") | {f"{layer}.input_scale": torch.tensor(0.5)}


def _rowwise(layer: str, w: torch.Tensor) -> State:
    scale = w.abs().amax(1, keepdim=True) / LARGEST
    return _by(scale.bfloat16(), scale.bfloat16().float(), layer, w, "weight_scale")


def _blockwise(layer: str, w: torch.Tensor) -> State:
    rows, cols = (-(-size // 20) for size in w.shape)  # 20 divides neither 32 nor 48
    scale = torch.rand(rows, cols) + 0.5
    spread = scale.repeat_interleave(20, 0).repeat_interleave(20, 1)[: w.shape[0], : w.shape[1]]
    return _by(scale, spread, layer, w, "weight_scale_inv")


def _powers(layer: str, w: torch.Tensor) -> State:
    """Blocks whose scales are powers of two, stored as their exponents."""
    found = _blockwise(layer, w)
    scale = (2.0 ** torch.randint(-3, 4, found[f"{layer}.weight_scale_inv"].shape)).to(torch.float8_e8m0fnu)
    return found | {f"{layer}.weight_scale_inv": scale}


def _groupwise(layer: str, w: torch.Tensor) -> State:
    scale = torch.rand(w.shape[0], w.shape[1] // 16) + 0.5
    return _by(scale, scale.repeat_interleave(16, 1), layer, w, "weight_scale")


def _int8(layer: str, w: torch.Tensor) -> State:
    most = w.abs().amax(1)
    numbers = (w / most[:, None] * 127).round().to(torch.int8)
    return {f"{layer}.weight": numbers, f"{layer}.SCB": most, f"{layer}.weight_format": torch.tensor(0).byte()}


def _method(name: str, **more: Any) -> dict[str, Any]:
    return {"quantization_config": {"quant_method": name, **more}}


Form = tuple[Callable[[str, torch.Tensor], State], dict[str, Any]]
_TENSORS = {"config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}}}}
_GROUPS = {"config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float", "group_size": 16}}}}
REFUSED: dict[str, tuple[Form, str]] = {
    "gptq": ((_gptq, _method("gptq", bits=4)), "GPTQ"),
    "gptq, config silent": ((_gptq, {}), "GPTQ"),
    "awq": ((_awq, _method("awq", bits=4)), "AWQ"),
    "awq, config silent": ((_awq, {}), "GPTQ or AWQ"),
    "bitsandbytes": ((_nf4, _method("bitsandbytes", load_in_4bit=True)), "bitsandbytes"),
    "bitsandbytes, config silent": ((_nf4, {}), "bitsandbytes"),
    "compressed-tensors": ((_int4, _method("compressed-tensors", format="pack-quantized")), "compressed-tensors"),
    "compressed-tensors, config silent": ((_int4, {}), "compressed-tensors"),
    "mxfp4": ((_mxfp4, _method("mxfp4")), "MXFP4"),
    "mxfp4, config silent": ((_mxfp4, {}), "MXFP4"),
    "nvfp4": ((_nvfp4, _method("modelopt")), "modelopt"),
    "nvfp4, config silent": ((_nvfp4, {}), "ModelOpt NVFP4"),
    "mlx": ((_mlx, {"quantization": {"group_size": 16, "bits": 4}}), "mlx"),
    "mlx, config silent": ((_mlx, {}), "MLX"),
    "quanto": ((_quanto, {}), "quanto"),
    "hqq": ((_hqq, {}), "HQQ"),
    "fp8 without scales": ((_bare, _method("fp8")), "fp8"),
    "fp8 without scales, config silent": ((_bare, {}), "F8_E4M3 numbers"),
    "fp8 whose blocks nobody names": ((_blockwise, _method("fp8")), "fp8"),
}
UNPACKED: dict[str, Form] = {
    "fp8 by tensor": (_tensorwise, _method("compressed-tensors", **_TENSORS)),
    "fp8 by row": (_rowwise, _method("fbgemm_fp8")),
    "fp8 by row, config silent": (_rowwise, {}),
    "fp8 by block": (_blockwise, _method("fp8", weight_block_size=[20, 20])),
    "fp8 by block, powers of two": (_powers, _method("fp8", weight_block_size=[20, 20])),
    "fp8 by group": (_groupwise, _method("compressed-tensors", **_GROUPS)),
    "int8 with SCB": (_int8, _method("bitsandbytes", load_in_8bit=True)),
}
FORMS: dict[str, Form] = {name: form for name, (form, _) in REFUSED.items()} | UNPACKED


def meant(state: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    """What a packed weight of `UNPACKED` stands for, in float64, entry by entry."""
    layer = name.removesuffix(".weight")
    numbers = state[name].double() if state[name].dtype == torch.int8 else state[name].float().double()
    if f"{layer}.SCB" in state:
        return numbers * (state[f"{layer}.SCB"].double() / 127)[:, None]
    scale = state.get(f"{layer}.weight_scale", state.get(f"{layer}.weight_scale_inv")).float().double()
    if scale.numel() == 1:
        return numbers * scale.reshape(())
    found = numbers.clone()
    block = 20 if f"{layer}.weight_scale_inv" in state else 16
    for row in range(numbers.shape[0]):
        for col in range(numbers.shape[1]):
            at = (row // block, col // block) if block == 20 else (row, col // block if scale.shape[1] > 1 else 0)
            found[row, col] *= scale[at]
    return found


def write_gguf(
    path: Path,
    model: transformers.LlamaForCausalLM,
    kind: str = "F32",
    facts: Mapping[str, int | float | str] | None = None,
    extra: Mapping[str, np.ndarray[Any, Any]] | None = None,
    words: bool = True,
) -> dict[str, np.ndarray[Any, Any]]:
    """A LLaMA as llama.cpp writes it: its names, and rows of q and k in its order. Returns what each tensor means.

    Args:
        kind: how matrices are packed.
        facts: more numbers and words that it states of itself.
        extra: more tensors.
        words: whether it holds a tokenizer, of GPT-2's kind.
    """
    config, packed = model.config, gguf.GGMLQuantizationType[kind]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    if words:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("smollm")
        writer.add_token_list([*(f"w{i}" for i in range(config.vocab_size - 5)), "a", "b", "ab", "1", "2"])
        writer.add_token_types([1] * config.vocab_size)
        writer.add_token_merges(["a b"])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
    for name, value in (facts or {}).items():  # last: they replace what was said before
        {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)](name, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    means = {}
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
        if ".q_proj." in name or ".k_proj." in name:  # halves of a head to pairs
            values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        raw = gguf.quantize(values, packed) if values.ndim > 1 else values
        means[name] = gguf.dequantize(raw, packed) if values.ndim > 1 else values
        kept = {"raw_dtype": packed} if values.ndim > 1 and kind not in ("F32", "F16") else {}
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(raw), **kept)
    for name, values in (extra or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return means
