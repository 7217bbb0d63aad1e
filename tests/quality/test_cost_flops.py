"""Counted operations against sums worked by hand, and against hooks on every linear layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from kencore.models.language import LanguageModel
from kencore.quality.cost_flops import count_flops, count_without_weights, kept_shares
from tests.support.classifiers import save_tokenizer
from tests.support.tiny_models import BLOCKS, HIDDEN, INNER, VOCABULARY, build, save_pair

TOKENS = 10
ATTENTION = 2 * 2 * TOKENS * TOKENS * HIDDEN  # scores, and values weighted by them: all heads
SQUARE = 2 * TOKENS * HIDDEN * HIDDEN
WIDE = 2 * TOKENS * HIDDEN * INNER


def inputs(batch: int = 1) -> dict[str, torch.Tensor]:
    ids = torch.randint(3, VOCABULARY, (batch, TOKENS), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids}


def by_hooks(model: torch.nn.Module, given: dict[str, torch.Tensor]) -> dict[str, int]:
    """Two operations for each weight of a linear layer and each vector that it is given."""
    found: dict[str, int] = {}
    names = {id(p): name for name, p in model.named_parameters()}

    def count(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        weight = module.weight
        vectors = args[0].numel() // args[0].shape[-1]
        name = names[id(weight)]
        found[name] = found.get(name, 0) + 2 * vectors * weight.numel()

    linears = [m for m in model.modules() if isinstance(m, (torch.nn.Linear, Conv1D))]
    handles = [module.register_forward_pre_hook(count) for module in linears]
    with torch.no_grad():
        model(**given)
    for handle in handles:
        handle.remove()
    return found


# --- by hand ----------------------------------------------------------------------------------


def test_an_encoder() -> None:
    pooler, head = 2 * HIDDEN * HIDDEN, 2 * HIDDEN * 2  # of the first token alone
    wanted = BLOCKS * (4 * SQUARE + 2 * WIDE + ATTENTION) + pooler + head
    assert count_flops(build("bert"), inputs()).total == wanted


def test_a_language_model_with_fewer_keys_than_queries() -> None:
    # q and o of 4 heads, k and v of 2; gate, up and down; the head
    block = 3 * SQUARE + 3 * WIDE + ATTENTION
    wanted = BLOCKS * block + 2 * TOKENS * HIDDEN * VOCABULARY
    assert count_flops(build("llama"), inputs()).total == wanted
    assert count_flops(build("llama"), inputs(batch=3)).total == 3 * wanted


def test_experts_count_where_a_token_is_sent() -> None:
    router, experts = 2 * TOKENS * HIDDEN * 3, 2 * 3 * WIDE  # two of three experts for each token
    block = 3 * SQUARE + ATTENTION + router + experts
    model = build("mixtral")
    found = count_flops(model, inputs())
    assert found.total == BLOCKS * block + 2 * TOKENS * HIDDEN * VOCABULARY
    # gate and up lie in one matrix
    assert found.by_parameter["model.layers.0.mlp.experts.gate_up_proj"] == 2 * 2 * WIDE
    assert found.by_parameter["model.layers.0.mlp.experts.down_proj"] == 2 * WIDE
    assert model.config._experts_implementation == "grouped_mm"


def test_a_block_that_is_used_twice_counts_twice() -> None:
    found = count_flops(build("albert"), inputs()).by_parameter
    query = next(name for name in found if name.endswith("query.weight"))
    assert found[query] == BLOCKS * SQUARE


def test_a_table_that_is_the_head_too_counts_as_the_head() -> None:
    found = count_flops(build("qwen3"), inputs()).by_parameter
    assert found["model.embed_tokens.weight"] == 2 * TOKENS * HIDDEN * VOCABULARY


# --- against hooks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "bert",
        "roberta",
        "distilbert",
        "deberta-v2",
        "electra",
        "modernbert",
        "albert",
        "llama",
        "qwen3",
        "phi",
        "opt",
        "gpt2",
        "gptj",
        "gpt_neox",
        "bloom",
        "falcon",
        "gemma2",
    ],
)
def test_every_matrix_has_its_own_operations(kind: str) -> None:
    model = build(kind)
    found, wanted = count_flops(model, inputs()), by_hooks(model, inputs())
    assert {name: n for name, n in found.by_parameter.items() if n} == wanted
    assert found.total > sum(wanted.values())  # attention's own products
    assert all(p.requires_grad for p in model.parameters())


# --- without weights --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gptj", "bloom", "bert", "deberta-v2", "albert"])
def test_a_pass_need_not_be_run_to_be_counted(kind: str) -> None:
    model = build(kind)
    given = inputs() | {"attention_mask": torch.ones_like(inputs()["input_ids"])}
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))  # nobody may look
    assert count_without_weights(model, given | {"use_cache": False}) == count_flops(model, given)
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


def test_where_values_decide_the_pass_has_to_be_run() -> None:
    assert count_without_weights(build("mixtral"), inputs()) is None


# --- what pruning spares ----------------------------------------------------------------------


def test_kept_shares_take_their_operations_away() -> None:
    found = count_flops(build("llama"), inputs())
    name = "model.layers.1.mlp.down_proj.weight"
    assert found.with_kept({}) == found.total
    assert found.with_kept({name: 0.25}) == found.total - WIDE * 3 // 4
    assert found.with_kept({"model.norm.weight": 0.0}) == found.total  # multiplies no vectors


def test_shares_of_experts_are_those_of_their_stack(tmp_path: Path) -> None:
    _, tuned = save_pair("mixtral", tmp_path)
    save_tokenizer(tuned)
    model = LanguageModel.load(tuned)
    size = HIDDEN * INNER
    kept = {f"model.layers.0.block_sparse_moe.experts.{e}.w1.weight": (0, size) for e in (0, 1)}
    shares = kept_shares(model, kept | {"lm_head.weight": (VOCABULARY, VOCABULARY * HIDDEN)})
    # six matrices lie in the stack, gate and up of three experts
    assert shares["model.layers.0.mlp.experts.gate_up_proj"] == pytest.approx(4 / 6)
    assert shares["lm_head.weight"] == pytest.approx(1 / HIDDEN)
