"""Where two states of a language model say different things about the tokens of a text.

One model is loaded. The dense model's logits of some windows are held, then the pruned model reads the same windows;
the next ones are read the other way round, so that weights are swapped once for each lot of windows.

# W windows, T tokens of a window, B windows of a lot, V vocabulary, N tokens that are predicted, K that are kept
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kencore.errors import NonFiniteActivationError
from kencore.models.loaded import torch_threads
from kencore.models.perplexity import windows_at_once
from kencore.models.seam import forward
from kencore.models.tokenizer import piece
from kencore.quality.answers import finite
from kencore.quality.same_state import confirm
from kencore.quality.states import baseline_state, pruned_state
from kencore.quality.steps import baseline_steps
from kencore.runs.flips import Flips
from kencore.system.progress import Progress

if TYPE_CHECKING:
    import torch

    from kencore.models.language import Windows
    from kencore.quality.judge_model import Judge
    from kencore.runs.run import Run

HELD: Final = (1 << 29, 1 << 33)  # bytes of logits: at least, and at most
SHARE: Final = 8  # of the memory that is free, one part in so many
CONTEXT: Final = 32  # tokens before the one that is predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """One line per predicted token.

    Args:
        place: (N,) int64, w * T + t: the token that is predicted.
        truth, dense, pruned: (N,) int64, tokens: the next one, and each model's likeliest.
        dense_p, pruned_p: (N,) float64, the probability of these.
        nll_change, kl: (N,) float64, nats.
    """

    place: NDArray[np.int64]
    truth: NDArray[np.int64]
    dense: NDArray[np.int64]
    pruned: NDArray[np.int64]
    dense_p: NDArray[np.float64]
    pruned_p: NDArray[np.float64]
    nll_change: NDArray[np.float64]
    kl: NDArray[np.float64]

    def most(self, count: int) -> Tokens:
        """The lines of largest KL, the largest first; of equal ones those that come first in the text."""
        kept = np.lexsort((self.place, -self.kl))[:count]
        return Tokens(**{field.name: getattr(self, field.name)[kept] for field in fields(self)})

    def beside(self, other: Tokens) -> Tokens:
        """The lines of both."""
        names = [field.name for field in fields(self)]
        return Tokens(**{name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in names})


def compare_tokens(dense: torch.Tensor, pruned: torch.Tensor, ids: torch.Tensor, first: int) -> Tokens:
    """What two models say of one window.

    Args:
        dense, pruned: (T, V) logits, of token t what they say of token t + 1.
        ids: (T,) int64, the window.
        first: place of its first token in the text.
    """
    import torch

    truth = ids[1:, None]  # T - 1, 1
    before, after = (side[:-1].float().log_softmax(dim=1) for side in (dense, pruned))  # T - 1, V
    parts = torch.where(before == -torch.inf, 0.0, before.exp() * (before - after))
    kl = parts.sum(dim=1).clamp(min=0.0)
    (dense_log, dense_top), (pruned_log, pruned_top) = before.max(dim=1), after.max(dim=1)
    change = (before.gather(1, truth) - after.gather(1, truth))[:, 0]
    return Tokens(
        place=first + 1 + np.arange(len(truth)),
        truth=_whole(truth[:, 0]),
        dense=_whole(dense_top),
        pruned=_whole(pruned_top),
        dense_p=np.exp(_numbers(dense_log)),
        pruned_p=np.exp(_numbers(pruned_log)),
        nll_change=_numbers(change),
        kl=_numbers(kl),
    )


def text_flips(
    run: Run,
    judge: Judge,
    *,
    baselines: bool,
    limit: int,
    threads: int | None,
    progress: Progress,
    held: int | None = None,
) -> Flips:
    """What changed in a language model's predictions.

    Args:
        judge: of the run's tuned model, with the windows as its data.
        limit: tokens that are kept.
        held: bytes of logits that may be held; ``None``: a part of the memory that is free.

    Raises:
        OtherStateError: the model does not hold what the run's export would.
        NonFiniteActivationError: a window's logits are NaN or infinite.
    """
    windows: Windows = judge.data
    count = len(windows.ids)
    rules = baseline_steps(run) if baselines else []
    told = _Told(progress, count * (2 + len(rules)))
    tally = Tally(limit)
    judge.model.model.eval()
    with torch_threads(judge.model.threads):
        for part in _compared(run, judge, held, told):
            tally.add(part)
        beside = {}
        for name in rules:
            judge.bring(run.tuned_tensors, baseline_state(run, name, threads))
            run.release()
            places = tally.kept.place
            beside[name] = _answers_at(judge, places, partial(told, f"Reading as {name} pruned it"))
    return tally.flips(windows, judge.model.tokenizer, beside)


class Tally:
    """What is counted over all tokens of a text, and those of largest KL.

    Args:
        limit: tokens that are kept.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._totals = {"right_wrong": 0, "wrong_right": 0, "changed": 0, "dense_right": 0, "pruned_right": 0}
        self._sums = {"kl": 0.0, "nll_change": 0.0}
        self._kept: Tokens | None = None

    def add(self, part: Tokens) -> None:
        """Count the tokens of one window."""
        before, after = part.dense == part.truth, part.pruned == part.truth
        self._totals["right_wrong"] += int((before & ~after).sum())
        self._totals["wrong_right"] += int((~before & after).sum())
        self._totals["changed"] += int((part.dense != part.pruned).sum())
        self._totals["dense_right"] += int(before.sum())
        self._totals["pruned_right"] += int(after.sum())
        self._sums = {name: value + float(getattr(part, name).sum()) for name, value in self._sums.items()}
        self._kept = (part if self._kept is None else self._kept.beside(part)).most(self.limit)

    @property
    def kept(self) -> Tokens:
        """The tokens of largest KL so far."""
        assert self._kept is not None
        return self._kept

    def flips(self, windows: Windows, tokenizer: Any, beside: dict[str, Any]) -> Flips:
        """All of it, once every window was counted.

        Args:
            beside: other rules' answers at the kept tokens: (K,) tokens and (K,) their probabilities, by rule.
        """
        count, width = windows.ids.shape
        tokens = count * (width - 1)
        facts = {
            "task": "language",
            "data": windows.source,
            "data_sha256": windows.sha256,
            "window": width,
            "windows": count,
            **({"bos": True} if windows.bos else {}),
            "count": tokens,
            **self._totals,
            **{name: finite(value / tokens) for name, value in self._sums.items()},
            "baselines": list(beside),
        }
        return Flips(facts=facts, table=_table(tokenizer, windows.ids.numpy(), self.kept, beside))


class _Told:
    """Progress in windows that were read."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self, message: str, windows: int) -> None:
        self.done += windows
        self.progress(min(self.done, self.total), self.total, message)


def _compared(run: Run, judge: Judge, held: int | None, told: _Told) -> Iterator[Tokens]:
    """Lines of one window after the other, those of a lot in one state after the other."""
    import torch

    ids = judge.data.ids  # W, T
    count, width = ids.shape
    vocabulary = int(judge.model.model.config.get_text_config(decoder=True).vocab_size)
    lot = max(1, (_free() if held is None else held) // (4 * width * vocabulary))
    states: dict[str, Callable[[], Any]] = {"dense": lambda: None, "pruned": lambda: pruned_state(run)}
    order, now = ["dense", "pruned"], "dense"
    checked = False
    with torch.inference_mode():
        for start in range(0, count, lot):
            places = range(start, min(start + lot, count))
            first: list[torch.Tensor] = []
            for turn, name in enumerate(order):
                if name != now:
                    judge.bring(run.tuned_tensors, states[name]())
                    run.release()
                    now = name
                    if name == "pruned" and not checked:
                        confirm(judge.model, run)
                        checked = True
                for place, logits in _read(judge, places):
                    told(f"Reading as {name}", 1)
                    _check(logits, place, name)
                    if turn == 0:
                        first.append(logits.to("cpu", torch.float32))
                        continue
                    held_logits = first[place - start].to(logits.device)
                    pair = (held_logits, logits) if name == "pruned" else (logits, held_logits)
                    yield compare_tokens(*pair, ids[place].to(logits.device), place * width)
            order.reverse()


def _read(judge: Judge, places: Any) -> Iterator[tuple[int, torch.Tensor]]:
    """Logits (T, V) of windows, in the model's state as it is."""
    model, ids = judge.model, judge.data.ids
    size = windows_at_once(model.model, ids.shape[1])
    for start in range(0, len(places), size):
        chosen = list(places[start : start + size])
        logits = forward(model.model, input_ids=ids[chosen].to(model.device), use_cache=False).logits  # B, T, V
        yield from zip(chosen, logits, strict=True)


def _answers_at(
    judge: Judge, wanted: NDArray[np.int64], told: Callable[[int], None]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(K,) the likeliest token for each place, and its probability (K,)."""
    import torch

    width = judge.data.ids.shape[1]
    window, offset = np.divmod(wanted, width)  # K
    tokens, chances = np.zeros(len(wanted), np.int64), np.zeros(len(wanted))
    with torch.inference_mode():
        for place, logits in _read(judge, np.unique(window).tolist()):
            told(1)
            here = np.flatnonzero(window == place)
            own = logits[torch.from_numpy(offset[here] - 1).to(logits.device)].float().softmax(dim=1)  # here, V
            best, top = own.max(dim=1)
            tokens[here], chances[here] = _whole(top), _numbers(best)
    return tokens, chances


def _table(tokenizer: Any, ids: NDArray[np.int64], kept: Tokens, beside: dict[str, Any]) -> pd.DataFrame:
    width = ids.shape[1]
    window, offset = np.divmod(kept.place, width)  # K

    def words(numbers: NDArray[np.int64]) -> list[str]:
        return [piece(tokenizer, int(number)) for number in numbers]

    before = [ids[w, max(0, t - CONTEXT) : t].tolist() for w, t in zip(window, offset, strict=True)]
    return pd.DataFrame(
        {
            "place": kept.place,
            "text": [str(tokenizer.decode(numbers)) for numbers in before],
            "pair": "",
            "truth": words(kept.truth),
            "dense": words(kept.dense),
            "pruned": words(kept.pruned),
            "dense_p": kept.dense_p,
            "pruned_p": kept.pruned_p,
            "dense_right": kept.dense == kept.truth,
            "pruned_right": kept.pruned == kept.truth,
            "nll_change": kept.nll_change,
            "kl": kept.kl,
        }
        | {
            f"{name}{end}": words(found) if not end else found
            for name, (tokens, chances) in beside.items()
            for end, found in (("", tokens), ("_p", chances))
        }
    )


def _check(logits: torch.Tensor, window: int, name: str) -> None:
    if bool(logits.isnan().any()):
        raise NonFiniteActivationError(
            f"window {window + 1} read by the {name} model",
            got="NaN logits",
            wanted="numbers for every token",
            remedy="Look for NaN or infinity in the weights; half precision may be too narrow.",
        )


def _free() -> int:
    """Bytes of logits that may be held on this machine."""
    import psutil

    return min(max(HELD[0], psutil.virtual_memory().available // SHARE), HELD[1])


def _whole(tensor: torch.Tensor) -> NDArray[np.int64]:
    found: NDArray[np.int64] = tensor.cpu().numpy().astype(np.int64)
    return found


def _numbers(tensor: torch.Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = tensor.float().cpu().numpy().astype(np.float64)
    return found
