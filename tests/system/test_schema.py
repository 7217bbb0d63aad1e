"""One table of versions: what is current passes, older is migrated step by step, newer is refused."""

from __future__ import annotations

from typing import Any

import pytest

from kencore.errors import SchemaError
from kencore.system import schema
from kencore.system.schema import Schema


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind of thing of version 4, which can be read from version 2 on."""

    def three(data: dict[str, Any]) -> None:
        data["keep"] = 1 - data.pop("sparsity")

    def four(data: dict[str, Any]) -> None:
        data["keep"] = {"share": data["keep"]}

    monkeypatch.setitem(schema.SCHEMAS, "thing", Schema(current=4, migrations={2: three, 3: four}))


@pytest.mark.parametrize("kind", sorted(schema.SCHEMAS))
def test_every_kind_is_read_from_its_first_version_on(kind: str) -> None:
    assert list(schema.SCHEMAS[kind].migrations) == list(range(schema.FIRST, schema.current(kind)))
    assert len(schema.steps(kind, "it", schema.FIRST)) == schema.current(kind) - schema.FIRST


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    "data", [{"version": 2, "sparsity": 0.25}, {"version": 3, "keep": 0.75}, {"version": 4, "keep": {"share": 0.75}}]
)
def test_each_version_becomes_the_current_one(data: dict[str, Any]) -> None:
    schema.migrate("thing", "it", data)
    assert data == {"version": 4, "keep": {"share": 0.75}}


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("version", "got", "wanted"),
    [
        (5, "schema 5, made by a newer KEN_viz", "schema 4 or older"),
        (1, "schema 1, made by a KEN_viz that is too old", "schema 2 to 4"),
        (0, "schema 0, made by a KEN_viz that is too old", "schema 2 to 4"),
        (-(10**12), "schema -1000000000000, made by a KEN_viz that is too old", "schema 2 to 4"),
        (-7, "schema -7, made by a KEN_viz that is too old", "schema 2 to 4"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words_and_left_alone(version: int, got: str, wanted: str) -> None:
    data = {"version": version, "sparsity": 0.25}
    with pytest.raises(SchemaError) as caught:
        schema.migrate("thing", "thing 12", data)
    assert data == {"version": version, "sparsity": 0.25}
    assert (caught.value.subject, caught.value.got, caught.value.wanted) == ("thing 12", got, wanted)
    assert ("Upgrade KEN_viz" in caught.value.remedy) == (version > 4)
    assert str(caught.value) == f"thing 12: {caught.value.reason}"


@pytest.mark.parametrize("data", [{}, {"version": "2"}, {"version": 2.0}, {"version": True}, {"version": None}, [2], 2])
def test_a_version_is_a_whole_number(data: object) -> None:
    with pytest.raises(ValueError, match="no object|no whole number"):
        schema.version_of(data)
