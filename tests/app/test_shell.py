"""Around every page: the choice of run, broken runs, what the web process may import."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from streamlit.testing.v1 import AppTest

from app.frame import links, state
from kencore.runs.run import Run
from tests.app.conftest import ROOT, OpenPage

HEAVY = ("torch", "transformers", "scipy", "numba", "sklearn", "matplotlib")


def another_run(store: Run, name: str) -> None:
    shutil.copytree(store.path, store.path.parent / name)
    state.forget_runs()


def test_an_empty_store_says_what_to_do(store: Run, open_page: OpenPage) -> None:
    shutil.rmtree(store.path)
    state.forget_runs()
    for page in ("overview", "matrix"):
        test = open_page(page)
        assert not test.exception
        assert "Prune a model" in test.error[0].value


def test_the_first_run_is_shown_and_the_address_stays_short(open_page: OpenPage) -> None:
    test = open_page("matrix")
    assert not test.exception
    assert test.selectbox(key="run_choice").value == "sample"
    assert dict(test.query_params) == {}


def test_choosing_a_run_goes_into_the_address(store: Run, open_page: OpenPage) -> None:
    another_run(store, "second")
    test = open_page("matrix", run="sample", matrix=store.pruned[3], r0=3, row=5, layer="tuned")
    test.selectbox(key="run_choice").set_value("second").run()
    assert not test.exception
    assert dict(test.query_params) == {"run": "second", "layer": "tuned"}


def test_a_name_too_long_for_the_box_is_said_below_it(store: Run, open_page: OpenPage) -> None:
    test = open_page("matrix")
    (label,) = test.selectbox(key="run_choice").options
    assert (label in [caption.value for caption in test.sidebar.caption]) == (len(label) > 24)
    another_run(store, "second")
    state.forget_runs()
    test = open_page("matrix", run="second")
    label = next(name for name in test.selectbox(key="run_choice").options if "second" in name)
    assert len(label) > 24
    assert label in [caption.value for caption in test.sidebar.caption]


def test_the_run_is_kept_from_page_to_page(store: Run, open_page: OpenPage) -> None:
    another_run(store, "second")
    test = open_page("matrix", run="second", matrix=store.pruned[3])
    test.query_params.clear()  # what the menu does
    test.switch_page("app_pages/layers/page.py").run()
    assert test.selectbox(key="run_choice").value == "second"
    assert dict(test.query_params)["run"] == "second"
    assert dict(test.query_params)["matrix"] == store.pruned[3]


@pytest.mark.parametrize("run", ["missing", "../sample", "/etc/passwd", "", "a\0b"])
@pytest.mark.parametrize("page", ["overview", "matrix"])
def test_an_unknown_run_is_said_and_others_are_offered(open_page: OpenPage, page: str, run: str) -> None:
    test = open_page(page, run=run)
    assert not test.exception
    assert test.error
    picker = test.selectbox(key="run_choice")
    assert picker.value is None
    assert len(picker.options) == 1


def test_a_broken_folder_is_listed_and_hides_nothing(store: Run, open_page: OpenPage) -> None:
    another_run(store, "broken")
    (store.path.parent / "broken" / "masks.safetensors").unlink()
    test = open_page("matrix")
    assert not test.exception
    assert test.selectbox(key="run_choice").options == [test.selectbox(key="run_choice").options[0]]
    assert any("masks.safetensors" in caption.value for caption in test.sidebar.caption)


def test_a_run_of_a_newer_version_is_listed_and_said(store: Run, open_page: OpenPage) -> None:
    another_run(store, "newer")
    record = store.path.parent / "newer" / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text("utf-8")) | {"version": 7}), "utf-8")
    test = open_page("matrix", run="newer")
    assert not test.exception
    assert test.error[0].value.startswith("**run newer**: got schema 7, made by a newer KEN")
    assert "Upgrade KEN" in test.error[0].value
    assert any("schema 7, made by a newer KEN" in caption.value for caption in test.sidebar.caption)
    assert len(test.selectbox(key="run_choice").options) == 1


def test_a_run_whose_files_are_broken_inside_is_said(store: Run, open_page: OpenPage) -> None:
    another_run(store, "torn")
    (store.path.parent / "torn" / "matrices.parquet").write_bytes(b"PAR1 torn")
    test = open_page("matrix", run="torn")
    assert not test.exception
    assert "matrices.parquet" in test.error[0].value


def test_every_page_of_the_menu_opens(open_page: OpenPage) -> None:
    for page in links.PAGES:
        test = open_page(page)
        assert not test.exception, page
        assert not test.error, page


def test_the_web_process_stays_light(store: Run) -> None:
    """All pages in a fresh interpreter: nothing that only the worker needs gets imported."""
    code = f"""
import json, sys
from streamlit.testing.v1 import AppTest
from app import server
from app.frame import links
server.warm()
test = AppTest.from_file("app/streamlit_app.py", default_timeout=60).run()
for page in list(links.PAGES)[1:]:
    test.switch_page(links.PAGES[page]).run()
    assert not test.exception, (page, test.exception)
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_an_error_of_ours_is_shown_as_its_parts() -> None:
    test = AppTest.from_string(
        "from app.frame import state\nfrom kencore.errors import SpecError\nimport streamlit as st\n"
        "with state.messages():\n"
        "    raise SpecError('keep', got='7', wanted='a share', remedy='Pass 0.5.')\n"
        "st.text('not reached')"
    ).run()
    assert test.error[0].value == "**keep**: got 7; wanted a share.\n\nPass 0.5."
    assert not test.text


def test_an_error_repeats_what_was_typed_to_the_letter() -> None:
    test = AppTest.from_string(
        "from app.frame import state\nfrom kencore.errors import ScopeError\n"
        "with state.messages():\n"
        "    raise ScopeError('My/Nope_a* model', got='`$x$`', wanted='[a](b)', remedy='`do`')\n"
    ).run()
    shown = r"**My/Nope\_a\* model**: got \`\$x\$\`; wanted \[a\](b)."
    assert test.error[0].value == shown + "\n\n\\`do\\`"


def test_whatever_else_goes_wrong_is_said_on_the_page(store: Run) -> None:
    code = """
from streamlit.testing.v1 import AppTest
page = '''
from app import server
from kencore.errors import SpecError
server.say(ValueError("boom"))
server.say(SpecError("keep", got="7", wanted="a share", remedy="Pass 0.5."))
'''
first, second = (error.value for error in AppTest.from_string(page).run().error)
assert first.startswith("**This page failed**: ValueError: boom"), first
assert second.startswith("**keep**: got 7"), second
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_a_measurement_is_seen_though_the_run_was_open(store: Run) -> None:
    from app.frame import state
    from kencore.quality.judge import save_metrics

    assert state.open_cached("sample").metrics == {}
    save_metrics(store.path, {"data": "sentences.tsv"})
    assert state.open_cached("sample").metrics == {"data": "sentences.tsv"}
