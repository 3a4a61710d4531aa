"""A box has what the storage driver of a profile needs, or the profile is refused."""

import shutil
from pathlib import Path

import pytest

from labgen import paths
from labgen.boxes import recipe
from labgen.errors import BoxError, ProfileError
from labgen.profile import load, parse
from labgen.storage import DRIVERS

BARE = 'suite = "trixie"\nlayers = ["trim"]\npackages = ["docker.io", "e2fsprogs"]\n'
PROFILE = "name: lab\nbox: bare\nnodes: {manager: {role: manager}}\nstorage: {driver: btrfs}\n"


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped recipes, and one of a user."""
    copy = tmp_path / "boxes"
    shutil.copytree(paths.box_recipes(), copy)
    (copy / "bare.toml").write_text(BARE)
    monkeypatch.setattr(paths, "box_recipes", lambda: copy)
    monkeypatch.chdir(tmp_path)
    return copy


def refused(text: str, *overrides: str) -> list[str]:
    Path("x.yaml").write_text(text)
    with pytest.raises(ProfileError) as raised:
        load("x.yaml", overrides)
    assert raised.value.exit_code == 10
    return raised.value.details.splitlines()


def test_a_driver_that_the_box_cannot_serve_is_refused_with_those_that_can(recipes: Path) -> None:
    assert refused(PROFILE) == [
        "x.yaml:4: storage.driver: btrfs needs btrfs-progs, which the box 'bare' lacks; "
        "boxes that have it: debian12, debian13"
    ]


def test_a_box_that_cannot_serve_the_default_driver_is_refused_at_its_own_line(recipes: Path) -> None:
    (recipes / "bare.toml").write_text(BARE.replace(', "e2fsprogs"', ""))
    (line,) = refused("name: lab\nnodes: {manager: {role: manager}}\nbox: bare\n")
    assert line.startswith("x.yaml:3: box: overlay2 needs e2fsprogs, which the box 'bare' lacks; ")


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (PROFILE.replace("btrfs", "overlay2"), "storage.driver=btrfs"),
        (PROFILE.replace("bare", "debian13"), "box=bare"),
    ],
    ids=["driver", "box"],
)
def test_the_setting_that_makes_them_unfit_is_named(recipes: Path, text: str, setting: str) -> None:
    (line,) = refused(text, setting)
    assert line.startswith(f"--set {setting}: storage.driver: btrfs needs btrfs-progs, ")


def test_what_no_box_has_belongs_into_a_recipe(recipes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DRIVERS["btrfs"], "needs", frozenset({"btrfs-progs", "no-such-package"}))
    (line,) = refused(PROFILE)
    assert line.endswith(
        "btrfs needs btrfs-progs, no-such-package, which the box 'bare' lacks; "
        "add it to the packages of the box's recipe"
    )


@pytest.mark.parametrize("provider", ["bare.toml", "trim/layer.toml"])
def test_a_recipe_and_its_layers_provide(recipes: Path, provider: str) -> None:
    path = recipes / provider
    path.write_text(path.read_text().replace("packages = [", 'packages = ["btrfs-progs", '))
    Path("x.yaml").write_text(PROFILE)
    assert load("x.yaml").profile.box == "bare"


def test_nothing_is_concluded_from_a_driver_that_is_wrong_itself(recipes: Path) -> None:
    (recipes / "bare.toml").write_text(BARE.replace(', "e2fsprogs"', ""))  # which the default driver needs
    (line,) = refused(PROFILE.replace("btrfs", "btrsf"))
    assert line.endswith("'btrsf' is not a driver; did you mean 'btrfs'?")


def test_nothing_is_concluded_from_a_box_that_there_is_not(recipes: Path) -> None:
    (line,) = refused(PROFILE.replace("bare", "bear"))
    assert line.endswith("'bear' is not a box; did you mean 'bare'?")


def test_what_was_loaded_once_is_read_back_whatever_becomes_of_the_box(recipes: Path) -> None:
    (recipes / "bare.toml").unlink()
    assert parse(PROFILE, "lab").profile.storage.driver == "btrfs"


def test_a_recipe_that_is_wrong_is_named_and_stands_in_nobody_elses_way(recipes: Path) -> None:
    (recipes / "broken.toml").write_text("suite = trixie\n")
    assert refused(PROFILE)[0].endswith("boxes that have it: debian12, debian13")
    Path("x.yaml").write_text(PROFILE.replace("bare", "broken"))
    with pytest.raises(BoxError) as caught:
        load("x.yaml")
    assert caught.value.brief == f"the recipe {recipes / 'broken.toml'} cannot be read"
    assert "line 1" in caught.value.details


@pytest.mark.parametrize(
    ("file", "text", "evidence"),
    [
        ("bare.toml", BARE.replace('"trixie"', "13"), "'suite' must be a quoted string"),
        ("bare.toml", BARE.replace("suite", "siute"), "'suite' must be a quoted string"),
        ("bare.toml", BARE.replace('["trim"]', '"trim"'), "'layers' must be a list of quoted strings"),
        ("bare.toml", BARE.replace('"docker.io"', "1"), "'packages' must be a list of quoted strings"),
        ("bare.toml", BARE + 'components = "contrib"\n', "'components' must be a list of quoted strings"),
        ("bare.toml", BARE.replace('"trim"', '"trym"'), "trym/layer.toml"),
        ("trim/layer.toml", "", "'packages' must be a list of quoted strings"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_said(recipes: Path, file: str, text: str, evidence: str) -> None:
    (recipes / file).write_text(text)
    with pytest.raises(BoxError) as caught:
        recipe.load("bare")
    assert evidence in caught.value.details
