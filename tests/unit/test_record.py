"""Records of every published version, and their migration."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from labgen import paths
from labgen.errors import LabgenError
from labgen.model import NodeFacts
from labgen.records import checkpoints, data_home, journals, registry
from labgen.records.record import Content, Damaged, Kind

WRITTEN = Path(__file__).parent.parent / "records"  # by the version that each directory is named after
NODES = ["manager1", "worker1", "worker2"]


@dataclass(frozen=True)
class Animal:
    name: str
    legs: tuple[int, ...] = ()
    tame: bool = False


def with_a_name(content: Content) -> Content:
    called = content.pop("called")
    return {**content, "name": called}


def with_legs_one_by_one(content: Content) -> Content:
    return {**content, "legs": list(range(content["legs"]))}


ANIMALS = Kind(Animal, (with_a_name, with_legs_one_by_one), later=("tame",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "animal.json"


@pytest.mark.parametrize(
    "content",
    [
        {"called": "cat", "legs": 2},  # before records had a schema
        {"schema": 1, "called": "cat", "legs": 2},
        {"schema": 2, "name": "cat", "legs": 2},
        {"schema": 3, "name": "cat", "legs": [0, 1]},
    ],
    ids=str,
)
def test_an_old_record_is_brought_up_to_date_step_by_step(path: Path, content: Content) -> None:
    path.write_text(json.dumps(content))
    assert ANIMALS.load(path) == Animal("cat", (0, 1))
    assert json.loads(path.read_text()) == content  # reading does not write
    ANIMALS.save(path, ANIMALS.load(path))
    assert json.loads(path.read_text()) == {"schema": 3, "name": "cat", "legs": [0, 1], "tame": False}


def test_a_newer_record_is_refused(path: Path) -> None:
    path.write_text('{"schema": 4}')
    with pytest.raises(LabgenError, match="newer labgen"):
        ANIMALS.load(path)


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "7", "null", "{}", "[" * 100_000),
        *('{"schema": 0}', '{"schema": -1}', '{"schema": true}', '{"schema": "3"}', '{"schema": 1.5}'),
        *('{"schema": 1}', '{"schema": 2, "name": "cat"}', '{"schema": 1, "called": "cat", "legs": "x"}'),
        *('{"schema": 3, "name": 7}', '{"schema": 3, "name": null}', '{"schema": 3, "name": "cat", "legs": ["x"]}'),
        *('{"schema": 3, "name": "cat", "legs": {}}', '{"schema": 3, "name": "cat", "tame": 1}'),
    ],
    ids=lambda text: text[:40],
)
def test_what_is_not_such_a_record_is_damaged(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(Damaged):
        ANIMALS.load(path)


LATER = Kind(Animal, later=("tame",))


@pytest.mark.parametrize(
    ("kind", "lacks", "damaged"), [(LATER, "tame", False), (LATER, "legs", True), (Kind(Animal), "tame", True)]
)
def test_only_a_field_that_was_added_later_may_be_missing(
    path: Path, kind: Kind[Animal], lacks: str, damaged: bool
) -> None:
    kind.save(path, Animal("cat", (0, 1)))
    content = json.loads(path.read_text())
    del content[lacks]
    path.write_text(json.dumps(content))
    if damaged:
        with pytest.raises(Damaged, match=f"it lacks {lacks}"):
            kind.load(path)
    else:
        assert kind.load(path) == Animal("cat", (0, 1))


def test_a_record_that_is_there_is_not_created_again(path: Path) -> None:
    ANIMALS.create(path, Animal("cat"))
    with pytest.raises(FileExistsError):
        ANIMALS.create(path, Animal("dog"))
    assert ANIMALS.load(path) == Animal("cat")


VERSIONS = sorted(each.name for each in WRITTEN.iterdir())
READ: dict[str, Callable[[], Any]] = {
    "journal": lambda: journals.load("lab"),
    "registry": registry.load,
    "checkpoint": lambda: checkpoints.load("lab", "one"),
}


@pytest.fixture(params=VERSIONS)
def home_of(request: pytest.FixtureRequest, home: Path) -> str:
    """A data home as a published version left it."""
    written = WRITTEN / request.param
    for name, place in {
        "lab.json": paths.lab("lab") / paths.STATE,
        "profile.yaml": paths.lab("lab") / paths.PROFILE,
        "registry.json": paths.registry(),
        "checkpoint.json": paths.checkpoint("lab", "one"),
    }.items():
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(written / name, place)
    return str(request.param)


def test_the_records_of_every_published_version_are_read(home_of: str) -> None:
    journal = journals.load("lab")
    assert journal.complete
    assert [node.name for node in journal.lab.nodes] == NODES
    assert journal.facts["worker1"] == NodeFacts("btrfs", "btrfs", "26.1.5", "6.12")
    assert registry.load().subnets == {"lab": journal.lab.network.subnet}
    checkpoint = checkpoints.load("lab", "one")
    assert (checkpoint.memory, checkpoint.phase) == (("manager1", "worker1"), "complete")
    assert data_home.known_owner() == journal.lab.prefix.partition("_")[0]


def test_the_records_of_every_published_version_are_written_again_as_they_were_read(home_of: str) -> None:
    before = {name: read() for name, read in READ.items()}
    journals.save(before["journal"])
    registry.save(before["registry"])
    checkpoints.save("lab", before["checkpoint"])
    assert {name: read() for name, read in READ.items()} == before
