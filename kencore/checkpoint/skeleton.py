"""The model that a config describes, built without weights, and how names on disk lead to it.

transformers is the authority on all of it: which modules there are, which weights are tied, and
how names of older checkpoints are renamed on loading. Nothing is run from the checkpoint:
``trust_remote_code`` stays off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.config import bad_config, known_config, line_of, read_config
from kencore.checkpoint.plain import Family, family_of, parameters
from kencore.checkpoint.quiet import quiet
from kencore.checkpoint.sizes import bounded_build, check_sizes, check_whole, on_disk
from kencore.errors import KencoreError

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

LANGUAGE_HEADS = ("ForCausalLM", "LMHeadModel")
"""How the class of a causal language model ends."""
HEAD = "ForSequenceClassification"
"""How the class of a classifier of texts ends."""
AUTO = {HEAD: "AutoModelForSequenceClassification"} | dict.fromkeys(LANGUAGE_HEADS, "AutoModelForCausalLM")
"""The class of transformers that knows such a model of every type, by how its class ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skeleton:
    """What transformers builds from a config.

    Args:
        shapes: the state dict's names and shapes, in the model's order.
        owners: class name of the module that owns each of them.
        buffers: those that are not trained.
        ties: target -> source of tied weights.
        lists: length of each outermost ``ModuleList`` with weights (the stacks of blocks), by its path.
        linear: weights of linear layers.
        turned: parameters of a layer's experts that hold each one's matrix as inputs x outputs.
        prefix: path of the base model with a dot, ``""`` if the model is the base model itself.
        loose_prefix: the prefix a checkpoint may carry or lack.
        layers: layers that are run, if the config says so.
        notes: what a person should know.
        spare: patterns of names that may be missing on disk.
    """

    architecture: str
    model_type: str
    shapes: dict[str, tuple[int, ...]]
    owners: dict[str, str]
    buffers: frozenset[str]
    ties: dict[str, str]
    lists: dict[str, int]
    linear: frozenset[str]
    turned: frozenset[str]
    prefix: str
    loose_prefix: str
    layers: int | None
    notes: tuple[str, ...]
    spare: tuple[str, ...]
    _renamings: list[Any]
    _converters: list[Any]
    _built: Callable[[], Skeleton] | None = None

    @property
    def plain(self) -> bool:
        """Whether it is known without building it: every parameter has the model's own name on disk."""
        return self._built is not None

    def rename(self, name: str) -> tuple[str | None, bool]:
        """The model's name of a tensor on disk, ``None`` if it has none, and whether several
        tensors on disk are joined into that one (or it is split or turned) on loading.
        """
        found, pattern = self.renamed(name)
        return found, pattern is not None

    def renamed(self, name: str) -> tuple[str | None, str | None]:
        """The model's name of a tensor on disk, and the pattern of the conversion that makes it."""
        if self._built is not None:
            return (name, None) if name in self.shapes else self._built().renamed(name)
        from transformers.core_model_loading import rename_source_key

        found, pattern = rename_source_key(name, self._renamings, self._converters, self.loose_prefix, self.shapes)
        if found not in self.shapes and name in self.shapes:
            found, pattern = name, None
        return (found, pattern) if found in self.shapes else (None, None)

    def targets(self, name: str) -> tuple[str, ...]:
        """Every parameter of the model that a tensor on disk becomes, or a part of one: several where it is split."""
        found, pattern = self.renamed(name)
        if found is None or pattern is None:
            return () if found is None else (found,)
        step = self.conversion(pattern)
        first = step.target_patterns[0]
        names = [found.replace(first, target) for target in step.target_patterns]
        return tuple(name for name in dict.fromkeys(names) if name in self.shapes)

    def conversion(self, pattern: str) -> Any:
        """The conversion of transformers that a pattern belongs to."""
        if self._built is not None:
            return self._built().conversion(pattern)
        return next(entry for entry in self._converters if pattern in entry.source_patterns)

    def optional(self, name: str) -> bool:
        """Whether transformers says that the model can do without a parameter on disk."""
        return any(re.search(pattern, name) for pattern in self.spare)

    def first_row(self, model_name: str, pattern: str | None, shape: tuple[int, ...]) -> int | None:
        """Where in a parameter of all experts (E, F, C) the rows of one expert's tensor on disk begin.

        Args:
            model_name, pattern: as `renamed` says.
            shape: of the expert's tensor, of one or two dimensions.

        Returns:
            ``None`` where it is not there as it is on disk, or where it is is not known. Matrices
            of one expert that are one in the model lie one above the other there, in the order of
            the patterns that find them.
        """
        inner = self.shapes[model_name][1:]
        if pattern is None:
            return 0 if inner == shape else None
        steps = self.conversion(pattern)
        done = [type(step).__name__ for step in steps.operations]
        if inner == shape and done in (["MergeModulelist"], ["Transpose"]):
            return 0  # a matrix of the right shape is not turned
        if done != ["MergeModulelist", "Concatenate"] or len(shape) != 2 or steps.operations[1].dim != 1:
            return None
        fits = (shape[0] * len(steps.source_patterns), shape[1]) == inner
        return shape[0] * int(steps.source_patterns.index(pattern)) if fits else None


def read_skeleton(folder: Path) -> Skeleton:
    """Build the model of a folder's config on the meta device: no weights, no memory.

    The most usual language models are known without building them, see `kencore.checkpoint.plain`.

    Raises:
        ConfigError: unreadable, or of a model type that this transformers does not know.
    """
    plain = read_config(folder)
    disk = on_disk(folder)
    check_sizes(folder, plain, disk)
    family = family_of(plain)
    found = _build(folder, plain) if family is None else _of_family(family, plain, folder)
    check_whole(folder, found.shapes.values(), disk)
    return found


def _of_family(family: Family, plain: dict[str, Any], folder: Path) -> Skeleton:
    """What `_build` would give, without transformers: it is asked only for a name that the model does not have."""
    found = list(parameters(family, plain))
    tied = bool(plain.get("tie_word_embeddings", False))
    return Skeleton(
        architecture=plain["architectures"][0],
        model_type=family.model_type,
        shapes={name: shape for name, shape, _ in found},
        owners={name: owner for name, _, owner in found},
        buffers=frozenset(),
        ties={"lm_head.weight": "model.embed_tokens.weight"} if tied else {},
        lists={"model.layers": plain["num_hidden_layers"]},
        linear=frozenset(name for name, shape, owner in found if owner == "Linear" and len(shape) == 2),
        turned=frozenset(),
        prefix="model.",
        loose_prefix="model",
        layers=plain["num_hidden_layers"],
        notes=(),
        spare=(),
        _renamings=[],
        _converters=[],
        _built=cache(lambda: _build(folder, plain)),
    )


def _build(folder: Path, plain: dict[str, Any]) -> Skeleton:
    with quiet():
        config = known_config(folder, plain)
        try:
            with bounded_build(folder, on_disk(folder)):
                model, notes = _model(config)
            return _describe(model, config, notes)
        except KencoreError:
            raise
        except Exception as error:  # noqa: BLE001 - a wrong config can break a constructor anywhere
            raise bad_config(
                folder,
                f"a config that no {config.model_type} can be built from ({line_of(error)})",
                "sizes that fit together",
            ) from None


def class_for(auto: Any, config: PretrainedConfig) -> tuple[Any, PretrainedConfig] | None:
    """The class of models that one of transformers' Auto classes loads for a config, and the config that it takes:
    of a larger model that a text model is part of, the text's. ``None``: there is none.
    """
    from transformers.models.auto.auto_factory import _get_model_class

    if type(config) not in auto._model_mapping:
        return None
    kind = _get_model_class(config, auto._model_mapping)
    text = config.sub_configs.get("text_config")
    return kind, config.get_text_config() if text is not None and kind.config_class == text else config


def _named_class(config: PretrainedConfig) -> tuple[Any, PretrainedConfig, tuple[str, ...]]:
    """The class that a config names, the config that it takes, and what there is to say; ``None``: no such class."""
    import transformers

    named = next(iter(config.architectures or ()), "")
    kind: Any = getattr(transformers, named, None) if named else None
    if not isinstance(kind, type) or not issubclass(kind, transformers.PreTrainedModel):
        return None, config, ()
    if getattr(kind, "config_class", None) in (None, type(config)):
        return kind, config, ()
    auto = next((auto for ending, auto in AUTO.items() if named.endswith(ending)), None)
    other = class_for(getattr(transformers, auto), config) if auto else None
    if other is None:
        return kind, config, ()
    same = other[0] is kind
    said = f"config.json names {named}, which is of another model type: read as {other[0].__name__}."
    return (*other, () if same else (said,))


def _model(config: PretrainedConfig) -> tuple[PreTrainedModel, tuple[str, ...]]:
    import torch
    import transformers

    named = next(iter(config.architectures or ()), "")
    kind, own, notes = _named_class(config)
    with torch.device("meta"):
        if kind is not None:
            return kind._from_config(own, attn_implementation="eager"), notes
        model = transformers.AutoModel.from_config(  # type: ignore[no-untyped-call]
            config, trust_remote_code=False, attn_implementation="eager"
        )
    said = f"names {named}, which transformers does not know" if named else "names no architecture"
    return model, (f"config.json {said}: read as {type(model).__name__}.",)


def _describe(model: PreTrainedModel, config: PretrainedConfig, notes: tuple[str, ...]) -> Skeleton:
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming

    transforms = get_model_conversion_mapping(model)
    state = model.state_dict()
    owners: dict[str, str] = {}
    for path, module in model.named_modules():
        own = [*module._parameters, *module._buffers]
        owners |= {f"{path}.{leaf}" if path else leaf: type(module).__name__ for leaf in own}
    inner = getattr(model, model.base_model_prefix, None) if model.base_model_prefix else None
    return Skeleton(
        architecture=type(model).__name__,
        model_type=config.model_type,
        shapes={name: tuple(tensor.shape) for name, tensor in state.items()},
        owners={name: owners[name] for name in state if name in owners},
        buffers=frozenset(name for name, _ in model.named_buffers() if name in state),
        ties=dict(model.all_tied_weights_keys),
        lists={path: len(found) for path, found in outermost_lists(model).items()},
        linear=frozenset(_linear_weights(model)),
        turned=frozenset(_turned(model, config)),
        prefix=f"{model.base_model_prefix}." if inner is not None else "",
        loose_prefix=model.base_model_prefix,
        layers=_layers(config),
        notes=notes,
        spare=tuple(model._keys_to_ignore_on_load_missing or ()),
        _renamings=[entry for entry in transforms if isinstance(entry, WeightRenaming)],
        _converters=[entry for entry in transforms if isinstance(entry, WeightConverter)],
    )


def outermost_lists(model: nn.Module) -> dict[str, nn.ModuleList]:
    """The stacks of blocks of a model by their paths: lists of modules that lie in no other such list.

    A list whose modules hold no weights holds no blocks, and neither does one of single projections or tables.
    """
    from torch.nn import Embedding, Linear, ModuleList

    lists: dict[str, nn.ModuleList] = {}
    for path, module in model.named_modules():  # parents come first
        nested = any(path.startswith(f"{outer}.") for outer in lists)
        # lists with weights of their own are no lists of blocks (weight normalisation has such)
        plain = isinstance(module, ModuleList) and not module._parameters
        single = plain and all(isinstance(item, Linear | Embedding) for item in module)
        if plain and not single and not nested and any(True for _ in module.parameters()):
            lists[path] = module
    return lists


def _linear_weights(model: PreTrainedModel) -> Iterator[str]:
    """Names of the weights that linear layers multiply their inputs by."""
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D

    return (f"{path}.weight" for path, module in model.named_modules() if isinstance(module, Linear | Conv1D))


def _turned(model: PreTrainedModel, config: PretrainedConfig) -> Iterator[str]:
    """Parameters of experts whose matrices lie as inputs x outputs: as the module says, else by the
    size of the hidden state, which is the first thing's inputs and the second one's outputs.
    """
    hidden = getattr(config.get_text_config(), "hidden_size", None)
    for path, module in model.named_modules():
        own = {leaf: tuple(value.shape) for leaf, value in module._parameters.items() if value is not None}
        stacks = {leaf: shape for leaf, shape in own.items() if len(shape) == 3}
        ends = ((stacks.get("gate_up_proj", ()), 1, 2), (stacks.get("down_proj", ()), 2, 1))
        by_size = any(shape and shape[one] == hidden != shape[other] for shape, one, other in ends)
        if getattr(module, "is_transposed", by_size):
            yield from (f"{path}.{leaf}" for leaf in stacks)


def _layers(config: PretrainedConfig) -> int | None:
    layers = getattr(config, "num_hidden_layers", None)
    return layers if isinstance(layers, int) else None
