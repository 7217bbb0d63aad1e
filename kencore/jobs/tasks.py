"""The kinds of job that people start, as thin layers over the library's own functions, and keeping what one made.

What the jobs call is imported when they run.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from kencore.errors import StoreNotWritableError
from kencore.jobs.api import result, status
from kencore.jobs.context import Context
from kencore.jobs.pieces import SHARD
from kencore.runs.run import Run, open_run
from kencore.system.places import runs_folder
from kencore.system.plain_json import json_text
from kencore.system.shard import Shard
from kencore.system.whole import publish

PREFIX = "tuned"


def inspect_pair(params: dict[str, Any], context: Context) -> None:
    """Write what is known of a model and its base before anything is loaded."""
    from kencore.models.inspect import inspect

    asked = {name: value for name, value in params.items() if name != "time"}
    found = inspect(**asked, progress=context.progress)
    if params.get("time"):
        from kencore.pruning.probe import probe

        found["time"] = probe(**asked, progress=context.progress)
    _write_result(context, found)


def prune_pair(params: dict[str, Any], context: Context) -> None:
    """Prune, and leave the complete run in the job's folder; with a ``shard`` some matrices, for that to take over."""
    from kencore.pruning.part import prune_part
    from kencore.pruning.prune import prune
    from kencore.settings.prune import PruneSpec
    from kencore.system.devices import describe_device

    asked, shard = _asked(params)
    spec = PruneSpec.from_dict(asked)
    context.set_device(describe_device(spec.device))
    if shard is None:
        prune(spec, out=context.out, progress=context.progress, threads=context.threads, shared=_shared(context))
    else:
        done = prune_part(spec, shard, context.shared, progress=context.progress, threads=context.threads)
        context.event("matrices", {"shard": str(shard), "matrices": len(done)})


def retune_run(params: dict[str, Any], context: Context) -> None:
    """Prune at one setting of a slider: the complete run is left in the folder ``run`` of the
    job's result, which is not kept for ever (`keep_run` makes it a run of the store).
    """
    from kencore.pruning.prune import prune
    from kencore.settings.prune import PruneSpec
    from kencore.system.devices import describe_device

    spec = PruneSpec.from_dict(params)
    context.set_device(describe_device(spec.device))
    run = prune(spec, out=context.out / "run", progress=context.progress, threads=context.threads)
    _write_result(context, {"run": "run", "metrics": run.metrics, "totals": run.totals})


def tune_run(params: dict[str, Any], context: Context) -> None:
    """Tune a run with its mask held, and leave the complete new run in the job's folder.

    Each point of the curve is an event ``point``; see `kencore.recovery.recover`.
    """
    from kencore.recovery import recover
    from kencore.settings.recover import RecoverSpec
    from kencore.system.devices import describe_device

    spec = RecoverSpec.from_dict(params)
    context.set_device(describe_device(spec.device))
    recover(
        spec,
        out=context.out,
        progress=context.progress,
        threads=context.threads,
        on_point=lambda point: context.event("point", point),
    )


def run_sweep(params: dict[str, Any], context: Context) -> None:
    """Run what is missing of a sweep; its points go into the store as they are finished, and stay
    there if the job is cancelled. The result says the sweep's id and how many points it has. With a ``shard`` such as
    ``0/3`` it is a piece of the job.
    """
    from kencore.settings.sweep import SweepSpec
    from kencore.sweeps.sweep import sweep
    from kencore.system.devices import describe_device

    asked, shard = _asked(params)
    spec = SweepSpec.from_dict(asked)
    context.set_device(describe_device(spec.device))
    context.event("sweep", {"sweep": spec.id})
    found = sweep(spec, shard=shard or Shard(), progress=context.progress, threads=context.threads)
    _write_result(context, {"sweep": found.id, **found.progress})


def evaluate_model(params: dict[str, Any], context: Context) -> None:
    """Measure quality on labelled examples or on a text, of a run or of a model; see
    `kencore.quality.judge.judge`. With a ``shard`` of some of the data alone, for that to take over.
    """
    from kencore.quality.judge import judge
    from kencore.quality.part import judge_part
    from kencore.system.devices import describe_device, resolve_device

    asked, shard = _asked(params)
    device = resolve_device(asked.pop("device", None) or "auto")
    context.set_device(describe_device(device))
    subject, data = asked.pop("model"), asked.pop("examples")
    how: dict[str, Any] = {"device": device, "threads": context.threads, "progress": context.progress}
    if shard is None:
        _write_result(context, judge(subject, data, **asked, **how, shared=_shared(context)))
        return
    own = {name: value for name, value in asked.items() if name not in ("cost", "save")}
    states = judge_part(subject, data, shard, context.shared, **own, **how)
    context.event("measured", {"shard": str(shard), "states": states})


def export_run(params: dict[str, Any], context: Context) -> None:
    """Leave an export in the job's folder: a folder of the run's name, or a file of it; and what
    `kencore.exports.export.export` says of it, the place as a name in that folder.
    """
    from kencore.exports.export import export, file_name

    form, zstd = params.get("form") or "folder", params.get("zstd", False)
    path = context.out / file_name(params["run"], form, zstd=zstd)
    facts = export(params["run"], path, form, zstd=zstd, progress=context.progress)
    place = "folder" if form == "folder" else "file"
    _write_result(context, facts | {place: path.name})


def report_run(params: dict[str, Any], context: Context) -> None:
    """Leave the report of a run in the job's folder, and what `kencore.report.report` says of it,
    the file as a name in that folder.
    """
    from kencore.report import file_name, report

    path = context.out / file_name(params["run"])
    facts = report(params["run"], path, beside=params.get("beside"), progress=context.progress)
    _write_result(context, facts | {"form": "report", "file": path.name})


def explain_sentence(params: dict[str, Any], context: Context) -> None:
    """Run a sentence through the models of a run; see `kencore.explain.explain`."""
    from kencore.explain import ExplainSpec, explain
    from kencore.system.devices import describe_device

    spec = ExplainSpec.from_dict(params)
    context.set_device(describe_device(spec.device))
    explain(spec, threads=context.threads, progress=context.progress).save(context.out)


def continue_text(params: dict[str, Any], context: Context) -> None:
    """Let both models of a run continue a text; see `kencore.explain.continue_text`."""
    from kencore.explain import ContinueSpec
    from kencore.explain import continue_text as continued
    from kencore.system.devices import describe_device

    spec = ContinueSpec.from_dict(params)
    context.set_device(describe_device(spec.device))
    _write_result(context, continued(spec, threads=context.threads, progress=context.progress))


def find_flips(params: dict[str, Any], context: Context) -> None:
    """Leave what pruning changed in the answers in the job's folder, and in the run where it is about the data of
    its quality; see `kencore.quality.flips.flips`.
    """
    from kencore.quality.flips import flips, keep_flips
    from kencore.system.devices import describe_device, resolve_device

    device = resolve_device(params.get("device") or "auto")
    context.set_device(describe_device(device))
    run = open_run(params["run"])
    found = flips(
        run,
        params.get("data"),
        baselines=params.get("baselines", True),
        device=device,
        threads=context.threads,
        progress=context.progress,
    )
    found.save(context.out)
    with suppress(StoreNotWritableError):  # it is whole in the job's folder
        keep_flips(run, found)
    _write_result(context, found.facts)


def find_sensitivity(params: dict[str, Any], context: Context) -> None:
    """Measure each pruned matrix of a run by itself; see `kencore.quality.sensitivity.sensitivity`. With a ``shard``
    some matrices alone, for that to take over.
    """
    from kencore.quality.sensitivity import sensitivity
    from kencore.system.devices import describe_device, resolve_device

    asked, shard = _asked(params)
    device = resolve_device(asked.pop("device", None) or "auto")
    context.set_device(describe_device(device))
    how: dict[str, Any] = {"device": device, "threads": context.threads, "progress": context.progress}
    run = asked.pop("run")
    found = sensitivity(run, asked.pop("data", None), **asked, **how, shard=shard, shared=_shared(context))
    if shard is None:
        _write_result(context, found)
    else:
        context.event("matrices", {"shard": str(shard), "matrices": len(found["matrices"])})


def _asked(params: dict[str, Any]) -> tuple[dict[str, Any], Shard | None]:
    """A job's own parameters, and which part of it is asked for; ``None``: all of it."""
    shard = params.get(SHARD)
    own = {name: value for name, value in params.items() if name != SHARD}
    return own, None if shard is None else Shard.from_text(shard)


def _shared(context: Context) -> Path | None:
    """What pieces of the job left, where it was split."""
    return context.shared if context.shared.is_dir() else None


def _write_result(context: Context, data: dict[str, Any]) -> None:
    (context.out / "result.json").write_text(json_text(data), encoding="utf-8")


def made_run(job: str) -> Path:
    """The folder of the run that a ``retune`` job made.

    Raises:
        JobNotFoundError: no such job.
        RunNotFoundError: it has not succeeded, or its result was removed.
    """
    return result(job) / "run"


def keep_run(job: str) -> str:
    """Put the run of a ``retune`` job into the store; its id. The second time nothing happens.

    Raises:
        JobNotFoundError, RunNotFoundError: as `made_run`.
        CorruptRunError: what the job left is not whole.
        StoreNotWritableError: the store cannot be written.
    """
    spec = status(job).params
    budget = f"k{spec['k']}" if spec.get("k") is not None else f"{float(spec['keep']):g}"
    name = f"{spec.get('method', 'ken')}-{budget}-{PREFIX}-{job.rsplit('-', 1)[-1]}"
    place = runs_folder() / name
    if place.is_dir():
        return name
    made = made_run(job)
    Run(made)  # whole, or nothing is copied
    part = place.with_name(f".{name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(made, part)
        with suppress(FileExistsError):
            publish(part, place)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        if place.is_dir():  # another click was first
            return name
        raise StoreNotWritableError(
            f"run {name}",
            got=f"it cannot be written ({error})",
            wanted="a store to write to",
            remedy="Free some space, or check the permissions of the folder.",
        ) from error
    return name
