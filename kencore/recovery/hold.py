"""Which entries of a loaded model may move while it is tuned, and putting the others back.

Masking gradients is not enough: weight decay pulls at entries that have no gradient, and so do an
optimizer's moments. `Hold.project` puts every held entry back to the very value it had, after
each step, in the model's own storage.

Shapes: R rows (outputs), C columns (inputs) of a matrix; P the shape of a model's parameter, which
is that of the tensor on disk, or a stack of several such tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kencore.checkpoint.tensors import round_to
from kencore.errors import NonFiniteWeightError
from kencore.runs.restore import as_matrix, as_stored, base_bits, pruned_chunks

if TYPE_CHECKING:
    import torch

    from kencore.models.loaded import LoadedModel
    from kencore.runs.run import Run

Bits = NDArray[np.generic]
Changed = dict[str, tuple[str, Bits]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the tensor of a name on disk is in a loaded model.

    Args:
        parameter: the model's own name of the parameter.
        expert, row, rows: in a parameter that stacks several: which, its first row there and how
            many; expert ``None``: it is the whole.
    """

    parameter: str
    expert: int | None = None
    row: int = 0
    rows: int = 0

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The view of it in the parameter, or in a tensor of the parameter's shape."""
        if self.expert is None:
            return tensor
        return tensor[self.expert, self.row : self.row + self.rows]


class Hold:
    """The entries of a model that stay as they are.

    Args:
        model: holds the pruned weights of ``run``; which parameters are trained is set in it.
        run: says what was pruned.
        train: see `kencore.settings.recover.RecoverSpec`.

    Attributes:
        trained: name -> parameter of which at least one entry may move; tied parameters once.
        places: stored name -> its place, of every tensor on disk that the model holds.
        fixed: stored names of weights that the model holds in no parameter of their own: they stay.
    """

    def __init__(self, model: LoadedModel, run: Run, train: str) -> None:
        import torch

        self.run, self.train = run, train
        owned = dict(model.model.named_parameters(remove_duplicate=False))
        first = {id(value): name for name, value in model.model.named_parameters()}
        self.places = _places(model, run, owned, first)
        self.fixed = tuple(
            name
            for name in run.tuned_tensors.names
            if name not in self.places and "F" in run.tuned_tensors.info(name).dtype
        )
        moves = _moves(self.places, run, owned, train)
        for name in first.values():
            owned[name].requires_grad_(name in moves)
        self.trained: dict[str, torch.Tensor] = {name: owned[name] for name in moves}
        self._held: dict[str, torch.Tensor] = {}
        self._values: dict[str, torch.Tensor] = {}
        for name, may in moves.items():
            if not may.all():
                self._held[name] = held = ~may  # P
                value = self.trained[name].detach()
                if value[held].view(torch.int32).any():  # where all are +0.0 no copy is needed
                    self._values[name] = value.clone()

    @property
    def moving(self) -> int:
        """How many entries are trained."""
        held = sum(int(mask.sum()) for mask in self._held.values())
        return sum(value.numel() for value in self.trained.values()) - held

    def mask_gradients(self) -> None:
        """Held entries take no part in the norm of the gradient, nor in an optimizer's moments."""
        for name, held in self._held.items():
            gradient = self.trained[name].grad
            if gradient is not None:
                gradient.masked_fill_(held, 0.0)

    def project(self) -> None:
        """Put every held entry back to its value, bit for bit, in place."""
        import torch

        with torch.no_grad():
            for name, held in self._held.items():
                value = self.trained[name]
                if name in self._values:
                    torch.where(held, self._values[name], value, out=value.data)
                else:
                    value.data.masked_fill_(held, 0.0)

    def copy(self) -> dict[str, torch.Tensor]:
        """The trained parameters as they are now, on their device."""
        return {name: value.detach().clone() for name, value in self.trained.items()}

    def load(self, values: Mapping[str, torch.Tensor]) -> None:
        """Give the trained parameters other values, in place."""
        import torch

        with torch.no_grad():
            for name, value in self.trained.items():
                value.copy_(values[name])

    def stored(self, name: str) -> Bits:
        """What the model now holds of a tensor, as the storage bits of its dtype on disk.

        Raises:
            NonFiniteWeightError: a value is too large for that dtype.
        """
        place, info = self.places[name], self.run.tuned_tensors.info(name)
        values = place.of(self.trained[place.parameter]).detach().cpu().numpy()  # as on disk
        if not np.isfinite(round_to(values, info.dtype)).all():
            raise NonFiniteWeightError(
                name,
                got="a tuned value that is no finite number of its dtype",
                wanted=f"values within the range of {info.dtype}",
                remedy="Lower the learning rate, or clip the gradient.",
            )
        return base_bits("F32", info.dtype, values)

    def is_trained(self, name: str) -> bool:
        """Whether any entry of the parameter that holds a tensor on disk may move."""
        return name in self.places and self.places[name].parameter in self.trained


def kept_bits(hold: Hold | None, run: Run, name: str) -> Bits:
    """Storage bits of the kept values (K,) of a pruned matrix, row by row of its mask.

    Args:
        hold: of the tuned model; ``None`` where it is as it was: then they are the run's own.
    """
    line, keep = run.matrix(name), run.keep(name)  # R, C
    if hold is None or not hold.is_trained(name):
        chunks = list(pruned_chunks(run, name))
        whole = np.concatenate(chunks)
    else:
        whole = hold.stored(name)
    values = as_matrix(whole, transposed=bool(line["transposed"]))[keep]
    return np.asarray(values)


def changed_bits(hold: Hold | None, run: Run) -> Iterator[tuple[str, tuple[str, Bits]]]:
    """Parameters that were not pruned and are not as in the tuned checkpoint: stored name ->
    (safetensors dtype, storage bits in the stored shape), one at a time.
    """
    for name in run.tuned_tensors.names:
        if run.owner(name) is not None:
            continue
        trained = hold is not None and hold.is_trained(name)
        if not trained and name not in run.changed_names:
            continue
        raw = run.tuned_tensors.raw(name)
        bits = hold.stored(name) if hold and trained else next(pruned_chunks(run, name))
        if bits.tobytes() != raw.tobytes():
            yield name, (run.tuned_tensors.info(name).dtype, bits)


def _places(model: LoadedModel, run: Run, owned: Mapping[str, Any], first: Mapping[int, str]) -> dict[str, Place]:
    """Where each tensor on disk is; what is a buffer or nowhere is left out."""
    found = {}
    for name in run.tuned_tensors.names:
        pieces = model.pieces.get(name, ())
        piece = pieces[0] if len(pieces) == 1 else None  # one that became several parameters is held
        if piece is not None and piece.expert is not None and piece.parameter in owned:
            stack = first[id(owned[piece.parameter])]
            found[name] = Place(parameter=stack, expert=piece.expert, row=piece.row, rows=piece.rows)
            continue
        known = [known for known in model.parameters.get(name, ()) if known in owned]
        if known:
            found[name] = Place(parameter=first[id(owned[known[0]])])
    return found


def _moves(places: Mapping[str, Place], run: Run, owned: Mapping[str, Any], train: str) -> dict[str, torch.Tensor]:
    """Parameter -> which of its entries may move (P), bool, where any may.

    What no tensor on disk holds could not be stored: it is held.
    """
    import torch

    moves: dict[str, torch.Tensor] = {}
    seen: set[Place] = set()
    for name, place in places.items():
        value = owned[place.parameter]
        if not value.is_floating_point():
            continue
        if place.parameter not in moves:
            moves[place.parameter] = torch.zeros(value.shape, dtype=torch.bool, device=value.device)
        owner = run.owner(name)
        if owner is not None:
            line = run.matrix(owner)
            shape = run.tuned_tensors.info(name).shape
            stored = as_stored(run.keep(owner), bool(line["transposed"]), tuple(shape))
            keep = torch.from_numpy(np.ascontiguousarray(stored)).to(value.device)
        else:
            keep = torch.full_like(place.of(moves[place.parameter]), train == "all")
        part = place.of(moves[place.parameter])
        # two names of one tensor: an entry that either holds is held
        part.copy_(keep if place not in seen else part & keep)
        seen.add(place)
    return {name: may for name, may in moves.items() if may.any()}
