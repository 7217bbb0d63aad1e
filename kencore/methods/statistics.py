"""Statistics of what flows into one linear layer, gathered sequence by sequence.

Each sum is taken in the order of the published code (github eliacunegatti/NeuroAL,
lib/layerwrapper.py and lib/sparsegpt.py): one running mean over sequences, updated once per
sequence. Vectorised over columns and tokens, a loop over sequences only, so that adding a batch
gives the same bits as adding its sequences one by one.

Shapes: S sequences, T tokens of one sequence, C columns (inputs of the layer).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from kencore.errors import ShapeError, SpecError

KNOWN_NEEDS = frozenset({"norm", "moments", "hessian"})


class RunningInputs:
    """What a score, a Hessian or a refinement needs to know of a layer's inputs."""

    def __init__(self, columns: int, needs: frozenset[str], device: torch.device | str = "cpu") -> None:
        """Empty statistics of a layer with ``columns`` inputs.

        Args:
            columns: C.
            needs: what to gather, among ``norm`` (`norm`, `sparsegpt_norm`), ``moments``
                (`total`, `variance`) and ``hessian`` (`hessian`, C x C float32).
            device: where the statistics lie; what is added is expected there.

        Raises:
            SpecError: a need that there is none of.
        """
        unknown = sorted(set(needs) - KNOWN_NEEDS)
        if unknown:
            raise SpecError(
                "needs",
                got=", ".join(unknown),
                wanted=f"some of {', '.join(sorted(KNOWN_NEEDS))}",
                remedy="Take them from kencore.methods.table: a method says which statistics it needs.",
            )
        self.columns, self.needs, self.device = columns, frozenset(needs), torch.device(device)
        self.sequences = 0
        self.tokens = 0
        if "norm" in needs:
            self._squares, self._quirk = self._zeros(), self._zeros()  # (C,) each
        if "moments" in needs:
            self._total, self._mean, self._spread, self._within = (
                self._zeros(),
                self._zeros(),
                self._zeros(),
                self._zeros(),
            )
        if "hessian" in needs:
            self._hessian = torch.zeros((columns, columns), device=self.device)

    def _zeros(self) -> Tensor:
        return torch.zeros(self.columns, device=self.device)

    @torch.no_grad()
    def add(self, x: Tensor) -> None:
        """Add sequences, in order.

        Args:
            x: floating (S, T, C), or (T, C) for one sequence; computed in float32.

        Raises:
            ShapeError: another rank, not C columns, or no token.
        """
        if x.ndim not in (2, 3) or x.shape[-1] != self.columns or x.shape[-2] == 0:
            raise ShapeError(
                "inputs of a layer",
                got=f"shape {tuple(x.shape)}",
                wanted=f"(sequences, tokens, {self.columns}) with at least one token",
                remedy="Pass what the layer itself was given.",
            )
        batch = x.detach().reshape(-1, x.shape[-2], x.shape[-1])  # (S, T, C)
        for one in batch.to(torch.float32).contiguous():  # (T, C)
            self._add_one(one)

    @torch.no_grad()
    def add_tokens(self, x: Tensor, sequences: int) -> None:
        """Add some tokens out of several sequences, such as those that were sent to an expert.

        What is a mean over sequences is one over all of these, also those that no token came from.

        Args:
            x: floating (T, C), T may be 0; computed in float32.
            sequences: how many; 0 for more tokens of sequences that were counted before.
        """
        values = x.detach().to(torch.float32).contiguous()
        before, after = self.sequences, self.sequences + sequences
        if "norm" in self.needs:
            squares = _norm(values) ** 2  # (C,)
            self._squares.mul_(before / after).add_(squares / after)
            self._quirk.mul_(before / after).add_(squares * (2 / after) / after)
        if "moments" in self.needs and len(values):
            self._add_moments(values, before, after)
        elif "moments" in self.needs:
            self._total.mul_(before / after)
        if "hessian" in self.needs:
            self._hessian *= before / after
            self._hessian += (2 / after) * values.t().matmul(values)  # (C, C)
        self.sequences = after
        self.tokens += len(values)

    def _add_one(self, x: Tensor) -> None:
        """One sequence (T, C)."""
        before, after = self.sequences, self.sequences + 1
        if "norm" in self.needs:
            squares = _norm(x) ** 2  # (C,)
            self._squares.mul_(before / after).add_(squares / after)
            # published code of SparseGPT's wrapper: x is scaled by sqrt(2 / n) before its norm
            self._quirk.mul_(before / after).add_(squares * (2 / after) / after)
        if "moments" in self.needs:
            self._add_moments(x, before, after)
        if "hessian" in self.needs:
            scaled = math.sqrt(2 / after) * x
            self._hessian *= before / after
            self._hessian += scaled.t().matmul(scaled)  # (C, C)
        self.sequences = after
        self.tokens += x.shape[0]

    def _add_moments(self, x: Tensor, before: int, after: int) -> None:
        """Sum, mean and spread; Chan, Golub and LeVeque (1979) join the spreads of two parts."""
        seen, new = self.tokens, x.shape[0]
        self._total.mul_(before / after).add_(torch.sum(x, dim=0) / after)
        variance, mean = torch.var_mean(x, dim=0, correction=0)  # (C,) each
        step = mean - self._mean
        self._spread += variance * new + step * step * (seen * new / (seen + new))
        self._mean += step * (new / (seen + new))
        # published code: variances are averaged by tokens, the means between them left out
        self._within = (self._within * seen + variance * new) / (seen + new) if seen else variance

    def norm(self) -> Tensor:
        """Norm of each input, sqrt(mean over sequences of sum over tokens of x^2): float32 (C,)."""
        self._require("norm")
        return torch.sqrt(self._squares)

    def sparsegpt_norm(self) -> Tensor:
        """`norm` as SparseGPT's published wrapper leaves it: float32 (C,).

        There the sequence j (from 1) of N weighs 2 / (j N) instead of 1 / N, since x is scaled
        for the Hessian before its norm is taken. Only the published search with sparsegpt uses it.
        """
        self._require("norm")
        return torch.sqrt(self._quirk)

    def total(self) -> Tensor:
        """Mean over sequences of the sum over tokens of x: float32 (C,).

        DSnoT's E[x] (arXiv 2310.08915) times the tokens of a sequence.
        """
        self._require("moments")
        return self._total.clone()

    def variance(self, *, published: bool = False) -> Tensor:
        """Variance of each input over all tokens: float32 (C,).

        Args:
            published: as the published code pools it: the mean of the sequences' own variances,
                without the spread of their means (1.04 where the variance is 26.1).
        """
        self._require("moments")
        return self._within.clone() if published else self._spread / max(self.tokens, 1)

    def hessian(self) -> Tensor:
        """(2 / S) sum over sequences of x^T x: float32 (C, C), not a copy: read it, or clone it.

        SparseGPT's (arXiv 2301.00774), before damping.
        """
        self._require("hessian")
        return self._hessian

    def _require(self, need: str) -> None:
        if need not in self.needs:
            raise SpecError(
                "statistics",
                got=f"gathered {', '.join(sorted(self.needs)) or 'nothing'}",
                wanted=f"'{need}' among them",
                remedy="Name it in needs= before adding inputs.",
            )
        if not self.sequences:
            raise SpecError(
                "statistics", got="no sequence", wanted="at least one", remedy="Add the layer's inputs first."
            )


def _norm(x: Tensor) -> Tensor:
    """Norm of each column of (T, C): float32 (C,), the very bits of torch.norm over dimension 0.

    On a CPU numpy adds row to row, as torch does, with all columns of a row at once: some ten
    times faster. One column alone it would add up in another order.
    """
    if x.device.type != "cpu" or x.shape[1] == 1:
        norm: Tensor = torch.norm(x, p=2, dim=0)
        return norm
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.add.reduce(np.square(x.numpy()), axis=0)
        return torch.from_numpy(np.sqrt(squares))
