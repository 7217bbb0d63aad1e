"""Data of the map of a model: every share against the masks themselves."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app.data.routes import routes
from kencore.runs.run import Run
from kencore.views import tiles
from tests.app.data.test_answers import by_cells, decode


@pytest.fixture
def client(store: Run) -> TestClient:
    return TestClient(Starlette(routes=routes()))


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
        assert line["lost"] == store.matrix(line["name"])["diff_lost"]
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


def test_kept_for_ever_under_the_identity_of_the_files(client: TestClient, store: Run) -> None:
    from app.frame import state

    stamp = state.stamp(store.path)
    fresh = client.get("/kenviz/atlas", params={"run": "sample", "v": stamp})
    assert "immutable" in fresh.headers["cache-control"]
    tag = {"If-None-Match": fresh.headers["etag"]}
    again = client.get("/kenviz/atlas", params={"run": "sample", "v": stamp}, headers=tag)
    assert again.status_code == 304
