"""How far answers move when weights do, to second order: KL = E[(g . e)^2] / 2 of a change e of the weights.

g is the gradient of the log-chance of an answer that is sampled from the model itself (Fisher information). Instead of
sampling one answer, the gradient of <v, logits> is taken with v = sqrt(p) u - p <sqrt(p), u> of random signs u: then
E[v v^T] = diag(p) - p p^T, the information of the logits, and products of different answers vanish in the mean. So
one backward pass serves a whole batch, or every token of a window.

# A answers of a pass (sentences, or predicted tokens), L labels or tokens, K changes of one parameter, E its entries
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.models.loaded import LoadedModel, torch_threads
from kencore.models.seam import forward
from kencore.settings.demo import DEMOS
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    import torch

    from kencore.data.calibration import Calibration
    from kencore.data.examples import Examples
    from kencore.models.classifier import Classifier
    from kencore.models.language import LanguageModel, Windows
    from kencore.settings.prune import PruneSpec

AT_ONCE: Final = 8  # sentences of a pass
SENTENCES: Final = 512  # at most
WINDOWS, WINDOW = 64, 256
OTHERS, FEW_WINDOWS = 16, 4  # windows that compare orders, and how few still do
TRIED: Final = 128  # windows that those are looked for among
FEW: Final = 100  # sentences: fewer say little
CALIBRATION: Final = "pydoc"  # where nobody chose
SMALL: Final = 1 << 21  # entries of all changes of a parameter
ENTRIES_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What the model reads in one pass; ``last``: the last position predicts nothing that is in the text."""

    inputs: dict[str, torch.Tensor]
    last: bool


class Changes:
    """Changes (K, E) of one parameter as it lies on disk, with a scale of each; large ones in half precision."""

    def __init__(self, shape: tuple[int, ...], count: int) -> None:
        import torch

        self.shape, self._next = shape, 0
        size = int(np.prod(shape))
        kind = torch.float32 if count * size <= SMALL else torch.float16  # which takes as long to widen as to multiply
        self._values = torch.zeros((count, size), dtype=kind)
        self._scales = torch.zeros(count, dtype=torch.float64)

    def add(self, change: NDArray[np.float32]) -> None:
        """One more, shaped as on disk."""
        import torch

        peak = float(np.abs(change).max(initial=0.0))
        unit = peak / 1024 if peak else 1.0
        self._values[self._next] = torch.from_numpy(np.ascontiguousarray(change / np.float32(unit))).reshape(-1)
        self._scales[self._next] = unit
        self._next += 1

    @property
    def count(self) -> int:
        """K."""
        return len(self._scales)

    def along(self, gradient: torch.Tensor) -> NDArray[np.float64]:
        """Products (K,) with a gradient of the parameter."""
        import torch

        flat = gradient.reshape(-1).float()
        found = torch.zeros(self.count, dtype=torch.float64)
        for first in range(0, len(flat), ENTRIES_AT_ONCE):
            part = slice(first, first + ENTRIES_AT_ONCE)
            if (piece := flat[part]).any():  # of a table of tokens few rows have a gradient
                found += (self._values[:, part].float() @ piece).double()
        return np.asarray((found * self._scales).numpy())


def nats(
    loaded: LoadedModel,
    passes: Iterable[Pass],
    changes: Mapping[str, Changes],
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, NDArray[np.float64]]:
    """Mean KL (K,) of an answer that each change of each parameter would cause by itself, in nats.

    Args:
        loaded: the model, with the weights that are changed.
        passes: what it reads.
        changes: by the parameter's name on disk; of those that the model does not hold there is no answer.
        seed: of the signs.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    sums = {name: np.zeros(one.count) for name, one in changes.items()}
    held = dict(loaded.model.named_parameters(remove_duplicate=False))
    known = [name for name in changes if _parts(loaded, held, name)]
    answers, planned = 0, list(passes)
    loaded.model.eval()
    with torch.enable_grad(), torch_threads(loaded.threads):
        for number, one in enumerate(planned):
            progress(number, len(planned), "Measuring how far each change would move the answers")
            loaded.model.zero_grad(set_to_none=True)
            inputs = {name: value.to(loaded.device) for name, value in one.inputs.items()}
            logits = forward(loaded.model, **inputs).logits
            logits = (logits[:, :-1] if one.last else logits).reshape(-1, logits.shape[-1])  # A, L
            (logits.float() * _direction(logits.detach().float(), generator)).sum().backward()
            answers += len(logits)
            for name in known:
                gradient = _gradient(loaded, held, name)
                if gradient is not None:
                    sums[name] += changes[name].along(gradient) ** 2
    loaded.model.zero_grad(set_to_none=True)
    return {name: sums[name] / (2 * max(1, answers)) for name in known}


def sentences(model: Classifier, examples: Examples, most: int) -> Iterator[Pass]:
    """Passes of a classifier: sentences of one length together, at most ``most`` evenly spaced ones."""
    from kencore.models.batches import same_length, stacked

    rows = model.tokens(_those(examples, _spaced(len(examples.texts), most)))
    for batch in same_length(rows, range(len(rows)), model.batch_size(AT_ONCE)):
        yield Pass(inputs=stacked([rows[i] for i in batch], "cpu"), last=False)


def windows(model: LanguageModel, ids: torch.Tensor) -> Iterator[Pass]:
    """Passes of a language model: each window (T,) by itself."""
    for row in ids:
        yield Pass(inputs={"input_ids": row[None]}, last=True)


def calibration_passes(model: Any, data: Any, spec: PruneSpec) -> list[Pass]:
    """What a model reads to tell which changes matter: windows of the calibration text; of a classifier labelled
    sentences that are named as one, else those that it is measured on, without their labels.

    Args:
        model: a `Classifier` or a `LanguageModel`.
        data: what it is measured on.
    """
    from kencore.data.examples import Examples

    if isinstance(data, Examples):
        return list(sentences(model, _calibration(data, spec), SENTENCES))
    return list(windows(model, _drawn(model, spec, min(spec.sequences, WINDOWS), spec.seed).ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherText:
    """Text by which orders of codes are compared.

    Attributes:
        fresh: no gradient was taken on it.
    """

    data: Examples | Windows
    fresh: bool


def other_text(model: Any, data: Any, spec: PruneSpec) -> OtherText:
    """Text like that of `calibration_passes`, but another where there is enough: windows of another draw that share no
    token with those, or sentences that are not among those. Arguments as there.
    """
    from kencore.data.examples import Examples
    from kencore.models.language import Windows

    if isinstance(data, Examples):
        return others(_calibration(data, spec))
    taken = _drawn(model, spec, min(spec.sequences, WINDOWS), spec.seed)
    drawn = _drawn(model, spec, TRIED, spec.seed + 1)
    starts = np.asarray(drawn.offsets)
    apart = np.abs(starts[:, None] - np.asarray(taken.offsets)).min(axis=1) >= drawn.window
    fresh = bool(apart.sum() >= FEW_WINDOWS)
    ids = (drawn.ids[apart] if fresh else drawn.ids)[:OTHERS]
    return OtherText(data=Windows(ids=ids, source=drawn.source, sha256=drawn.sha256, bos=spec.bos), fresh=fresh)


def others(examples: Examples) -> OtherText:
    """At most as many sentences as `sentences` takes that it does not take; those, where there are few others. Their
    labels are told to nobody.
    """
    taken = set(_spaced(len(examples.texts), SENTENCES))
    left = [i for i in range(len(examples.texts)) if i not in taken]
    fresh = len(left) >= FEW
    left = left if fresh else sorted(taken)
    return OtherText(data=_those(examples, [left[i] for i in _spaced(len(left), SENTENCES)]), fresh=fresh)


def _calibration(data: Examples, spec: PruneSpec) -> Examples:
    """The sentences that are named, else those that are measured on."""
    from kencore.data.examples import read_examples

    named = sentences_named(spec)
    return data if named is None else read_examples(named)


def _drawn(model: LanguageModel, spec: PruneSpec, count: int, seed: int) -> Calibration:
    """Windows of the calibration text."""
    from kencore.data.calibration import calibration_windows

    return calibration_windows(
        model.tokenizer,
        spec.calibration,
        sequences=count,
        window=min(spec.window or WINDOW, model.positions or WINDOW),
        seed=seed,
        positions=model.positions,
        rows=model.rows,
        bos=spec.bos,
    )


def _spaced(count: int, most: int) -> list[int]:
    """At most so many places of a list, evenly spaced."""
    return [int(place) for place in np.linspace(0, count - 1, min(count, most))]


def _those(examples: Examples, places: Sequence[int]) -> Examples:
    pairs = None if examples.pairs is None else tuple(examples.pairs[i] for i in places)
    texts, labels = tuple(examples.texts[i] for i in places), tuple(examples.labels[i] for i in places)
    return replace(examples, texts=texts, labels=labels, pairs=pairs)


def sentences_named(spec: PruneSpec) -> str | None:
    """The table of sentences by which a classifier's codes are ordered; ``None``: those that it is measured on."""
    if spec.calibration != CALIBRATION:
        return str(spec.calibration)
    return DEMOS[spec.model].training if spec.model in DEMOS else None


def ordered_on(data: Any, spec: PruneSpec) -> tuple[str, ...]:
    """What a person should know of the text that ordered codes."""
    from kencore.data.examples import Examples

    if isinstance(data, Examples) and sentences_named(spec) is None:
        return ("Codes were ordered on the sentences that it is measured on, without their labels: name others.",)
    return ()


def _direction(logits: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """V (A, L) with E[v v^T] = diag(p) - p p^T for each answer."""
    import torch

    chances = logits.softmax(dim=1)
    signs = torch.randint(0, 2, tuple(logits.shape), generator=generator).to(logits.device) * 2.0 - 1.0
    spread = chances.sqrt() * signs
    return spread - chances * spread.sum(dim=1, keepdim=True)


def _parts(loaded: LoadedModel, held: Mapping[str, Any], name: str) -> bool:
    """Whether the model holds a parameter on disk, by itself or in pieces."""
    return any(known in held for known in loaded.parameters.get(name, ())) or any(
        piece.parameter in held for piece in loaded.pieces.get(name, ())
    )


def _gradient(loaded: LoadedModel, held: Mapping[str, Any], name: str) -> torch.Tensor | None:
    """The gradient of a parameter as it lies on disk; ``None``: it had no part in the answer."""
    import torch

    for known in loaded.parameters.get(name, ()):
        if known in held:
            gradient: torch.Tensor | None = held[known].grad
            return gradient
    found = [(piece.first, piece.of(held[piece.parameter].grad)) for piece in loaded.pieces[name]]
    return torch.cat([part for _, part in sorted(found, key=lambda pair: pair[0])])
