"""What a checkpoint is made of: the words for its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

ROLES = (
    "q",
    "k",
    "v",
    "qkv",
    "o",
    "up",
    "gate",
    "gate_up",
    "down",
    "router",
    "embedding",
    "norm",
    "bias",
    "pooler",
    "head",
    "other",
)
UNUSED = "not used by"  # how the reason of a tensor begins that the model does not read
BUFFER = "a buffer, not a trained weight"
PARTS = ("attention", "feed-forward", "embedding", "norm", "pooler", "head", "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One tensor of the tuned checkpoint, tied copies counted once.

    Args:
        name: as on disk.
        shape: as on disk.
        dtype: safetensors name (``F32``, ``F16``, ``BF16``, ``I64``, ...).
        rows, cols: R outputs x C inputs; a vector is one row; of a tensor with more dimensions,
            the first by the rest. ``rows * cols`` is always the number of values.
        transposed: stored as inputs x outputs (GPT-2's Conv1D): rows are the second dimension.
        block: index of its transformer block within ``stack``; ``None`` outside of the blocks.
        stack: ``"blocks"``, or ``"encoder"`` and ``"decoder"`` where there are several; ``""``
            outside of the blocks.
        role: one of `ROLES`; ``bias`` is any bias except that of a norm; ``router`` is what decides
            which experts see a token.
        part: one of `PARTS`: the bias of q has part ``attention``.
        aliases: other names of the same tensor (tied weights), on disk or only in the model.
        prunable: a vector or matrix of floats.
        reason: why it is not prunable; ``""`` if it is.
        model_name: what the model's state dict calls it; ``""`` if the model has no such tensor.
        expert: the expert of its layer that it belongs to.
        first: where the model holds it in one parameter with others (`model_name`, experts x rows x
            columns): its first row there; ``None``: it has a parameter of its own, or a place that
            is not known.
        measured: a matrix that a layer of a block multiplies its inputs by, so that these can be
            measured: what methods that look at activations prune.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rows: int
    cols: int
    transposed: bool = False
    block: int | None = None
    stack: str = ""
    role: str = "other"
    part: str = "other"
    aliases: tuple[str, ...] = ()
    prunable: bool = True
    reason: str = ""
    model_name: str = ""
    expert: int | None = None
    first: int | None = None
    measured: bool = False

    @property
    def params(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def trained(self) -> bool:
        """Whether it counts as a parameter of the model: it is read and was learned, unlike GPT-2's masks."""
        return not self.reason.startswith((UNUSED, BUFFER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The whole checkpoint, in the model's order.

    Args:
        architecture: class name from config.json, such as ``BertForSequenceClassification``.
        model_type: as in config.json.
        blocks: transformer blocks over all stacks.
        parameters: every tensor on disk once.
        stacks: blocks of each stack, by its name.
        prefix: the base model's prefix, which names of the same tensors may carry or lack.
        notes: what a person should know, in plain words.
        misfits: shapes on disk and by config.json, by name, where they differ.
    """

    architecture: str
    model_type: str
    blocks: int
    parameters: tuple[Parameter, ...]
    stacks: dict[str, int] = field(default_factory=dict)
    prefix: str = ""
    notes: tuple[str, ...] = ()
    misfits: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def prunable(self) -> tuple[Parameter, ...]:
        """The parameters that a rule can work on."""
        return tuple(parameter for parameter in self.parameters if parameter.prunable)
