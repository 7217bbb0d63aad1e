"""How near the predictions of a language model are to those of another one, whose logits are held in a file.

The model that others are compared with reads the text once, and its logits go into a file without a name; others are
compared window by window, out of the logits that their own measuring takes. In memory there are a few rows at a time.

# W windows, H windows that are held, T tokens of a window, V vocabulary, r tokens of a piece
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.system.places import runs_folder

if TYPE_CHECKING:
    import torch

MOST: Final = 1 << 33  # bytes of a file of logits
SHARE: Final = 4  # of the disk's room, one part in so many
AT_ONCE: Final = 1 << 18  # logits of a piece: what a processor's cache holds
FLOAT32: Final = 4  # bytes


class HeldLogits:
    """Logits (H, T, V), float32, of a text's first windows, in a file that ends with them.

    Args:
        shape: (W, T, V) of the whole text.
        batch: windows that are read together: H is a multiple of it, or W.
        most: bytes of the file; ``None``: a part of the disk's room, 8 GB at most.

    Attributes:
        count: H; 0 where there is no room, or no place to write to.
    """

    def __init__(self, shape: tuple[int, int, int], *, batch: int = 1, most: int | None = None) -> None:
        windows, self.width, self.vocabulary = shape
        self.windows = windows
        self.count = 0
        try:
            folder = runs_folder()
            room = min(MOST, shutil.disk_usage(folder).free // SHARE) if most is None else most
            held = min(windows, room // max(1, self._window))
            self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it ends with this object
            self.count = held if held == windows else held // batch * batch
        except OSError:
            self._file = None

    @property
    def _window(self) -> int:
        """Bytes of a window."""
        return self.width * self.vocabulary * FLOAT32

    def keep(self, place: int, logits: torch.Tensor) -> None:
        """Hold the logits (T, V) of a window; not of those after the last that is held, nor once the disk is full."""
        if place >= self.count:
            return
        try:
            self._file.seek(place * self._window)
            for rows in self._pieces(self.width):
                self._file.write(np.ascontiguousarray(logits[rows].float().cpu().numpy()).data)
        except OSError:
            self.count = place

    def rows(self, place: int, last: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Logits of a window's tokens before ``last``, some rows (r, V) at a time."""
        for rows in self._pieces(last):
            self._file.seek(place * self._window + rows.start * self.vocabulary * FLOAT32)
            found = np.empty((rows.stop - rows.start, self.vocabulary), np.float32)
            self._file.readinto(found.data.cast("B"))
            yield rows, found

    def _pieces(self, last: int) -> Iterator[slice]:
        step = max(1, AT_ONCE // max(1, self.vocabulary))
        for first in range(0, last, step):
            yield slice(first, min(first + step, last))


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How near a model's predictions are to those that are held.

    Args:
        to: the held ones.
        kl: (H,) float64, mean KL of a window's predictions from the held ones, in nats. same: (H,) float64, share of
            them with the same likeliest token.
    """

    to: HeldLogits
    kl: NDArray[np.float64]
    same: NDArray[np.float64]

    def said(self) -> dict[str, Any]:
        """``kl`` (``None`` where it is not finite) and ``same_answer``, means over all predictions; ``kl_windows``,
        how many windows were compared, where these are not all. Nothing of none.
        """
        if not len(self.kl):
            return {}
        mean = float(self.kl.mean())
        found = {"kl": mean if np.isfinite(mean) else None, "same_answer": float(self.same.mean())}
        return found if len(self.kl) == self.to.windows else found | {"kl_windows": len(self.kl)}


class Comparison:
    """Compares logits with the held ones, window by window, in float64."""

    def __init__(self, held: HeldLogits) -> None:
        self.held = held
        self._kl: list[float] = []
        self._same: list[float] = []

    def add(self, place: int, logits: torch.Tensor) -> None:
        """Compare the logits (T, V) of a window. Windows come one after the other."""
        if place >= self.held.count:
            return
        kl, same, count = 0.0, 0, self.held.width - 1  # the last token's successor is not in the text
        for rows, before in self.held.rows(place, count):
            part = divergence(before, logits[rows])
            kl, same = kl + part[0], same + part[1]
        self._kl.append(kl / count)
        self._same.append(same / count)

    def found(self) -> Nearness:
        """All that was compared."""
        return Nearness(to=self.held, kl=np.array(self._kl, np.float64), same=np.array(self._same, np.float64))


def divergence(before: NDArray[np.float32], after: torch.Tensor) -> tuple[float, int]:
    """Summed KL(before || after) of predictions by their logits (r, V), in nats, and how many are of the same token.

    In float64: float32 rounds a log-probability by more than the KL of near models. With logits a and b less their
    largest, and Z the sum of their exponentials, sum p (log p - log q) is sum e^a (a - b) / Z_a - log Z_a + log Z_b:
    an exponential of each logit, and none of a difference.
    """
    import torch

    place = after.device if after.device.type != "mps" else torch.device("cpu")  # which has no float64
    first, second = torch.from_numpy(before).to(place), after.to(place)
    (most, likeliest), (other, chosen) = first.max(dim=1), second.max(dim=1)
    first = first.double().sub_(most.double()[:, None])  # r, V, as are all below
    second = second.double().sub_(other.double()[:, None])
    apart = (first - second).masked_fill_(first == -torch.inf, 0.0)  # what is never said counts for nothing
    first, second = first.exp_(), second.exp_()
    sums, others = first.sum(dim=1), second.sum(dim=1)
    parts = (first.mul_(apart)).sum(dim=1) / sums - sums.log() + others.log()
    return float(parts.clamp(min=0.0).sum()), int((likeliest == chosen).sum())
