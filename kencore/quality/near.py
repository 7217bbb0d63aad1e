"""How near a model's answers are to the dense model's, in whatever state its weights are.

# N examples or predicted tokens, L labels, W windows, T tokens of a window, V vocabulary
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kencore.data.examples import Examples
from kencore.errors import SpecError
from kencore.models.language import Windows
from kencore.models.loaded import torch_threads
from kencore.quality.answers import divergence, finite, log_chances

if TYPE_CHECKING:
    from kencore.models.figures import Predictions
    from kencore.quality.judge_model import Judge

HELD: Final = 1 << 29  # bytes of the dense model's logits


def gives_answers(data: object) -> bool:
    """Whether data ask for answers: labelled sentences, and windows of a text."""
    return isinstance(data, Examples | Windows)


def no_answers(setting: str = "kl") -> SpecError:
    """The error for a setting that needs answers, and a model or a job without any."""
    return SpecError(
        setting,
        got="an encoder without a head, or no evaluation data",
        wanted="a model that answers: a classifier or a language model",
        remedy="Name evaluation data, or give bits or bytes by the rule instead.",
    )


def nearness(dense: Predictions, other: Predictions) -> dict[str, float | None]:
    """``kl``: mean KL(dense || other) of the answers in nats; ``same_answer``: share of examples told alike."""
    kl = divergence(log_chances(dense.logits), log_chances(other.logits))
    return {"kl": finite(kl.mean()), "same_answer": float((dense.labels == other.labels).mean())}


class Near:
    """The dense model's answers, held; `of` compares those of the same model with other weights.

    Of a language model as many windows are compared as have logits within ``HELD`` bytes.

    Args:
        judge: with a model that `gives_answers`, as in its checkpoint.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.sentences = isinstance(judge.data, Examples)
        self.dense: Any = judge.model.predict(judge.data) if self.sentences else self._logits()

    @property
    def count(self) -> int:
        """N."""
        return len(self.dense.labels) if self.sentences else sum(len(rows) - 1 for rows in self.dense)

    def of(self) -> dict[str, float | None]:
        """``kl`` and ``same_answer`` of the judge's model as it is now."""
        if self.sentences:
            return nearness(self.dense, self.judge.model.predict(self.judge.data))
        kl, same = 0.0, 0
        for before, after in zip(self.dense, self._read(len(self.dense)), strict=True):
            one, agree = _tokens(before, after)
            kl, same = kl + one, same + agree
        return {"kl": finite(kl / self.count), "same_answer": same / self.count}

    def _logits(self) -> list[Any]:
        """Of the first windows, (T, V) float32 each."""
        width = self.judge.data.ids.shape[1]
        vocabulary = int(self.judge.model.model.config.get_text_config(decoder=True).vocab_size)
        return list(self._read(max(1, HELD // (4 * width * vocabulary))))

    def _read(self, most: int) -> Any:
        import torch

        from kencore.models.seam import forward

        model = self.judge.model
        model.model.eval()
        with torch.inference_mode(), torch_threads(model.threads):
            for row in self.judge.data.ids[:most]:
                found = forward(model.model, input_ids=row[None].to(model.device), use_cache=False).logits[0]
                yield found.float().cpu()


def _tokens(before: Any, after: Any) -> tuple[float, int]:
    """Summed KL of a window's predictions, and how many have the same likeliest token."""
    first, second = before[:-1].log_softmax(dim=1), after[:-1].log_softmax(dim=1)
    kl = (first.exp() * (first - second)).sum(dim=1).clamp(min=0)
    return float(kl.double().sum()), int((first.argmax(dim=1) == second.argmax(dim=1)).sum())
