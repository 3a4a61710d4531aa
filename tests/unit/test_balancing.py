"""Load balancers of a lab: their backends, when they get them, what they refuse. Without machines."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labgen import paths
from labgen.balancers import ABILITIES, BALANCERS, Site
from labgen.balancers.backends import Seen, frontends
from labgen.boxes import recipe
from labgen.engine import Port, Service, SwarmNode, Task
from labgen.errors import ClusterError, GuestError, LabgenError, ProfileError, UsageError
from labgen.files import write_atomically
from labgen.lab import balance
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.lab.export import export
from labgen.lab.import_ import receive
from labgen.lab.start import start
from labgen.lab.stop import stop
from labgen.model import Balancer, Publish, Route
from labgen.profile import differences, dump, load, parse
from labgen.progress import Silent
from labgen.records import balancers, journals
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.small_swarm import SmallSwarm, swarm
from tests.unit.test_handoff import pool
from tests.unit.test_lab import Heard, make

__all__ = ["host", "pool", "run", "swarm"]  # fixtures

PROFILE = "three-node-balancer"


# Backends

WEB = Service("w", "shop_web", "shop", "app:1", "replicated", 2, ports=(Port(8080, 80),))
TWO = Service("t", "lamp_web", "lamp", "app:1", "replicated", 2, ports=(Port(8081, 80), Port(8082, 82)))
HOST = Service("h", "wiki_web", "wiki", "app:1", "global", 0, ports=(Port(0, 80, mode="host"),))
DNS = Service("d", "dns_server", "dns", "app:1", "replicated", 1, ports=(Port(53, 53, "udp"),))
NODES = [
    SwarmNode("n1", "manager1", "manager", "active", "ready", True, {}),
    SwarmNode("n2", "worker1", "worker", "active", "ready", False, {}),
    SwarmNode("n3", "worker2", "worker", "active", "ready", False, {}),
]
ADDRESSES = {"manager1": "10.77.0.11", "worker1": "10.77.0.12", "worker2": "10.77.0.13"}


def task(number: int, node: str, state: str = "running", desired: str = "running") -> Task:
    ports = (32768 + number,)
    return Task(f"t{number}", "h", number, node, state, desired, "", "c", "2026", host_ports=ports)


def seen(
    services: Sequence[Service] = (WEB, TWO, HOST, DNS),
    nodes: Sequence[SwarmNode] = tuple(NODES),
    tasks: Sequence[Task] = (),
    drained: Sequence[str] = (),
) -> Seen:
    return Seen(services, nodes, tasks, ADDRESSES, drained)


def resolved(publish: Publish, what: Seen) -> tuple[list[tuple[str, str]], list[str]]:
    """The backends of a port's routes, and why there are none."""
    (front,), complaints = frontends(Balancer("nginx", (publish,)), what)
    return [(each.name, each.place) for pool in front.pools for each in pool.backends], complaints


def to(service: str = "", **fields: object) -> Publish:
    return replace(Publish(80, "http", (Route(service),)), **fields)  # type: ignore[arg-type]


def test_all_nodes_that_are_ready_answer_a_services_port() -> None:
    assert resolved(to("shop_web"), seen()) == (
        [("worker1", "10.77.0.12:8080"), ("worker2", "10.77.0.13:8080"), ("manager1", "10.77.0.11:8080")],
        [],
    )


@pytest.mark.parametrize(
    ("changed", "there"),
    [({"state": "down"}, False), ({"availability": "drain"}, False), ({"availability": "pause"}, True)],
)
def test_nodes_come_and_go(changed: dict[str, str], there: bool) -> None:
    nodes = [*NODES[:2], replace(NODES[2], **changed)]
    found, _ = resolved(to("shop_web"), seen(nodes=nodes))
    assert ("worker2" in dict(found)) is there


def test_a_node_that_is_not_of_the_lab_is_no_backend() -> None:
    found, _ = resolved(to("shop_web"), seen(nodes=[*NODES, replace(NODES[0], hostname="stranger")]))
    assert len(found) == 3


@pytest.mark.parametrize("name", ["shop_web", "web", "shop_web:8080", "shop_web:80"])
def test_a_service_is_found_by_its_name_and_its_port(name: str) -> None:
    found, complaints = resolved(to(name), seen([WEB]))
    assert len(found) == 3
    assert complaints == []


def test_the_only_service_that_publishes_a_port_need_not_be_named() -> None:
    assert len(resolved(to(), seen([WEB, DNS, HOST]))[0]) == 3
    assert len(resolved(to(protocol="udp"), seen([WEB, DNS, HOST]))[0]) == 3


@pytest.mark.parametrize(
    ("publish", "services", "why"),
    [
        (to("shop_wbe"), [WEB], "there is no service shop_wbe. Did you mean shop_web?"),
        (to("x"), [], "there is no service x. There are no services"),
        (to(), [], "no service publishes a port yet"),
        (to(), [WEB, TWO], "several services can be meant: shop_web, lamp_web; name one"),
        (to("web"), [WEB, TWO], "several stacks have a service web: shop_web, lamp_web"),
        (to("lamp_web"), [TWO], "lamp_web publishes several ports: 8081, 8082; name one with the service"),
        (to("lamp_web:99"), [TWO], "lamp_web does not publish port 99, but 8081, 8082"),
        (to("dns_server"), [DNS], "dns_server publishes no tcp port"),
        (to("shop_web", protocol="udp"), [WEB], "shop_web publishes no udp port"),
        (to("wiki_web"), [HOST], "wiki_web publishes its port with 'mode: host': set 'direct: true'"),
        (
            to("shop_web", direct=True),
            [WEB],
            "shop_web publishes its port through the mesh, and its tasks have only addresses of an overlay network, "
            "which the balancer is not part of; publish the port with 'mode: host', or leave out 'direct'",
        ),
        (to("wiki_web", direct=True), [HOST], "no task of wiki_web runs"),
    ],
)
def test_a_route_that_leads_nowhere_says_why(publish: Publish, services: list[Service], why: str) -> None:
    assert resolved(publish, seen(services)) == ([], [f"port 80: {why}"])


def test_direct_backends_are_the_tasks_that_run_wherever_they_are() -> None:
    tasks = [task(1, "n2"), task(2, "n3"), task(3, "n3", "starting"), task(4, "n2", "running", "shutdown")]
    found, _ = resolved(to("wiki_web", direct=True), seen(tasks=tasks))
    assert found == [("worker1:wiki_web.1", "10.77.0.12:32769"), ("worker2:wiki_web.2", "10.77.0.13:32770")]
    moved = [task(1, "n2"), replace(task(5, "n1"), slot=2)]
    found, _ = resolved(to("wiki_web", direct=True), seen(tasks=moved))
    assert found == [("worker1:wiki_web.1", "10.77.0.12:32769"), ("manager1:wiki_web.2", "10.77.0.11:32773")]


def test_routes_are_sorted_the_most_specific_first() -> None:
    routes = (Route("a"), Route("a", "/x"), Route("a", "/x/y"), Route("a", host="h.lab"), Route("a", "/z", "h.lab"))
    (front,), complaints = frontends(Balancer("nginx", (Publish(80, "http", routes),)), seen())
    assert [(pool.route.host, pool.route.path) for pool in front.pools] == [
        ("h.lab", "/z"),
        ("h.lab", ""),
        ("", "/x/y"),
        ("", "/x"),
        ("", ""),
    ]
    assert complaints[0].startswith("port 80, h.lab/z: there is no service a.")


# In a lab


def config(host: Host) -> str:
    return host.machine("balancer1").config["nginx.conf"]


def test_a_balancer_is_outside_the_swarm_and_waits_for_services(host: Host) -> None:
    heard = Heard()
    create(load(PROFILE), "lab", heard, cold=True)
    assert "balancer1: port 80: no service publishes a port yet" in heard.notes
    assert "balancer1" not in {entry.hostname for entry in host.cloud.entries.values()}
    assert "return 503" in config(host)
    assert not start("lab", Silent()).changed


def test_it_follows_services_and_nodes(host: Host, swarm: SmallSwarm, run: Run) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    done = run("balance", "lab", "--format", "json")
    assert done.status == 0
    (state,) = json.loads(done.stdout)
    assert [each["backend"] for each in state["health"]] == ["worker1", "worker2", "manager1"]
    assert state["applied"]["why"] == "labgen balance"
    for address in ("10.77.0.11", "10.77.0.12", "10.77.0.13"):
        assert f"server {address}:8080" in config(host)
    version = host.machine("balancer1").version
    run("balance", "lab")
    assert host.machine("balancer1").version == version
    assert host.machine("balancer1").scripts.count("balancer") == 2  # without services, and with this one
    swarm.docker("manager1", ["node", "update", "--availability", "drain", "worker2"])
    run("balance", "lab")
    assert "10.77.0.13" not in config(host)


def test_it_follows_by_itself_after_a_drill_and_a_rebalance(host: Host, swarm: SmallSwarm, run: Run) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    assert run("drill", "lab", "scale").status == 0
    assert "server 10.77.0.12:8080" in config(host)
    assert balancers.load("lab").applied["balancer1"].why == "labgen drill scale"
    swarm.running = []
    swarm.serve("other", 3, ports=(Port(9090, 80),))
    assert run("rebalance", "lab").status == 0
    assert "server 10.77.0.12:9090" in config(host)
    assert ":8080" not in config(host)
    assert balancers.load("lab").applied["balancer1"].why == "labgen rebalance"


def test_it_follows_when_a_lab_is_started(host: Host, swarm: SmallSwarm) -> None:
    make(reference=PROFILE)
    stop("lab", Silent())
    swarm.serve("web", 3)
    assert start("lab", Silent()).changed
    assert "server 10.77.0.12:8080" in config(host)


def test_a_node_is_drained_until_it_is_undrained(host: Host, swarm: SmallSwarm, run: Run) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    assert run("balance", "lab", "--drain", "worker1").status == 0
    assert "10.77.0.12:8080 max_fails=2 fail_timeout=1s down; # worker1" in config(host)
    start("lab", Silent())
    assert "fail_timeout=1s down; # worker1" in config(host)
    assert run("balance", "lab", "--undrain", "worker1").status == 0
    assert " down;" not in config(host)


def test_a_route_without_its_service_is_an_error_that_names_what_there_is(
    host: Host, swarm: SmallSwarm, run: Run
) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    swarm.serve("other", 3, ports=(Port(9090, 80),))
    done = run("balance", "lab")
    assert done.status == ClusterError.exit_code == 60
    assert "balancer1: port 80: several services can be meant: web, other; name one" in done.stderr
    assert "services: other, web" in done.stderr or "services: web, other" in done.stderr


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (3, "nginx on balancer1 does not accept its configuration, and goes on with the former one"),
        (4, "nginx on balancer1 does not run with its new configuration; it has the former one again"),
        (5, "balancer1 cannot be configured"),
    ],
)
def test_what_the_program_refuses_is_reported_in_its_words(host: Host, run: Run, status: int, said: str) -> None:
    make(reference=PROFILE)
    before = dict(host.machine("balancer1").config)
    host.refuses = status
    done = run("balance", "lab")
    assert done.status == GuestError.exit_code
    assert said in done.stderr
    assert "what the program says" in done.stderr
    assert host.machine("balancer1").config == before


def test_a_command_does_not_fail_because_a_balancer_does(host: Host, swarm: SmallSwarm, run: Run) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    host.refuses = 3
    done = run("drill", "lab", "scale")
    assert done.status == 0
    assert "the load balancers are as they were: nginx on balancer1 does not accept" in done.stderr
    assert "labgen balance lab" in done.stderr


def test_a_balancer_that_is_off_does_not_keep_the_others_back(
    host: Host, swarm: SmallSwarm, run: Run, tmp_path: Path
) -> None:
    create(load(written(tmp_path, "kind: balancer\n", "kind: balancer\n    count: 2\n")), "lab", Silent(), cold=True)
    swarm.serve("web", 3)
    host.unreachable = "balancer2"
    done = run("balance", "lab")
    assert done.status == 0
    assert "balancer2 is as it was: balancer2 did not answer; later: labgen balance lab" in done.stderr
    assert "server 10.77.0.12:8080" in config(host)
    assert ":8080" not in host.machine("balancer2").config["nginx.conf"]


def test_a_lab_whose_balancers_are_all_off_says_so(host: Host, swarm: SmallSwarm, run: Run) -> None:
    make(reference=PROFILE)
    host.unreachable = "balancer1"
    for words in ([], ["--show"]):
        done = run("balance", "lab", *words)
        assert done.status == GuestError.exit_code
        assert "balancer1 did not answer" in done.stderr


def test_show_prints_what_is_in_use_and_changes_nothing(host: Host, swarm: SmallSwarm, run: Run) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    run("balance", "lab")
    swarm.docker("manager1", ["node", "update", "--availability", "drain", "worker2"])
    shown = run("balance", "lab", "--show")
    assert shown.status == 0
    assert shown.stdout.startswith("# balancer1: nginx, version ")
    assert "server 10.77.0.13:8080" in shown.stdout
    assert "10.77.0.13:8080" in config(host)


def written(tmp_path: Path, old: str = "", new: str = "") -> str:
    """The shipped profile, changed."""
    text = (paths.shipped_profiles() / f"{PROFILE}.yaml").read_text()
    assert old in text
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace(old, new) if old else text)
    return str(file)


def test_what_is_published_can_be_changed_later(host: Host, swarm: SmallSwarm, run: Run, tmp_path: Path) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    file = written(tmp_path, "[80]", "[{port: 8000, routes: [{path: /app, service: web}]}]")
    done = run("balance", "lab", "--profile", file)
    assert done.status == 0, done.stderr
    assert "listen 8000 default_server" in config(host)
    assert "location ^~ /app/" in config(host)
    assert not start("lab", Silent()).changed  # it is the lab's from then on
    assert not create(load(file), "lab", Silent()).changed
    host.refuses = 3
    assert run("balance", "lab", "--profile", written(tmp_path, "[80]", "[81]")).status == GuestError.exit_code
    host.refuses = 0
    run("balance", "lab")
    assert "listen 8000 default_server" in config(host)  # what was refused is not kept


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count: 2", "count: 3", "nodes.worker.count: 2 in the lab, 3 now"),
        ("nginx, publish", "haproxy, publish", "nodes.balancer.balancer.program: nginx in the lab, haproxy now"),
    ],
)
@pytest.mark.usefixtures("host")
def test_nothing_else_can_be_changed(run: Run, tmp_path: Path, old: str, new: str, said: str) -> None:
    make(reference=PROFILE)
    done = run("balance", "lab", "--profile", written(tmp_path, old, new))
    assert done.status == UsageError.exit_code
    assert said in done.stderr
    assert (
        list(differences(load(PROFILE).profile, parse((paths.lab("lab") / paths.PROFILE).read_text(), "x").profile))
        == []
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--drain", "balancer1"], "balancer1 is not a member of the cluster"),
        (["--drain", "worker9"], "no node named 'worker9'"),
        (["--drain", "worker1", "--undrain", "worker1"], "worker1 cannot be both drained and not"),
        (["--drain", "worker1", "--show"], "--show cannot be combined"),
    ],
)
@pytest.mark.usefixtures("host")
def test_what_cannot_be_drained_is_refused(run: Run, words: list[str], said: str) -> None:
    make(reference=PROFILE)
    done = run("balance", "lab", *words)
    assert done.status == UsageError.exit_code
    assert said in done.stderr
    assert balancers.load("lab").drained == ()


@pytest.mark.usefixtures("host")
def test_a_lab_without_a_balancer_says_so(run: Run) -> None:
    make()
    for words in ([], ["--show"]):
        done = run("balance", "lab", *words)
        assert done.status == 2
        assert "'lab' has no load balancer" in done.stderr


@pytest.mark.usefixtures("host")
def test_a_damaged_record_is_explained(run: Run) -> None:
    make(reference=PROFILE)
    paths.balancers("lab").write_text("{")
    done = run("balance", "lab")
    assert done.status == LabgenError.exit_code
    assert "the record of the load balancers of 'lab' is damaged" in done.stderr
    assert "balancers.json" in done.stderr


HTTPS = """
name: lab
storage: {driver: btrfs}
nodes:
  manager: {role: manager}
  balancer:
    kind: balancer
    balancer:
      program: nginx
      publish: [{port: 443, protocol: https, redirect_from: 80, routes: [{host: staff.lab, service: web}]}]
"""


def test_https_has_a_certificate_for_its_names_and_a_ca_on_the_host(host: Host, swarm: SmallSwarm) -> None:
    create(parse(HTTPS, "lab"), "lab", Silent(), cold=True)
    machine = host.machine("balancer1")
    assert machine.certified == "DNS:balancer1, IP:10.77.0.12, DNS:staff.lab"
    authority = paths.lab("lab") / paths.BALANCER_CA
    assert authority.read_text() == "certificate 1 of balancer1 at 10.77.0.12\n"
    assert not start("lab", Silent()).changed
    assert host.authorities == 1
    version = machine.version
    machine.certificate = ""  # its disk was replaced
    assert start("lab", Silent()).changed
    assert machine.version != version  # or nginx would go on with the former certificate
    assert host.authorities == 2


@pytest.mark.parametrize("pool", [PROFILE], indirect=True)
@pytest.mark.usefixtures("pool")
def test_it_travels_with_the_lab(host: Host, tmp_path: Path) -> None:
    export("lab", tmp_path / "lab.labgen", "disks", Silent())
    destroy("lab", Silent())
    receive(tmp_path / "lab.labgen", "second", None, Silent())
    lab = journals.load("second").lab
    assert lab.node("balancer1").balancer == Balancer("nginx", (Publish(80, "http", (Route(),)),))
    host.machine("balancer1").version = ""
    start("second", Silent())
    assert "return 503" in config(host)
    assert balancers.load("second").applied["balancer1"].version == host.machine("balancer1").version


def test_labs_of_before_have_no_balancers(host: Host) -> None:
    make()
    path = paths.lab("lab") / paths.STATE
    content = json.loads(path.read_text())
    for node in content["lab"]["nodes"]:
        del node["balancer"]
    path.write_text(json.dumps(content))
    assert journals.load("lab").lab.balancers == ()
    balance.follow("lab", "x", Silent())


def test_the_shipped_profile_needs_what_is_in_the_box() -> None:
    assert load(PROFILE).warnings == ()


# Profiles, and what is rendered for them

FULL = Path(__file__).parents[1] / "balancers"


@pytest.mark.parametrize("file", sorted(FULL.glob("*.yaml")), ids=lambda path: path.stem)
def test_golden_configurations(file: Path) -> None:
    """To accept a change: LABGEN_ACCEPT_GOLDEN=1 pytest tests/unit/test_balancing.py, then read the diff."""
    profile = parse(file.read_text(), file.stem).profile
    settings = profile.nodes["balancer"].balancer
    assert settings
    balancer = settings.settings()
    ports, complaints = frontends(balancer, seen(tasks=[task(1, "n2"), task(2, "n3")], drained=["worker2"]))
    site = Site("lab", "balancer1", "10.77.0.14", "10.77.0.0/24", balancer, ports)
    rendered = BALANCERS[balancer.program].render(site)
    assert rendered == BALANCERS[balancer.program].render(site)
    told = "".join(f"{complaint}\n" for complaint in complaints)
    if os.environ.get("LABGEN_ACCEPT_GOLDEN"):
        for name, text in {**rendered.files, "complaints": told}.items():
            write_atomically(FULL / file.stem / name, text, 0o644)
    found = {
        str(path.relative_to(FULL / file.stem)): path.read_text()
        for path in (FULL / file.stem).rglob("*")
        if path.is_file()
    }
    assert found == {**rendered.files, "complaints": told}


@pytest.mark.parametrize("file", sorted(FULL.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_profile_with_a_balancer_is_written_read_and_compared(file: Path) -> None:
    profile = parse(file.read_text(), file.stem).profile
    assert parse(dump(profile), "x").profile == profile
    assert list(differences(profile, profile)) == []
    changed = parse(file.read_text().replace("port: 8088", "port: 8089"), "x").profile
    said = "nodes.balancer.balancer.publish[0].port: 8088 in the lab, 8089 now"
    assert list(differences(profile, changed)) == [said]


def test_every_program_has_every_part() -> None:
    for name, program in BALANCERS.items():
        assert program.name == name
        assert program.can <= set(ABILITIES)
        assert paths.balancer_template(name).is_file()
        assert program.needs <= recipe.load("debian12").provides & recipe.load("debian13").provides


def test_sticky_clients_behind_the_mesh_are_warned_about() -> None:
    (warning,) = parse(HTTPS.replace("redirect_from: 80", "sticky: cookie"), "x").warnings
    assert warning.startswith("nodes.balancer.balancer.publish[0].sticky: clients stay with a node, whose mesh then")
    assert parse(HTTPS.replace("redirect_from: 80", "sticky: cookie, direct: true"), "x").warnings == ()


def test_a_password_is_not_repeated_in_the_error() -> None:
    text = HTTPS.replace("redirect_from: 80", "access: {users: {ann: my-own-password}}")
    with pytest.raises(ProfileError) as caught:
        parse(text, "x")
    assert "my-own-password" not in caught.value.details
    assert "openssl passwd -6" in caught.value.details


def test_https_can_be_added_later(host: Host, swarm: SmallSwarm, run: Run, tmp_path: Path) -> None:
    make(reference=PROFILE)
    swarm.serve("web", 3)
    assert not host.machine("balancer1").certificate
    done = run("balance", "lab", "--profile", written(tmp_path, "[80]", "[80, {port: 443, protocol: https}]"))
    assert done.status == 0, done.stderr
    assert host.machine("balancer1").certified == "DNS:balancer1, IP:10.77.0.14"
    assert (paths.lab("lab") / paths.BALANCER_CA).read_text() == f"{host.machine('balancer1').certificate}\n"
