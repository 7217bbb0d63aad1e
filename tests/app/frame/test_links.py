"""Addresses: made, read, refused, remembered."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from app.frame import links


def script(body: str) -> AppTest:
    return AppTest.from_string("import streamlit as st\nfrom app.frame import links\n" + body)


def test_links_are_relative_and_escaped() -> None:
    assert links.link("matrix", run="a b", matrix="x&y", row=3, col=None) == ("matrix?run=a+b&matrix=x%26y&row=3")
    assert links.link("overview") == "./"
    assert links.link("overview", run="r") == "./?run=r"
    with pytest.raises(KeyError):
        links.link("nowhere")


@pytest.mark.parametrize("page", links.PAGES)
def test_every_page_named_has_a_file(page: str) -> None:
    from app.shell import ART

    assert (ART.parent / links.PAGES[page]).is_file()


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "1e3", "9" * 13, "٣", "17", "2"])
def test_numbers_out_of_form_or_range_are_refused(text: str) -> None:
    test = script(
        "try:\n    st.text(links.number('row', low=3, high=16))\n"
        "except links.LinkError as error:\n    st.error(str(error))"
    )
    test.query_params["row"] = text
    test.run()
    assert "3 to 16" in test.error[0].value
    assert repr(text) in test.error[0].value


def test_numbers_and_choices_in_range() -> None:
    test = script(
        "st.text(links.number('row', high=16))\nst.text(links.number('col'))\n"
        "st.text(links.choice('layer', ('kept', 'tuned'), 'kept'))\n"
        "st.text(links.choice('reset', ('hidden', 'shown'), 'hidden'))"
    )
    test.query_params["row"] = "16"
    test.query_params["layer"] = "tuned"
    assert [text.value for text in test.run().text] == ["16", "None", "tuned", "hidden"]


def test_an_unknown_choice_is_refused() -> None:
    test = script(
        "try:\n    links.choice('layer', ('kept', 'tuned'), 'kept')\n"
        "except links.LinkError as error:\n    st.error(str(error))"
    )
    test.query_params["layer"] = "nonsense"
    assert "kept, tuned" in test.run().error[0].value


def test_writing_changes_removes_and_remembers() -> None:
    test = script("links.write(run='b', matrix=None, row=4)\nst.text(links.value('run'))")
    test.query_params["run"] = "a"
    test.query_params["matrix"] = "m"
    test.query_params["other"] = "stays"
    test.run()
    assert dict(test.query_params) == {"run": "b", "other": "stays", "row": "4"}
    assert test.text[0].value == "b"


def test_run_and_matrix_are_remembered_where_the_address_is_silent() -> None:
    test = script(
        "st.text([links.value(name) for name in ('run', 'matrix', 'row')])\n"
        "if st.session_state.get('again'): links.restore('run')"
    )
    for name, value in {"run": "a", "matrix": "m", "row": "3"}.items():
        test.query_params[name] = value
    test.run()
    test.query_params.clear()
    test.session_state["again"] = True
    test.run()
    assert test.text[0].value == "['a', 'm', None]"
    assert dict(test.query_params) == {"run": "a"}


def test_a_link_from_a_page_to_itself_is_counted_and_a_choice_of_its_own_is_not() -> None:
    test = script("links.arrive('overview')\nst.text(links.jumps())\nif st.button('b'): links.write(run='b')")
    said = []
    for step in ("", "a", "a", "write", "c", ""):
        if step == "write":
            test.button[0].click()
        else:
            test.query_params.update({"run": step}) if step else test.query_params.clear()
        said.append(test.run().text[0].value)
    assert said == ["0", "1", "1", "1", "2", "2"]
    test.query_params["run"] = "b"
    assert test.run().text[0].value == "3"


def test_a_widget_s_own_parameter_is_left_alone() -> None:
    test = script("st.selectbox('Size', ['s', 'm'], key='size', bind='query-params')\nlinks.write(run='b', row=None)")
    test.query_params["size"] = "m"
    test.query_params["row"] = "1"
    test.run()
    assert not test.exception
    assert dict(test.query_params) == {"size": "m", "run": "b"}


def test_a_matrix_is_remembered_for_its_own_run() -> None:
    test = script("st.text(str(links.value('run')))\nst.text(str(links.value('matrix')))")
    test.query_params["run"] = "a"
    test.query_params["matrix"] = "m"
    test.run()
    test.query_params.clear()
    assert [text.value for text in test.run().text] == ["a", "m"]
    test.query_params["run"] = "b"
    assert [text.value for text in test.run().text] == ["b", "None"]


def test_what_was_not_there_is_not_carried_along() -> None:
    test = script(
        "run = links.value('run')\nif run == 'gone': links.forget('run')\nst.text(str(run))\nlinks.restore('run')"
    )
    test.query_params["run"] = "gone"
    assert test.run().text[0].value == "gone"
    assert dict(test.query_params) == {"run": "gone"}
    assert test.run().text[0].value == "gone"  # the address still says so
    test.query_params.clear()
    assert test.run().text[0].value == "None"
    assert dict(test.query_params) == {}
