"""What a person asks for: frozen settings that fail before any model is loaded.

Field names carry their granularity: ``keep`` is a share of each row, ``k`` a number of entries
of each row. Settings go to JSON and back without loss.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from kencore.errors import SpecError

Method = Literal["ken", "ken-density", "delta", "magnitude", "random"]
METHODS: tuple[str, ...] = get_args(Method)
NEEDS_BASE_TO_RANK = frozenset({"delta"})
DEVICES = ("auto", "cpu", "mps", "cuda")
WANTED = {
    "model": "the tuned model: demo, a folder or a hub id",
    "base": "the base it was tuned from: a folder or a hub id",
    "evaluation": "demo, or a .tsv, .jsonl or .parquet file",
}
SCOPES = ("all", "blocks", "attention", "feed-forward")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneSpec:
    """One pruning job.

    Args:
        model: the tuned model: ``"demo"``, a folder, or a hub id.
        base: its pretrained base, same forms; ``None`` means the demo's base when ``model`` is
            the demo, and is refused otherwise: entries that are not kept go back to the base.
        model_revision, base_revision: hub revision (branch, tag or commit).
        method: which entries of a row are kept.
        keep: share of each row that is kept, in (0, 1]; exactly one of ``keep`` and ``k``.
        k: entries kept in each row; a row shorter than ``k`` is kept whole.
        scope: what is pruned: one or more of ``all``, ``blocks`` (everything inside the
            transformer blocks), ``attention``, ``feed-forward``, a role (``q``, ``down``, ...)
            or a name pattern such as ``"*.layer.0.*"``. Several are united.
        embeddings, vectors, head: whether embeddings, 1-D parameters (norms and biases) and the
            task head may be pruned where the scope reaches them.
        evaluation: a ``.tsv``, ``.jsonl`` or ``.parquet`` file to measure quality on, ``"demo"``
            for the demo's labelled sentences, or ``None`` for no measurement.
        baselines: also measure ``random``, ``magnitude`` and ``delta`` at the same budget.
        seed: for the ``random`` rule.
        device: ``auto`` (CUDA, else MPS, else CPU), ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Raises:
        SpecError: a value is missing, contradictory or out of range.
    """

    model: str
    base: str | None = None
    model_revision: str | None = None
    base_revision: str | None = None
    method: str = "ken"
    keep: float | None = None
    k: int | None = None
    scope: tuple[str, ...] = ("all",)
    embeddings: bool = True
    vectors: bool = True
    head: bool = True
    evaluation: str | None = None
    baselines: bool = False
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        _text("model", self.model, optional=False)
        for name in ("base", "model_revision", "base_revision", "evaluation"):
            _text(name, getattr(self, name), optional=True)
        if self.base is None and self.model == "demo":
            object.__setattr__(self, "base", "demo-base")
        if self.base is None:
            raise SpecError(
                "base",
                got="no base model",
                wanted="the pretrained model that the tuned one started from",
                remedy="Name it (a folder or a hub id): what is not kept goes back to it.",
            )
        if self.method not in METHODS:
            raise SpecError(
                "method",
                got=repr(self.method),
                wanted=f"one of {', '.join(METHODS)}",
                remedy="Choose one of these.",
            )
        self._check_budget()
        self._check_scope()
        for name in ("embeddings", "vectors", "head", "baselines"):
            if not isinstance(getattr(self, name), bool):
                raise SpecError(
                    name,
                    got=repr(getattr(self, name)),
                    wanted="True or False",
                    remedy="Pass a bool.",
                )
        if (
            isinstance(self.seed, bool)
            or not isinstance(self.seed, int)
            or not 0 <= self.seed < 2**63
        ):
            raise SpecError(
                "seed",
                got=repr(self.seed),
                wanted="a whole number from 0 to 2**63 - 1",
                remedy="Pass such a number.",
            )
        check_device(self.device)

    def _check_budget(self) -> None:
        if (self.keep is None) == (self.k is None):
            raise SpecError(
                "keep and k",
                got="both" if self.k is not None else "neither",
                wanted="exactly one of them",
                remedy="Give a share of each row (keep) or a number of entries of each row (k).",
            )
        if self.keep is not None:
            number = isinstance(self.keep, (int, float)) and not isinstance(self.keep, bool)
            if not number or not math.isfinite(self.keep) or not 0 < self.keep <= 1:
                raise SpecError(
                    "keep",
                    got=repr(self.keep),
                    wanted="a share of each row above 0 and up to 1",
                    remedy="Half of every row is 0.5.",
                )
            object.__setattr__(self, "keep", float(self.keep))
        if self.k is not None and (
            isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1
        ):
            raise SpecError(
                "k",
                got=repr(self.k),
                wanted="a whole number of entries per row, 1 or more",
                remedy="Rows shorter than k are kept whole.",
            )

    def _check_scope(self) -> None:
        given: Any = (self.scope,) if isinstance(self.scope, str) else self.scope
        scope = tuple(given) if isinstance(given, (list, tuple)) else ()
        if not scope or not all(isinstance(term, str) and term.strip() for term in scope):
            raise SpecError(
                "scope",
                got=repr(self.scope) if self.scope else "nothing",
                wanted=f"one or more of {', '.join(SCOPES)}, roles or name patterns",
                remedy="Choose all for everything.",
            )
        object.__setattr__(self, "scope", tuple(term.strip() for term in scope))

    def row_budget(self, columns: int) -> int:
        """Entries kept in a row of ``columns`` values: half rounds up, at least 1."""
        if self.k is not None:
            return min(self.k, columns)
        assert self.keep is not None
        return min(columns, max(1, math.floor(self.keep * columns + 0.5)))

    def to_json(self) -> str:
        """Sorted, so that equal settings are equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> PruneSpec:
        """The inverse of `to_json`.

        Raises:
            SpecError: not JSON, not an object, or a field that is not a setting.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise SpecError(
                "settings", got=f"text that is not JSON ({error})", wanted="a JSON object",
                remedy="Pass what to_json() returned.",
            ) from None  # fmt: skip
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> PruneSpec:
        """Settings from plain values, as a form or a JSON file gives them."""
        if not isinstance(data, dict):
            raise SpecError(
                "settings", got=type(data).__name__, wanted="a JSON object",
                remedy="Pass what to_json() returned.",
            )  # fmt: skip
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown or "model" not in data:
            raise SpecError(
                "settings",
                got=f"unknown {', '.join(unknown)}" if unknown else "no model",
                wanted=f"fields among {', '.join(sorted(known))}",
                remedy="Check the spelling." if unknown else "Say which model to prune.",
            )
        return cls(**data)


def check_device(device: object) -> None:
    """Raise `SpecError` unless ``device`` is one of the accepted forms."""
    good = isinstance(device, str) and (
        device in DEVICES or (device.startswith("cuda:") and device[5:].isdigit())
    )
    if not good:
        raise SpecError(
            "device",
            got=repr(device),
            wanted="auto, cpu, mps, cuda or cuda:N",
            remedy="auto takes CUDA where there is one, else MPS, else the CPU.",
        )


def _text(name: str, value: object, *, optional: bool) -> None:
    if (value is None and optional) or (isinstance(value, str) and value.strip()):
        return
    raise SpecError(
        name,
        got="nothing" if value is None or not str(value).strip() else repr(value),
        wanted=WANTED.get(name, "text"),
        remedy="Fill it in." + (" Or leave it out." if optional else ""),
    )
