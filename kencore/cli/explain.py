"""The command that explains one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kencore.cli.frame import Json, Threads, command
from kencore.cli.options import Asked, asked_of, options_of
from kencore.settings.explain import ExplainSpec
from kencore.words import numbers as wording

if TYPE_CHECKING:
    from kencore.explain import Explanation
    from kencore.runs.run import Run

SHOWN = 8  # answers in words
STRONGEST = 5  # matrices


@options_of(ExplainSpec)
def explain(
    asked: Asked,
    matrix: Annotated[str | None, typer.Option(help="Also one neuron of this matrix: which weights did it.")] = None,
    neuron: Annotated[int | None, typer.Option(help="Its row; by default the one that moved the answer most.")] = None,
    token: Annotated[int | None, typer.Option(help="Its token; by default where it moved the answer most.")] = None,
    top: Annotated[int, typer.Option(min=1, help="At most so many weights.")] = 10,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Run a sentence through a run's models: answers, and where the paths part."""
    from kencore.errors import SpecError
    from kencore.explain import explain as run_explain
    from kencore.runs.run import open_run

    with command(as_json) as (report, show):
        if matrix is None and (neuron is not None or token is not None):
            raise SpecError(
                "neuron and token", got="no matrix", wanted="the matrix of that neuron", remedy="Name it with --matrix."
            )
        spec = ExplainSpec(**asked_of(ExplainSpec, asked))
        found = run_explain(spec, threads=threads, progress=report)
        facts = dict(found.facts)
        if matrix is not None:
            facts["neuron"] = neuron_facts(found, open_run(spec.run), matrix, neuron, token, top)
        show(facts, explained)


def neuron_facts(
    found: Explanation, run: Run, matrix: str, neuron: int | None, token: int | None, top: int
) -> dict[str, Any]:
    """The parts of one neuron's change as plain values, above 0 where the output rose; `kencore.explain.Contributions`
    has them the other way round, as what was taken away.
    """
    row, place = found.chosen(run, matrix, neuron, token)
    parts = found.contributions(run, matrix, row, place)
    return {
        "matrix": matrix,
        "row": row,
        "token": place,
        "dense": parts.dense,
        "pruned": parts.pruned,
        "weights": 0.0 - parts.weights,
        "inputs": 0.0 - parts.inputs,
        "bias": 0.0 - parts.bias,
        "top": [{"column": int(i), "contribution": 0.0 - float(parts.entries[i])} for i in parts.top(top)],
    }


def explained(facts: dict[str, Any]) -> str:
    """What `explain` found, in words."""
    states, tokens = facts["states"], facts["tokens"]
    what = "Next token" if facts["task"] == "language" else "Label"
    unknown = sum(token["unknown"] for token in tokens)
    lines = [
        f"{len(tokens):,} tokens, {unknown} unknown, {facts['cut']} cut; on {facts['device']}.",
        f"{what:<20}" + "".join(f"{state:>10}" for state in states),
    ]
    lines += [
        f"  {answer['text']!r:<18}" + "".join(f"{answer[state]:>10.2%}" for state in states)
        for answer in facts["answers"][:SHOWN]
    ]
    if facts["loss"] is not None and facts["loss"]["dense"] is not None:
        losses = "".join(f"{facts['loss'][state]:>10.3f}" for state in states)
        lines.append(f"{'Nats per token':<20}{losses}")
    lines.append("Distance between pruned and dense hidden states, relative to the dense ones:")
    pairs = zip(facts["distance"]["relative"], facts["distance"]["cosine"], strict=True)
    for place, (relative, cosine) in enumerate(pairs):
        where = "before block 0" if place == 0 else f"after block {place - 1}"
        lines.append(f"  {where:<16} {_number(relative, '.2%')}   cosine {_number(cosine, '.4f')}")
    lines += _moved(facts["effects"])
    if "neuron" in facts:
        lines += _neuron(facts["neuron"], tokens)
    return "\n".join(lines)


def _moved(told: dict[str, Any] | str) -> list[str]:
    """What the changed weights of the strongest matrices did to the dense model's answer."""
    if isinstance(told, str):
        return [f"Which matrix moved the answer is not told: {told}."]
    lines = [
        f"Log-odds of {told['answer']!r}: {told['dense']:.3f} dense, {told['pruned']:.3f} pruned. By gradients in both "
        "models the changed weights moved them by:"
    ]
    strongest = sorted(told["matrices"].items(), key=lambda one: -abs(one[1]["effect"]))
    lines += [f"  {one['effect']:+.3f}  {name}" for name, one in strongest[:STRONGEST]]
    rest = sum(one["effect"] for _, one in strongest[STRONGEST:])
    others = wording.plural(len(strongest) - STRONGEST, "other matrix", "other matrices")
    lines += [f"  {rest:+.3f}  {others}"] if len(strongest) > STRONGEST else []
    for name, said in (("entry", "what enters the first block"), ("biases", "biases of these matrices")):
        lines += [f"  {told[name]:+.3f}  {said}"] if told[name] else []
    return [*lines, f"  {told['others']:+.3f}  everything else, and what gradients miss"]


def _number(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def _neuron(one: dict[str, Any], tokens: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"Neuron {one['row']} of {one['matrix']}, token {one['token']} "
        f"({tokens[one['token']]['text']!r}): {one['dense']:.4g} dense, {one['pruned']:.4g} pruned",
        f"  moved by its changed weights {one['weights']:+.4g}, by its changed input "
        f"{one['inputs']:+.4g}, by its bias {one['bias']:+.4g}",
    ]
    return lines + [f"  column {entry['column']:>6,}  {entry['contribution']:+.4g}" for entry in one["top"]]
