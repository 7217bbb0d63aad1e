"""Which entries of a weight are kept: `select` for tensors, `select_rows` for numpy matrices.

Importing this is light; torch and numba are imported when a selection runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = ["select", "select_rows"]


def select(
    weight: torch.Tensor,
    k: Any,
    rule: str = "ken",
    base: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    *,
    name: str = "weight",
) -> torch.Tensor:
    """Which entries of each row are kept: a bool mask of the weight's shape, on its device.

    Exactly min(k, C) entries per row, picked by index: a tie never adds entries, the lowest
    index wins. A constant row keeps its first k. Nothing passed in is changed.

    Args:
        weight: floating tensor (R, C), or (C,) for one row. Half precision is raised to float32;
            float64 is ranked as it is by ``delta`` and ``magnitude``, rounded to float32 by
            ``ken`` and ``ken-density``.
        k: entries kept per row: a whole number, or one per row (R,) as sequence, array or tensor.
        rule: ``ken`` (as the published code works), ``ken-density`` (as the paper describes it:
            the densest values), ``delta`` (top |weight - base|), ``magnitude`` (top |weight|) or
            ``random``.
        base: the pretrained weight, same shape; needed by ``delta``.
        generator: for ``random``; torch's own when ``None``. One number is drawn per call, on
            the CPU, so that a seed gives one mask on every device.
        name: of the tensor, for messages.

    Returns:
        bool tensor (R, C) or (C,). CPU work is shared by ``torch.get_num_threads()`` threads,
        which changes no mask.

    Raises:
        ShapeError: not a floating tensor of one or two dimensions, or base or k do not fit it.
        SpecError: unknown rule, k below 1 or not whole, a missing base.
        NonFiniteWeightError: a NaN or infinity; the message names tensor and row.
    """
    from kencore.methods.tensors import select_tensor

    return select_tensor(weight, k, rule, base, generator, name)


def select_rows(
    tuned: NDArray[Any],
    base: NDArray[Any] | None,
    k: Any,
    rule: str,
    *,
    rng: np.random.Generator | None = None,
    threads: int = 1,
    name: str = "weight",
) -> NDArray[np.bool_]:
    """`select` for numpy: bool (R, C); see `kencore.methods.rows.select_rows`."""
    from kencore.methods import rows

    return rows.select_rows(tuned, base, k, rule, rng=rng, threads=threads, name=name)
