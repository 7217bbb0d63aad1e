"""The training loop: AdamW, and after every step each entry that was pruned is put back.

Everything that a step does depends on the settings and the step's number alone: the order of the
data, dropout, the learning rate. So it can go on from any checkpoint, and on a CPU with as many
threads ends with the same bits as if it had never been stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.errors import DivergedError, NonFiniteActivationError, NonFiniteWeightError
from kencore.recovery.tasks import Task, measured
from kencore.settings.recover import RecoverSpec
from kencore.system.progress import Progress

if TYPE_CHECKING:
    import torch

    from kencore.recovery.data import Data
    from kencore.recovery.hold import Hold
    from kencore.recovery.saved import Saved

Point = dict[str, Any]
OnPoint = Callable[[Point], None]
POINTS = 200  # of a curve, about
MEASUREMENTS = 10
SAVE_SECONDS = 60.0
MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW


@dataclass(kw_only=True)
class State:
    """How far a tuning is, but for its tensors.

    Args:
        step: steps done.
        best_step, best_loss: where held-out loss was lowest; step 0 is the model before recovery.
        worse: measurements since then.
        stopped: ``patience`` was exhausted.
        seconds: of training and of measuring in between.
        losses, steps: sum of the training losses since the last point, and how many.
        curve: the points so far.
    """

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    worse: int = 0
    stopped: bool = False
    seconds: float = 0.0
    losses: float = 0.0
    steps: int = 0
    curve: list[Point] = field(default_factory=list)


def total_steps(spec: RecoverSpec, size: int) -> tuple[int, int]:
    """Steps in all, and steps of one time through ``size`` sentences or windows."""
    assert spec.batch is not None
    epoch = -(-size // spec.batch)
    return spec.steps or (spec.epochs or 1) * epoch, epoch


def batch_at(spec: RecoverSpec, size: int, step: int) -> Sequence[int]:
    """What step 1, 2, ... learns from: every epoch has all of it once, in an order of its own."""
    assert spec.batch is not None
    epoch, place = divmod(step - 1, -(-size // spec.batch))
    order = np.random.default_rng([spec.seed, 2, epoch]).permutation(size)
    return [int(i) for i in order[place * spec.batch : (place + 1) * spec.batch]]


def rate_at(spec: RecoverSpec, total: int, step: int) -> float:
    """The learning rate of step 1, 2, ... ``total``: it rises, then follows the schedule."""
    assert spec.lr is not None
    rise = round(spec.warmup * total)
    if step <= rise:
        return spec.lr * step / rise
    done = (step - 1 - rise) / (total - rise)  # from 0 to just below 1
    share = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
    return spec.lr * share[spec.schedule]


class Trainer:
    """One tuning: a loaded model, what holds it, and how far it is.

    Args:
        spec: resolved for the task.
        sample: held-out data that is measured in between.
        saved: where checkpoints go; ``None``: nowhere.
        progress: called as (steps done, steps, message); what it raises ends the tuning, which can
            then go on from its last checkpoint.
        on_point: called with each point of the curve; of a tuning that goes on, first with those
            of the checkpoint.
    """

    def __init__(
        self,
        task: Task,
        hold: Hold,
        spec: RecoverSpec,
        sample: Data,
        *,
        saved: Saved | None,
        progress: Progress,
        on_point: OnPoint | None,
    ) -> None:
        self.task, self.hold, self.spec, self.sample = task, hold, spec, sample
        self.saved, self.report = saved, progress
        self.on_point = on_point or (lambda point: None)
        self.total, self.epoch = total_steps(spec, task.size)
        self.every = spec.every or max(1, math.ceil(self.total / MEASUREMENTS))
        self.between = max(1, self.total // POINTS)
        self.state = State()
        self.optimizer = _adamw(hold.trained, spec.weight_decay)
        self.best = hold.copy()
        self.extra: dict[str, Any] = {}  # what a checkpoint carries for the caller
        self._started = 0.0

    def run(self) -> State:
        """Train to the end, and leave the best weights in the model.

        Raises:
            DivergedError: a loss is NaN or infinite.
            StoreNotWritableError: a checkpoint cannot be written.
        """
        with _own_random_numbers(self.task.model.device):
            self._started = time.monotonic() - self.state.seconds
            for point in list(self.state.curve):
                self.on_point(point)
            if not self.state.curve:
                self._measure()
            self._train()
        self.hold.load(self.best)
        return self.state

    def _train(self) -> None:
        state, saved_at = self.state, time.monotonic()
        model = self.task.model.model
        while state.step < self.total and not state.stopped:
            model.train()
            loss = self._step(state.step + 1)
            state.step += 1
            state.losses, state.steps = state.losses + loss, state.steps + 1
            if state.step % self.every == 0 or state.step == self.total:
                self._measure()
            elif state.step % self.between == 0:
                self._add_point({})
            if self._must_save(saved_at):
                self.save()
                saved_at = time.monotonic()
            self.report(state.step, self.total, self._told(loss))

    def _step(self, step: int) -> float:
        """One step down the gradient; the loss before it."""
        import torch

        torch.manual_seed(_seed_of(self.spec.seed, step))
        rate = rate_at(self.spec, self.total, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = 0.0
        for part in self.task.losses(batch_at(self.spec, self.task.size, step)):
            part.backward()  # type: ignore[no-untyped-call]
            loss += float(part.detach())
        self._check(loss, step, "loss")
        self.hold.mask_gradients()
        norm = torch.nn.utils.clip_grad_norm_(list(self.hold.trained.values()), self.spec.clip or math.inf)
        self._check(float(norm), step, "gradient")
        self.optimizer.step()
        self.hold.project()
        return loss

    def _measure(self) -> None:
        """Measure held-out data; note where it was best."""
        state = self.state

        def report(done: float, total: float, message: str) -> None:
            self.report(state.step, self.total, f"Step {state.step:,}, held-out data: {message}")

        try:
            found = self.task.held_out(measured(self.task.model, self.sample, report))
        except (NonFiniteWeightError, NonFiniteActivationError):
            raise _diverged(state.step, "held-out loss", "NaN or infinite") from None
        if found["held_out_loss"] < state.best_loss:
            state.best_loss, state.best_step, state.worse = found["held_out_loss"], state.step, 0
            for name, value in self.hold.trained.items():
                self.best[name].copy_(value.detach())
        else:
            state.worse += 1
            state.stopped = self.spec.patience is not None and state.worse >= self.spec.patience
        self._add_point(found)

    def _add_point(self, measured: Mapping[str, float]) -> None:
        state = self.state
        state.seconds = time.monotonic() - self._started
        point: Point = {
            "step": state.step,
            "steps": self.total,
            "epoch": round(state.step / self.epoch, 4),
            "lr": rate_at(self.spec, self.total, state.step) if state.step else 0.0,
            "seconds": round(state.seconds, 3),
            **measured,
        }
        if state.steps:
            point["train_loss"] = state.losses / state.steps
        state.losses, state.steps = 0.0, 0
        state.curve.append(point)
        self.on_point(point)

    def _told(self, loss: float) -> str:
        seconds = time.monotonic() - self._started
        left = seconds / self.state.step * (self.total - self.state.step)
        about = f"{left:.0f} s" if left < 90 else f"{left / 60:.0f} min"
        return f"Step {self.state.step:,} of {self.total:,}, loss {loss:.4f}, about {about} left"

    def _check(self, value: float, step: int, what: str) -> None:
        if not math.isfinite(value):
            raise _diverged(step, what, repr(value))

    # --- checkpoints ----------------------------------------------------------------------------

    def _must_save(self, saved_at: float) -> bool:
        if self.saved is None or self.state.step >= self.total or self.state.stopped:
            return False
        if self.spec.save_every is not None:
            return self.state.step % self.spec.save_every == 0
        return time.monotonic() - saved_at >= SAVE_SECONDS

    def save(self) -> None:
        """Write a checkpoint."""
        assert self.saved is not None
        self.state.seconds = time.monotonic() - self._started
        tensors: dict[str, torch.Tensor] = {}
        for name, value in self.hold.trained.items():
            tensors[f"weight.{name}"], tensors[f"best.{name}"] = value, self.best[name]
            for moment in MOMENTS:
                if moment in self.optimizer.state.get(value, {}):
                    tensors[f"{moment}.{name}"] = self.optimizer.state[value][moment]
        self.saved.save(tensors, {"state": asdict(self.state), "extra": self.extra})

    def restore(self, tensors: Mapping[str, torch.Tensor], saved: Mapping[str, Any]) -> None:
        """Go on from what `save` wrote."""
        self.state, self.extra = State(**saved["state"]), dict(saved["extra"])
        self.hold.load({name: tensors[f"weight.{name}"] for name in self.hold.trained})
        for name, value in self.hold.trained.items():
            self.best[name].copy_(tensors[f"best.{name}"])
            found = {m: tensors[f"{m}.{name}"] for m in MOMENTS if f"{m}.{name}" in tensors}
            if found:
                self.optimizer.state[value] = {
                    m: tensor if m == "step" else tensor.to(value.device) for m, tensor in found.items()
                }


def _adamw(trained: Mapping[str, torch.Tensor], decay: float) -> torch.optim.AdamW:
    """AdamW with decay of matrices alone."""
    import torch

    matrices = [value for value in trained.values() if value.dim() > 1]
    vectors = [value for value in trained.values() if value.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)


def _seed_of(seed: int, step: int) -> int:
    """Of torch's generator in one step: dropout."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _own_random_numbers(device: str) -> Any:
    """Whoever called keeps the state of torch's generators."""
    import torch

    cards = [torch.device(device)] if device.startswith("cuda") else []
    return torch.random.fork_rng(devices=cards)


def _diverged(step: int, what: str, got: str) -> DivergedError:
    return DivergedError(
        f"Step {step:,}",
        got=f"{what} {got}",
        wanted="a finite one",
        remedy="Lower the learning rate, clip the gradient or give it a longer warm-up.",
    )
