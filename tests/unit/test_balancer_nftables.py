"""nftables itself, in network namespaces: a client, the balancer, and two backends on one network, as in a lab."""

import os
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from labgen import paths
from labgen.balancers import BALANCERS, Backend, Frontend, Pool, Site
from labgen.machines import balancing
from labgen.model import Balancer, Publish, Route
from labgen.plan import BALANCER

NFTABLES = BALANCERS["nftables"]
# Answers each connection and each datagram with a name and the address that it saw; echoes what comes on port 81.
SERVER = """
import socket, sys, threading
name = sys.argv[1].encode()
def tcp(port, talk):
    with socket.create_server(("0.0.0.0", port)) as server:
        while True:
            connection, address = server.accept()
            threading.Thread(target=talk, args=(connection, address)).start()
def tell(connection, address):
    connection.sendall(name + b" " + address[0].encode())
    connection.close()
def echo(connection, _):
    while data := connection.recv(100):
        connection.sendall(name + b" " + data)
def udp():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", 53))
    while True:
        _, address = server.recvfrom(100)
        server.sendto(name, address)
threading.Thread(target=udp).start()
threading.Thread(target=tcp, args=(81, echo)).start()
print("ready", flush=True)
tcp(80, tell)
"""
# $1: how often. Connects from $2 to the balancer's port $3, and prints the answers.
CLIENT = """
import socket, sys
for _ in range(int(sys.argv[1])):
    with socket.create_connection(("10.99.0.1", int(sys.argv[3])), timeout=3, source_address=(sys.argv[2], 0)) as one:
        print(one.recv(100).decode())
"""
CLIENTS = [f"10.99.0.{number}" for number in range(100, 120)]


class Net:
    """:ivar space: for each part of the lab, the name of its namespace."""

    def __init__(self) -> None:
        mark = secrets.token_hex(3)
        self.space = {part: f"labgen-{mark}-{part}" for part in ("balancer", "client", "worker1", "worker2")}
        self.processes: list[subprocess.Popen[str]] = []
        for name in self.space.values():
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.inside("balancer", "ip link add net type bridge; ip addr add 10.99.0.1/24 dev net; ip link set net up")
        addresses = {"client": CLIENTS, "worker1": ["10.99.0.11"], "worker2": ["10.99.0.12"]}
        for part, own in addresses.items():
            self.inside("balancer", f"ip link add to-{part} type veth peer name card netns {self.space[part]}")
            self.inside("balancer", f"ip link set to-{part} master net up")
            commands = [
                "ip link set lo up",
                *(f"ip addr add {each}/24 dev card" for each in own),
                "ip link set card up",
            ]
            self.inside(part, "; ".join(commands))
        for part in ("worker1", "worker2"):
            command = ["ip", "netns", "exec", self.space[part], "python3", "-c", SERVER, part]
            server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self.processes.append(server)
            assert server.stdout
            assert server.stdout.readline() == "ready\n"

    def inside(self, part: str, script: str, *arguments: str, **options: object) -> str:
        command = ["ip", "netns", "exec", self.space[part], "sh", "-ec", script, "sh", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def ask(self, times: int = 1, source: str = CLIENTS[0], port: int = 80) -> list[str]:
        command = [
            "ip",
            "netns",
            "exec",
            self.space["client"],
            "python3",
            "-c",
            CLIENT,
            str(times),
            source,
            str(port),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.split("\n")[:-1]

    def close(self) -> None:
        for each in self.processes:
            each.kill()
            each.wait()
            assert each.stdout
            each.stdout.close()
        for name in self.space.values():
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.fixture
def net() -> Iterator[Net]:
    if os.geteuid() or shutil.which("nft") is None:
        pytest.skip("needs nftables (make tools) and root")
    found = Net()
    try:
        yield found
    finally:
        found.close()


WORKERS = (Backend("worker1", "worker1", "10.99.0.11", 80), Backend("worker2", "worker2", "10.99.0.12", 80))


def site(*frontends: Frontend) -> Site:
    settings = Balancer("nftables", tuple(each.publish for each in frontends))
    return Site("lab", "balancer1", "10.99.0.1", "10.99.0.0/24", settings, frontends)


def to(*backends: Backend, port: int = 80, **settings: object) -> Frontend:
    publish = replace(Publish(port, "tcp", (Route(),)), **settings)  # type: ignore[arg-type]
    return Frontend(publish, (Pool(Route(), "shop_web:80", backends),))


def apply(net: Net, what: Site) -> str:
    """As ``balancer.sh`` does it. :return: the version in use."""
    rendered = NFTABLES.render(what)
    script = 'sysctl -qw net.ipv4.ip_forward=1; cat >"$1"; nft -c -f "$1"; nft -f "$1"; nft list table ip labgen'
    file = f"/tmp/{net.space['balancer']}.conf"
    try:
        told = net.inside("balancer", script, file, input=rendered.files["nftables.conf"])
    finally:
        Path(file).unlink(missing_ok=True)
    assert f'comment "version {rendered.version}"' in told
    return rendered.version


def test_connections_go_to_the_backends_in_turn_and_lose_the_clients_address(net: Net) -> None:
    apply(net, site(to(*WORKERS)))
    assert Counter(net.ask(10)) == {"worker1 10.99.0.1": 5, "worker2 10.99.0.1": 5}


def test_the_kernel_counts_the_connections_of_each_backend(net: Net) -> None:
    what = site(to(*WORKERS, port=8080), to(WORKERS[0], port=3306))
    apply(net, what)
    net.ask(4, port=8080)
    net.ask(3, port=3306)
    found = NFTABLES.health(what, net.inside("balancer", NFTABLES.question(what)))
    told = [(each.route, each.backend, each.says, each.state) for each in found]
    assert told == [
        ("8080/tcp", "worker1", "2 connections", "unknown"),
        ("8080/tcp", "worker2", "2 connections", "unknown"),
        ("3306/tcp", "worker1", "3 connections", "unknown"),
    ]
    assert {each.says for each in NFTABLES.health(what, "no such table")} == {""}


def test_a_client_stays_with_its_backend_by_its_address(net: Net) -> None:
    apply(net, site(to(*WORKERS, sticky="address")))
    places = {}
    for source in CLIENTS:
        (places[source],) = set(net.ask(3, source))
    assert len(set(places.values())) == 2
    apply(net, site(to(*WORKERS, sticky="address"), to(*WORKERS, port=81)))
    assert {source: net.ask(1, source)[0] for source in CLIENTS} == places


def test_connections_survive_changes_and_new_ones_follow_them(net: Net) -> None:
    echoing = tuple(replace(each, port=81) for each in WORKERS)
    apply(net, site(to(echoing[0])))
    talk = """
import socket, sys
with socket.create_connection(("10.99.0.1", 80), timeout=5) as one:
    for line in sys.stdin:
        one.sendall(line.strip().encode())
        print(one.recv(100).decode(), flush=True)
"""
    command = ["ip", "netns", "exec", net.space["client"], "python3", "-c", talk]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin
        assert client.stdout

        def say(word: str) -> str:
            assert client.stdin
            assert client.stdout
            client.stdin.write(f"{word}\n")
            client.stdin.flush()
            return client.stdout.readline().strip()

        assert say("one") == "worker1 one"
        apply(net, site(to(replace(echoing[0], draining=True), echoing[1])))
        assert say("two") == "worker1 two"
        apply(net, site(to(WORKERS[1])))
        assert say("three") == "worker1 three"
        assert set(net.ask(3)) == {"worker2 10.99.0.1"}
        client.stdin.close()


def test_a_draining_backend_gets_no_new_connections(net: Net) -> None:
    what = site(to(WORKERS[0], replace(WORKERS[1], draining=True)))
    apply(net, what)
    assert set(net.ask(6)) == {"worker1 10.99.0.1"}
    found = NFTABLES.health(what, net.inside("balancer", NFTABLES.question(what)))
    assert [each.state for each in found] == ["unknown", "draining"]


def test_only_listed_networks_get_in(net: Net) -> None:
    apply(net, site(to(*WORKERS, allow=("10.99.0.100/31", "10.99.0.119"))))
    assert [bool(net.ask(1, source)) for source in (CLIENTS[0], CLIENTS[1], CLIENTS[2], CLIENTS[19])] == [
        True,
        True,
        False,
        True,
    ]


def test_datagrams_are_passed_on(net: Net) -> None:
    apply(net, site(to(*(replace(each, port=53) for each in WORKERS), port=53, protocol="udp")))
    ask = """
import socket
for _ in range(4):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.settimeout(3)
    one.sendto(b"question", ("10.99.0.1", 53))
    print(one.recv(100).decode())
"""
    assert Counter(net.inside("client", 'python3 -c "$1"', ask).split()) == {"worker1": 2, "worker2": 2}


def test_a_port_without_backends_refuses_connections(net: Net) -> None:
    apply(net, site(to(), to(WORKERS[0], port=81)))
    assert net.ask() == []
    assert net.ask(port=81) == ["worker1 10.99.0.1"]


def test_balancer_sh_gives_it_to_the_kernel_or_leaves_the_former_one(net: Net, tmp_path: Path) -> None:
    """The script itself, with a stand-in for systemd, which calls nft as Debian's unit does."""
    for directory in ("etc/systemd/system/multi-user.target.wants", "etc/sysctl.d", "etc/labgen", "bin"):
        (tmp_path / directory).mkdir(parents=True)
    stand_in = f"""#!/bin/sh
case $* in
*is-active*) [ -e {tmp_path}/active ] ;;
*) : >{tmp_path}/active; nft -f {tmp_path}/etc/nftables.conf ;;
esac
"""
    (tmp_path / "bin" / "systemctl").write_text(stand_in)
    (tmp_path / "bin" / "systemctl").chmod(0o755)
    text = (paths.guest_scripts() / BALANCER).read_text().replace("/etc/", f"{tmp_path}/etc/")
    assert "place=/etc\n" in text
    text = text.replace("place=/etc\n", f"place={tmp_path}/etc\n")

    def run(version: str, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
        inside = ["ip", "netns", "exec", net.space["balancer"]]
        return subprocess.run(
            [*inside, "sh", "-c", text, "sh", "nftables", version, "80/tcp"],
            input=balancing._archive(files).decode("latin-1"),
            encoding="latin-1",
            capture_output=True,
            env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
            check=False,
        )

    good = NFTABLES.render(site(to(*WORKERS)))
    first = run(good.version, dict(good.files))
    assert (first.returncode, first.stdout) == (0, "changed\n"), first.stderr
    assert Counter(net.ask(4)) == {"worker1 10.99.0.1": 2, "worker2 10.99.0.1": 2}
    assert run(good.version, dict(good.files)).stdout == ""
    bad = run("bad", {"nftables.conf": "table ip labgen { nonsense }\n"})
    assert bad.returncode == balancing.REFUSED
    assert "syntax error" in bad.stderr
    assert net.ask() != []
