"""Jobs made of settings: what is wrong is said before, and an impatient click is one job."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import streamlit as st

from kencore import jobs
from kencore.errors import JobNotFoundError, KencoreError
from kencore.settings.jobs import FlipsAsked, InspectAsked
from kencore.settings.prune import PruneSpec
from kencore.settings.recover import RecoverSpec

if TYPE_CHECKING:
    from kencore.settings.explain import ContinueSpec, ExplainSpec
    from kencore.settings.sweep import SweepSpec

SETTLED_SECONDS: Final = 3.0  # a click this soon after a job ended is still the same click


def get_ready() -> None:
    """Have the worker load its libraries now, as a job will be wanted soon. It is no work on anything, and ends by
    itself. What is wrong with the store is said when a job is submitted.
    """
    with suppress(KencoreError):
        jobs.warm()


def start(settings: dict[str, Any]) -> str:
    """Submit a prune job and return its id; a second click at once returns the same job.

    Raises:
        KencoreError: settings that cannot work, or a store that cannot be written.
    """
    spec = PruneSpec.from_dict(settings)
    return submit_once("prune", json.loads(spec.to_json()), gpus=_gpus(spec.device))


def sweep(spec: SweepSpec) -> str:
    """Submit a sweep job and return its id; the same settings go on where they stopped. Raises as
    `start`.
    """
    return submit_once("sweep", json.loads(spec.to_json()), gpus=_gpus(spec.device))


def tune(settings: dict[str, Any]) -> str:
    """The same for a tune job. Raises as `start`."""
    spec = RecoverSpec.from_dict(settings)
    return submit_once("tune", json.loads(spec.to_json()), gpus=_gpus(spec.device))


def retune(settings: dict[str, Any]) -> str:
    """The same for a pruning at one setting of a slider. Raises as `start`."""
    spec = PruneSpec.from_dict(settings)
    return submit_once("retune", json.loads(spec.to_json()), gpus=_gpus(spec.device))


def sentence(spec: ExplainSpec, request_key: str) -> str:
    """Submit an explain job and return its id: the same one for the same key, as long as its result
    is kept. Raises as `start`.
    """
    return jobs.submit("explain", json.loads(spec.to_json()), gpus=_gpus(spec.device), request_key=request_key)


def continued(spec: ContinueSpec, request_key: str) -> str:
    """The same for a text that both models continue."""
    return jobs.submit("continue", json.loads(spec.to_json()), gpus=_gpus(spec.device), request_key=request_key)


def flips(asked: dict[str, Any]) -> str:
    """Submit a job that finds changed answers; its id. Raises as `start`."""
    given = FlipsAsked.from_dict(asked)
    return submit_once("flips", asked, gpus=_gpus(given.device or "auto"))


def inspect(pair: dict[str, str | None], data: str | None) -> str:
    """Submit an inspect job for the pair and what it is to be measured on; its id. Raises as `start`."""
    # says what is missing before a job is made; a model can be looked at without its base
    PruneSpec.from_dict({**pair, "base": pair["base"] or "not needed", "keep": 0.5})
    asked = asdict(InspectAsked.from_dict({**pair, "data": data}))
    return submit_once("inspect", {key: value for key, value in asked.items() if value not in (None, False)})


def time_methods(inspected: dict[str, Any]) -> str:
    """Submit an inspect job once more, with how long each method will take; its id. Raises as `start`."""
    return submit_once("inspect", inspected | {"time": True})


def submit_once(kind: str, params: dict[str, Any], *, gpus: float = 0.0) -> str:
    """Submit, with one request key for all clicks on the same settings until the job has ended."""
    asked = json.dumps([kind, params], sort_keys=True)
    known: dict[str, tuple[str, str]] = st.session_state.setdefault("prune_asked", {})
    nonce, job = known.get(asked, ("", ""))
    if not job or _settled(job):
        nonce = uuid.uuid4().hex
    key = hashlib.sha256(f"{nonce} {asked}".encode()).hexdigest()
    known[asked] = (nonce, job)  # before submitting: a second click may come in between
    job = jobs.submit(kind, params, gpus=gpus, request_key=key)
    known[asked] = (nonce, job)
    return job


def _settled(job: str) -> bool:
    try:
        found = jobs.status(job)
    except JobNotFoundError:
        return True
    return not found.live and time.time() - (found.finished or 0.0) > SETTLED_SECONDS


def _gpus(device: str) -> float:
    """CUDA cards to reserve: one where the job will use one."""
    if device.startswith("cuda"):
        return 1.0
    from kencore.system.devices import count_gpus

    return 1.0 if device == "auto" and count_gpus() else 0.0
