"""Load balancers on real machines: one of each program in front of one Swarm, while nodes and tasks come and go."""

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.vm.conftest import address, eventually, labgen, node_output, virsh

slow = pytest.mark.slow
NAME = "balanced"
PROFILE = """\
name: balanced
box: debian13
nodes:
  manager: {role: manager}
  worker: {count: 2}
  web:
    kind: balancer
    resources: {memory: 512MiB}
    balancer:
      program: nginx
      publish:
        - port: 80
          routes:
            - {path: /hello, service: hello_web}
        - {port: 82, direct: true, routes: [{path: /direct, service: direct_web}]}
        - {port: 8080, service: direct_web, direct: true, sticky: cookie}
        - {port: 443, protocol: https, redirect_from: 81, service: hello_web}
  checking:
    kind: balancer
    resources: {memory: 512MiB}
    balancer:
      program: haproxy
      statistics: 8404
      publish:
        - {port: 80, service: direct_web, direct: true, check: /health}
        - {port: 81, service: hello_web}
  kernel:
    kind: balancer
    resources: {memory: 512MiB}
    balancer:
      program: nftables
      publish: [{port: 80, service: hello_web}, {port: 81, service: direct_web, direct: true}]
storage: {driver: btrfs}
"""
DIRECT = """\
version: "3.8"
services:
  web:
    image: localhost/hello:1
    ports: [{target: 80, mode: host}]
    environment: {NODE: "{{.Node.Hostname}}", TASK: "{{.Task.Name}}"}
    healthcheck:
      {test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/health"], interval: 5s, start_period: 60s}
    deploy: {replicas: 2, update_config: {order: start-first}}
"""


@pytest.fixture(scope="module")
def balanced(lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The other lab is suspended: two cores cannot run more machines than these tests have."""
    labgen("suspend", lab)
    directory = tmp_path_factory.mktemp("balanced")
    (directory / "balanced.yaml").write_text(PROFILE)
    (directory / "direct.yaml").write_text(DIRECT)
    created = labgen("create", str(directory / "balanced.yaml"), "--name", NAME)
    assert "web1: port 80, /hello: there is no service hello_web" in created.stderr
    labgen("image", "load", NAME, "hello")
    labgen("deploy", NAME, "hello", "--timeout", "900")
    labgen("deploy", NAME, str(directory / "direct.yaml"), "--name", "direct", "--timeout", "900")
    yield NAME
    labgen("destroy", NAME, "--yes", "--if-exists")
    labgen("resume", lab)


@pytest.fixture(scope="module")
def at(balanced: str) -> dict[str, str]:
    """The balancers' addresses."""
    return {node: address(balanced, node) for node in ("web1", "checking1", "kernel1")}


def get(url: str, cookie: str = "", trust: str = "", limit: float = 20) -> Any:
    request = urllib.request.Request(url, headers={"Cookie": cookie} if cookie else {})
    context = ssl.create_default_context(cafile=trust) if trust else None
    with urllib.request.urlopen(request, timeout=limit, context=context) as answer:
        answer.read()
        return answer


def states() -> dict[str, list[dict[str, Any]]]:
    shown = json.loads(labgen("balance", NAME, "--show", "--format", "json").stdout)
    return {each["balancer"]: each["health"] for each in shown}


@contextmanager
def asking(*urls: str) -> Iterator[list[str]]:
    """Requests all the time. :return: what went wrong."""
    wrong, over = list[str](), threading.Event()

    def ask() -> None:
        while not over.is_set():
            for url in urls:
                try:
                    get(url)
                except OSError as error:
                    wrong.append(f"{url}: {error}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join()


SMALL = "small"


def drilled(lab: str, *options: str) -> dict[str, Any]:
    """The record of the drill "balance"."""
    ran = labgen("drill", lab, "balance", "--format", "json", *options, check=False)
    assert ran.status == 0, ran.stdout + ran.stderr
    (record,) = json.loads(ran.stdout)
    return dict(record)


def numbers(record: dict[str, Any], name: str) -> dict[str, Any]:
    """A number, by what it is of."""
    return {each["of"]: each["value"] for each in record["numbers"] if each["name"] == name}


@slow
def test_nginx_beside_the_mesh_alone_and_a_report_of_it(lab: str, tmp_path: Path) -> None:
    """The shortest way through a lab with a balancer: created, used, drilled, reported."""
    nginx, mesh = "balancer1 (nginx)", "the mesh alone"
    labgen("suspend", lab)
    try:
        labgen("create", "three-node-balancer", "--name", SMALL)
        labgen("deploy", SMALL, "hello", "--timeout", "900")
        answer = get(f"http://{address(SMALL, 'balancer1')}/")
        assert (answer.status, answer.headers["X-Balancer"]) == (200, "balancer1")
        record = drilled(SMALL, "--rate", "30")
        assert min(numbers(record, "requests").values()) >= 2000
        shares = [numbers(record, f"sent to {node}")[nginx] for node in ("manager1", "worker1", "worker2")]
        assert sum(shares) == pytest.approx(100, abs=0.5)
        assert numbers(record, "requests lost, power cut")[mesh] > numbers(record, "requests lost, power cut")[nginx]
        assert numbers(record, "requests slow, power cut")[nginx] > 0  # nginx tries the lost node again and again
        assert numbers(record, "gets requests again after")[nginx] > 5  # the machine has to boot
        assert numbers(record, "requests lost, drained and undrained") == {nginx: 0}
        assert len([each for each in virsh("list", "--name").split() if f"_{SMALL}_" in each]) == 4
        used = node_output(SMALL, "balancer1", "sudo", "cat", "/etc/nginx/nginx.conf")
        for node in ("manager1", "worker1", "worker2"):
            assert f"server {address(SMALL, node)}:8080" in used
        assert " down;" not in used
        labgen("report", SMALL, "-o", str(tmp_path / "report.html"))
        text = (tmp_path / "report.html").read_text()
        assert record["hypothesis"] in text.replace("&#39;", "'")
        assert f'<th scope="col" class="number">{nginx}</th>' in text
    finally:
        labgen("destroy", SMALL, "--yes", "--if-exists")
        labgen("resume", lab)


@slow
def test_every_balancer_has_the_backends_after_deploy_and_is_outside_the_swarm(at: dict[str, str]) -> None:
    nodes = json.loads(labgen("status", NAME, "--format", "json").stdout)["nodes"]
    assert {each["kind"] for each in nodes if each["cluster"] is None} == {"balancer"}
    found = states()
    assert {each["state"] for each in found["web1"]} == {"up"}
    eventually("HAProxy has checked all", lambda: {each["state"] for each in states()["checking1"]} == {"up"})
    assert {each["state"] for each in found["kernel1"]} == {"unknown"}
    direct = {each["address"] for each in found["checking1"] if each["service"].startswith("direct_web")}
    listing = ["docker", "service", "ps", "-q", "--filter", "desired-state=running", "direct_web"]
    listed = node_output(NAME, "manager1", *listing)
    assert len(direct) == len(listed.split()) == 2


@slow
def test_prefixes_work_with_and_without_a_slash(at: dict[str, str]) -> None:
    for place in ("/hello", "/hello/", ":82/direct/"):
        answer = get(f"http://{at['web1']}{place}")
        assert answer.status == 200
        assert answer.headers["X-Balancer"] == "web1"
        assert answer.headers["X-Backend"].partition(":")[0] in {"manager1", "worker1", "worker2"}
    assert get(f"http://{at['web1']}/hello").url.endswith("/hello/")
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"http://{at['web1']}/nothing")
    assert caught.value.code == 404


@slow
def test_https_is_trusted_by_the_ca_in_the_labs_directory(at: dict[str, str]) -> None:
    authority = Path(os.environ["LABGEN_HOME"]) / "data" / "labs" / NAME / "balancer.crt"
    assert get(f"https://{at['web1']}/", trust=str(authority)).status == 200
    with pytest.raises(urllib.error.URLError):
        get(f"http://{at['web1']}:81/")  # redirected to https, whose CA is not trusted here


@slow
def test_a_client_stays_with_its_task(at: dict[str, str]) -> None:
    url = f"http://{at['web1']}:8080/"
    first = get(url)
    mine = first.headers["Set-Cookie"].partition(";")[0]
    assert {get(url, mine).headers["X-Task"] for _ in range(8)} == {first.headers["X-Task"]}
    assert len({get(url).headers["X-Task"] for _ in range(8)}) == 2


@slow
def test_the_kernel_counts_what_it_passes_on(at: dict[str, str]) -> None:
    for _ in range(6):
        assert get(f"http://{at['kernel1']}/").status == 200
    told = [each["says"] for each in states()["kernel1"] if each["service"].startswith("hello_web")]
    assert sum(int(each.split()[0]) for each in told) >= 6


@slow
def test_nothing_is_lost_while_a_node_is_drained_and_undrained(at: dict[str, str]) -> None:
    urls = (f"http://{at['web1']}/hello/", f"http://{at['checking1']}:81/", f"http://{at['kernel1']}/")
    with asking(*urls) as wrong:
        for option in ("--drain", "--undrain"):
            labgen("balance", NAME, option, "worker1")
            if option == "--drain":
                assert {get(urls[0]).headers["X-Backend"] for _ in range(8)} == {"manager1", "worker2"}
    assert wrong == []


@slow
def test_direct_backends_follow_their_tasks(at: dict[str, str]) -> None:
    url = f"http://{at['checking1']}/"
    before = {each["address"] for each in states()["checking1"] if each["service"].startswith("direct_web")}
    node_output(NAME, "manager1", "docker", "service", "update", "--force", "--quiet", "direct_web")
    labgen("balance", NAME)
    after = {each["address"] for each in states()["checking1"] if each["service"].startswith("direct_web")}
    assert before.isdisjoint(after)
    assert get(url).status == 200


@slow
def test_a_lost_node_is_left_out(at: dict[str, str]) -> None:
    labgen("kill", NAME, "worker2")

    def is_seen() -> bool:
        hello = [each for each in states()["checking1"] if each["service"].startswith("hello_web")]
        return {each["backend"]: each["state"] for each in hello}.get("worker2", "gone") in {"down", "gone"}

    eventually("HAProxy has noticed that worker2 is gone", is_seen)
    for _ in range(6):
        assert get(f"http://{at['web1']}/hello/").headers["X-Backend"] != "worker2"
        assert get(f"http://{at['checking1']}:81/").headers["X-Backend"] != "worker2"
    labgen("balance", NAME)
    for _ in range(6):
        assert get(f"http://{at['kernel1']}/").status == 200
    labgen("start", NAME, "worker2")
    assert "worker2" in {each["backend"] for each in states()["web1"]}


@slow
def test_programs_are_compared_in_one_run(at: dict[str, str]) -> None:
    record = drilled(NAME, "--service", "hello_web")
    mesh, nginx, haproxy, kernel = "the mesh alone", "web1 (nginx)", "checking1 (haproxy)", "kernel1 (nftables)"
    assert set(numbers(record, "requests")) == {mesh, nginx, haproxy, kernel}
    assert min(numbers(record, "requests").values()) >= 2000
    lost = numbers(record, "requests lost, power cut")
    assert lost[kernel] > max(lost[nginx], lost[haproxy])
    ended = numbers(record, "none lost or slow any more after")
    assert ended[haproxy] is not None  # its checks find out
    assert ended[kernel] is None  # the kernel has none
    assert set(states()["kernel1"][0]) >= {"backend", "says"}
    assert {each["state"] for each in states()["web1"]} == {"up"}  # nothing stays drained


@slow
def test_the_client_is_named_at_layer_7_only(at: dict[str, str]) -> None:
    ran = labgen("drill", NAME, "client-address", "--format", "json", check=False)
    assert ran.status == 0, ran.stdout + ran.stderr
    checks = {each["text"]: each["passed"] for each in json.loads(ran.stdout)[0]["checks"]}
    assert checks["behind web1 (nginx) X-Forwarded-For tells it"]
    assert checks["behind checking1 (haproxy) X-Forwarded-For tells it"]
    assert checks["behind kernel1 (nftables) the client's address is not seen"]


@slow
def test_what_the_program_does_not_accept_is_not_used(at: dict[str, str], tmp_path: Path) -> None:
    node_output(NAME, "web1", "sh", "-c", "sudo systemd-run --unit=other nc -lk 90")
    (tmp_path / "taken.yaml").write_text(PROFILE.replace("port: 8080, service", "port: 90, service"))
    refused = labgen("balance", NAME, "--profile", str(tmp_path / "taken.yaml"), check=False)
    assert refused.status == 50
    assert "port 90/tcp is taken" in refused.stderr
    assert get(f"http://{at['web1']}:8080/").status == 200
    node_output(NAME, "web1", "sudo", "systemctl", "stop", "other")


@slow
def test_they_are_back_after_the_lab_was_off(at: dict[str, str]) -> None:
    labgen("stop", NAME)
    labgen("start", NAME)
    for url in (f"http://{at['web1']}/hello/", f"http://{at['checking1']}:81/", f"http://{at['kernel1']}/"):
        eventually(url, lambda url=url: get(url).status == 200)
