"""What is declared of a setting: its check follows from it, and nothing is left undeclared."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest

from kencore.errors import SpecError
from kencore.settings.checks import checked
from kencore.settings.explain import ExplainSpec
from kencore.settings.fields import Declared, settings_of
from kencore.settings.jobs import EvaluateAsked, ExportAsked, InspectAsked, ReportAsked, SensitivityAsked
from kencore.settings.prune import PruneSpec
from kencore.settings.recover import RecoverSpec
from kencore.settings.sweep import SweepSpec

SPECS = (PruneSpec, SweepSpec, RecoverSpec, ExplainSpec)
JOBS = (EvaluateAsked, ExportAsked, InspectAsked, ReportAsked, SensitivityAsked)
ALL = [(spec, name) for spec in (*SPECS, *JOBS) for name in settings_of(spec)]


def known(spec: type, name: str) -> Declared:
    return settings_of(spec)[name]


@pytest.mark.parametrize("spec", SPECS)
def test_every_field_is_declared_and_described(spec: type) -> None:
    assert list(settings_of(spec)) == [field.name for field in fields(spec)]
    told = " ".join(parent.__doc__ or "" for parent in spec.__mro__)
    for name, setting in settings_of(spec).items():
        assert setting.help.endswith((".", "name.")), name
        assert name in told, f"{name} is not in the docstring"


@pytest.mark.parametrize(("spec", "name"), ALL)
def test_a_default_is_one_that_can_be(spec: type, name: str) -> None:
    setting = known(spec, name)
    if setting.default is not MISSING:
        assert checked(name, setting.default, setting) == setting.default


@pytest.mark.parametrize(("spec", "name"), ALL)
@pytest.mark.parametrize("value", [object(), float("nan"), -1, {}])
def test_what_no_setting_can_be_is_refused_by_its_name(spec: type, name: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        checked(name, value, known(spec, name))
    assert caught.value.subject == name
    assert caught.value.wanted
    assert caught.value.remedy.endswith(".")


@pytest.mark.parametrize(("spec", "name"), ALL)
def test_what_a_form_offers_can_be(spec: type, name: str) -> None:
    setting = known(spec, name)
    if setting.label and setting.kind in ("count", "number", "share"):
        least, most = setting.offered
        assert setting.allows(least), (least, most)
        assert setting.allows(most), (least, most)


@pytest.mark.parametrize(("spec", "name"), ALL)
def test_only_what_is_optional_may_be_left_out(spec: type, name: str) -> None:
    setting = known(spec, name)
    if setting.optional:
        assert checked(name, None, setting) is None
    else:
        with pytest.raises(SpecError):
            checked(name, None, setting)


@pytest.mark.parametrize(
    ("declared", "value", "said"),
    [
        ({"low": 0, "high": 1, "without": (0,)}, 0, "a number above 0 and at most 1"),
        ({"low": 0, "high": 1, "without": (0, 1)}, 1, "a number above 0 and below 1"),
        ({"low": 0, "high": 1, "without": (1,)}, 1.5, "a number 0 or more and below 1"),
        ({"low": 2}, 1, "a number 2 or more"),
        ({"low": 2}, True, "a number 2 or more"),
        ({"low": 2, "wanted": "enough"}, 1, "enough"),
    ],
)
def test_bounds_are_said_as_they_are(declared: dict[str, Any], value: Any, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        checked("it", value, Declared(kind="number", default=None, **declared))
    assert caught.value.wanted == said
    assert caught.value.got == repr(value)


def test_words_that_join_the_choices_later_count() -> None:
    words = {"one": 1}
    setting = Declared(kind="choice", default=None, choices=words)
    with pytest.raises(SpecError, match="wanted one"):
        checked("it", "two", setting)
    words["two"] = 2
    assert checked("it", "two", setting) == "two"
