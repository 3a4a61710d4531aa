"""--set."""

import pytest

from labgen.errors import ProfileError, UsageError
from labgen.profile import Profile, load, parse

TEXT = "name: lab\nnodes: {manager: {role: manager}, worker: {count: 2}}\n"


def changed(*overrides: str) -> Profile:
    return parse(TEXT, "lab", label="lab.yaml", overrides=overrides).profile


def refused(*overrides: str) -> list[str]:
    with pytest.raises(ProfileError) as raised:
        changed(*overrides)
    assert raised.value.exit_code == 10
    return raised.value.details.splitlines()


def test_fields_of_any_depth() -> None:
    lab = changed("resources.memory=2GiB", "nodes.worker.count=4", "storage.driver=btrfs", "description=two words")
    assert lab.resources.memory.mib == 2048
    assert len(lab.node_specs()) == 5
    assert lab.storage.driver == "btrfs"
    assert lab.description == "two words"


def test_sections_and_lists_as_a_whole() -> None:
    lab = changed("nodes.more={count: 3, labels: {a: b}}", "provision=[a.sh, b.sh]", "resources={cpus: 2}")
    assert lab.nodes["more"].count == 3
    assert lab.provision == ("a.sh", "b.sh")
    assert lab.resources.cpus == 2


def test_the_later_one_wins() -> None:
    assert changed("resources.cpus=2", "resources.cpus=3").resources.cpus == 3


def test_labels_may_hold_dots() -> None:
    lab = changed("labels.com.example.rack=a", "nodes.worker.labels.com.example.disk=b", "labels.plain=c")
    assert lab.labels == {"com.example.rack": "a", "plain": "c"}
    assert lab.nodes["worker"].labels == {"com.example.disk": "b"}
    assert changed("labels={a.b: c}").labels == {"a.b": "c"}


def test_an_empty_value_is_empty_text() -> None:
    assert changed("description=x", "description=").description == ""


def test_values_may_hold_equals_signs_and_quotes() -> None:
    assert changed("description=\"a=b: 'c'\"").description == "a=b: 'c'"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("resources.memry=2GiB", "resources.memry: is not a field here; did you mean 'memory'?"),
        ("resources.memory=2", "resources.memory: 2 has no unit; did you mean '2GiB'?"),
        ("storage.driver=btrs", "storage.driver: 'btrs' is not a driver; did you mean 'btrfs'?"),
        ("nodes.worker.count=0", "nodes.worker.count: must be a whole number from 1 to 50, not 0"),
        ("nodes.worker={count: 0}", "nodes.worker.count: must be a whole number from 1 to 50, not 0"),
        ("name.first=x", "name.first: cannot be set, because name is not a mapping"),
        ("box=", "box: '' is not a box's name: use a-z, 0-9, '.' and '-', e.g. debian13"),
        ("labels.a b=c", "labels.'a b': 'a b' is not a label: use letters, digits and '.', '_', '/', '-', beginning"),
    ],
)
def test_wrong_values_are_wrong_as_in_a_file(override: str, words: str) -> None:
    (line,) = refused(override)
    assert line.startswith(f"--set {override}: {words}")


def test_a_mistyped_group_is_no_new_group() -> None:
    (line,) = refused("nodes.wroker.count=4")
    assert "there is no group 'wroker'; did you mean 'worker'?" in line
    assert "--set 'nodes.wroker={count: 2}'" in line


def test_the_resolution_speaks_of_the_option() -> None:
    with pytest.raises(ProfileError) as raised:
        load("single-node", ["box=nothing"])
    assert "--set" in raised.value.resolution


@pytest.mark.parametrize(
    "override",
    [
        "nodes.manager.role=worker",
        "nodes.worker.count=50",
        "nodes.manager={}",
        "nodes.worker.provision=[a.sh]",
    ],
)
def test_what_no_field_can_tell_alone_is_blamed_on_the_option_that_made_it(override: str) -> None:
    """The file is valid; its line is not named, and nobody is told to correct it."""
    with pytest.raises(ProfileError) as raised:
        parse(TEXT + "provision: [a.sh]\n", "lab", overrides=[override])
    assert all(line.startswith(f"--set {override}: ") for line in raised.value.details.splitlines())
    assert raised.value.resolution == "Correct the --set options."


def test_what_the_file_has_wrong_itself_stays_the_files() -> None:
    text = TEXT.replace("manager: {role: manager}", "manager: {}")
    with pytest.raises(ProfileError) as raised:
        parse(text, "lab", label="lab.yaml", overrides=["nodes.worker={count: 3}", "resources.cpus=0"])
    first, second = raised.value.details.splitlines()
    assert first.startswith("lab.yaml:2: nodes: no group has 'role: manager'")
    assert second.startswith("--set resources.cpus=0: ")
    assert raised.value.resolution == (
        "Correct the --set options and the file; then check the file: labgen profile validate lab"
    )


def test_a_wrong_value_in_the_file_can_be_set_right() -> None:
    text = TEXT.replace("count: 2", "count: 500")
    assert parse(text, "lab", overrides=["nodes.worker.count=2"]).profile.nodes["worker"].count == 2


def test_a_value_is_found_where_it_was_set() -> None:
    (line,) = refused("resources.cpus=0", "resources.cpus=99")
    assert line.startswith("--set resources.cpus=99: ")


@pytest.mark.parametrize(
    "override",
    [
        *("", "a", "=1", ".=1", "a..b=1", "a.=1", " =1", "labels.=1"),
        *("a=[1", "a=b: c", "a=1\nb: 2", "a=1\rb: 2", "a={a: 1, a: 2}", "a=%", "a=- b"),
        *("a=&x 1", "a=*x", "a=!!str x", "a=" + "[" * 100),
        *("a=\t", "a=\udcff", 'a="\\x07"'),
    ],
)
def test_malformed(override: str) -> None:
    with pytest.raises(UsageError) as raised:
        changed(override)
    assert raised.value.exit_code == 2
    assert raised.value.brief.isprintable()
    assert len(raised.value.brief) < 500
