"""``make uninstall`` in a separate checkout, with a labgen that only prints its arguments."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    copy = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "scripts" / "host", copy / "scripts" / "host")
    shutil.copy(CHECKOUT / "Makefile", copy)
    labgen = copy / ".venv" / "bin" / "labgen"
    labgen.parent.mkdir(parents=True)
    labgen.write_text('#!/bin/sh\necho "labgen $*"\nexit "${ANSWER:-0}"\n')
    labgen.chmod(0o755)
    (copy / ".packages").write_text("vagrant\nqemu-utils\nno-such-package\nvagrant\n")
    return copy


def uninstall(checkout: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    test_home = str(checkout.parent / "test-home")
    return subprocess.run(
        ["make", "uninstall", *words],
        cwd=checkout,
        env={**os.environ, "LABGEN_TEST_HOME": test_home, "MAKEFLAGS": "", **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_everything_goes_and_what_stays_is_named(checkout: Path) -> None:
    (checkout.parent / "test-home" / "host").mkdir(parents=True)
    (checkout.parent / "test-home" / ".labgen-test").write_text("")
    done = uninstall(checkout, "YES=1")
    assert done.returncode == 0, done.stderr
    assert "labgen prune --everything --yes" in done.stdout
    assert not (checkout / ".venv").exists()
    assert not (checkout.parent / "test-home").exists()
    assert "sudo apt-get purge --autoremove qemu-utils vagrant\n" in done.stderr
    assert f"this checkout is kept: {checkout}" in done.stderr
    again = uninstall(checkout, "YES=1")
    assert again.returncode == 0
    assert "there is no .venv here" in again.stderr


def test_without_a_yes_labgen_asks_and_its_no_keeps_all(checkout: Path) -> None:
    (checkout.parent / "test-home").mkdir()
    (checkout.parent / "test-home" / ".labgen-test").write_text("")
    refused = uninstall(checkout, ANSWER="130")
    assert refused.returncode != 0
    assert "labgen prune --everything\n" in refused.stdout
    assert (checkout / ".venv").exists()
    assert (checkout.parent / "test-home").exists()


def test_a_home_with_labs_is_not_taken_for_the_tests(checkout: Path) -> None:
    for name in ("data/labs/mine", "cache/boxes"):
        (checkout.parent / "test-home" / name).mkdir(parents=True)
    assert uninstall(checkout, "YES=1").returncode == 0
    assert (checkout.parent / "test-home" / "data" / "labs" / "mine").exists()


def test_what_no_test_made_stays_in_the_tests_home(checkout: Path) -> None:
    home = checkout.parent / "test-home"
    for name in ("data/labs", "host/etc", "vagrant/boxes", "cache/boxes", "cache/thumbnails", "photos"):
        (home / name).mkdir(parents=True)
    for name in (".labgen-test", "cache/accelerator.json", "thesis"):
        (home / name).write_text("")
    done = uninstall(checkout, "YES=1")
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(home)) for path in home.rglob("*")}
    assert left == {"cache", "cache/thumbnails", "photos", "thesis"}
    assert f"kept in {home}" in done.stderr
    assert all(f"  {name}\n" in done.stderr for name in ("cache", "photos", "thesis"))
    assert "removing what tests" not in uninstall(checkout, "YES=1").stderr


def test_the_tests_home_is_named_before_the_question(checkout: Path) -> None:
    home = checkout.parent / "test-home"
    (home / "cache" / "boxes").mkdir(parents=True)
    refused = uninstall(checkout, ANSWER="130")
    assert f"what tests have created in {home} is removed, too" in refused.stderr
    assert (home / "cache" / "boxes").exists()


@pytest.mark.parametrize("name", ["data", "vagrant", "host"])
def test_a_directory_with_something_of_its_own_becomes_no_tests_home(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "mine").mkdir(parents=True)
    refused = subprocess.run(
        [CHECKOUT / "tests" / "vm" / "namespace", "true"],
        env={**os.environ, "LABGEN_TEST_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 20
    assert f"{tmp_path / name} exists" in refused.stderr
    assert (tmp_path / name / "mine").exists()


def test_half_an_installation_is_completed_first(checkout: Path) -> None:
    (checkout / ".venv" / "bin" / "labgen").unlink()
    refused = uninstall(checkout, "YES=1")
    assert refused.returncode != 0
    assert "make install" in refused.stderr
    assert (checkout / ".venv").exists()
