"""The files in a bundle that bring a lab up without labgen; whole labs are in tests/vm."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from labgen import paths

pytestmark = pytest.mark.skipif(
    not shutil.which("vagrant") or not shutil.which("qemu-img"), reason="needs Vagrant and qemu-img: make install"
)


def test_the_nodes_boxes_are_added_wherever_the_bundle_was_unpacked(tmp_path: Path) -> None:
    bundle, programs = tmp_path / "it's a place ä #1 100%h & <b>", tmp_path / "bin"
    for directory in ("box", "disks"):
        (bundle / directory).mkdir(parents=True)
    for disk in ("box/box.img", "disks/manager1.root.qcow2", "disks/manager1.docker.qcow2"):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", bundle / disk, "1M"], check=True)
    (bundle / "nodes").write_text("manager1 manager 10.77.0.11 bundle-lab/manager1 1.2.3 root,docker\n")
    shutil.copy(paths.handoff_script("up"), bundle / "up")
    programs.mkdir()
    # The real function adds the boxes; nothing is booted.
    stand_in = programs / "vagrant"
    stand_in.write_text(f'#!/bin/sh\n[ "$1" = box ] || exit 3\nexec {shutil.which("vagrant")} "$@"\n')
    stand_in.chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "VAGRANT_HOME": str(tmp_path / "vagrant"),
        "VAGRANT_CHECKPOINT_DISABLE": "1",
        "LC_ALL": "C.UTF-8",
    }
    ran = subprocess.run(
        ["sh", bundle / "up"], cwd="/", env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert ran.returncode == 3, ran.stdout + ran.stderr
    added = tmp_path / "vagrant" / "boxes" / "bundle-lab-VAGRANTSLASH-manager1" / "1.2.3" / "libvirt"
    assert {path.name for path in added.iterdir()} == {"metadata.json", "root.qcow2", "docker.qcow2"}
    assert list((bundle / "disks").glob("making.*")) == []
