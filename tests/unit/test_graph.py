"""``labgen graph``: machines, tasks, ports and networks as they are now, in all formats."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labgen.records.inspections import InspectedNetwork, InspectedPort
from labgen.report import diagrams
from labgen.report.pictures import files
from labgen.report.topology import Machine, Network, Published, Topology
from tests.report.example import HOSTILE
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.small_swarm import SmallSwarm, swarm

__all__ = ["host", "run", "swarm"]  # fixtures
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def lab(host: Host, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    swarm.serve("web", 4)
    inspected = SmallSwarm.inspected

    def with_ports(self: SmallSwarm) -> list[object]:
        ports = (InspectedPort(8080, 80, "tcp", "ingress"),)
        return [replace(each, ports=ports, networks=("front",)) for each in inspected(self)]

    monkeypatch.setattr(SmallSwarm, "inspected", with_ports)
    networks = [InspectedNetwork("front", "overlay", "10.201.1.0/24", encrypted=True)]
    monkeypatch.setattr(SmallSwarm, "inspected_networks", lambda _self: networks)
    return "lab"


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture(lab: str, run: Run) -> None:
    done = run("graph", lab)
    assert (done.status, done.stderr) == (0, "")
    shown = texts(done.stdout)
    for text in ("manager1", "worker1", "worker2", "10.77.0.11", "manager, leader", "web.1"):
        assert text in shown
    assert shown.count("machine running") == shown.count("node ready, active") == 3
    assert "port 8080/tcp of all nodes → web, port 80" in shown
    assert "network front (overlay, encrypted): web" in shown
    assert run("graph", lab).stdout == done.stdout


def test_json(lab: str, host: Host, run: Run) -> None:
    found = json.loads(run("graph", lab, "--format", "json").stdout)
    assert (found["lab"], found["subnet"], found["partial"]) == ("lab", "10.77.0.0/24", None)
    assert found["services"] == {"web": "app:1"}
    assert [machine["name"] for machine in found["machines"]] == ["manager1", "worker1", "worker2"]
    assert found["machines"][0] == {
        "name": "manager1",
        "kind": "swarm",
        "role": "manager",
        "address": "10.77.0.11",
        "state": "running",
        "member": "ready, active",
        "leader": True,
        "tasks": ["web.1", "web.4"],
    }
    assert found["ports"] == [{"service": "web", "port": 8080, "target": 80, "protocol": "tcp", "mode": "ingress"}]
    assert found["networks"] == [
        {"name": "front", "driver": "overlay", "services": ["web"], "encrypted": True},
    ]


@pytest.mark.parametrize(("form", "begins"), [("mermaid", "flowchart TB\n"), ("dot", "graph lab {\n")])
def test_text_for_other_programs(lab: str, run: Run, form: str, begins: str) -> None:
    done = run("graph", lab, "--format", form)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.startswith(begins)
    for name in ("manager1", "worker2", "web.1", "port 8080/tcp"):
        assert name in done.stdout


def test_a_lab_that_is_off_has_its_machines(lab: str, run: Run) -> None:
    assert run("stop", lab).status == 0
    done = run("graph", lab, "--format", "json")
    assert done.status == 0
    assert "only the machines are shown: the lab 'lab' cannot be reached" in done.stderr
    found = json.loads(done.stdout)
    assert {(machine["state"], machine["member"]) for machine in found["machines"]} == {("stopped", None)}
    assert "its machines are off" in found["partial"]
    assert "machine stopped" in texts(run("graph", lab).stdout)


def test_an_unplugged_node(lab: str, host: Host, run: Run) -> None:
    host.unplugged.update(name for name in host.domains() if name.endswith("_worker1"))
    found = json.loads(run("graph", lab, "--format", "json").stdout)
    assert [machine["state"] for machine in found["machines"]] == ["running", "running, unplugged", "running"]


def test_a_lab_without_a_cluster(host: Host, run: Run) -> None:
    assert run("create", "three-node-btrfs", "--name", "lab", "--set", "orchestrator=none").status == 0
    done = run("graph", "lab", "--format", "json")
    assert (done.status, done.stderr) == (0, "")
    assert json.loads(done.stdout)["partial"] is None


def test_files_and_places(lab: str, run: Run, tmp_path: Path) -> None:
    assert run("graph", lab, "-o", str(tmp_path / "lab.svg")).status == 0
    assert (tmp_path / "lab.svg").read_text().startswith("<svg")
    assert run("graph", lab, "-o", str(tmp_path)).status == 2
    assert run("graph", "nolab").status == 2


def machine(number: int, name: str) -> Machine:
    role = "worker" if number else "manager"
    return Machine(f"{name}{number}", "swarm", role, f"10.77.0.{number + 11}", tasks=(f"{name}.{number}",))


def example(machines: int = 3, name: str = "node") -> Topology:
    return Topology(
        "lab",
        "10.77.0.0/24",
        "10.77.0.1",
        tuple(machine(number, name) for number in range(machines)),
        (Network(name, "overlay", (name,)),),
        (Published(name, 8080, 80, "tcp", "ingress"), Published(name, 53, 53, "udp", "host")),
        {name: "app:1"},
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 50])
def test_pictures_have_all_machines_side_by_side(count: int) -> None:
    root = ElementTree.fromstring(files.topology(example(count)))
    boxes = [each.attrib for each in root.iter(f"{SVG}rect") if each.get("class", "").startswith("machine")]
    assert len(boxes) == count
    places = [tuple(float(box[key]) for key in ("x", "y", "width", "height")) for box in boxes]
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for number, (x, y, w, h) in enumerate(places):
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
        for x2, y2, w2, h2 in places[number + 1 :]:
            assert x + w < x2 or x2 + w2 < x or y + h < y2 or y2 + h2 < y


def test_many_tasks_are_counted() -> None:
    one = replace(example(1).machines[0], tasks=tuple(f"web.{n}" for n in range(25)))
    assert "and 15 more tasks" in texts(files.topology(replace(example(), machines=(one,))))


def test_a_hostile_name_is_only_a_name() -> None:
    svg = files.topology(example(2, HOSTILE))
    tags = {each.tag.removeprefix(SVG) for each in ElementTree.fromstring(svg).iter()}
    assert tags == {"svg", "style", "rect", "line", "text"}
    for line in diagrams.mermaid(example(2, HOSTILE)).splitlines()[1:]:
        assert re.fullmatch(
            r' {4}(\w+(\(\["[^"<>`\[\]{}|\\]*"\]\)|\["[^"<>`\[\]{}|\\]*"\])|\w+ (---|-\.->) \w+)',
            line.replace("<br/>", ""),
        ), line
    assert "javascript#58;" not in diagrams.mermaid(example(1))


def test_mermaid() -> None:
    text = diagrams.mermaid(example(2))
    assert text.startswith("flowchart TB\n")
    assert '    m0["node0 (manager)<br/>10.77.0.11<br/>node.0"]\n' in text
    assert "    net --- m1\n" in text
    assert text.count(" -.-> ") == 4  # the port of the mesh is on both; the other where its tasks are


def test_dot_is_what_graphviz_takes(tmp_path: Path) -> None:
    for name in ("node", HOSTILE):
        text = diagrams.dot(example(3, name))
        assert text.startswith("graph lab {\n")
        quoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
        assert '"' not in quoted
        assert re.fullmatch(r"graph lab \{\n( {4}[\w \[\]=,;-]+\n)+\}\n", quoted)
        if program := shutil.which("dot"):
            subprocess.run([program, "-Tsvg"], input=text, text=True, check=True, capture_output=True, timeout=60)
