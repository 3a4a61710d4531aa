"""The meaning of profiles, and the shipped ones."""

import dataclasses
import json
from pathlib import Path

import pydantic
import pytest

from labgen.boxes import recipe
from labgen.errors import ProfileError
from labgen.profile import NodeSpec, Profile, dump, json_schema, load, parse, read_script, shipped
from labgen.profile.naming import lab_name
from labgen.profile.size import Size
from labgen.profile.source import scalar
from labgen.storage import DRIVERS

MINIMAL = "name: lab\nnodes: {manager: {role: manager}}\n"


def profile(text: str) -> Profile:
    return parse(text, "test").profile


def errors(text: str) -> str:
    with pytest.raises(ProfileError) as raised:
        parse(text, "test")
    return raised.value.details


@pytest.mark.parametrize("name", shipped())
def test_shipped(name: str) -> None:
    loaded = load(name)
    assert loaded.profile.name == name == loaded.source.stem
    assert loaded.warnings == ()
    assert loaded.profile.description.isascii()
    assert parse(dump(loaded.profile), name).profile == loaded.profile
    assert loaded.source.read_text().startswith("# ")


def test_what_is_shipped() -> None:
    assert {"three-node-btrfs", "three-node-overlay2", "single-node", "five-node-ha"} <= set(shipped())


def test_three_nodes() -> None:
    profile = load("three-node-btrfs").profile
    assert [(node.name, node.role) for node in profile.node_specs()] == [
        ("manager1", "manager"),
        ("worker1", "worker"),
        ("worker2", "worker"),
    ]
    assert profile.storage.driver == "btrfs"


def test_defaults() -> None:
    lab = profile(MINIMAL)
    assert lab.node_specs() == (
        NodeSpec("manager1", "manager", "swarm", "manager", cpus=1, memory_mib=1024, disk_gib=10, storage_gib=10),
    )
    assert (lab.box, lab.storage.driver, lab.orchestrator) == ("debian13", "overlay2", "swarm")
    assert lab.network.subnet is None


def test_groups_override_and_add() -> None:
    lab = profile("""
name: lab
nodes:
  big:
    count: 1
    resources: {cpus: 4, memory: 1.5 GiB, disk: 20GiB}
    storage: {size: 1TiB}
    labels: {rack: b, disk: fast}
    provision: [own.sh]
  manager: {role: manager}
resources: {cpus: 2, memory: 512MiB}
labels: {rack: a}
provision: [all.sh]
""")
    assert lab.node_specs() == (
        NodeSpec("manager1", "manager", "swarm", "manager", 2, 512, 10, 10, {"rack": "a"}, ("all.sh",)),
        NodeSpec(
            "big1", "big", "swarm", "worker", 4, 1536, 20, 1024, {"rack": "b", "disk": "fast"}, ("all.sh", "own.sh")
        ),
    )


def test_managers_come_first_else_the_order_of_the_file() -> None:
    lab = profile("name: lab\nnodes: {z: {}, b: {role: manager}, y: {count: 2}, a: {role: manager}}")
    assert [node.name for node in lab.node_specs()] == ["b1", "a1", "z1", "y1", "y2"]


def test_fifty_nodes_are_allowed() -> None:
    assert len(profile("name: lab\nnodes: {m: {role: manager}, w: {count: 49}}").node_specs()) == 50


def test_profiles_are_frozen() -> None:
    lab = profile(MINIMAL)
    with pytest.raises(pydantic.ValidationError):
        lab.name = "other"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        lab.node_specs()[0].name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("managers", "words"),
    [(1, ()), (2, ("loss of 0", "odd")), (3, ()), (4, ("loss of 1, the same as 3", "odd")), (9, ("7 are enough",))],
)
def test_quorum_warnings(managers: int, words: tuple[str, ...]) -> None:
    warnings = parse(f"name: lab\nnodes: {{m: {{role: manager, count: {managers}}}}}", "test").warnings
    assert len(warnings) == (1 if words else 0)
    assert all(word in warnings[0] for word in words)


def test_eight_managers_are_even_and_many() -> None:
    assert len(parse("name: lab\nnodes: {m: {role: manager, count: 8}}", "test").warnings) == 2


def test_without_an_orchestrator_no_manager_is_needed_and_labels_mean_nothing() -> None:
    loaded = parse("name: lab\norchestrator: none\nnodes: {w: {count: 2}}", "test")
    assert loaded.warnings == ()
    labelled = parse("name: lab\norchestrator: none\nnodes: {w: {labels: {a: b}}}", "test")
    assert "not used" in labelled.warnings[0]


def test_words_that_only_old_yaml_takes_for_booleans_and_times() -> None:
    lab = profile("name: no\ndescription: yes\nnodes: {on: {role: manager}}\nlabels: {off: n, y: off}")
    assert (lab.name, lab.description, lab.labels) == ("no", "yes", {"off": "n", "y": "off"})
    assert list(lab.nodes) == ["on"]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("nULL", "nULL"),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("7", 7),
        ("-7", -7),
        ("007", "007"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        (".inf", ".inf"),
    ],
)
def test_scalars(word: str, value: object) -> None:
    assert scalar(word) == value
    assert type(scalar(word)) is type(value)


def test_decimals_keep_their_digits() -> None:
    assert [str(scalar(text)) for text in ("1.10", "0.5", ".5", "1e3")] == ["1.10", "0.5", "0.5", "1E+3"]


@pytest.mark.parametrize(
    ("text", "mib"), [("512MiB", 512), ("1GiB", 1024), ("1.5 GiB", 1536), ("2TiB", 2 << 20), ("0.25GiB", 256)]
)
def test_sizes(text: str, mib: int) -> None:
    size = Size.parse(text)
    assert size.mib == mib
    assert Size.parse(str(size)) == size


@pytest.mark.parametrize(
    "text", ["", "1", "GiB", "1GB", "1gib", "1  GiB", "1GiB ", "-1GiB", "1e3MiB", "1,5GiB", "१GiB"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        Size.parse(text)


def test_a_driver_may_need_more_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DRIVERS["btrfs"], "minimum_gib", 5)
    text = "name: lab\nstorage: {driver: btrfs, size: 4GiB}\nnodes: {m: {role: manager, storage: {size: 3GiB}}}"
    assert errors(text).splitlines() == [
        "test:2: storage.size: 4GiB is too little: btrfs needs at least 5GiB",
        "test:3: nodes.m.storage.size: 3GiB is too little: btrfs needs at least 5GiB",
    ]


@pytest.mark.parametrize("name", shipped())
def test_the_box_of_each_shipped_profile_has_what_its_driver_needs(name: str) -> None:
    lab = load(name).profile
    assert DRIVERS[lab.storage.driver].needs
    assert DRIVERS[lab.storage.driver].needs <= recipe.load(lab.box).provides


def test_a_profile_is_made_again_from_its_own_values() -> None:
    lab = profile(f"{MINIMAL}network: {{subnet: 10.7.7.0/24}}")
    assert Profile.model_validate(lab.model_dump(exclude_none=True)) == lab


# Scripts


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "lab" / "scripts").mkdir(parents=True)
    (tmp_path / "lab" / "scripts" / "extra.sh").write_text("#!/bin/sh\necho extra\n")
    (tmp_path / "outside.sh").write_text("echo outside\n")
    return tmp_path / "lab"


def with_script(directory: Path, script: str) -> str:
    (directory / "lab.yaml").write_text(f"{MINIMAL}provision: [{script}]\n")
    return str(directory / "lab.yaml")


def test_scripts_are_found_beside_the_profile(directory: Path) -> None:
    loaded = load(with_script(directory, "./scripts/extra.sh"))
    assert loaded.profile.node_specs()[0].provision == ("scripts/extra.sh",)
    assert loaded.scripts == {"scripts/extra.sh": directory / "scripts" / "extra.sh"}
    assert read_script(loaded.scripts["scripts/extra.sh"]) == "#!/bin/sh\necho extra\n"


def test_scripts_are_found_beside_a_linked_profile(directory: Path, tmp_path: Path) -> None:
    with_script(directory, "scripts/extra.sh")
    (tmp_path / "link.yaml").symlink_to(directory / "lab.yaml")
    assert load(str(tmp_path / "link.yaml")).scripts["scripts/extra.sh"].is_file()


def script_error(directory: Path, script: str) -> str:
    with pytest.raises(ProfileError) as raised:
        load(with_script(directory, script))
    return raised.value.details


def test_links_within_the_directory_are_fine(directory: Path) -> None:
    (directory / "link.sh").symlink_to("scripts/extra.sh")
    assert load(with_script(directory, "link.sh")).scripts["link.sh"] == directory / "scripts" / "extra.sh"


@pytest.mark.parametrize("target", ["../outside.sh", "/etc/passwd", ".."])
def test_links_that_lead_out_are_refused(directory: Path, target: str) -> None:
    (directory / "link").symlink_to(target)
    script = "link/outside.sh" if target == ".." else "link"
    assert "leads out of the profile's directory" in script_error(directory, script)


def test_links_in_a_circle(directory: Path) -> None:
    (directory / "link.sh").symlink_to("link.sh")
    assert "symbolic links" in script_error(directory, "link.sh")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"echo\r\n", "Windows line endings"),
        (b"a\0b", "is not text"),
        (b"\xff", "is not UTF-8 text"),
        (b"#" * 300_000, "is larger than 256 KiB"),
    ],
)
def test_wrong_scripts(directory: Path, content: bytes, words: str) -> None:
    (directory / "x.sh").write_bytes(content)
    assert words in script_error(directory, "x.sh")


def test_scripts_that_vanish_before_rendering(directory: Path) -> None:
    with pytest.raises(ProfileError, match="cannot be read"):
        read_script(directory / "gone.sh")


def test_without_a_file_scripts_and_boxes_are_not_looked_at() -> None:
    assert parse(f"{MINIMAL}box: mine\nprovision: [gone.sh]", "record").scripts == {}


# The JSON Schema


def test_json_schema_describes_every_field() -> None:
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    assert all(field["description"] for part in parts for field in part["properties"].values())
    assert all(part["additionalProperties"] is False for part in parts)
    assert schema["$defs"]["Storage"]["properties"]["driver"]["enum"] == sorted(DRIVERS)
    assert schema["$defs"]["Resources"]["properties"]["memory"]["default"] == "1GiB"
    assert "null" not in json.dumps(schema)
    assert schema["required"] == ["name", "nodes"]


# Names


def test_lab_names_follow_the_rules_of_profiles_names() -> None:
    assert lab_name("my-lab") == "my-lab"
    with pytest.raises(ProfileError) as raised:
        lab_name("My Lab")
    assert "use a-z" in raised.value.details
