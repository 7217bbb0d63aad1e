"""The kinds of job that people start, as thin layers over the library's own functions.

Imported by the worker alone: what they call is imported when they run.
"""

from __future__ import annotations

import json
from typing import Any

from kencore.jobs.context import Context


def inspect_pair(params: dict[str, Any], context: Context) -> None:
    """Write what is known of a model and its base before anything is loaded."""
    from kencore.checkpoint.inspect import inspect

    _write_result(context, inspect(**params, progress=context.progress))


def prune_pair(params: dict[str, Any], context: Context) -> None:
    """Prune, and leave the complete run in the job's folder."""
    from kencore.devices import describe_device
    from kencore.prune import prune
    from kencore.spec import PruneSpec

    spec = PruneSpec.from_dict(params)
    context.set_device(describe_device(spec.device))
    prune(spec, out=context.out, progress=context.progress, threads=context.threads)


def evaluate_model(params: dict[str, Any], context: Context) -> None:
    """Measure a classifier's quality on labelled examples."""
    from kencore.checkpoint.source import resolve
    from kencore.devices import describe_device, resolve_device
    from kencore.evaluate.accuracy import evaluate_model as measure

    device = resolve_device(params.get("device") or "auto")
    context.set_device(describe_device(device))
    source = resolve(
        params["model"], revision=params.get("model_revision"), progress=context.progress
    )
    figures = measure(source.folder, params["examples"], device=device, progress=context.progress)
    _write_result(context, figures)


def _write_result(context: Context, data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=1, allow_nan=False)
    (context.out / "result.json").write_text(text, encoding="utf-8")
