"""What lies beside the weights of a pruned model: the files of the tuned one, and a card that says what was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from kencore.checkpoint.companions import CARD, companions

if TYPE_CHECKING:
    from kencore.runs.run import Run

TITLE = "## Pruned with KEN_viz"


def beside(run: Run) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the files that go with the pruned weights, the card among them."""
    folder = Path(run.tuned_tensors.folder)
    card = b""
    for name, path in companions(folder).items():
        if name == CARD:
            card = path.read_bytes()
        else:
            yield name, path.read_bytes()
    yield CARD, card_of(run, card.decode("utf-8", "replace")).encode()


def card_of(run: Run, before: str) -> str:
    """The model's own card with a section about the pruning at its end."""
    start = before.split(TITLE, 1)[0].rstrip()
    return f"{start}\n\n{_section(run)}" if start else _section(run)


def _section(run: Run) -> str:
    spec, totals = run.spec, run.totals
    what = f"by `{spec.method}`" + (f" with the allocation `{spec.allocation}`" if spec.allocation != "uniform" else "")
    back = "set to zero" if run.restore == "zero" else f"set back to the values of the base model {_name(run, 'base')}"
    lines = [
        TITLE,
        "",
        f"Made from {_name(run, 'tuned')} {what}, with KEN_viz {run.versions.get('kencore', '')}.",
        "",
        f"- {totals['kept']:,} of {totals['pruned']:,} values in {len(run.pruned):,} tensors were kept, the others "
        f"were {back}; the model has {totals['params']:,} in all.",
        f"- Parameters: scope {' + '.join(spec.scope)}, seed {spec.seed}.",
    ]
    if run.spec.updates:
        how = "stored in a code: they are near the tuned ones" if spec.coded else "changed, to make up for what is gone"
        lines.append(f"- Kept values were {how}.")
    if run.changed is not None or (run.path / "tuning.json").is_file():
        lines.append("- It was tuned again afterwards with its mask held.")
    lines += [
        "- The files hold all values: unstructured zeros alone make a model neither smaller on disk nor faster.",
        "- What the text above says of quality is about the model before it was pruned.",
    ]
    return "\n".join(lines) + "\n"


def _name(run: Run, which: str) -> str:
    """How a person knows one of the models; of a folder its last name, since the path is nobody else's."""
    source = run.record["sources"][which]
    text = str(source["text"])
    path = Path(text)
    name = path.name if path.is_absolute() else text
    return f"`{name}`" + (f" at revision `{source['revision']}`" if source.get("revision") else "")
