"""What is shipped: the image's steps, the examples for hosts, the locked packages; without a Docker engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app import command
from app.guard.settings import ServerSettings

ROOT = Path(__file__).resolve().parents[1]
Step = tuple[str, str]


def steps() -> list[list[Step]]:
    """The stages of the Dockerfile, each a list of instruction and words."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    found: list[list[Step]] = [[]]
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("#"):
            continue
        name, words = line.split(" ", 1)
        if name == "FROM":
            found.append([])
        found[-1].append((name, words))
    return found[1:]


def of(stage: list[Step], name: str) -> list[str]:
    return [words for step, words in stage if step == name]


def test_the_image_copies_what_is_there_and_what_the_wheel_needs() -> None:
    build, final = steps()
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [place for words in of(build, "COPY") for place in words.split()[:-1]]
    for place in copied:
        assert (ROOT / place).exists(), place
        assert place not in ignored
    assert {"kencore", "app", "assets", "setup.py", "MANIFEST.in", "requirements.lock"} <= set(copied)
    assert [words.split()[0] for words in of(final, "COPY")] == ["--from=build"]  # nothing but the environment
    assert "compile" not in " ".join(of(final, "RUN"))


def test_the_image_runs_as_nobody_in_particular_and_says_that_it_lives() -> None:
    _, final = steps()
    assert of(final, "USER") == ["kenviz"]
    assert final.index(("USER", "kenviz")) < final.index(("CMD", of(final, "CMD")[0]))
    assert "/healthz" in of(final, "HEALTHCHECK")[0]
    ran = yaml.safe_load(of(final, "CMD")[0])
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert ran[0] in scripts
    asked = command.parser().parse_args(ran[1:])
    assert (asked.host, asked.no_browser, asked.i_know) == ("0.0.0.0", True, False)  # a login, or somebody's word
    assert not [words for words in of(final, "ENV") if "I_KNOW" in words or "KENVIZ_SERVER" in words]


def test_the_base_image_and_torch_are_arguments() -> None:
    build, final = steps()
    assert build[0] == ("FROM", "${PYTHON} AS build")
    assert final[0] == ("FROM", "${PYTHON}")
    ran = " ".join(of(build, "RUN"))
    assert "download.pytorch.org/whl/${TORCH}" in ran
    assert "--require-hashes --no-deps -r requirements.lock" in ran


def test_every_package_but_torch_is_locked_by_hash() -> None:
    wanted = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(), re.M))
    text = (ROOT / "requirements.lock").read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    locked = {}
    for entry in entries:
        name, version = re.match(r"([a-z0-9._-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]
        assert re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry), name
        locked[name] = version
    del wanted["torch"]
    assert locked == wanted


def test_compose_keeps_app_and_worker_together_and_to_itself() -> None:
    found = yaml.safe_load((ROOT / "compose.yaml").read_text())
    web, worker = (found["services"][name] for name in ("web", "worker"))
    assert web["ports"] == ["127.0.0.1:8501:8501"]
    assert web["pid"] == "service:worker"  # else each takes the other for dead
    assert command.parser().parse_args(worker["command"][1:]).worker
    for one in (web, worker):
        assert one["environment"] == {"KENVIZ_SERVER": "/etc/kenviz/server.toml"}
        assert one["volumes"][0] == "store:/data"
        assert one["read_only"]
        assert one["cap_drop"] == ["ALL"]


def test_the_example_for_kubernetes_is_a_server_that_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {part["kind"]: part for part in yaml.safe_load_all((ROOT / "docs/kubernetes.yaml").read_text())}
    pod = parts["Deployment"]["spec"]["template"]["spec"]
    assert parts["Deployment"]["spec"]["replicas"] == 1
    assert pod["shareProcessNamespace"]
    assert pod["securityContext"]["runAsNonRoot"]
    web, worker = pod["containers"]
    assert {web[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")} == {"/healthz"}
    assert command.parser().parse_args(worker["command"][1:]).worker
    for one in (web, worker):
        assert one["env"] == [{"name": "KENVIZ_SERVER", "value": "/etc/kenviz/server.toml"}]
        assert one["volumeMounts"] == web["volumeMounts"]
        assert not one["securityContext"]["allowPrivilegeEscalation"]
    assert settings_of(parts["ConfigMap"]["data"]["server.toml"], monkeypatch).login.kind == "proxy"


def test_the_examples_for_an_admin_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs/server.md").read_text(), re.S)
    whole, oidc, secrets = blocks
    found = settings_of(whole, monkeypatch)
    assert found.each.running == 2
    assert found.files.hub == ("google-bert/*", "facebook/opt-*")
    assert settings_of('hosts = ["ken.example.org"]\n' + oidc, monkeypatch).login.kind == "oidc"
    assert {"redirect_uri", "cookie_secret"} <= tomllib.loads(secrets)["auth"].keys()


def settings_of(text: str, monkeypatch: pytest.MonkeyPatch) -> ServerSettings:
    """The settings, as if the places that they name were there."""
    monkeypatch.setattr(Path, "is_dir", lambda _path: True)
    monkeypatch.setattr(Path, "is_file", lambda _path: True)
    return ServerSettings.from_dict(tomllib.loads(text))


@pytest.mark.parametrize("name", ["test", "release"])
def test_workflows_run_what_there_is(name: str) -> None:
    found: dict[Any, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    ran = [step["run"] for job in found["jobs"].values() for step in job["steps"] if "run" in step]
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    made = {word for line in ran for word in re.findall(r"\bmake ([a-z]+)", line)}
    assert made <= targets
    assert found["permissions"] == {"contents": "read"}
    if name == "release":
        assert any("/healthz" in line and "dist/*.whl" in line for line in ran)
