"""GGUF: the way on is named, damaged files are told, and what is converted computes what the file says."""

from __future__ import annotations

import shlex
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers

from kencore.checkpoint.convert import convert
from kencore.checkpoint.gguf import TYPES, read_gguf
from kencore.checkpoint.source import resolve
from kencore.errors import GgufError, MissingExtraError, NoSafetensorsError
from tests.support.packed import write_gguf

Llama = transformers.LlamaForCausalLM


@pytest.fixture(scope="module")
def llama() -> Llama:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=99, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=40,
    )  # fmt: skip
    model = Llama(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3) if parameter.dim() > 1 else parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def logits(model: Llama) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=torch.arange(30)[None]).logits
    return found


def reload(folder: Path) -> Llama:
    model: Llama = Llama.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False)
    return model.eval()


def test_the_types_are_those_of_the_library() -> None:
    for kind, sizes in gguf.GGML_QUANT_SIZES.items():
        if int(kind) in TYPES:
            assert TYPES[int(kind)] == (kind.name, *sizes)
    assert {"Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K", "IQ4_XS", "BF16", "MXFP4"} <= {
        name for name, _, _ in TYPES.values()
    }


def test_the_same_model_comes_out(llama: Llama, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", llama)
    facts = convert(str(tmp_path / "m.gguf"), tmp_path / "out")
    assert torch.equal(logits(reload(tmp_path / "out")), logits(llama))
    assert (facts["unpacked"], facts["rounded"]) == (0, 0)
    resolve(str(tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"tokenizer.json", "README.md", "config.json"}
    text = transformers.AutoTokenizer.from_pretrained(tmp_path / "out", trust_remote_code=False)
    assert text.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a 12")[-2:] == [("1", (2, 3)), ("2", (3, 4))]


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "F16"])
def test_packed_values_are_the_library_s(llama: Llama, tmp_path: Path, kind: str) -> None:
    means = write_gguf(tmp_path / "m.gguf", llama, kind)
    convert(str(tmp_path), tmp_path / "out")  # a folder that holds it alone
    found = reload(tmp_path / "out").state_dict()
    for name, values in means.items():
        heads = 4 if ".q_proj." in name else 2
        if ".q_proj." in name or ".k_proj." in name:  # pairs to halves of a head
            values = values.reshape(heads, -1, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        assert np.array_equal(found[name].numpy(), values), name


def test_a_narrower_dtype_says_what_it_rounded(llama: Llama, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", llama, words=False)
    facts = convert(str(tmp_path / "m.gguf"), tmp_path / "out", dtype="bfloat16")
    found = reload(tmp_path / "out")
    for name, tensor in llama.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor.bfloat16().float()), name
    assert 0 < facts["largest_change"] < 2**-8
    assert any("no tokenizer" in note for note in facts["notes"])
    assert found.config.dtype in (torch.bfloat16, torch.float32)


@pytest.mark.parametrize(
    ("facts", "extra", "said"),
    [
        ({"llama.rope.scaling.type": "yarn"}, {}, "llama.rope.scaling.type = yarn"),
        ({"llama.rope.scaling.factor": 8.0}, {}, "llama.rope.scaling.factor = 8"),
        ({"llama.attention.sliding_window": 17}, {}, "sliding_window = 17"),
        ({"llama.logit_scale": 0.25}, {}, "logit_scale = 0.25"),
        ({"llama.expert_count": 8}, {}, "expert_count = 8"),
        ({}, {"rope_freqs.weight": np.ones(8, np.float32)}, "rope_freqs"),
        ({}, {"blk.0.extra.weight": np.ones((4, 4), np.float32)}, "weights where LlamaForCausalLM has"),
        ({"llama.embedding_length": 128}, {}, "weights where LlamaForCausalLM has"),
    ],
)
def test_what_transformers_would_leave_out_is_refused(
    llama: Llama, tmp_path: Path, facts: dict[str, float | str], extra: dict[str, np.ndarray], said: str
) -> None:
    write_gguf(tmp_path / "m.gguf", llama, facts=facts, extra=extra, words=False)
    with pytest.raises(GgufError, match=said):
        convert(str(tmp_path / "m.gguf"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_that_cannot_be_read_is_said(llama: Llama, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", llama, facts={"tokenizer.ggml.model": "nosuch"})
    facts = convert(str(tmp_path / "m.gguf"), tmp_path / "out")
    assert any("put the model's own beside" in note for note in facts["notes"])
    assert torch.equal(logits(reload(tmp_path / "out")), logits(llama))


@pytest.mark.parametrize("architecture", ["", "nosuch", "clip"])
def test_an_architecture_that_is_not_known(tmp_path: Path, architecture: str) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", architecture)
    writer.add_tensor("token_embd.weight", np.ones((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(GgufError, match="GGUF of"):
        convert(str(tmp_path / "m.gguf"), tmp_path / "out")


def _header(tensors: int = 0, facts: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, facts)


def _text(word: bytes) -> bytes:
    return struct.pack("<Q", len(word)) + word


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes"),
        (b"GGUF" + bytes(100), "version 0"),
        (b"GGUF" + bytes(range(256)), "version"),
        (b"no gguf at all, but long enough", "does not begin with GGUF"),
        (_header(version=1), "version 1"),
        (_header(tensors=1 << 60), "tensors announced"),
        (_header(facts=1 << 60), "facts announced"),
        (_header(facts=1) + struct.pack("<Q", 1 << 62) + bytes(40), "letters announced"),
        (_header(facts=1) + _text(b"a") + struct.pack("<IIQ", 9, 4, 1 << 50) + bytes(9), "numbers in a list announced"),
        (_header(facts=1) + _text(b"a") + struct.pack("<IIQ", 9, 8, 1 << 50) + bytes(9), "words in a list announced"),
        (_header(facts=1) + _text(b"a") + struct.pack("<IIQ", 9, 9, 1) + bytes(9), "list of type 9"),
        (_header(facts=1) + _text(b"a") + struct.pack("<I", 77) + bytes(9), "fact of type 77"),
        (_header(facts=2) + 2 * (_text(b"a") + struct.pack("<IB", 0, 1)) + bytes(9), "'a' twice"),
        (_header(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 8, 99, 0) + bytes(64), "of type 99"),
        (_header(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 8, 2, 0) + bytes(64), "whole blocks of 32"),
        (_header(tensors=1) + _text(b"t") + struct.pack("<IQIQ", 1, 1 << 40, 0, 0) + bytes(64), "cut off inside"),
    ],
)
def test_damaged_files_are_told(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(GgufError, match=said):
        read_gguf(path)
    with pytest.raises(GgufError, match=said):
        convert(str(path), tmp_path / "out")
    with pytest.raises(NoSafetensorsError, match="python -m kencore convert"):
        resolve(str(path))


def test_a_file_that_is_cut_off_anywhere_is_refused(llama: Llama, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m.gguf", llama, "Q8_0")
    whole = (tmp_path / "m.gguf").read_bytes()
    read_gguf(tmp_path / "m.gguf")
    for length in [*range(0, 4000, 97), len(whole) - 64]:
        (tmp_path / "cut.gguf").write_bytes(whole[:length])
        with pytest.raises(GgufError):
            read_gguf(tmp_path / "cut.gguf")


def test_the_command_that_is_named_is_the_one_that_works(llama: Llama, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    write_gguf(folder / "m.Q8_0.gguf", llama, "Q8_0", words=False)
    for given in (folder, folder / "m.Q8_0.gguf"):
        with pytest.raises(NoSafetensorsError, match="packed as Q8_0, F32") as caught:
            resolve(str(given))
        command = shlex.split(caught.value.remedy.partition(": ")[2])
        assert command[:4] == ["python", "-m", "kencore", "convert"]
        assert command[4:] == [str(folder / "m.Q8_0.gguf"), "FOLDER"]
    convert(command[4], tmp_path / "out")


def test_parts_several_files_and_safetensors_beside(llama: Llama, tmp_path: Path) -> None:
    for part in ("00001", "00002"):
        write_gguf(tmp_path / f"m-{part}-of-00002.gguf", llama, words=False)
    for given in (tmp_path, tmp_path / "m-00001-of-00002.gguf"):
        with pytest.raises(GgufError, match="one of 2 parts of a GGUF model"):
            convert(str(given), tmp_path / "out")
    two = tmp_path / "two"
    two.mkdir()
    for name in ("a.gguf", "b.gguf"):
        write_gguf(two / name, llama, words=False)
    with pytest.raises(NoSafetensorsError, match="Convert one of them"):
        resolve(str(two))
    with pytest.raises(NoSafetensorsError, match="2 GGUF files"):
        convert(str(two), tmp_path / "out")
    llama.save_pretrained(two)  # safetensors are taken where there are any
    assert resolve(str(two)).folder == two


def test_a_name_that_ends_in_gguf_is_no_hub_id() -> None:
    with pytest.raises(Exception, match="no such folder") as caught:
        resolve("nowhere.gguf")
    assert "hub could not be read" not in str(caught.value)


def test_without_the_libraries_the_command_that_installs_them(
    llama: Llama, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(tmp_path / "m.gguf", llama, words=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install gguf accelerate"):
        convert(str(tmp_path / "m.gguf"), tmp_path / "out")
