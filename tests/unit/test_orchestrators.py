"""What an orchestrator defines: words, networks, requirements of a handed-over lab."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from labgen import handoff
from labgen.model import Lab
from labgen.orchestrators import DEFAULT, ORCHESTRATORS, Orchestrator
from labgen.plan import plan
from labgen.profile import load
from labgen.subnets import conflict
from tests.unit.labs import BOX

PACKAGE = Path(__file__).parents[2] / "labgen"
# The places outside orchestrators/ and its members' kind that may use the word "swarm", each with its reason.
SWARM = {
    # Docker's own API uses it.
    "engine/__init__.py": r".*",
    "engine/connection.py": r".*",
    "engine/engine.py": r".*",
    "engine/facts.py": r".*",
    "engine/services.py": r".*",
    "bundle/manifest.py": r".*\|labels\|swarm\"|# .*0\.1\.0 wrote\.",  # a part of bundles that 0.1.0 wrote
    "lab/status.py": r' *"swarm": cluster,.*',  # the key by which scripts of 0.1.0 read it
    # In journals of 0.1.0: a field, and labs whose nodes had no kind yet.
    "records/journals.py": r'.*lab\.pop\("swarm_pool", None\)|.*\["(is_member|kind)"\] = .*"swarm".*',
    # Addresses of Docker's documentation.
    "report/practices/cluster.py": r".*https://docs\.docker\.com/engine/swarm/\S*",
    "report/practices/services.py": r".*https://docs\.docker\.com/engine/swarm/\S*",
    # Balancers are for clusters that run stacks, as engine/ knows them.
    "balancers/backends.py": r'.* import Port, Service, SwarmNode, Task|.*: Sequence\["SwarmNode"\].*',
    "machines/balancing.py": r".*docker\.swarm_nodes\(\).*",
    "kinds/__init__.py": r'.*import SwarmNode|    "swarm": SwarmNode\(\),',  # the kind of its members
}
# What a lab with another orchestrator does not get to; see Orchestrator.runs_stacks.
RUNS_STACKS = ("drills/", "services/", "stacks/")
CLUSTERS = [each for each in ORCHESTRATORS.values() if each.noun]
# Docker in each machine, as far as forming a Swarm needs it; $1 to $3 are -F ssh_config NODE.
MACHINE = """#!/bin/sh
node=$3
shift 3
echo "$node: $*" >>"$LOG"
case "$*" in
    "docker info"*) [ -e "$LOG.$node" ] && echo active || echo inactive ;;
    "docker swarm init"*) touch "$LOG.$node" ;;
    "docker swarm join-token"*) echo "token for a $5" ;;
    "read -r token"*) cat >"$LOG.$node" ;;
    "read -r label"*) cat >>"$LOG" ;;
    "docker node ls --format"*) for each in "$LOG".*; do echo Ready; done ;;
esac
"""


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_its_own_modules_name_the_swarm(path: Path) -> None:
    name = path.relative_to(PACKAGE).as_posix()
    if name.startswith(("orchestrators/", *RUNS_STACKS)) or name == "kinds/swarm.py":
        return
    lines = [line for line in path.read_text().splitlines() if "swarm" in line.lower()]
    allowed = SWARM.get(name, "")
    assert [line for line in lines if not re.fullmatch(allowed, line)] == []
    assert bool(lines) == bool(allowed)


def test_the_default_is_one_of_them() -> None:
    assert DEFAULT in ORCHESTRATORS


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda each: each.name)
def test_no_lab_is_in_the_networks_that_a_cluster_takes(cluster: Orchestrator) -> None:
    assert cluster.pools
    for network, purpose in cluster.pools.items():
        use = conflict(network, ())
        assert use
        assert str(use) == f"{network} ({purpose} in the machines)"


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_the_page_of_a_handed_over_lab_speaks_of_its_cluster(orchestrator: str) -> None:
    cluster = ORCHESTRATORS[orchestrator]
    page = handoff.files(_lab(orchestrator), {})[handoff.README]
    assert (f"Docker on btrfs, a {cluster.noun}.\n" in page) == bool(cluster.noun)
    assert ("Docker on btrfs.\n" in page) == (not cluster.noun)
    assert ("see the cluster" in page) == (" -c '" in page) == bool(cluster.show)
    assert (f"    vagrant ssh manager1 -c '{cluster.show}'\n" in page) == bool(cluster.show)


def test_a_handed_over_lab_forms_its_swarm_once(tmp_path: Path) -> None:
    first, again = _up("swarm", tmp_path), _up("swarm", tmp_path)
    assert [line for line in first if "swarm init" in line] == [
        "manager1: docker swarm init --advertise-addr 10.77.3.11 --default-addr-pool 10.201.0.0/16"
    ]
    assert {path.name: path.read_text() for path in tmp_path.glob("log.*")} == {
        "log.manager1": "",
        "log.worker1": "token for a worker\n",
        "log.worker2": "token for a worker\n",
    }
    for address in ("10.77.3.12", "10.77.3.13"):
        assert any(f"'10.77.3.11:2377' '{address}'" in line for line in first)
    assert "disk=fast" in first
    assert first[-1] == "manager1: docker node ls"
    assert not [line for line in again if "init" in line or "join" in line]


def test_a_handed_over_lab_without_a_cluster_asks_no_docker(tmp_path: Path) -> None:
    assert _up("none", tmp_path) == []


def _lab(orchestrator: str) -> Lab:
    profile = load("three-node-btrfs", [f"orchestrator={orchestrator}", "nodes.manager.labels={disk: fast}"]).profile
    return plan(profile, "lab", subnet="10.77.3.0/24", box=BOX, accelerator="tcg", owner=handoff.OWNER)


def _up(orchestrator: str, directory: Path) -> list[str]:
    """The requests to the machines while ``up`` ran, line by line."""
    log = directory / "log"
    log.write_text("")
    for name, text in handoff.files(_lab(orchestrator), {}).items():
        (directory / name).write_text(text)
    for program, text in {"ssh": MACHINE, "vagrant": "#!/bin/sh\n"}.items():
        (directory / program).write_text(text)
        (directory / program).chmod(0o755)
    environment = {"PATH": f"{directory}:{os.environ['PATH']}", "LOG": str(log)}
    subprocess.run(["sh", directory / "up"], env=environment, check=True, capture_output=True, timeout=60)
    return log.read_text().splitlines()
