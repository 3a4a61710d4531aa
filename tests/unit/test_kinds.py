"""Machines outside the cluster: what they have, and what does not touch them."""

import json
from pathlib import Path
from typing import Literal

import pytest

from labgen import clients, domain, handoff
from labgen.bundle import Depth
from labgen.bundle.manifest import BoxFacts, Machine, Manifest
from labgen.bundle.manifest import parse as parse_manifest
from labgen.errors import ProfileError
from labgen.kinds import KINDS
from labgen.lab import status
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.lab.export import export
from labgen.lab.import_ import receive
from labgen.lab.start import start
from labgen.lab.stop import stop
from labgen.machines import health
from labgen.model import Node
from labgen.orchestrators import ORCHESTRATORS
from labgen.profile import dump, parse
from labgen.progress import Silent
from labgen.records import journals, templates
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.labs import planned
from tests.unit.test_handoff import pool
from tests.unit.test_lab import NODES, NOTHING, make, traces
from tests.unit.test_warm import base

__all__ = ["base", "host", "pool", "run"]  # fixtures

PROFILE = "three-node-btrfs-client"
WITH_DOCKER_OUTSIDE = """
name: lab
nodes: {manager: {role: manager}, builder: {kind: docker}}
storage: {driver: btrfs}
"""


def test_a_client_is_a_machine_of_the_box_and_nothing_else() -> None:
    lab = planned(reference=PROFILE)
    client = lab.node("client1")
    assert (client.kind, client.role, client.is_member, client.disks) == ("plain", "", False, ())
    assert [step.script for step in client.steps] == ["hosts.sh"]
    assert domain.volumes(client) == {"root": f"{client.domain}.img"}
    assert tuple(node.name for node in lab.members) == NODES
    assert [node.name for node in lab.managers] == ["manager1"]


def test_the_swarm_is_formed_of_its_members_alone(host: Host) -> None:
    make(reference=PROFILE)
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)
    assert host.machine("client1").scripts == ["hosts"]
    assert host.machine("client1").engine is None
    assert {name for name in host.volumes() if "_client1" in name} == {domain.root_volume(_node("client1"))}
    facts = journals.load("lab").facts["client1"]
    assert (facts.storage_driver, facts.engine_version, facts.kernel) == ("", "", "6.12")
    assert not make(reference=PROFILE).changed
    stop("lab", Silent())
    assert start("lab", Silent()).changed
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)
    destroy("lab", Silent())
    assert traces(host) == NOTHING


def test_status_shows_who_is_outside(host: Host, run: Run) -> None:
    make(reference=PROFILE)
    found = {node["name"]: node for node in json.loads(run("status", "lab", "--format", "json").stdout)["nodes"]}
    assert found["client1"]["kind"] == "plain"
    for field in ("role", "cluster", "swarm", "storage_driver", "engine_version", "backing_filesystem"):
        assert found["client1"][field] is None
    assert found["client1"]["kernel"] == "6.12"
    assert found["worker1"]["cluster"]["state"] == "ready"
    (row,) = [line.split() for line in run("status", "lab").stdout.splitlines() if line.startswith("client1")]
    assert row == ["client1", "plain", "10.77.0.14", "running", "-", "-", "outside"]


def test_what_only_members_have_is_not_looked_for_in_a_client(host: Host) -> None:
    make(reference=PROFILE)
    host.machine("client1").ill = {"certificate": [], "disk space": ["Filesystem", "/dev/vda1 10 1 9 12% /"]}
    states = status.status("lab").states
    found = health.check(journals.load("lab").lab, states, (), ())
    of_client = {finding.check: finding for finding in found if finding.node == "client1"}
    assert {"docker", "storage", "cluster"}.isdisjoint(of_client)
    assert {finding.status for finding in of_client.values()} == {"ok"}
    of_manager = [each for each in found if each.node == "manager1" and each.check == "reachability"]
    assert of_client["reachability"].evidence == "all 7 ports of the other nodes answer"
    assert of_manager[0].evidence == "all 5 ports of the other nodes answer"  # only ssh for the client


@pytest.mark.usefixtures("base")
def test_a_template_knows_each_nodes_own_devices(host: Host) -> None:
    make("first", PROFILE, cold=False)
    (template,) = templates.every()
    assert set(template.slots) == {*NODES, "client1"}
    make("second", PROFILE, cold=False)
    assert host.ups == 1
    assert {entry.hostname for entry in host.cloud.entries.values()} == set(NODES)
    assert journals.load("second").complete


@pytest.mark.parametrize("depth", ["recipe", "disks", "running"])
@pytest.mark.parametrize("pool", [PROFILE], indirect=True)
@pytest.mark.usefixtures("pool")
def test_a_client_travels_with_the_lab(host: Host, tmp_path: Path, depth: Depth) -> None:
    export("lab", tmp_path / "lab.labgen", depth, Silent())
    received = receive(tmp_path / "lab.labgen", "second", None, Silent()).journal.lab
    assert received.node("client1").kind == "plain"
    start("second", Silent())
    assert status.status("second").state == "running"
    assert {name for name in host.volumes() if name.startswith(received.node("client1").domain)} == {
        domain.root_volume(received.node("client1"))
    }


def test_without_labgen_it_is_brought_up_and_joins_nothing() -> None:
    lab = planned(reference=PROFILE)
    digests = {part: "1" * 64 for node in lab.nodes for part in handoff.disk_parts(node)}
    lines = handoff.files(lab, handoff.node_boxes(lab, digests))["nodes"].splitlines()
    assert lines[-1] == f"client1 - 10.77.0.14 bundle-lab/client1 1.{0x11111111} root"
    assert lines[0].split()[-1] == "root,docker"
    assert "| client1 | plain | 10.77.0.14 |" in handoff.files(lab, {})["README.md"]


def test_ansible_finds_it_by_its_kind() -> None:
    assert "[plain]\nclient1 ansible_host=10.77.0.14\n" in clients.inventory(planned(reference=PROFILE), Path("/lab"))


def test_docker_outside_the_swarm_runs_on_the_labs_driver(host: Host) -> None:
    create(parse(WITH_DOCKER_OUTSIDE, "lab"), "lab", Silent(), cold=True)
    assert {entry.hostname for entry in host.cloud.entries.values()} == {"manager1"}
    assert host.machine("builder1").scripts == ["hosts", "docker-disk", "docker"]
    assert journals.load("lab").facts["builder1"].storage_driver == "btrfs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nodes: {a: {role: manager}, b: {kind: plian}}", "'plian' is not a kind; did you mean 'plain'?"),
        (
            "nodes: {a: {kind: swarm}}\norchestrator: none",
            "'swarm' needs a cluster",
        ),
        ("nodes: {a: {role: manager}, b: {kind: plain, role: manager}}", "nodes of kind 'plain' are outside"),
        ("nodes: {a: {kind: plain}}", "no group has 'role: manager'"),
    ],
)
def test_a_kind_that_makes_no_sense_is_refused(text: str, said: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(f"name: lab\n{text}\n", "lab")
    assert said in caught.value.details


def test_a_lab_without_a_cluster_is_of_machines_with_docker() -> None:
    profile = parse("name: lab\nnodes: {a: {role: manager}, b: {}}\norchestrator: none\n", "lab").profile
    assert [(spec.kind, spec.role) for spec in profile.node_specs()] == [("docker", "manager"), ("docker", "worker")]


def test_a_profile_with_kinds_is_written_and_read_again() -> None:
    profile = parse(WITH_DOCKER_OUTSIDE, "lab").profile
    assert parse(dump(profile), "lab").profile == profile


@pytest.mark.parametrize(("kind", "orchestrator"), [(each.kind, each) for each in ORCHESTRATORS.values()])
def test_every_orchestrator_names_a_kind(kind: str, orchestrator: object) -> None:
    assert kind in KINDS


def test_bundles_of_like_machines_are_read_by_older_labgens() -> None:
    machine = Machine(type="pc", cpu="x", slots={"vda": "3.0"})
    alike, different = _manifest(1, machine), _manifest(2, machine.model_copy(update={"other_slots": {"c": {}}}))
    assert "other_slots" not in json.loads(alike.to_bytes())["machine"]
    assert parse_manifest(alike.to_bytes()) == alike
    assert parse_manifest(different.to_bytes()) == different
    assert (different.machine.slots_of("c"), different.machine.slots_of("a")) == ({}, {"vda": "3.0"})


def _node(name: str) -> Node:
    return planned(reference=PROFILE).node(name)


def _manifest(schema: Literal[1, 2], machine: Machine) -> Manifest:
    box = BoxFacts(name="debian13", version="1", sha256="0" * 64, packages={})
    return Manifest(
        schema_version=schema,
        lab="lab",
        depth="running",
        created="2026-01-01T00:00:00+00:00",
        subnet="10.77.0.0/24",
        tools={},
        machine=machine,
        box=box,
    )
