"""The command line as a person and as a script use it."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from typer.main import get_command
from typer.testing import CliRunner

from kencore.allocate.table import ALLOCATIONS
from kencore.cli.main import app
from kencore.methods.table import METHODS
from kencore.runs.run import open_run
from kencore.settings.prune import PROPAGATIONS, REFERENCES, REFINEMENTS, STEPS, PruneSpec
from tests.support.tiny_models import POSITIONS, save_pair
from tests.support.tiny_text import add_tokenizer, write_text

runner = CliRunner()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    base, tuned = save_pair("bert", tmp_path_factory.mktemp("pair"))
    return str(base), str(tuned)


@pytest.fixture(scope="module")
def language(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """(model, text): a tiny causal language model and words that it knows."""
    folder = tmp_path_factory.mktemp("language")
    model = add_tokenizer(save_pair("llama", folder)[1])
    return str(model), str(write_text(folder / "text.txt", 1200))


def call(*arguments: str, code: int = 0) -> Any:
    """Run a command with ``--json`` and return what it printed."""
    done = runner.invoke(app, [*arguments, "--json"])
    assert done.exit_code == code, (done.stdout, done.stderr)
    return json.loads(done.stdout)


def test_prune_export_and_runs(pair: tuple[str, str], tmp_path: Path) -> None:
    base, tuned = pair
    facts = call("prune", "--model", tuned, "--base", base, "--keep", "0.25")
    run = open_run(facts["run"])
    assert facts["kept"] == run.totals["kept"]
    assert facts["kept"] + facts["reset"] == facts["pruned"]
    assert Path(facts["folder"]) == run.path
    listed = call("runs")["runs"]
    assert [line["id"] for line in listed if not line["id"].startswith("demo")] == [run.id]
    call("runs", run.id, "--rename", "mine", "--tag", "paper")
    (named,) = call("runs", "--tagged", "paper")["runs"]
    assert (named["id"], named["label"], named["method"], named["keep"]) == (run.id, "mine", "ken", 0.25)
    assert "nothing to do" in call("runs", run.id, code=1)["error"]["message"]
    call("export", run.id, str(tmp_path / "model"))
    assert load_file(tmp_path / "model" / "model.safetensors").keys() == run.apply().keys()


def test_sparsity_is_keep_from_the_other_side(pair: tuple[str, str], tmp_path: Path) -> None:
    base, tuned = pair
    masks = []
    for budget in (("--sparsity", "0.25"), ("--keep", "0.75")):
        out = tmp_path / budget[0]
        call("prune", "--model", tuned, "--base", base, *budget, "--out", str(out))
        masks.append((out / "masks.safetensors").read_bytes())
    assert masks[0] == masks[1]


@pytest.mark.parametrize("sparsity", [0.1, 0.3, 0.7, 0.9])
def test_sparsity_is_the_same_share_to_the_last_bit(pair: tuple[str, str], tmp_path: Path, sparsity: float) -> None:
    base, tuned = pair
    out = tmp_path / "run"
    asked = ("--sparsity", str(sparsity), "--out", str(out))
    call("prune", "--model", tuned, "--base", base, *asked)
    assert open_run(out).spec.keep == round(1 - sparsity, 1)


def test_a_taken_folder_for_the_model_is_told_before_pruning(pair: tuple[str, str], tmp_path: Path) -> None:
    base, tuned = pair
    where = ("--keep", "0.5", "--out", str(tmp_path / "run"), "--save-model", base)
    error = call("prune", "--model", tuned, "--base", base, *where, code=1)["error"]
    assert error["type"] == "RunExistsError"
    assert list(tmp_path.iterdir()) == []


# what a pruning needs is loaded once; each number is a signal that stops one in a process of its own
STOPPED = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell's "&" started us
from kencore.cli import main as cli
import kencore.pruning.by_slices
folder, numbers = sys.argv[1], [int(number) for number in sys.argv[2].split(",")]
def stop(*_):
    assert os.listdir(folder)
    os.kill(os.getpid(), number)
    for _ in range(1000):  # another thread may receive the signal first
        time.sleep(0.01)
kencore.pruning.by_slices.Pruner._prune = stop
sys.argv = ["kencore", "prune", *sys.argv[3:], "--out", f"{folder}/run"]
for number in numbers:
    pid = os.fork()
    if pid == 0:
        cli.main()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.listdir(folder), flush=True)
"""


def test_a_prune_that_is_stopped_leaves_nothing(pair: tuple[str, str], tmp_path: Path) -> None:
    base, tuned = pair
    asked = ["--model", tuned, "--base", base, "-k", "3"]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, str(tmp_path), f"{int(signal.SIGINT)},{int(signal.SIGTERM)}", *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ended = [line for line in done.stdout.splitlines() if line.endswith("[]")]
    assert ended == ["130 []", "143 []"], done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_base_entries_become_zero(pair: tuple[str, str], tmp_path: Path) -> None:
    asked = ("prune", "--model", pair[1], "--method", "magnitude", "--sparsity", "0.7")
    facts = call(*asked)
    assert facts["restore"] == "zero"
    assert facts["reset"] == int(0.7 * facts["pruned"] + 0.5)
    assert facts["allocation"] is None
    done = runner.invoke(app, [*asked, "--out", str(tmp_path / "run")])
    assert f"Set to zero: {facts['reset']:,} of" in done.stdout
    assert "Allocation" not in done.stdout


def test_a_language_model_is_pruned_and_measured(language: tuple[str, str], tmp_path: Path) -> None:
    model, text = language
    search = ("--calibration", text, "--sequences", "6", "--search-sequences", "3", "--fast")
    asked = (
        "prune",
        "--model",
        model,
        "--method",
        "wanda",
        "--allocation",
        "neuroal",
        "--step",
        "both",
        "--reference",
        "global",
        "--sparsity",
        "0.7",
        "--window",
        "12",
        *search,
        "--propagate",
        "dense",
        "--evaluation",
        text,
        "--windows",
        "5",
        "--baselines",
        "--seed",
        "4",
        "--device",
        "cpu",
    )
    facts = call(*asked, "--out", str(tmp_path / "one"))
    run = open_run(tmp_path / "one")
    spec = run.spec
    assert (spec.method, spec.allocation, spec.step, spec.reference) == ("wanda", "neuroal", "both", "global")
    assert (spec.sequences, spec.search_sequences, spec.window, spec.windows) == (6, 3, 12, 5)
    assert (spec.propagate, spec.fast, spec.published, spec.refine) == ("dense", True, False, "none")
    assert facts["reset"] == int(0.7 * facts["pruned"] + 0.5)
    assert facts["metrics"] == run.metrics
    assert facts["allocation"]["name"] == "neuroal"
    assert set(facts["allocation"]["chosen"]) == {"block lambda", "row lambda"}
    done = runner.invoke(app, [*asked, "--out", str(tmp_path / "two")])
    dense, pruned = (run.metrics[side]["perplexity"] for side in ("dense", "pruned"))
    assert f"dense {dense:,.2f}, pruned {pruned:,.2f}" in done.stdout
    assert "Perplexity on 5 windows of 12 tokens" in done.stdout
    assert "Allocation: neuroal, both, block lambda" in done.stdout
    for name in ("random", "magnitude", "uniform"):
        assert f"  {name} " in done.stdout


def test_a_language_model_is_judged_on_text(language: tuple[str, str]) -> None:
    model, text = language
    asked = ("evaluate", model, "--data", text, "--window", "10", "--windows", "7")
    found = call(*asked)
    assert (found["window"], found["windows"], found["tokens"]) == (10, 7, 63)
    done = runner.invoke(app, list(asked))
    assert f"perplexity {found['perplexity']:,.2f}" in done.stdout


def test_inspect_says_what_a_model_is_for(pair: tuple[str, str], language: tuple[str, str]) -> None:
    assert call("inspect", pair[1])["task"] == "classification"
    facts = call("inspect", language[0])
    assert (facts["task"], facts["positions"]) == ("language", POSITIONS)
    done = runner.invoke(app, ["inspect", language[0]])
    assert f"a causal language model, reads up to {POSITIONS} tokens" in done.stdout
    assert f"can prune {facts['streams']['matrices']} matrices" in done.stdout


@pytest.mark.parametrize("command", ["prune", "evaluate"])
def test_help_names_every_choice(command: str) -> None:
    options = {
        option
        for parameter in get_command(app).commands[command].params  # type: ignore[attr-defined]
        for option in parameter.opts
    }
    text = " ".join(
        str(getattr(parameter, "help", ""))
        for parameter in get_command(app).commands[command].params  # type: ignore[attr-defined]
    )
    assert {"--window", "--windows", "--baselines"} <= options
    for source in ("pydoc", "wikitext2", "c4", "ptb", ".jsonl"):
        assert source in text
    if command == "prune":
        fields = {field.name.replace("_", "-") for field in dataclasses.fields(PruneSpec)}
        assert fields - {option.lstrip("-") for option in options} == set()
        for word in (*METHODS, *ALLOCATIONS, *STEPS, *REFERENCES, *REFINEMENTS, *PROPAGATIONS):
            assert word in text


def test_inspect_counts_every_parameter(pair: tuple[str, str]) -> None:
    base, tuned = pair
    facts = call("inspect", tuned, "--base", base)
    on_disk = sum(t.numel() for t in load_file(Path(tuned) / "model.safetensors").values())
    assert facts["parameters"]["total"] == on_disk
    assert facts["model_type"] == "bert"


PAIR = ("prune", "--model", "TUNED", "--base", "BASE")
LM = ("prune", "--model", "TUNED", "--method", "wanda", "--keep", "0.5")


@pytest.mark.parametrize(
    ("sparsity", "words"),
    [
        ("0", "keep 1, that is sparsity 0: nothing would be pruned"),
        ("1", "keep 0, that is sparsity 1: nothing would be left"),
        ("1.5", "keep -0.5, that is sparsity 1.5: more than everything pruned"),
        ("-0.5", "keep 1.5, that is sparsity -0.5: more than everything kept"),
    ],
)
def test_each_sparsity_that_cannot_be_has_its_message(sparsity: str, words: str) -> None:
    asked = ("prune", "--model", "m", "--method", "wanda", f"--sparsity={sparsity}")
    assert words in call(*asked, code=1)["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("prune", "--model", "./nowhere", "--base", "BASE", "-k", "3"), "SourceNotFoundError"),
        (("prune", "--model", "TUNED", "--keep", "0.5"), "SpecError"),
        (PAIR, "SpecError"),
        ((*PAIR, "--keep", "2"), "SpecError"),
        ((*PAIR, "--sparsity", "1"), "SpecError"),
        ((*PAIR, "--keep", ".5", "--sparsity", ".5"), "SpecError"),
        ((*PAIR, "--sparsity", "nan"), "SpecError"),
        ((*PAIR, "--sparsity", "-inf"), "SpecError"),
        ((*PAIR, "--keep", ".5", "--scope", "x*"), "ScopeError"),
        ((*PAIR, "--keep", ".5", "--evaluation", "no.tsv"), "DataFileError"),
        ((*LM, "--allocation", "best"), "SpecError"),
        ((*LM, "--method", "sparsegpt", "--step", "row"), "SpecError"),
        (("prune", "--model", "TUNED", "--method", "wanda", "-k", "3"), "SpecError"),
        (LM, "NotALanguageModelError"),
        (("inspect", "./nowhere"), "SourceNotFoundError"),
        (("evaluate", "TUNED", "--tasks", " , "), "SpecError"),
        (("export", "no-such-run", "x"), "RunNotFoundError"),
        (("evaluate", "./nowhere", "--data", "demo"), "SourceNotFoundError"),
    ],
)
def test_mistakes_are_messages(pair: tuple[str, str], arguments: tuple[str, ...], kind: str) -> None:
    base, tuned = pair
    words = [{"BASE": base, "TUNED": tuned}.get(word, word) for word in arguments]
    error = call(*words, code=1)["error"]
    assert error["type"] == kind
    done = runner.invoke(app, words)
    assert done.exit_code == 1
    assert done.stderr == f"{error['message']}\n"
    assert "Traceback" not in done.output


def test_wrong_usage_is_code_2() -> None:
    assert runner.invoke(app, ["prune", "--colour"]).exit_code == 2
    assert runner.invoke(app, ["paint"]).exit_code == 2


def test_as_a_module_in_a_process_of_its_own(pair: tuple[str, str], tmp_path: Path) -> None:
    base, tuned = pair
    command = [sys.executable, "-m", "kencore", "prune", "--model", tuned, "--base", base]
    done = subprocess.run(
        [*command, "-k", "8", "--out", str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Back to the base" in done.stdout
    assert open_run(tmp_path / "run").spec.k == 8


def test_importing_kencore_loads_no_torch() -> None:
    heavy = "{'torch', 'transformers', 'numba', 'scipy', 'sklearn', 'streamlit', 'plotly'}"
    code = f"import sys, kencore, kencore.cli.main, kencore.views.window; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
