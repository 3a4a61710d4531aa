"""What is recorded of services and nodes when something is tried: their settings, and nothing secret."""

import json
from typing import Any

import pytest

from labgen.engine.inspected import inspected, inspected_network
from labgen.errors import ClusterError
from labgen.progress import Silent
from labgen.records import results
from labgen.records.inspections import Amounts, InspectedPort, Logging, Restarts, Rollout
from labgen.records.notebook import Notebook
from tests.unit.commands import Run, run
from tests.unit.engines import FakeEngine
from tests.unit.host import Host, host
from tests.unit.small_swarm import SmallSwarm, swarm

__all__ = ["host", "run", "swarm"]  # fixtures

SECRET = "correct horse battery staple"
# As the API of Docker 26.1 lists it.
SERVICE: dict[str, Any] = {
    "ID": "s1",
    "Spec": {
        "Name": "shop_web",
        "Labels": {"com.docker.stack.namespace": "shop", "token": SECRET},
        "Mode": {"Replicated": {"Replicas": 3}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": "shop:2@sha256:abc",
                "Env": [f"DB_PASSWORD={SECRET}", "MODE=production", "BARE"],
                "Args": ["--password", SECRET],
                "Command": ["sh", "-c", SECRET],
                "Healthcheck": {"Test": ["CMD", "curl", "-u", SECRET]},
                "Secrets": [{"SecretName": "shop_db", "SecretID": "x", "File": {"Name": "db"}}],
                "Configs": [{"ConfigName": "shop_conf", "ConfigID": "y"}],
            },
            "Resources": {"Limits": {"NanoCPUs": 500000000, "MemoryBytes": 67108864}, "Reservations": {}},
            "RestartPolicy": {"Condition": "on-failure", "Delay": 2000000000, "MaxAttempts": 3},
            "Placement": {
                "Constraints": ["node.role==worker"],
                "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
            },
            "Networks": [{"Target": "n1"}],
            "LogDriver": {"Name": "splunk", "Options": {"splunk-token": SECRET, "max-size": "10m"}},
        },
        "UpdateConfig": {"Parallelism": 1, "Delay": 3000000000, "FailureAction": "rollback", "Order": "start-first"},
    },
    "Endpoint": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"}]},
}


def test_settings_are_recorded() -> None:
    found = inspected(SERVICE, {"n1": "shop_default"})
    assert (found.name, found.stack, found.mode, found.replicas) == ("shop_web", "shop", "replicated", 3)
    assert (found.image, found.digest) == ("shop:2", "sha256:abc")
    assert found.environment == ("BARE", "DB_PASSWORD", "MODE")
    assert (found.secrets, found.configs, found.networks) == (("shop_db",), ("shop_conf",), ("shop_default",))
    assert found.limits == Amounts(0.5, 64 * 2**20)
    assert found.reservations == Amounts()
    assert found.ports == (InspectedPort(8080, 80, "tcp", "ingress"),)
    assert found.restarts == Restarts("on-failure", 2.0, 3)
    assert found.update == Rollout(1, 3.0, "start-first", "rollback", 0.0, 0.0)
    assert found.rollback is None
    assert found.health_check == "service"
    assert found.logging == Logging("splunk", {"max-size": "10m", "splunk-token": "..."})


def test_nothing_secret_is_recorded() -> None:
    assert SECRET not in repr(inspected(SERVICE, {}))


@pytest.mark.parametrize(("test", "found"), [(["NONE"], "disabled"), ([], ""), (["CMD-SHELL", "x"], "service")])
def test_health_checks(test: list[str], found: str) -> None:
    template = {"ContainerSpec": {"Image": "a", "Healthcheck": {"Test": test}}}
    service = {"Spec": {"Name": "a", "Mode": {"Global": {}}, "TaskTemplate": template}}
    assert inspected(service, {}).health_check == found


def test_networks() -> None:
    ipam = {"Config": [{"Subnet": "10.201.1.0/24"}]}
    found = inspected_network({"Name": "n", "Driver": "overlay", "IPAM": ipam, "Options": {"encrypted": ""}})
    assert (found.subnet, found.encrypted) == ("10.201.1.0/24", True)
    assert inspected_network({"Name": "n", "IPAM": {"Config": None}, "Options": None}).encrypted is False


@pytest.fixture
def lab(host: Host, swarm: SmallSwarm, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    assert run("create", "three-node-btrfs", "--name", "lab").status == 0
    swarm.serve("web", 6)
    monkeypatch.setattr("labgen.drills.drain.WATCH", 0.1)
    return "lab"


def test_a_drill_records_nodes_and_where_each_task_ran(lab: str, host: Host, run: Run) -> None:
    host.daemon_json = json.dumps({"log-opts": {"max-size": "10m", "gelf-address": SECRET}})
    assert run("drill", lab, "drain", "--rate", "50").status == 0
    (record,) = results.every(lab)
    assert record.inspection
    assert record.inspection.box == "debian13 13.1.1"
    (manager, worker, _) = record.inspection.nodes
    assert (manager.name, manager.role, manager.leader) == ("manager1", "manager", True)
    assert (worker.engine, worker.kernel, worker.storage_driver) == ("26.1.5", "6.12", "btrfs")
    assert worker.logging == Logging("json-file", {"gelf-address": "...", "max-size": "10m"})
    assert [each.name for each in record.inspection.services] == ["web"]
    first = [run for run in record.runs if run.since == record.runs[0].since]
    assert len(first) == 6
    drained = [run for run in first if run.node == "worker1"]
    assert all(run.until is not None for run in drained)
    later = [run for run in record.runs if run not in first]
    assert {run.node for run in later} == {"manager1", "worker2"}
    assert all(run.service == "web" and run.until is None for run in later)


@pytest.mark.parametrize("content", ["{", "[]", '{"log-opts": []}', ""])
def test_a_strange_daemon_json_is_not_in_the_way(lab: str, host: Host, run: Run, content: str) -> None:
    host.daemon_json = content
    assert run("drill", lab, "drain", "--rate", "50").status == 0
    (record,) = results.every(lab)
    assert record.inspection
    assert {each.logging.options == {} for each in record.inspection.nodes} == {True}
    assert {each.logging.known for each in record.inspection.nodes} == {content.startswith('{"')}


def test_a_drill_does_not_depend_on_it(lab: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: FakeEngine) -> None:
        raise ClusterError("manager1: inspecting the services failed")

    monkeypatch.setattr(SmallSwarm, "inspected", refuse)
    done = run("drill", lab, "drain", "--rate", "50")
    assert done.status == 0
    assert "the settings of what runs are not recorded: manager1: inspecting the services failed" in done.stderr
    assert results.every(lab)[0].inspection is None


def test_a_look_alone_is_not_saved(home: object) -> None:
    notes = Notebook("lab", results.begun("drill", "drain", "web", ""), Silent())
    notes.running([("t1", "web.1", "worker1")])
    assert results.every("lab") == []
    notes.happened("something")
    notes.running([])
    notes.end("passed")
    (run,) = results.every("lab")[0].runs
    assert (run.task, run.service, run.node) == ("web.1", "web", "worker1")
    assert run.until is not None
