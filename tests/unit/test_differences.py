"""The fields in which two profiles differ."""

import pytest

from labgen.profile import Profile, differences, parse

TEXT = """name: lab
nodes: {manager: {role: manager}, worker: {count: 2, labels: {rack: a}, provision: [a.sh]}}
"""


def profile(text: str = TEXT, *overrides: str) -> Profile:
    return parse(text, "lab", overrides=overrides).profile


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("resources.memory=2GiB", "resources.memory: 1GiB in the lab, 2GiB now"),
        ("nodes.worker.resources.memory=2GiB", "nodes.worker.resources.memory: not set in the lab, 2GiB now"),
        ("nodes.worker.labels.rack=b", "nodes.worker.labels.rack: a in the lab, b now"),
        ("nodes.worker.labels={}", "nodes.worker.labels.rack: a in the lab, not set now"),
        ("nodes.worker.provision=[b.sh, a.sh]", "nodes.worker.provision: a.sh in the lab, b.sh, a.sh now"),
        ("network.subnet=10.7.7.0/24", "network.subnet: not set in the lab, 10.7.7.0/24 now"),
        ("description=For Tuesday", "description: not set in the lab, For Tuesday now"),
    ],
)
def test_a_field(override: str, line: str) -> None:
    assert list(differences(profile(), profile(TEXT, override))) == [line]


def test_a_group_more() -> None:
    lines = list(differences(profile(), profile(TEXT, "nodes.db={count: 3}")))
    assert "nodes.db.count: not set in the lab, 3 now" in lines
    assert all(line.startswith("nodes.db.") for line in lines)


def test_the_order_of_groups_makes_other_addresses() -> None:
    (line,) = differences(
        profile(),
        profile(TEXT.replace("manager: {role: manager}, ", "").replace("]}}", "]}, manager: {role: manager}}")),
    )
    assert line == "nodes: in the order manager, worker in the lab, worker, manager now"


def test_defaults_that_are_written_out_differ_in_nothing() -> None:
    assert list(differences(profile(), profile(TEXT + "resources: {memory: 1024MiB}\n"))) == []
