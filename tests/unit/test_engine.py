"""The engine module, against an HTTP server on a Unix socket that answers like Docker."""

import gc
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labgen import engine
from labgen.engine.connection import API_VERSION
from labgen.errors import ClusterError
from labgen.ssh import Connection
from labgen.storage import DRIVERS, EngineStorage

NODE = {
    "ID": "id1",
    "Version": {"Index": 7},
    "Description": {"Hostname": "manager1"},
    "Spec": {"Role": "manager", "Availability": "drain", "Labels": {"kept": "yes"}},
    "Status": {"State": "ready"},
    "ManagerStatus": {"Leader": True},
}
INFO = {
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "ServerVersion": "26.1.5",
    "KernelVersion": "6.12",
    "Swarm": {"LocalNodeState": "active", "NodeID": "id1", "ControlAvailable": True, "Cluster": {"ID": "c1"}},
}


class Stream(tuple[dict[str, Any], ...]):
    """An answer that comes piece by piece."""

    __slots__ = ()


class Docker:
    """The requests that were received, and the answers to them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []
        self.refuse = ""
        self.answers: dict[str, Any] = {
            "/info": INFO,
            "/nodes": [NODE],
            "/nodes/id1": NODE,
            "/swarm": {"JoinTokens": {"Manager": "SECRET-M", "Worker": "SECRET-W"}},
            "/swarm/init": "id1",
        }

    def bodies(self, path: str) -> list[Any]:
        return [body for _, asked, body in self.requests if asked == path]


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[Docker]:
    fake = Docker()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = "/" + self.path.partition("?")[0].lstrip("/").removeprefix(f"v{API_VERSION}/")
            fake.requests.append((self.command, path, json.loads(body) if body else None))
            refused = fake.refuse == path
            answer = {"message": "no luck"} if refused else fake.answers.get(path, {})
            self.send_response(503 if refused else 200)
            if isinstance(answer, Stream):
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for each in (*answer, None):
                    line = json.dumps(each).encode() + b"\r\n" if each else b""
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                return
            content = json.dumps(answer).encode()
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

        def address_string(self) -> str:
            return "docker"

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(tmp_path / "docker.sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield fake
        server.shutdown()


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    """Stands in for a connection; its forwarded socket is the fake Docker's."""

    @contextmanager
    def forwarded(_remote: str) -> Iterator[Path]:
        yield tmp_path / "docker.sock"

    return cast(Connection, SimpleNamespace(target=SimpleNamespace(name="manager1"), forwarded=forwarded))


def test_info_says_what_the_engine_says(docker: Docker, connection: Connection) -> None:
    with engine.connect(connection) as each:
        info = each.info()
    assert info.storage == EngineStorage("overlay2", "extfs")
    assert (info.version, info.kernel, info.swarm_state, info.node_id) == ("26.1.5", "6.12", "active", "id1")
    assert info.is_manager


def test_a_node_in_no_swarm_has_no_cluster(docker: Docker, connection: Connection) -> None:
    docker.answers["/info"] = {
        **INFO,
        "Driver": "btrfs",
        "DriverStatus": None,
        "Swarm": {"LocalNodeState": "inactive"},
    }
    with engine.connect(connection) as each:
        info = each.info()
    assert info.storage == EngineStorage("btrfs", "btrfs")
    assert (info.swarm_id, info.node_id, info.is_manager) == ("", "", False)


def test_init_and_join_name_addresses_and_pool(docker: Docker, connection: Connection) -> None:
    with engine.connect(connection) as each:
        assert each.swarm_init("10.77.0.11", "10.201.0.0/16") == "id1"
        tokens = each.join_tokens()
        each.swarm_join("10.77.0.12", "10.77.0.11", tokens.of("worker"))
        each.swarm_leave()
    (init,) = docker.bodies("/swarm/init")
    assert init["AdvertiseAddr"] == "10.77.0.11"
    assert (init["DefaultAddrPool"], init["SubnetSize"]) == (["10.201.0.0/16"], 24)
    (join,) = docker.bodies("/swarm/join")
    assert join["RemoteAddrs"] == ["10.77.0.11:2377"]
    assert (join["AdvertiseAddr"], join["JoinToken"]) == ("10.77.0.12", "SECRET-W")
    assert "SECRET" not in repr(tokens)


def test_the_swarms_other_settings_are_kept(docker: Docker, connection: Connection) -> None:
    spec = {
        "Name": "default",
        "Labels": {"course": "b12"},
        "Orchestration": {"TaskHistoryRetentionLimit": 9},
        "Dispatcher": {"HeartbeatPeriod": 2_000_000_000},
        "EncryptionConfig": {"AutoLockManagers": False},
    }
    docker.answers["/swarm"] = {"Version": {"Index": 7}, "Spec": spec}
    with engine.connect(connection) as each:
        assert each.heartbeat() == 2
        each.set_autolock(locked=True)
        each.rotate_join_tokens()
    assert docker.bodies("/swarm/update") == [{**spec, "EncryptionConfig": {"AutoLockManagers": True}}, spec]


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/swarm/init", lambda each: each.swarm_take_over("10.77.0.11")),
        ("/swarm/leave", lambda each: each.swarm_leave()),
        ("/swarm/unlock", lambda each: each.swarm_unlock("SWMKEY")),
    ],
)
def test_what_ends_a_state_without_a_leader_asks_no_leader(
    docker: Docker, connection: Connection, path: str, call: Any
) -> None:
    docker.refuse = "/swarm"
    with engine.connect(connection) as each:
        call(each)
    assert [asked for _, asked, _ in docker.requests if asked.startswith("/swarm")] == [path]


def test_a_swarm_without_a_heartbeat_of_its_own_has_dockers(docker: Docker, connection: Connection) -> None:
    docker.answers["/swarm"] = {"Version": {"Index": 7}, "Spec": {"Dispatcher": {}}}
    with engine.connect(connection) as each:
        assert each.heartbeat() == 5


def test_nodes_are_read_and_updated_without_losing_what_they_were_told(
    docker: Docker, connection: Connection
) -> None:
    with engine.connect(connection) as each:
        (node,) = each.swarm_nodes()
        each.update_node("id1", "manager", {"zone": "a"})
        each.remove_node("id1")
    assert (node.hostname, node.role, node.state, node.leader) == ("manager1", "manager", "ready", True)
    (spec,) = docker.bodies("/nodes/id1/update")
    assert spec == {"Role": "manager", "Availability": "drain", "Labels": {"kept": "yes", "zone": "a"}}
    assert ("DELETE", "/nodes/id1", None) in docker.requests


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/info", lambda each: each.info()),
        ("/swarm/init", lambda each: each.swarm_init("10.77.0.11", "10.201.0.0/16")),
        ("/swarm/join", lambda each: each.swarm_join("a", "b", "SECRET")),
        ("/nodes", lambda each: each.swarm_nodes()),
    ],
)
def test_a_refusal_is_explained_without_secrets(docker: Docker, connection: Connection, path: str, call: Any) -> None:
    docker.refuse = path
    with engine.connect(connection) as each, pytest.raises(ClusterError) as caught:
        call(each)
    assert "manager1" in caught.value.brief
    assert "no luck" in caught.value.details
    assert "SECRET" not in caught.value.brief + caught.value.details


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_engine_that_is_not_there_is_explained(connection: Connection) -> None:
    with engine.connect(connection) as each, pytest.raises(ClusterError, match="asking Docker") as caught:
        each.info()
    del caught
    gc.collect()  # the SDK leaves the socket that it could not connect; its warning belongs to this test


@pytest.mark.parametrize("name", DRIVERS)
def test_each_driver_accepts_itself_and_nothing_else(name: str) -> None:
    driver = DRIVERS[name]
    right = EngineStorage(name, {"btrfs": "btrfs", "overlay2": "extfs"}[name])
    assert driver.complaint(right) == ""
    assert "vfs" in driver.complaint(EngineStorage("vfs", "extfs"))
    assert "'xfs'" in driver.complaint(EngineStorage(name, "xfs"))


PUSH = (
    {"status": "The push refers to repository [manager1:5000/app]"},
    {"status": "Preparing", "progressDetail": {}, "id": "a"},
    {"status": "Layer already exists", "progressDetail": {}, "id": "b"},
    {"status": "Pushing", "progressDetail": {"current": 512, "total": 1000}, "id": "a"},
    {"status": "Pushing", "progressDetail": {"current": 10, "total": 20}, "id": "c"},
    {"status": "Pushing", "progressDetail": {"current": 1536, "total": 1000}, "id": "a"},  # with tar's headers
    {"status": "Pushed", "progressDetail": {}, "id": "a"},
)
WHERE = "/images/manager1:5000/app/push"


def test_a_push_tells_how_much_has_been_sent(docker: Docker, connection: Connection) -> None:
    docker.answers[WHERE] = Stream((*PUSH, {"progressDetail": {}, "aux": {"Tag": "1"}}))
    with engine.connect(connection) as each:
        assert list(each.push_image("manager1:5000/app:1")) == [(512, 1000), (522, 1020), (1010, 1020)]


def test_a_push_that_fails_is_explained(docker: Docker, connection: Connection) -> None:
    docker.answers[WHERE] = Stream((*PUSH, {"errorDetail": {}, "error": "x509: unknown authority"}))
    with engine.connect(connection) as each, pytest.raises(ClusterError, match="pushing the image") as caught:
        list(each.push_image("manager1:5000/app:1"))
    assert caught.value.details == "x509: unknown authority"


SERVICE = {
    "ID": "s1",
    "Spec": {
        "Name": "shop_web",
        "Labels": {"com.docker.stack.namespace": "shop"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "app:1@sha256:ab"},
            "Placement": {"Constraints": ["node.role==worker"], "MaxReplicas": 2},
            "RestartPolicy": {"Condition": "on-failure"},
            "Resources": {"Reservations": {"NanoCPUs": 5, "MemoryBytes": 7}},
        },
        "Mode": {"Replicated": {"Replicas": 3}},
    },
    "Endpoint": {"Ports": [{"PublishedPort": 8080, "TargetPort": 80, "Protocol": "tcp", "PublishMode": "ingress"}]},
    "UpdateStatus": {"State": "paused", "Message": "because"},
}
TASK = {
    "ID": "t1",
    "ServiceID": "s1",
    "Slot": 1,
    "NodeID": "id1",
    "DesiredState": "shutdown",
    "Spec": {"ContainerSpec": {"Image": "app:1"}},
    "Status": {
        "State": "failed",
        "Err": "task: non-zero exit (1)",
        "Timestamp": "2026-01-01T00:00:00Z",
        "ContainerStatus": {"ContainerID": "c1", "ExitCode": 1},
        "PortStatus": {"Ports": [{"PublishedPort": 9, "TargetPort": 9, "PublishMode": "host"}]},
    },
}


def test_services_and_tasks_are_read(docker: Docker, connection: Connection) -> None:
    job = {**SERVICE, "ID": "s2", "Spec": {**SERVICE["Spec"], "Name": "a_job", "Mode": {"GlobalJob": {}}}}  # type: ignore[dict-item]
    docker.answers["/services"] = [SERVICE, {**job, "ServiceStatus": {"CompletedTasks": 2}}]
    docker.answers["/tasks"] = [TASK]
    with engine.connect(connection) as each:
        other, web = each.services.listed("shop")
        (task,) = each.services.tasks(web)
    assert (other.name, other.mode, other.is_job, other.is_global, other.completed) == (
        "a_job",
        "global-job",
        True,
        True,
        2,
    )
    assert (web.stack, web.image, web.mode, web.desired, web.restarts) == (
        "shop",
        "app:1",
        "replicated",
        3,
        "on-failure",
    )
    assert (web.constraints, web.max_per_node, web.reserved) == (("node.role==worker",), 2, engine.Resources(5, 7))
    assert (web.ports, web.update_state, web.update_message) == ((engine.Port(8080, 80),), "paused", "because")
    assert (task.state, task.desired_state, task.node_id, task.container) == ("failed", "shutdown", "id1", "c1")
    assert (task.error, task.host_ports) == ("task: non-zero exit (1)", (9,))


def test_what_may_be_recorded_of_services_is_read(docker: Docker, connection: Connection) -> None:
    template = {"ContainerSpec": {"Image": "a:1", "Env": ["X=secret"]}, "Networks": [{"Target": "n1"}]}
    spec = {"Name": "web", "Mode": {"Replicated": {"Replicas": 2}}, "TaskTemplate": template}
    docker.answers["/services"] = [
        {"ID": "s2", "Spec": {**spec, "Name": "zoo"}},
        {"ID": "s1", "Spec": spec, "Endpoint": {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}]}},
    ]
    docker.answers["/networks"] = [
        {"Id": "n1", "Name": "front", "Driver": "overlay", "IPAM": {"Config": [{"Subnet": "10.201.1.0/24"}]}},
        {"Id": "n0", "Name": "back", "Driver": "overlay", "Options": {"encrypted": "true"}},
    ]
    with engine.connect(connection) as each:
        web, zoo = each.services.inspected()
        back, front = each.services.inspected_networks()
    assert (web.name, web.networks, web.environment, web.replicas) == ("web", ("front",), ("X",), 2)
    assert [(port.published, port.target, port.mode) for port in web.ports] == [(8080, 80, "ingress")]
    assert zoo.name == "zoo"
    assert (front.subnet, front.encrypted, back.encrypted) == ("10.201.1.0/24", False, True)


@pytest.mark.parametrize(
    ("config", "has"),
    [
        ({"Healthcheck": {"Test": ["CMD", "true"]}}, True),
        ({"Healthcheck": {"Test": ["NONE"]}}, False),
        ({"Healthcheck": {}}, False),
        ({}, False),
        (None, False),
    ],
)
def test_an_images_health_check(docker: Docker, connection: Connection, config: object, has: bool) -> None:
    docker.answers["/images/app:1/json"] = {"Id": "sha256:1", "Config": config}
    with engine.connect(connection) as each:
        assert each.has_health_check("app:1") is has
        docker.refuse = "/images/app:1/json"
        assert each.has_health_check("app:1") is None


def test_what_services_use_is_read(docker: Docker, connection: Connection) -> None:
    labels = {"com.docker.stack.namespace": "shop"}
    docker.answers["/networks"] = [{"Name": "shop_default", "Labels": labels}, {"Name": "bridge", "Labels": None}]
    docker.answers["/secrets"] = docker.answers["/configs"] = [{"ID": "1", "Spec": {"Name": "pw", "Labels": labels}}]
    docker.answers["/volumes"] = {
        "Volumes": [{"Name": "shop_data", "Labels": labels}, {"Name": "own", "Labels": None}]
    }
    docker.answers["/containers/c1/json"] = {
        "State": {"Health": {"Status": "unhealthy", "Log": [{"Output": "ill\n", "ExitCode": 1}]}}
    }
    with engine.connect(connection) as each:
        assert each.services.networks() == {"shop_default": "shop", "bridge": ""}
        assert each.services.secrets() == each.services.configs() == [engine.Stored("pw", labels)]
        assert each.volumes() == {"shop_data": "shop", "own": ""}
        assert each.health_output("c1") == "ill"
        docker.refuse = "/distribution/nginx:1/json"
        assert each.pull_complaint("nginx:1") == "no luck"
        docker.refuse = ""
        assert each.pull_complaint("nginx:1") == ""
