"""Whether a model holds what a run's export would hold: asked after every measurement of a pruned model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kencore.checkpoint.as_torch import to_torch
from kencore.errors import OtherStateError
from kencore.models.fingerprint import Hashes, hashes_of, hashes_to_be
from kencore.runs.restore import stored_chunks

if TYPE_CHECKING:
    import torch

    from kencore.models.loaded import LoadedModel
    from kencore.runs.run import Run


def exported_hashes(model: LoadedModel, run: Run) -> Hashes:
    """What the model's parameters would hash to if it were loaded from the run's export."""

    def read(name: str) -> torch.Tensor:
        chunks = list(stored_chunks(run, name))
        whole = np.concatenate(chunks) if chunks[0].ndim else chunks[0]
        run.release()
        return to_torch(whole, run.tuned_tensors.info(name))

    found = hashes_to_be(model, read)
    run.release()
    return found


def differing(measured: Hashes, exported: Hashes) -> list[str]:
    """Parameters of the export that a measured model held other values of."""
    return sorted(name for name, value in exported.items() if measured.get(name) != value)


def confirm(model: LoadedModel, run: Run) -> Hashes:
    """Raise unless a model holds what the run's export would; its hashes.

    Raises:
        OtherStateError: naming the first parameter that differs.
    """
    measured = hashes_of(model)
    other = differing(measured, exported_hashes(model, run))
    if other:
        raise OtherStateError(
            f"Run {run.id}",
            got=f"figures of another model than the one that would be exported ({other[0]} differs"
            + (f", and {len(other) - 1} more)" if len(other) > 1 else ")"),
            wanted="the same weights measured and exported",
            remedy="Nothing was kept of these figures. Please report it with the model's config.json.",
        )
    return measured
