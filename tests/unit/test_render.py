"""Plan and render: golden files of every shipped profile, Vagrant's own validation, and hostile text."""

import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labgen import paths, render, vagrant
from labgen.host import LOCAL
from labgen.model import Accelerator, Box, Lab
from labgen.plan import guest_file, plan
from labgen.profile import dump, load, parse, read_script, shipped

GOLDEN = Path(__file__).parents[1] / "golden"
DIRECTORY = Path("/labs/golden")
BOX = Box("debian13", "labgen/debian13", "13.4.2891034581")


def planned(reference: str, name: str = "golden", kind: Accelerator = "tcg") -> Lab:
    profile = load(reference).profile
    return plan(profile, name, subnet="10.77.0.0/24", box=BOX, accelerator=kind, owner="labgen-000000")


def rendered(reference: str) -> dict[str, str]:
    return render.render(planned(reference), LOCAL.libvirt, DIRECTORY, dump(load(reference).profile), {})


@pytest.mark.parametrize("name", shipped())
def test_golden(name: str) -> None:
    """To accept a change: LABGEN_ACCEPT_GOLDEN=1 pytest tests/unit/test_render.py, then read the diff."""
    files = rendered(name)
    if os.environ.get("LABGEN_ACCEPT_GOLDEN"):
        shutil.rmtree(GOLDEN / name, ignore_errors=True)
        render.write(files, GOLDEN / name)
    expected = {
        str(path.relative_to(GOLDEN / name)): path.read_text()
        for path in (GOLDEN / name).rglob("*")
        if path.is_file()
    }
    assert files == expected


def test_golden_directories_are_those_of_the_shipped_profiles() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == sorted(shipped())


@pytest.mark.parametrize("name", shipped())
def test_the_same_input_gives_the_same_bytes(name: str) -> None:
    assert rendered(name) == rendered(name)


@pytest.mark.parametrize("name", shipped())
@pytest.mark.skipif(shutil.which("vagrant") is None, reason="needs vagrant: make install")
def test_vagrant_accepts_the_vagrantfile(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    project = tmp_path / "lab"
    render.write(rendered(name), project)
    vagrant.validate(project)


def test_kvm_and_emulation_differ_only_in_the_processor() -> None:
    kvm = render.render(planned("single-node", kind="kvm"), LOCAL.libvirt, DIRECTORY, "", {})
    tcg = render.render(planned("single-node", kind="tcg"), LOCAL.libvirt, DIRECTORY, "", {})
    assert {name for name in kvm if kvm[name] != tcg[name]} == {paths.VAGRANTFILE}
    assert "host-passthrough" in kvm[paths.VAGRANTFILE]
    assert "cx16" in tcg[paths.VAGRANTFILE]


def test_labs_of_one_profile_share_no_name_and_no_mac() -> None:
    one, two = planned("three-node-btrfs", "one"), planned("three-node-btrfs", "two")
    assert {node.domain for node in one.nodes}.isdisjoint(node.domain for node in two.nodes)
    assert {node.mac for node in one.nodes}.isdisjoint(node.mac for node in two.nodes)
    assert one.network.bridge != two.network.bridge


def test_names_fit_the_kernel_and_virtio() -> None:
    lab = planned("five-node-ha", "a" * 40)
    assert len(lab.network.bridge) <= 15
    assert all(len(disk.serial) <= 20 for node in lab.nodes for disk in node.disks)
    assert len({node.address for node in lab.nodes}) == len({node.mac for node in lab.nodes}) == 5


def test_the_network_reserves_an_address_for_every_node() -> None:
    lab = planned("three-node-btrfs")
    tree = ElementTree.fromstring(render.network_xml(lab))
    reserved = {host.get("mac"): host.get("ip") for host in tree.iter("host")}
    assert reserved == {node.mac: node.address for node in lab.nodes}


@pytest.mark.skipif(shutil.which("ruby") is None, reason="needs ruby: make install")
@pytest.mark.parametrize(
    "text", ["#{`touch owned`}", "'; touch('owned'); '", "\\", "\\'", "a\\\\'b", '"#$0"', "`touch owned`", "\\\\"]
)
def test_no_text_becomes_ruby(text: str, tmp_path: Path) -> None:
    command = ["ruby", "-e", f"print {render.ruby_string(text)}"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout == text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("ruby") is None, reason="needs ruby: make install")
def test_a_description_stays_a_comment(tmp_path: Path) -> None:
    text = 'name: x\ndescription: "end #{`touch owned`} \' =begin"\nnodes: {manager: {role: manager}}\n'
    profile = parse(text, "x").profile
    lab = plan(profile, "x", subnet="10.77.0.0/24", box=BOX, accelerator="tcg", owner="labgen-000000")
    vagrantfile = render.render(lab, LOCAL.libvirt, DIRECTORY, "", {})[paths.VAGRANTFILE]
    line = next(line for line in vagrantfile.splitlines() if "touch owned" in line)
    assert line.startswith("# ")
    subprocess.run(["ruby", "-c"], input=vagrantfile, capture_output=True, text=True, check=True)


def test_extra_scripts_of_the_profile_come_last(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "extra.sh").write_text("#!/bin/bash\ntrue\n")
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nnodes: {manager: {role: manager}}\nprovision: [scripts/extra.sh]\n")
    loaded = load(str(file))
    lab = plan(loaded.profile, "mine", subnet="10.77.0.0/24", box=BOX, accelerator="tcg", owner="labgen-000000")
    scripts = {guest_file(name): read_script(path) for name, path in loaded.scripts.items()}
    files = render.render(lab, LOCAL.libvirt, DIRECTORY, dump(loaded.profile), scripts)
    assert lab.nodes[0].steps[-1].script == "provision/scripts/extra.sh"
    assert files["guest/provision/scripts/extra.sh"] == "#!/bin/bash\ntrue\n"


def test_written_scripts_can_be_run_and_nothing_else(tmp_path: Path) -> None:
    render.write(rendered("single-node"), tmp_path)
    runnable = {path.name for path in tmp_path.rglob("*") if path.is_file() and os.access(path, os.X_OK)}
    assert runnable == {"docker-disk.sh", "docker.sh", "hosts.sh"}
