"""Hash of every parameter of a loaded model, and what it would be of a folder that holds certain tensors.

The second goes the way of transformers' own conversions, with the real values, and never through the places that
weights are swapped by (`kencore.models.names`): so each checks the other.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from kencore.models.loaded import LoadedModel

Hashes = dict[str, str]
"""Of each parameter, by its name in ``state_dict()``."""


def hashes_of(model: LoadedModel) -> Hashes:
    """Of what a model holds now."""
    found = {}
    for name, value in model.model.state_dict().items():
        found[name] = _hash(value)
        if model.pages is not None:
            model.pages.let_go()  # all: what lies beside a weight is read along with it
    return found


def hashes_to_be(model: LoadedModel, read: Callable[[str], torch.Tensor]) -> Hashes:
    """Of what the model would hold if it were loaded from other tensors.

    Args:
        read: a tensor by its name on disk, in its dtype on disk.

    Returns:
        Of the parameters that something on disk becomes; of those tied to them, and of buffers, nothing.
    """
    state = model.model.state_dict()
    return {name: _hash(value.to(state[name].dtype)) for name, value in _converted(model, read) if name in state}


def digest(hashes: Hashes) -> str:
    """One hash of all."""
    text = "".join(f"{name} {value}\n" for name, value in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _converted(model: LoadedModel, read: Callable[[str], torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, found in model.parameters.items():
        if found:
            yield found[0], read(name)
    for joined in model.joined:
        step: Any = copy.deepcopy(joined.step)
        for name, pattern in joined.members:
            step.add_tensor(joined.found, name, pattern, read(name))
        made: dict[str, Any] = step.convert(joined.found, model=model.model, config=model.model.config)
        for name, value in made.items():
            yield name, value[0] if isinstance(value, list) else value


def _hash(value: torch.Tensor) -> str:
    import torch

    plain = value.detach().cpu().contiguous().reshape(-1)
    if plain.is_floating_point():
        plain = plain + 0.0  # -0.0 is 0.0: no product tells them apart
    return hashlib.sha256(plain.view(torch.uint8).numpy().data).hexdigest()
