"""Every page with every word of its address wrong: it says what is wanted and still offers what
there is. One line of the table is one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.forms import prune as prune_form
from app.forms import recover as recover_form
from app.forms import sweep as tradeoff_form
from app.frame import links
from kencore.runs.run import Run
from tests.app.conftest import OpenPage
from tests.app.fake_jobs import FakeJobs

MATRIX = "bert.encoder.layer.0.attention.self.query.weight"
EVERYWHERE = {"run": ("no-such-run", "../../etc", ".")}
A_MATRIX = {"matrix": ("no.such.matrix",)}

# page -> parameter -> values that cannot be, on top of what the address says beside it
WRONG: dict[str, dict[str, tuple[str, ...]]] = {
    "overview": {
        "measure": ("colour",),
        "export": ("no-such-job",),
        "report": ("no-such-job",),
        "beside": ("no-such-run",),
        "job": ("no-such-job",),
    },
    "prune": {
        "job": ("no-such-job",),
        "inspect": ("no-such-job",),
        "method": ("best",),
        "keep": ("2",),
        "scope": (",",),
    },
    "matrix": A_MATRIX
    | {
        "layer": ("colour",),
        "reset": ("perhaps",),
        "r0": ("-1", "9999", "x"),
        "c1": ("0", "9999"),
        "row": ("9999",),
        "col": ("x",),
    },
    "row": A_MATRIX | {"row": ("9999", "-1", "first"), "k": ("0", "9999"), "order": ("random",)},
    "layers": A_MATRIX | {"layer": ("colour",)},
    "sparsity": A_MATRIX | {"compare": ("no-such-run",), "bars": ("towers",), "from": ("99",), "to": ("x",)},
    "tradeoff": {
        "sweep": ("no-such-sweep",),
        "methods": ("best", "delta,best", ","),
        "keeps": ("2", "0.5,x", "nan"),
        "seeds": ("-1", "1.5", str(2**63)),
        "rescales": ("much",),
        "allocations": ("owl",),
        "ks": ("64",),
        "baselines": ("off",),
        "device": ("gpu",),
    },
    "recover": {
        "job": ("no-such-job",),
        "epochs": ("0", "1.5"),
        "lr": ("2", "nan", "fast"),
        "held_out_share": ("1", "0.333"),
        "weight_decay": ("1", "-1"),
        "data": (" ",),
        "evaluation": ("run", "c4"),
        "train": ("lora",),
        "schedule": ("wild",),
        "warmup": ("0.1",),
        "baselines": ("yes",),
        "device": ("gpu",),
    },
}
FORMS = {"prune": prune_form.FORM, "tradeoff": tradeoff_form.FORM, "recover": recover_form.FORM}
BESIDE = {"matrix": {"matrix": MATRIX}, "row": {"matrix": MATRIX}, "layers": {}, "sparsity": {}}


@pytest.fixture(autouse=True)
def store_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeJobs:
    return FakeJobs(tmp_path).install(monkeypatch)


@pytest.mark.parametrize("page", WRONG)
def test_a_bad_link_says_what_is_wanted(page: str, open_page: OpenPage, store: Run) -> None:
    test = open_page(page, run="sample", **BESIDE.get(page, {}))
    assert not test.exception
    assert not test.error
    runs = EVERYWHERE if page not in ("prune", "tradeoff") else {}
    for name, values in (WRONG[page] | runs).items():
        for value in values:
            test.query_params.clear()
            for key, good in ({"run": "sample"} | BESIDE.get(page, {}) | {name: value}).items():
                test.query_params[key] = good
            test.run()
            assert not test.exception, (name, value)
            if page in FORMS and name in FORMS[page].names:  # it puts its own in their place
                assert name not in test.query_params, (name, value)
            else:
                assert test.query_params[name] in (value, [value])
            said = " ".join(error.value for error in test.error).replace("\\", "")
            assert said, (name, value)
            assert value in said or name in said, (name, value, said)
            assert "wanted" in said, (name, value)
            offered = [*test.selectbox, *test.button, *test.get("page_link")]
            assert len(offered) >= 1, (name, value)
    test.query_params.clear()
    test.query_params["run"] = "sample"
    test.run()
    assert not test.error  # a mistake leaves nothing behind


def test_every_page_that_can_be_linked_to_is_in_the_table() -> None:
    elsewhere = {"tune", "map", "compare", "story", "explain", "flips", "runs"}  # tested beside their pages
    assert set(WRONG) | elsewhere == set(links.PAGES)
