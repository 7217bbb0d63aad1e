"""The viewer's routes: every number against the run's own data, every refusal."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import viewer
from app.data import answers as api
from app.data import payload
from app.data.routes import routes
from app.frame import state
from kencore.runs.run import Run

UP = "bert.encoder.layer.1.intermediate.dense.weight"  # 96 x 48
GAIN = "bert.encoder.layer.1.output.LayerNorm.weight"  # 1 x 48


@pytest.fixture
def client(store: Run) -> TestClient:
    return TestClient(Starlette(routes=routes()))


def decode(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read an answer as the format's description says, without the code that wrote it."""
    assert content[:4] == b"KVW1"
    (length,) = struct.unpack("<I", content[4:8])
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 8 == 0
    planes = {}
    for plane in header["planes"]:
        start = 8 + length + plane["offset"]
        assert start % 8 == 0
        size = int(np.prod(header["size"]))
        kind = np.dtype("<" + plane["dtype"]) if plane["dtype"] != "u1" else np.dtype("u1")
        values = np.frombuffer(content, kind, size, start)
        planes[plane["name"]] = values.reshape(header["size"])
    return header, planes


def neighbours_by_hand(keep: np.ndarray) -> np.ndarray:
    rows, cols = keep.shape
    counts = np.full(keep.shape, 255, np.uint8)
    for r in range(rows):
        for c in range(cols):
            if keep[r, c]:
                around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
                inside = [keep[i, j] for i, j in around if 0 <= i < rows and 0 <= j < cols]
                counts[r, c] = sum(inside)
    return counts


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_exact_windows_hold_the_run_s_numbers(client: TestClient, store: Run, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([UP, GAIN, store.pruned[0]]))
    layer = data.draw(st.sampled_from(["kept", "tuned", "base", "difference", "neighbours"]))
    rows, cols = store.shape(name)
    r0 = data.draw(st.integers(0, rows - 1))
    r1 = data.draw(st.integers(r0 + 1, rows))
    c0 = data.draw(st.integers(0, cols - 1))
    c1 = data.draw(st.integers(c0 + 1, cols))
    answer = client.get(
        "/kenviz/window",
        params={"run": "sample", "matrix": name, "layer": layer, "r0": r0, "r1": r1, "c0": c0, "c1": c1},
    )
    assert answer.status_code == 200
    header, planes = decode(answer.content)
    assert (header["rows"], header["cols"]) == ([r0, r1], [c0, c1])
    assert (header["cell"], header["shape"]) == ([1, 1], [rows, cols])
    inside = (slice(r0, r1), slice(c0, c1))
    keep = store.keep(name)
    np.testing.assert_array_equal(planes["kept"], keep[inside])
    np.testing.assert_array_equal(planes["tuned"], store.values(name, "tuned")[inside])
    np.testing.assert_array_equal(planes["base"], store.values(name, "base")[inside])
    np.testing.assert_array_equal(planes["neighbours"], neighbours_by_hand(keep)[inside])


def by_cells(values: np.ndarray, high: int, wide: int) -> list[list[np.ndarray]]:
    rows, cols = values.shape
    return [[values[r : r + high, c : c + wide] for c in range(0, cols, wide)] for r in range(0, rows, high)]


def test_larger_cells_hold_counts_and_the_largest_values(client: TestClient, store: Run) -> None:
    keep, tuned = store.keep(UP), store.values(UP, "tuned")
    params = {"run": "sample", "matrix": UP, "h": 8, "w": 4}
    header, planes = decode(client.get("/kenviz/window", params={**params, "layer": "tuned"}).content)
    high, wide = header["cell"]
    assert (high, wide) == (8, 4)
    counts = [[cell.sum() for cell in line] for line in by_cells(keep, high, wide)]
    np.testing.assert_array_equal(planes["count"], counts)
    largest = [[cell.flat[np.abs(cell).argmax()] for cell in line] for line in by_cells(tuned, high, wide)]
    np.testing.assert_array_equal(planes["data"], largest)
    header, planes = decode(client.get("/kenviz/window", params=params).content)
    assert header["layer"] == "kept"
    assert set(planes) == {"count"}  # the count says it
    np.testing.assert_array_equal(planes["count"], counts)


@pytest.mark.parametrize("cell", [(1, 1), (4, 2), (64, 16)])
@pytest.mark.parametrize("layer", ["kept", "tuned", "difference", "neighbours"])
def test_cells_of_every_size(client: TestClient, store: Run, layer: str, cell: tuple[int, int]) -> None:
    params = {"run": "sample", "matrix": UP, "layer": layer, "h": cell[0], "w": cell[1], "r0": 0, "r1": 64}
    header, planes = decode(client.get("/kenviz/window", params=params).content)
    assert (header["rows"], header["cols"], header["cell"]) == ([0, 64], [0, 48], list(cell))
    keep = store.keep(UP)
    counts = [[part.sum() for part in line] for line in by_cells(keep[:64], *cell)]
    np.testing.assert_array_equal(planes["count"], counts)
    if layer == "kept":
        assert set(planes) == {"count"}
        return
    if layer == "neighbours":
        around = by_cells(neighbours_by_hand(keep)[:64], *cell)
        wanted = [[part[part < 5].mean() if (part < 5).any() else np.nan for part in line] for line in around]
    else:
        values = by_cells(store.values(UP, layer)[:64], *cell)  # type: ignore[arg-type]
        wanted = [[part.flat[np.abs(part).argmax()] for part in line] for line in values]
    np.testing.assert_allclose(planes["data"], wanted, rtol=1e-6)


@pytest.fixture
def without_models(store: Run) -> Iterator[None]:
    """The run's checkpoints are somewhere else."""
    folder = Path(store.spec.model).parent
    moved = folder.rename(folder.with_name("elsewhere"))
    state.forget_runs()
    yield
    moved.rename(folder)
    state.forget_runs()


@pytest.mark.usefixtures("without_models")
def test_counts_need_no_checkpoint(client: TestClient, store: Run) -> None:
    params = {"run": "sample", "matrix": UP}
    _, planes = decode(client.get("/kenviz/window", params={**params, "h": 1, "w": 1}).content)
    np.testing.assert_array_equal(planes["count"], store.keep(UP))
    assert client.get("/kenviz/window", params=params).status_code == 404


def test_mean_neighbours_and_nothing_kept(client: TestClient, store: Run) -> None:
    params = {"run": "sample", "matrix": UP, "layer": "neighbours", "h": 2, "w": 2}
    header, planes = decode(client.get("/kenviz/window", params=params).content)
    counts = by_cells(neighbours_by_hand(store.keep(UP)), *header["cell"])
    wanted = [[cell[cell < 5].mean() if (cell < 5).any() else np.nan for cell in line] for line in counts]
    assert np.isnan(wanted).any()  # a 2 x 2 cell with nothing kept is among them
    np.testing.assert_allclose(planes["data"], wanted, rtol=1e-6)


def test_one_weight(client: TestClient, store: Run) -> None:
    found = client.get("/kenviz/cell", params={"run": "sample", "matrix": UP, "row": 7, "col": 11}).json()
    tuned, base = store.values(UP, "tuned")[7], store.values(UP, "base")[7]
    assert (np.float32(found["tuned"]), np.float32(found["base"])) == (tuned[11], base[11])
    assert found["kept"] == store.keep(UP)[7, 11]
    assert found["rank_value"] == 1 + (np.abs(tuned) > abs(tuned[11])).sum()
    change = np.abs(tuned - base)
    assert found["rank_difference"] == 1 + (change > change[11]).sum()


def test_csv_gives_back_every_number(client: TestClient, store: Run) -> None:
    span = {"r0": 90, "r1": 96, "c0": 40, "c1": 48}
    answer = client.get("/kenviz/window.csv", params={"run": "sample", "matrix": UP, **span})
    assert answer.headers["content-disposition"] == f'attachment; filename="{UP}.window.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(lines) == 48
    counts = neighbours_by_hand(store.keep(UP))
    for line in lines:
        at = int(line["row"]), int(line["column"])
        kept = bool(store.keep(UP)[at])
        tuned, base = store.values(UP, "tuned")[at], store.values(UP, "base")[at]
        assert np.float32(line["tuned"]) == tuned
        assert np.float32(line["base"]) == base
        assert np.float32(line["difference"]) == tuned - base
        assert line["kept"] == str(int(kept))
        assert line["neighbours"] == (str(counts[at]) if kept else "")


def test_csv_of_too_much_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MOST_CSV", 100)
    answer = client.get("/kenviz/window.csv", params={"run": "sample", "matrix": UP})
    assert answer.status_code == 400
    assert "4,608" in answer.json()["message"]


@pytest.mark.parametrize("piece", [1, 1000, 1 << 22])
def test_mask_file(client: TestClient, store: Run, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(payload, "PIECE", piece)
    answer = client.get("/kenviz/mask.npy", params={"run": "sample", "matrix": UP})
    assert int(answer.headers["content-length"]) == len(answer.content)
    keep = np.load(io.BytesIO(answer.content), allow_pickle=False)
    assert keep.dtype == np.bool_
    np.testing.assert_array_equal(keep, store.keep(UP))


@pytest.mark.parametrize(
    ("params", "status", "says"),
    [
        ({"matrix": UP}, 400, "no run"),
        ({"run": "sample"}, 400, "no matrix"),
        ({"run": "sample", "matrix": UP, "shape": "3"}, 400, "unknown shape"),
        ({"run": "sample", "matrix": UP, "r0": "-1"}, 400, "'-1'"),
        ({"run": "sample", "matrix": UP, "r0": "1e3"}, 400, "'1e3'"),
        ({"run": "sample", "matrix": UP, "r0": "٣"}, 400, "whole number"),
        ({"run": "sample", "matrix": UP, "h": "0"}, 400, "from 1 to"),
        ({"run": "sample", "matrix": UP, "w": "3"}, 400, "two powers of two"),
        ({"run": "sample", "matrix": UP, "layer": "nonsense"}, 400, "'nonsense'"),
        ({"run": "sample", "matrix": UP, "r0": "5", "r1": "5"}, 404, "rows 5 to 4"),
        ({"run": "sample", "matrix": UP, "r1": "97"}, 404, "0 to 95"),
        ({"run": "sample", "matrix": UP, "c0": "48"}, 404, "0 to 47"),
        ({"run": "sample", "matrix": "bert.nothing"}, 404, "'bert.nothing'"),
        ({"run": "sample", "matrix": "classifier.weight"}, 404, "was not pruned"),
        ({"run": "missing", "matrix": UP}, 404, "missing"),
        ({"run": "../runs/sample", "matrix": UP}, 404, "not the id of a run"),
        ({"run": "/etc", "matrix": UP}, 404, "not the id of a run"),
        ({"run": "..", "matrix": UP}, 404, "not the id of a run"),
        ({"run": ".hidden", "matrix": UP}, 404, "not the id of a run"),
        ({"run": "sample\0", "matrix": UP}, 404, "run"),
    ],
)
def test_bad_requests_are_refused_with_a_message(
    client: TestClient, params: dict[str, str], status: int, says: str
) -> None:
    answer = client.get("/kenviz/window", params=params)
    assert answer.status_code == status
    assert says in answer.json()["message"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_window_of_too_many_cells_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MOST_CELLS", 1152)
    params = {"run": "sample", "matrix": UP, "w": 2}
    answer = client.get("/kenviz/window", params=params)
    assert answer.status_code == 400
    assert "at most 1,152 cells" in answer.json()["message"]
    assert client.get("/kenviz/window", params=params | {"h": 2}).status_code == 200


def test_a_parameter_given_twice_is_refused(client: TestClient) -> None:
    answer = client.get(f"/kenviz/window?run=sample&matrix={UP}&r0=1&r0=2")
    assert answer.status_code == 400
    assert "twice" in answer.json()["message"]


def test_a_broken_run_says_so(client: TestClient, store: Run) -> None:
    (store.path / "masks.safetensors").write_bytes(b"broken")
    answer = client.get("/kenviz/window", params={"run": "sample", "matrix": UP})
    assert answer.status_code == 409
    assert "masks.safetensors" in answer.json()["message"]


def test_answers_are_kept_as_long_as_the_run_s_files_stay(client: TestClient, store: Run) -> None:
    params = {"run": "sample", "matrix": UP}
    first = client.get("/kenviz/window", params=params)
    assert first.headers["cache-control"] == api.CHECK
    seen = {"If-None-Match": first.headers["etag"]}
    assert client.get("/kenviz/window", params=params, headers=seen).status_code == 304
    mark = state.stamp(store.path)
    named = client.get("/kenviz/window", params={**params, "v": mark})
    assert named.headers["cache-control"] == api.FOREVER
    masks = store.path / "masks.safetensors"
    masks.write_bytes(masks.read_bytes())  # written anew: another time of change
    assert state.stamp(store.path) != mark
    again = client.get("/kenviz/window", params=params, headers=seen)
    assert again.status_code == 200
    old = client.get("/kenviz/window", params={**params, "v": mark})
    assert old.headers["cache-control"] == api.CHECK


def test_the_viewer_s_scripts(client: TestClient) -> None:
    for name, text in viewer.SCRIPTS.items():
        answer = client.get(f"/kenviz/viewer/{viewer.VERSION}/{name}")
        assert answer.text == text
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.headers["cache-control"] == api.FOREVER
    assert client.get("/kenviz/viewer/old/main.js").headers["cache-control"] == api.CHECK
    for other in ("viewer.css", "..%2f__init__.py", "nothing.js"):
        assert client.get(f"/kenviz/viewer/{viewer.VERSION}/{other}").status_code == 404


def test_routes_below_a_base_path(store: Run) -> None:
    client = TestClient(Starlette(routes=routes("/tools/ken/")))
    params = {"run": "sample", "matrix": UP}
    assert client.get("/tools/ken/kenviz/window", params=params).status_code == 200
    assert client.get("/kenviz/window", params=params).status_code == 404
