"""Data of the map: every share and every count against the masks themselves, every refusal."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.data.routes import routes
from kencore.runs.run import Run
from kencore.views import tiles
from tests.app.data.test_answers import by_cells, decode, neighbours_by_hand
from tests.support.runs import make_run

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
WORDS = "bert.embeddings.word_embeddings.weight"


@pytest.fixture
def client(store: Run) -> TestClient:
    return TestClient(Starlette(routes=routes()))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose embeddings have 2,500 rows: its stored overview has 8 x 1 weights per cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.support.runs.VOCABULARY", 2500)
        return make_run(tmp_path_factory.mktemp("long"))


def counted(keep: np.ndarray, cell: tuple[int, int]) -> list[list[int]]:
    return [[int(part.sum()) for part in line] for line in by_cells(keep, *cell)]


def test_the_atlas_holds_every_matrix(client: TestClient, store: Run) -> None:
    answer = client.get("/kenviz/atlas", params={"run": "sample"})
    assert answer.status_code == 200
    header, planes = decode(answer.content)
    assert [line["name"] for line in header["matrices"]] == list(store.matrices["name"])
    pruned = [line for line in header["matrices"] if line["reason"] is None]
    assert [line["name"] for line in pruned] == list(store.pruned)
    for line in pruned:
        keep = store.keep(line["name"])
        assert (line["rows"], line["cols"], line["kept"]) == (*keep.shape, keep.sum())
        assert max(line["size"]) <= 32
        shares = [[part.mean() for part in row] for row in by_cells(keep, *line["cell"])]
        wanted = np.rint(255 * np.array(shares)).astype(np.uint8)
        found = planes["share"][0, line["offset"] :][: wanted.size].reshape(line["size"])
        np.testing.assert_array_equal(found, wanted)
    left = next(line for line in header["matrices"] if line["reason"])
    assert left["name"].startswith("classifier")
    assert "offset" not in left


def test_an_atlas_of_very_many_matrices_takes_fewer_cells(store: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ATLAS_CELLS", 1500)
    found = tiles.atlas(store)
    assert sum(picture.share.size for picture in found) <= 1500
    assert len(found) == len(store.pruned)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_tiles_of_every_level_add_up_to_the_mask(long: Run, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([UP, WORDS, "bert.encoder.layer.0.output.dense.weight"]))
    cell = data.draw(st.tuples(*[st.sampled_from([1, 2, 4, 8, 16, 32, 64])] * 2))
    keep, shape = long.keep(name), long.shape(name)
    ends = [-(-length // (tiles.SIDE * step)) for length, step in zip(shape, cell, strict=True)]
    parts = []
    for first, last in pairwise(sorted({0, ends[0], data.draw(st.integers(0, ends[0]))})):
        found = tiles.tiles(long, name, "kept", cell, slice(first, last), slice(0, ends[1]))
        assert found.rows == (first * tiles.SIDE * cell[0], min(shape[0], last * tiles.SIDE * cell[0]))
        parts.append(found.count)
    np.testing.assert_array_equal(np.concatenate(parts), counted(keep, cell))


@pytest.mark.parametrize("cell", [(1, 1), (4, 2), (64, 16)])
@pytest.mark.parametrize("layer", ["tuned", "difference", "neighbours"])
def test_a_tile_s_numbers(client: TestClient, store: Run, layer: str, cell: tuple[int, int]) -> None:
    params = {
        "run": "sample",
        "matrix": UP,
        "layer": layer,
        "h": cell[0],
        "w": cell[1],
        "i0": 0,
        "i1": 1,
        "j0": 0,
        "j1": 1,
    }
    header, planes = decode(client.get("/kenviz/tile", params=params).content)
    r1, c1 = header["rows"][1], header["cols"][1]
    assert (r1, c1) == (min(96, 64 * cell[0]), 48)
    np.testing.assert_array_equal(planes["count"], counted(store.keep(UP)[:r1], cell))
    if layer == "neighbours":
        counts = by_cells(neighbours_by_hand(store.keep(UP))[:r1], *cell)
        wanted = [[part[part < 5].mean() if (part < 5).any() else np.nan for part in line] for line in counts]
    else:
        values = by_cells(store.values(UP, layer)[:r1], *cell)  # type: ignore[arg-type]
        wanted = [[part.flat[np.abs(part).argmax()] for part in line] for line in values]
    np.testing.assert_allclose(planes["data"], wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"h": 3}, 400),
        ({"h": 0}, 400),
        ({"layer": "blue"}, 400),
        ({"i1": 3}, 404),
        ({"j0": 1}, 404),
        ({"matrix": "none"}, 404),
        ({"matrix": "classifier.weight"}, 404),
        ({"run": "none"}, 404),
        ({"more": 1}, 400),
        ({"w": "-1"}, 400),
    ],
)
def test_what_is_refused(client: TestClient, wrong: dict[str, object], status: int) -> None:
    params = {"run": "sample", "matrix": UP, "layer": "kept", "h": 1, "w": 1, "i0": 0, "i1": 1, "j0": 0, "j1": 1}
    assert client.get("/kenviz/tile", params=params).status_code == 200
    answer = client.get("/kenviz/tile", params=params | wrong)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_too_many_tiles_at_once(long: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "MOST_TILES", 30)
    with pytest.raises(tiles.SpecError, match="40 at once"):
        tiles.tiles(long, WORDS, "kept", (1, 1), slice(0, 40), slice(0, 1))


def test_kept_for_ever_under_the_identity_of_the_files(client: TestClient, store: Run) -> None:
    from app.frame import state

    stamp = state.stamp(store.path)
    fresh = client.get("/kenviz/atlas", params={"run": "sample", "v": stamp})
    assert "immutable" in fresh.headers["cache-control"]
    tag = {"If-None-Match": fresh.headers["etag"]}
    again = client.get("/kenviz/atlas", params={"run": "sample", "v": stamp}, headers=tag)
    assert again.status_code == 304
