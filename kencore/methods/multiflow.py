"""MultiFlow (arXiv 2404.05621): an entry counts as much as the two neurons that it joins.

Shapes: R rows (outputs), C columns (inputs).
"""

from __future__ import annotations

import torch
from torch import Tensor

from kencore.methods.ranked import size
from kencore.methods.statistics import RunningInputs
from kencore.methods.wanda import input_norm


def multiflow(weight: Tensor, statistics: RunningInputs | None) -> Tensor:
    """|W_ij| * out_i * in_j: float32 (R, C); in half precision the product would underflow.

    out_i is the mean over inputs and in_j the mean over outputs of |W_ij| * ||x_j||.
    Arguments and errors as in `kencore.methods.wanda.wanda`.
    """
    sizes = size(weight)
    flow = sizes * input_norm(weight, statistics).reshape(1, -1)  # (R, C)
    return sizes * torch.outer(flow.mean(dim=1), flow.mean(dim=0))
