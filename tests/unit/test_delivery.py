"""The shell on a manager that hands a stack to Docker, in a real shell, with a stand-in for Docker."""

import io
import os
import subprocess
from pathlib import Path

import pytest

from labgen.services import delivery
from labgen.services.delivery import DEPLOY, RUN, STACKS, UNPACK, _sorted
from labgen.stacks import read
from labgen.stacks.override import text, versions
from labgen.stacks.parcel import pack_binds, pack_files, to_be_removed

COMPOSE = """\
version: "3.8"
services:
  web: {image: app, command: [$TAG], env_file: web.env, volumes: ["./app:/app"], environment: [PATH, HOME]}
secrets:
  password: {file: ./password}
"""
DOCKER = """#!/bin/sh
echo "$@" >"$0.called"
pwd >>"$0.called"
echo "TAG=$TAG PATH=$PATH" >>"$0.called"
PATH=/usr/bin:/bin
for file; do case "$file" in *.yaml|*.json) cat "$file" >>"$0.read" ;; esac; done
cat "$TOP"/web.env >>"$0.read"
find "$RUN" -type f ! -perm 600 >>"$0.open"
echo "Creating service shop_web"
exit ${STATUS:-0}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "app").mkdir(parents=True)
    (directory / "app" / "page").write_text("page")
    (directory / "web.env").write_text("GREETING=hello\n")
    (directory / "password").write_text("hidden")
    (directory / "compose.yaml").write_text(COMPOSE)
    return directory


def deploy(project: Path, tmp_path: Path, **own: str) -> tuple[int, Path, Path]:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    top, run = tmp_path / "stacks", tmp_path / "run"
    script = DEPLOY.replace(STACKS, str(top)).replace(RUN, str(run)).replace(delivery.DOCKER, str(docker))
    compose = read(project / "compose.yaml", {"TAG": 'it\'s "$x"; rm -rf /\n2', "PATH": "/nowhere", "HOME": "/h"})
    chosen = versions(compose, "shop", {"configs": {}, "secrets": {}}, b"key")
    parcel = io.BytesIO()
    pack_files(compose, chosen, text(compose, chosen, f"{run}/shop"), parcel)
    arguments = ["shop", "compose.yaml", "never", *to_be_removed(compose)]
    own = {"TOP": str(top / "shop"), "RUN": str(run), **own}
    command = ["sh", "-c", script, "sh", *arguments]
    done = subprocess.run(
        command, input=parcel.getvalue(), env={**os.environ, **own}, capture_output=True, check=False
    )
    return done.returncode, docker, top / "shop"


def test_docker_gets_files_and_variables_and_nothing_stays(project: Path, tmp_path: Path) -> None:
    status, docker, top = deploy(project, tmp_path)
    called = docker.with_suffix(".called").read_text()
    assert status == 0
    assert called.startswith("stack deploy --resolve-image never -c ")
    assert 'TAG=it\'s "$x"; rm -rf /\n2 PATH=/nowhere' in called
    assert "hidden" not in called
    seen = docker.with_suffix(".read").read_text()
    assert COMPOSE in seen
    assert '"password"' in seen
    assert "GREETING=hello" in seen
    assert docker.with_suffix(".open").read_text() == ""
    assert not top.exists()
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == []


def test_a_failure_cleans_up_too_and_is_reported(project: Path, tmp_path: Path) -> None:
    status, _, top = deploy(project, tmp_path, STATUS="3")
    assert status == 3
    assert [path for path in (*top.rglob("*"), *(tmp_path / "run").rglob("*")) if path.is_file()] == []


def test_what_is_mounted_stays_and_is_overwritten_in_place(project: Path, tmp_path: Path) -> None:
    compose = read(project / "compose.yaml", {"TAG": "1"})
    top = tmp_path / "stacks" / "shop"

    def unpack() -> None:
        parcel = io.BytesIO()
        pack_binds(compose, compose.binds, parcel)
        subprocess.run(["sh", "-c", UNPACK, "sh", str(top)], input=parcel.getvalue(), check=True)

    unpack()
    page = top / "app" / "page"
    before = page.stat().st_ino
    (top / "app" / "written-by-a-container").write_text("kept")
    (project / "app" / "page").write_text("new page")
    unpack()
    assert (page.read_text(), page.stat().st_ino) == ("new page", before)
    assert (top / "app" / "written-by-a-container").exists()
    assert top.stat().st_mode & 0o077 == 0


def test_files_in_a_mounted_directory_are_not_removed(project: Path) -> None:
    (project / "compose.yaml").write_text(COMPOSE.replace("./app:/app", ".:/app"))
    assert to_be_removed(read(project / "compose.yaml", {"TAG": "1"})) == []


def test_dockers_words_are_sorted() -> None:
    words = (
        "Ignoring unsupported options: links, restart\n\nIgnoring deprecated options:\n\n"
        "container_name: Setting the container name is not supported.\nexpose: Exposing ports is unnecessary.\n\n"
        "failed to create service shop_web: Error response from daemon: no luck\n"
    )
    assert _sorted(words) == (
        ["links", "restart", "container_name", "expose"],
        "failed to create service shop_web: Error response from daemon: no luck",
    )
