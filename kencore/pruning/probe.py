"""A probe of the work at hand: one block on a window, one matrix for rules on weights alone, timed and scaled up.

Shapes: R rows (outputs), C columns (inputs); T tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kencore.allocate.table import ALLOCATIONS
from kencore.checkpoint.pair import open_models
from kencore.methods.table import METHODS
from kencore.pruning.plan import chosen, decide
from kencore.pruning.timing import Paces, Work, ranges
from kencore.quality.baselines import baseline_names
from kencore.settings.prune import PruneSpec
from kencore.system.progress import Progress, silent

if TYPE_CHECKING:
    from kencore.checkpoint.pair import Pair
    from kencore.pruning.workbench import Workbench
    from kencore.runs.lines import Decision

ENTRIES = 1 << 19  # of one matrix, that rules are timed on
EXAMPLES = 32  # sentences, that a classifier is timed on
TIMES = 2  # the better one counts: the first one compiles, and finds nothing in the cache
COST_SECONDS = 5.0  # of measuring what a model costs, at most
COST_PASSES = 24  # that it takes of a model that is quick: a dozen dense, a dozen pruned


def probe(
    model: str,
    base: str | None = None,
    *,
    data: str | None = None,
    threads: int | None = None,
    begun: float = 0.0,
    progress: Progress | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """How long every method and allocation will take on a model, by trying a little of each.

    Args:
        model, base, data: as `kencore.models.inspect.inspect` takes them.
        begun: seconds since the process began, where each pruning will be a process of its own, which has the
            libraries to import and the models to open as this one had.
        settings: others of `PruneSpec`, where they are not the usual ones.

    Returns:
        ``ranges``: as `kencore.pruning.timing.ranges` gives them; ``probe_seconds``; ``measured``: whether measuring
        quality is part of them.

    Raises:
        KencoreError: as `kencore.pruning.prune.prune`.
    """
    from kencore.models.language import is_language_model
    from kencore.quality.judge import read_data
    from kencore.system.devices import resolve_device, usable_threads

    started, report = time.perf_counter(), progress or silent
    threads = threads or usable_threads()
    given = {"model": model, "base": base, "evaluation": data, "keep": 0.5} | settings
    spec = PruneSpec(method="magnitude", **given)
    device = resolve_device(spec.device)
    report(0, 3, "Timing rules on a matrix")
    pair = open_models(spec)
    try:
        plan = decide(pair, spec)
        opened = begun + time.perf_counter() - started
        rules, write = _rules(pair, plan, threads)
        work: dict[str, int] = {"alone": sum(d.size for d in plan if d.status == "pruned")}
        found: dict[str, Any] = {"rules": rules, "write": write, "open": opened}
        if language := is_language_model(pair.tuned.folder):
            report(1, 3, "Timing a block on a window of text")
            text_work, paces = _text(pair, PruneSpec(method="wanda", **given), device, threads)
            work |= text_work
            found |= paces | {"rules": rules | paces["rules"]}
        if data is not None:
            report(2, 3, "Timing a measurement")
            work["models"] = 2 + (base is not None) + len(baseline_names(spec))
            found |= _measuring(pair.tuned.folder, read_data(pair.tuned.folder, spec), found, device, threads, language)
    finally:
        pair.close()
    methods = [row for row in METHODS.values() if row.name in found["rules"]]
    lines = ranges(Paces(**found), Work(**work), methods, ALLOCATIONS.values())
    return {"ranges": lines, "measured": data is not None, "probe_seconds": time.perf_counter() - started}


def _timed(work: Callable[[], Any], times: int = TIMES) -> float:
    """Seconds of the quickest of some tries."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _rules(pair: Pair, plan: list[Decision], threads: int) -> tuple[dict[str, float], float]:
    """Seconds a weight of every rule that needs no text, and of reading it and writing what was chosen."""
    from kencore.methods.rows import select_rows
    from kencore.runs.bits import pack
    from kencore.runs.measures import MatrixMeasures, row_measures

    decisions = sorted(chosen(plan).values(), key=lambda one: -one.size)
    middle = next((one for one in decisions if one.parameter.block is not None), decisions[0])
    parameter = middle.parameter
    step = max(1, ENTRIES // parameter.cols)
    _, tuned, old = next(iter(pair.rows(parameter, step)))
    k = max(1, parameter.cols // 2)
    base = old if pair.base_tensors is not None else None
    rules: dict[str, float] = {}
    for name, row in METHODS.items():
        if row.rule is None or (row.needs_base and base is None):
            continue

        def select(name: str = name) -> Any:
            return select_rows(tuned, base, k, name, rng=np.random.default_rng(0), threads=threads)

        rules[name] = _timed(select) / tuned.size
    keep = select_rows(tuned, base, k, "magnitude")

    def write() -> None:
        pack(keep)
        row_measures(tuned, old, keep)
        MatrixMeasures().add(tuned, old, keep)

    hashed = _timed(lambda: pair.tuned_tensors.sha256(parameter.name)) / middle.size
    read = _timed(lambda: next(iter(pair.rows(parameter, step)))) / tuned.size
    return rules, read + _timed(write) / tuned.size + hashed * (1 + (base is not None))


def _text(pair: Pair, spec: PruneSpec, device: str, threads: int) -> tuple[dict[str, int], dict[str, Any]]:
    """What there is to do of a language model on text, and the paces of it."""
    from kencore.models.language import usual_window
    from kencore.models.loaded import torch_threads
    from kencore.pruning.workbench import Workbench

    started = time.perf_counter()
    plan = decide(pair, spec)
    bench = Workbench(pair, plan, device=device, threads=threads)
    window = spec.window or usual_window(bench.language.positions)
    with torch_threads(threads):
        bench.calibration(replace(spec, sequences=1, search_sequences=1))
        streams = bench.streams(1)
        wired = bench.blocks.wiring  # found once, before the first block runs
        load = time.perf_counter() - started
        paces = _block(bench, streams, len(wired))
    inside = sum(slot.size for slot in bench.slots)
    work = {
        "inside": inside,
        "tokens": spec.sequences * window,
        "searched": min(spec.search_sequences, spec.sequences) * window,
    }
    return work, {"load": load} | paces


def _block(bench: Workbench, streams: Any, blocks: int) -> dict[str, Any]:
    """Paces of a block in the middle, for all blocks."""
    import torch

    from kencore.methods.registry import load
    from kencore.models.blocks.inputs import NORM, all_need, gather
    from kencore.models.blocks.tail import language_loss

    number = blocks // 2
    slots = bench.blocks.by_block[number]
    names, size = [slot.name for slot in slots], sum(slot.size for slot in slots)
    tokens, hidden = streams.ids.numel(), streams.hidden

    def run(needs: frozenset[str]) -> Any:
        return gather(bench.blocks, streams, number, hidden, all_need(names, needs), output=True)[0]

    plain = _timed(lambda: run(NORM))
    rules, statistics = {}, {}
    for name, row in METHODS.items():
        if not row.statistics:
            continue
        if row.statistics != NORM:
            statistics[name] = max(0.0, _timed(partial(run, row.statistics), 1) - plain) * blocks / tokens
        rule, found = bench.rule(name), run(row.statistics)

        @torch.no_grad()
        def prune(rule: Any = rule, found: Any = found) -> None:
            for slot in slots:
                weight = bench.blocks.weight(slot.name)
                rule(slot, weight, rule.base(slot, weight), found[slot.name], np.full(slot.rows, slot.cols // 2))

        rules[name] = _timed(prune, 1) / size
    named = ALLOCATIONS["alpha"].number
    assert named is not None
    number_of = load(named)
    spectrum = _timed(lambda: number_of(bench.blocks.weight(names[0])), 1) / slots[0].size
    return {
        "token": plain * blocks / tokens,
        "statistics": statistics,
        "rules": rules,
        "spectrum": spectrum,
        "head": _timed(lambda: language_loss(bench.blocks, streams, hidden), 1) / tokens,
    }


def _measuring(
    folder: Path, data: Any, found: dict[str, Any], device: str, threads: int, language: bool
) -> dict[str, float]:
    """Seconds of one model on the data, and of what it costs."""
    if language:
        once = data.ids.numel() * (found["token"] + found["head"])
        return {"once": once, "fixed": min(COST_SECONDS, COST_PASSES * once / len(data.ids))}
    from kencore.quality.judge import load_judge

    rows, some = len(data.texts), _usual(data)
    parts = {name: getattr(data, name, None) for name in ("texts", "labels", "pairs")}
    few = {name: tuple(part[place] for place in some) for name, part in parts.items() if part}
    started = time.perf_counter()
    judge = load_judge(folder, replace(data, **few), device=device, threads=threads)
    loaded = time.perf_counter() - started
    once = _timed(judge.quality) * rows / len(some)
    return {"once": once, "fixed": min(COST_SECONDS, COST_PASSES * once / rows) + loaded}


def _usual(data: Any) -> list[int]:
    """Places of `EXAMPLES` sentences of about the mean length: sentences are read with others of their length."""
    lengths = np.array([len(text) for text in data.texts])
    if pairs := getattr(data, "pairs", None):
        lengths += [len(text) for text in pairs]
    order = np.argsort(lengths, kind="stable")
    middle = int(np.searchsorted(lengths[order], lengths.mean()))
    first = max(0, min(middle - EXAMPLES // 2, len(order) - EXAMPLES))
    return sorted(order[first : first + EXAMPLES].tolist())
