"""Loading a language model whose names on disk are those of its parameters, without looking for conversions.

transformers compiles every conversion of every architecture before it loads one. A model of `kencore.checkpoint.plain`
needs none.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from kencore.checkpoint.as_torch import mapped
from kencore.checkpoint.tensors import FLOATS

if TYPE_CHECKING:
    import torch

    from kencore.checkpoint.skeleton import Skeleton
    from kencore.checkpoint.tensors import Tensors


def loads_plainly(skeleton: Skeleton, tensors: Tensors) -> bool:
    """Whether a checkpoint holds every parameter of a plain model, of its shape, tied ones once, and nothing else."""
    wanted = {name: shape for name, shape in skeleton.shapes.items() if name not in skeleton.ties}
    found = {name: tensors.info(name).shape for name in tensors.stored}
    return skeleton.plain and found == wanted and all(tensors.info(name).dtype in FLOATS for name in found)


def load_plainly(kind: Any, config: Any, tensors: Tensors, dtype: torch.dtype) -> Any:
    """The model that ``kind.from_pretrained`` would give, in evaluation mode.

    Args:
        kind: the model's class.
        tensors: with which `loads_plainly`.
        dtype: of the weights; where it is the file's, they are the file's pages until they are changed.
    """
    import torch
    from transformers.initialization import no_init_weights

    config = copy.deepcopy(config)
    with no_init_weights(), torch.no_grad():
        model = kind._from_config(config, dtype=dtype)
        state = {name: mapped(tensors, name).to(dtype) for name in tensors.stored}
        model.load_state_dict(state, strict=False, assign=True)  # a tied one has its other's name alone
        model.tie_weights()
    return model.eval()
