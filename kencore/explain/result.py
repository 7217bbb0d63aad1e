"""What was found out about one sentence, in memory and as a folder. Light: pages read it.

    result.json               answers, tokens, distances, which neurons changed most
    activations.safetensors   what each matrix read in the dense and in the pruned model

Shapes: T tokens, R rows (outputs) and C columns (inputs) of a matrix.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kencore.errors import CorruptRunError, MatrixNotFoundError
from kencore.explain.maths import Contributions, contributions, grows_most
from kencore.system.plain_json import read_json_object

if TYPE_CHECKING:
    from kencore.runs.run import Run
    from kencore.runs.weights import Which

ARRAYS: Final = "activations.safetensors"
SIDES: Final = ("dense", "pruned")
SOURCES: Final[dict[str, Which]] = {"dense": "tuned", "pruned": "pruned"}  # as a run calls them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """One sentence through the models of one run.

    Attributes:
        facts: plain values:

            - ``run text task device``; ``task`` is ``language`` or ``classification``
            - ``tokens``: ``text`` and ``unknown`` (the tokenizer has no word for it) of each;
              ``cut``: how many more the model could not read
            - ``states``: the models that answered: ``dense``, ``pruned`` and, where the run has a
              base, ``base`` (everything that could be reset is reset)
            - ``answers``: ``text`` of a label or next token, and its probability in each state,
              the dense model's best first
            - ``loss``: of a language model, nats per token of the sentence itself in each state
            - ``distance``: ``relative cosine token_relative token_cosine``, see
              `kencore.explain.maths.Distance`; the first place is before the first block
            - ``matrices``: by name ``block role input rows``; ``rows``: the neurons whose output
              changed most, each with its rms change over the tokens
            - ``effects``: what the changed weights of each matrix did to the dense model's answer, see
              `kencore.explain.effects.moved`, or why that is not told
            - ``left_out``: matrices without contributions, and why
        arrays: ``<input>.dense`` and ``<input>.pruned`` (T, C); ``<name>.bias.dense`` and
            ``<name>.bias.pruned`` (R,), where a matrix has a bias; all float32.
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[np.float32]]

    def chosen(self, run: Run, name: str, row: int | None = None, token: int | None = None) -> tuple[int, int]:
        """The neuron and the token to look at: those asked for, else the neuron whose changed weights pulled the
        answer most the way of the whole matrix, and the token on which they did. Where that is not told, the neuron
        whose output changed most, and the token on which it did.

        Raises as `contributions`.
        """
        self._check(run, name, row or 0, token or 0)
        pulled = self.effects.get("matrices", {}).get(name)
        if row is None:
            row = int(_furthest(pulled["rows"], pulled["effect"])["row"]) if pulled else self._changed(name)[0]
        if token is None:
            told = [int(one["token"]) for one in pulled["rows"] if one["row"] == row] if pulled else []
            token = told[0] if told else self._token(run, name, row)
        return row, token

    def neurons(self, name: str) -> list[int]:
        """Rows of a matrix to offer: those that pulled the answer most, else those whose output changed most."""
        pulled = self.effects.get("matrices", {}).get(name)
        return [int(one["row"]) for one in pulled["rows"]] if pulled else self._changed(name)

    @property
    def effects(self) -> dict[str, Any]:
        """`facts` of what moved the answer; empty where that is not told."""
        found = self.facts.get("effects")
        return found if isinstance(found, dict) else {}

    def telling(self, run: Run) -> str:
        """The recorded matrix to look at first: that whose changed weights moved the answer furthest the way that it
        went. Where that is not told: in the block in which the paths part most, that whose own changed weights did
        the largest part of what happened to its neuron. Elsewhere neurons mostly pass on what came in. Where no
        block stands out, the matrix of the neuron that changed most.
        """
        listed = self.facts["matrices"]
        if pulled := self.effects.get("matrices"):
            ways = [{"name": name, "effect": one["effect"]} for name, one in pulled.items() if name in listed]
            return str(_furthest(ways, self.effects["pruned"] - self.effects["dense"])["name"])
        at = grows_most(np.array(self.facts["distance"]["relative"], np.float64))
        inside = [name for name in listed if at and run.matrix(name)["block"] == at - 1]
        if inside:
            return str(max(inside, key=lambda name: self._own_part(run, name)))
        return str(max(listed, key=lambda name: float(listed[name]["rows"][0]["change"])))

    def _changed(self, name: str) -> list[int]:
        return [int(one["row"]) for one in self.facts["matrices"][name]["rows"]]

    def _token(self, run: Run, name: str, row: int) -> int:
        dense, pruned = self.outputs(run, name, row)
        return int(np.argmax(np.abs(dense - pruned)))

    def _own_part(self, run: Run, name: str) -> float:
        """How much of the change of a matrix's neuron its own weights made, 0 to 1."""
        found = self.contributions(run, name, *self.chosen(run, name))
        parts = [abs(found.weights), abs(found.inputs), abs(found.bias)]
        return parts[0] / sum(parts) if any(parts) else 0.0

    def outputs(self, run: Run, name: str, row: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What one neuron gives for every token in the dense and in the pruned model, before any
        activation function: float64 (T,) each. Raises as `contributions`.
        """
        self._check(run, name, row, 0)
        line, place = slice(row, row + 1), self.facts["matrices"][name]["input"]
        found = []
        for side, which in SOURCES.items():
            weights = run.values(name, which, line)[0].astype(np.float64)  # C
            x = self.arrays[f"{place}.{side}"].astype(np.float64)  # T, C
            found.append(x @ weights + self._bias(name, side, row))
        return found[0], found[1]

    def contributions(self, run: Run, name: str, row: int, token: int) -> Contributions:
        """Which changed weights of one neuron did what, for one token.

        Args:
            run: the run that was explained.
            name: of a matrix in ``facts["matrices"]``.
            row: the neuron.
            token: its place in ``facts["tokens"]``.

        Raises:
            MatrixNotFoundError: no such matrix, row or token, or none that was kept.
            CheckpointChangedError: the checkpoint is not the one of the run.
        """
        self._check(run, name, row, token)
        line = slice(row, row + 1)
        place = self.facts["matrices"][name]["input"]
        x, y = (self.arrays[f"{place}.{side}"][token] for side in SIDES)  # C
        before, after = (self._bias(name, side, row) for side in SIDES)
        return contributions(
            run.values(name, "tuned", line)[0],
            run.values(name, "pruned", line)[0],
            x,
            y,
            dense_bias=before,
            pruned_bias=after,
        )

    def _bias(self, name: str, side: str, row: int) -> float:
        found = self.arrays.get(f"{name}.bias.{side}")  # R
        return 0.0 if found is None else float(found[row])

    def _check(self, run: Run, name: str, row: int, token: int) -> None:
        known, tokens = self.facts["matrices"], len(self.facts["tokens"])
        if name not in known:
            raise MatrixNotFoundError(
                f"Sentence in run {self.facts['run']}",
                got=f"{name}: {self.facts['left_out'].get(name, 'no pruned matrix of a block')}",
                wanted=f"one of {len(known)}, such as {next(iter(known), 'none')}",
                remedy="Choose one that is listed.",
            )
        for what, number, count in (("row", row, run.shape(name)[0]), ("token", token, tokens)):
            if not 0 <= number < count:
                raise MatrixNotFoundError(
                    f"{what} of {name}", got=str(number), wanted=f"0 to {count - 1}", remedy="Choose another one."
                )

    def save(self, folder: Path) -> None:
        """Write both files into an existing folder."""
        from safetensors.numpy import save_file

        save_file(self.arrays, folder / ARRAYS)
        text = json.dumps(self.facts, indent=1, allow_nan=False)
        (folder / "result.json").write_text(text, encoding="utf-8")


def _furthest(listed: list[dict[str, Any]], way: float) -> dict[str, Any]:
    """The line with the largest effect the way that all together went; the largest at all where none goes there."""
    sign = 1 if way >= 0 else -1
    best = max(listed, key=lambda one: sign * float(one["effect"]))
    return best if sign * best["effect"] > 0 else max(listed, key=lambda one: abs(float(one["effect"])))


def open_explanation(folder: Path) -> Explanation:
    """Read what `Explanation.save` wrote.

    Raises:
        CorruptRunError: a file is missing or cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        facts = read_json_object(folder / "result.json", ours=True)
        return Explanation(facts=facts, arrays=load_file(folder / ARRAYS))
    except (OSError, ValueError, SafetensorError) as error:
        raise CorruptRunError(
            f"Explanation in {folder}",
            got=str(error),
            wanted="result.json and the activations",
            remedy="Ask the sentence again.",
        ) from error
