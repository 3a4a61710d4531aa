"""The wheel is complete: installed into an empty environment, it renders."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from labgen import paths
from tests.report import example

CHECKOUT = Path(__file__).parents[2]
PARTS = (
    "labgen",
    "boxes",
    "images",
    "profiles",
    "report",
    "scripts",
    "stacks",
    "Vagrantfile.j2",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
    "LICENSE",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in an environment with the wheel, and without the checkout."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    source.mkdir()
    for part in PARTS:
        if (CHECKOUT / part).is_dir():
            shutil.copytree(CHECKOUT / part, source / part, symlinks=True)
        else:
            shutil.copy(CHECKOUT / part, source / part)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = directory / "wheels"
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    shutil.rmtree(source)
    environment = directory / "venv"
    venv.create(environment, symlinks=True)
    (wheel,) = wheels.glob("labgen-*.whl")
    subprocess.run(
        [*pip, "--python", str(environment / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel)],
        check=True,
        capture_output=True,
    )
    # The dependencies are those of the tests; directories in a .pth file do not bring in an editable labgen.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin" / "labgen"


@pytest.fixture(scope="module")
def package(installed: Path) -> Path:
    (found,) = installed.parents[1].glob("lib/python*/site-packages/labgen")
    return found


def run(command: Path, *arguments: str, cwd: Path) -> str:
    return subprocess.run([str(command), *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_it_lists_and_renders_the_shipped_profiles(installed: Path, tmp_path: Path) -> None:
    assert "three-node-btrfs" in run(installed, "profile", "list", cwd=tmp_path)
    run(installed, "render", "three-node-btrfs", "lab", cwd=tmp_path)
    assert "labgen/debian13" in (tmp_path / "lab" / "Vagrantfile").read_text()
    for script in (tmp_path / "lab" / "guest").iterdir():
        assert script.read_text() == (CHECKOUT / "scripts" / "guest" / script.name).read_text()


def files(directory: Path, pattern: str = "*") -> set[str]:
    found = (path for path in directory.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(directory)) for path in found}


def test_it_carries_every_module(package: Path) -> None:
    assert files(package, "*.py") == files(CHECKOUT / "labgen", "*.py")


def test_it_carries_every_recipe_and_keeps_what_may_be_run(package: Path) -> None:
    assets = package / "assets"
    for link in (CHECKOUT / "labgen" / "assets").iterdir():
        if link.is_dir():
            assert files(assets / link.name) == files(link.resolve())
    hooks = [path for path in (CHECKOUT / "boxes").rglob("*") if path.is_file() and os.access(path, os.X_OK)]
    for hook in hooks:
        assert os.access(assets / "boxes" / hook.relative_to(CHECKOUT / "boxes"), os.X_OK)


def test_it_writes_a_report(installed: Path, home: Path, tmp_path: Path) -> None:
    shutil.copytree(example.DIRECTORY, paths.archived(example.LAB, "20261127-210000"))
    run(installed, "report", example.LAB, "-o", "report.html", "--notes", str(example.NOTES), cwd=tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "uPlot" in text
    assert "What this is about" in text
