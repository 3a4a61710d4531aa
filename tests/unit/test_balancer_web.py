"""nginx and HAProxy themselves, with what labgen renders for them, on the loopback interface."""

import base64
import contextlib
import hashlib
import socket
import time
from collections import Counter
from dataclasses import replace

import pytest

from labgen.balancers import Backend, Frontend, Pool, Site
from labgen.balancers.base import precision
from labgen.model import Publish, Route
from tests.unit.backends import (
    Server,
    ask,
    backends,
    certificate,
    free_port,
    published,
    servers,
    serving,
    under_load,
    web_socket,
)
from tests.unit.balancer_programs import Running, haproxy, nginx, web

__all__ = ["haproxy", "nginx", "servers", "web"]  # fixtures

# openssl passwd -6 -salt labgen secret; the second with -5
USERS = {
    "ann": "$6$labgen$fok../1LdFzjg1O0OXvTZ8jbjWXnv7.TjhiRyqn7EucpkH8dMe4Cr6THDjDSzbinEoMYULbXyeblWNMbZ.a6h0",
    "ben": "$5$labgen$Z3ipTPfnNNI67oTW3z/h1Z4TCmPrCdHvLvU.1vkrWR4",
}


def test_requests_go_round_and_say_where_they_were(web: Running, servers: list[Server]) -> None:
    front = published(servers)
    web.apply(web.site(front))
    answers = [ask(front.publish.port) for _ in range(30)]
    assert Counter(each.node for each in answers) == {"worker1": 10, "worker2": 10, "worker3": 10}
    assert all(each.headers["X-Backend"] == each.node for each in answers)
    assert {each.headers["X-Balancer"] for each in answers} == {"balancer1"}


APPS = (Route("shop_web", "/app1"), Route("shop_web", "/app2"), Route("shop_web", "/app1/admin", rewrite="/v2"))


@pytest.mark.parametrize(
    ("path", "status", "seen"),
    [
        ("/app1/", 200, "/"),
        ("/app1/style.css", 200, "/style.css"),
        ("/app2/style.css?x=1&y=/app2/", 200, "/style.css?x=1&y=/app2/"),
        ("/app1/odd%20name%3F", 200, "/odd%20name%3F"),
        ("/app1/admin/style.css", 200, "/v2/style.css"),
        ("/app1/nothing", 404, "/nothing"),
        ("/app10/", 404, ""),
        ("/", 404, ""),
    ],
)
def test_a_prefix_is_taken_off(web: Running, servers: list[Server], path: str, status: int, seen: str) -> None:
    front = published(servers, *APPS)
    web.apply(web.site(front))
    answer = ask(front.publish.port, path)
    assert (answer.status, answer.seen) == (status, seen)
    if not seen:
        assert answer.body == b"balancer1: nothing is published here; there are: /app1/admin/, /app1/, /app2/\n"


@pytest.mark.parametrize("query", ["", "?x=1"])
def test_the_prefix_alone_leads_to_where_relative_links_are_right(
    web: Running, servers: list[Server], query: str
) -> None:
    front = published(servers, *APPS)
    web.apply(web.site(front))
    answer = ask(front.publish.port, f"/app1{query}")
    assert (answer.status, answer.headers["Location"]) == (302, f"/app1/{query}")
    sent = ask(front.publish.port, f"/app1{query}", method="POST", body=b"data")  # what is sent is not sent away
    assert (sent.status, sent.seen) == (200, f"/{query}")


def test_redirects_and_cookies_of_a_service_stay_below_its_prefix(web: Running, servers: list[Server]) -> None:
    front = published(servers, *APPS)
    web.apply(web.site(front))
    port = front.publish.port
    login = ask(port, "/app1/login")
    assert login.headers["Location"] == "/app1/welcome"
    assert login.cookies == ["session=1; Path=/app1/"]
    assert ask(port, "/app1/dir").headers["Location"] == f"http://127.0.0.1:{port}/app1/dir/"
    # A server that leaves out the port of the balancer, which it does not know.
    assert ask(port, "/app1/dir", Host="shop.lab").headers["Location"] == "http://shop.lab/app1/dir/"
    assert ask(port, "/app1/out").headers["Location"] == "https://login.example.org/dir/"


def test_a_service_that_knows_its_prefix_keeps_it(web: Running, servers: list[Server]) -> None:
    front = published(servers, Route("shop_web", "/v2", rewrite="/v2"))
    web.apply(web.site(front))
    assert ask(front.publish.port, "/v2/style.css").seen == "/v2/style.css"
    assert ask(front.publish.port, "/v2/odd%2Fname").seen == "/v2/odd%2Fname"


def test_the_backend_learns_who_asks_and_cannot_be_told_otherwise(web: Running, servers: list[Server]) -> None:
    front = published(servers, *APPS)
    web.apply(web.site(front))
    forged = {"X_Forwarded_For": "1.2.3.4", "X_Forwarded_User": "root", "X_Forwarded_Prefix": "/x"}
    forged["Authorization"] = f"Basic {base64.b64encode(b'root:x').decode()}"  # which nobody has checked
    seen = ask(front.publish.port, "/app1/headers", source="127.0.0.9", Host="shop.lab", **forged).body
    for line in ('"Host": "shop.lab"', '"X-Forwarded-For": "127.0.0.9"', '"X-Forwarded-Prefix": "/app1"'):
        assert line.encode() in seen
    assert b"X-Forwarded-User" not in seen


@pytest.mark.parametrize("path", ["/app1", "/app1/ws"])
def test_web_sockets_pass_with_and_without_a_slash(web: Running, servers: list[Server], path: str) -> None:
    front = published(servers, *APPS)
    web.apply(web.site(front))
    with web_socket(front.publish.port, path) as (stream, seen):
        assert seen == (path.removeprefix("/app1") or "/")
        for message in (b"one", b"two"):
            stream.sendall(message)
            assert stream.recv(10) == message


def test_large_uploads_arrive_whole(web: Running, servers: list[Server]) -> None:
    front = published(servers, *APPS)
    web.apply(web.site(front))
    data = b"0123456789abcdef" * 2**21  # 32 MiB; nginx's default is 1 MiB
    answer = ask(front.publish.port, "/app1/upload", method="POST", body=data)
    assert answer.body.decode() == hashlib.sha256(data).hexdigest()


def test_hosts_have_routes_of_their_own(web: Running, servers: list[Server]) -> None:
    publish = published(servers).publish
    routes = [
        Pool(Route("staff_web", host="staff.lab"), "staff_web:80", backends(servers[:1])),
        Pool(Route("shop_web", "/app"), "shop_web:80", backends(servers[1:2])),
        Pool(Route("wiki_web", "/app", host="wiki.lab", rewrite="/v2"), "wiki_web:80", backends(servers[2:])),
        Pool(Route("shop_web", "/app/v2", rewrite="/v2"), "shop_web:80", backends(servers[1:2])),
    ]
    web.apply(web.site(Frontend(publish, tuple(sorted(routes, key=lambda pool: precision(pool.route))))))

    def answered(host: str, path: str) -> tuple[str, str]:
        answer = ask(publish.port, path, Host=host)
        return answer.node, answer.seen

    assert answered("staff.lab", "/welcome") == ("worker1", "/welcome")
    assert answered("staff.lab", "/app/v2/") == ("worker1", "/app/v2/")  # the host has all paths
    assert answered("wiki.lab", "/app/style.css") == ("worker3", "/v2/style.css")
    assert answered("other.lab", "/app/") == ("worker2", "/")
    assert answered("other.lab", "/app/v2/") == ("worker2", "/v2/")
    assert ask(publish.port, "/", Host="other.lab").status == 404


def test_https_with_a_certificate_and_a_redirect_to_it(web: Running, servers: list[Server]) -> None:
    front = published(servers, *APPS, protocol="https", redirect_from=free_port())
    tls = certificate(web.directory / "tls", "balancer1", "127.0.0.1")
    web.apply(web.site(front))
    port = front.publish.port
    answer = ask(port, "/app1/headers", tls=tls)
    assert b'"X-Forwarded-Proto": "https"' in answer.body
    assert ask(port, "/app1/dir", tls=tls).headers["Location"] == f"https://127.0.0.1:{port}/app1/dir/"
    with web_socket(port, "/app2/ws", tls) as (stream, _):
        stream.sendall(b"hello")
        assert stream.recv(10) == b"hello"
    plain = ask(front.publish.redirect_from, "/app1/login?next=1")
    assert (plain.status, plain.headers["Location"]) == (307, f"https://127.0.0.1:{port}/app1/login?next=1")


def test_a_client_stays_with_its_backend_and_moves_on_when_that_is_lost(web: Running, servers: list[Server]) -> None:
    front = published(servers, *APPS, sticky="cookie")
    web.apply(web.site(front))
    port = front.publish.port
    first = ask(port, "/app1/")
    (cookie,) = first.cookies
    assert cookie.startswith(f"labgen_backend={first.node}; ")
    assert {"HttpOnly", "SameSite=Lax", "Path=/app1/"} <= set(cookie.split("; "))
    assert cookie.lower().rpartition("path=")[2].startswith("/app1/")  # of several, browsers take the last one
    mine = cookie.partition(";")[0]
    again = [ask(port, "/app1/", Cookie=mine) for _ in range(10)]
    assert {each.node for each in again} == {first.node}
    assert not any(each.cookies for each in again)
    new = [ask(port, "/app1/") for _ in range(9)]
    assert set(Counter(each.node for each in new).values()) == {3}  # new clients go round
    lost = next(each for each in servers if each.name == first.node)
    lost.shutdown()
    lost.server_close()
    moved = ask(port, "/app1/", Cookie=mine)
    assert moved.status == 200
    assert moved.node not in {"", first.node}
    assert moved.cookies[0].startswith(f"labgen_backend={moved.node};")
    stays = moved.cookies[0].partition(";")[0]
    assert {ask(port, "/app1/", Cookie=stays).node for _ in range(5)} == {moved.node}
    assert ask(port, "/app1/", Cookie="labgen_backend=../../etc").status == 200  # anything else is a new client


def test_clients_of_one_network_are_spread_by_their_addresses(web: Running, servers: list[Server]) -> None:
    front = published(servers, sticky="address")
    web.apply(web.site(front))
    port = front.publish.port
    places = {}
    for number in range(1, 31):
        source = f"127.0.0.{number}"
        (places[source],) = {ask(port, source=source).node for _ in range(3)}
    assert set(places.values()) == {"worker1", "worker2", "worker3"}
    (lost,) = [each for each in servers if each.name == "worker1"]
    lost.shutdown()
    lost.server_close()
    for source, before in places.items():
        answer = ask(port, source=source)
        assert answer.status == 200
        if before != "worker1":
            assert answer.node == before


def test_users_have_to_log_in_and_the_backend_does_not_learn_how(web: Running, servers: list[Server]) -> None:
    front = published(servers, users=USERS)
    web.apply(web.site(front))
    port = front.publish.port
    assert ask(port).status == 401
    for user in USERS:
        token = base64.b64encode(f"{user}:secret".encode()).decode()
        answer = ask(port, "/headers", Authorization=f"Basic {token}")
        assert answer.status == 200
        assert f'"X-Forwarded-User": "{user}"'.encode() in answer.body
        assert b"Authorization" not in answer.body
    wrong = base64.b64encode(b"ann:wrong").decode()
    assert ask(port, Authorization=f"Basic {wrong}").status == 401


def test_only_listed_networks_get_in(web: Running, servers: list[Server]) -> None:
    front = published(servers, allow=("127.0.0.8/30", "127.0.0.77"))
    web.apply(web.site(front))
    statuses = {each: ask(front.publish.port, source=f"127.0.0.{each}").status for each in (1, 9, 12, 77)}
    assert statuses == {1: 403, 9: 200, 12: 403, 77: 200}


def test_a_request_is_tried_elsewhere_unless_it_could_be_done_twice(web: Running, servers: list[Server]) -> None:
    front = published(servers)
    web.apply(web.site(front))
    port = front.publish.port
    servers[0].shutdown()
    servers[0].server_close()
    assert {ask(port, method="POST", body=b"x").status for _ in range(6)} == {200}  # refused: nothing was done
    assert {ask(port).status for _ in range(12)} == {200}
    # A backend that gets a POST and gives no answer may have done it.
    assert ask(port, "/fail", method="POST", body=b"x").status == 502


def test_nothing_is_lost_while_the_backends_change(web: Running, servers: list[Server]) -> None:
    front = published(servers)
    web.apply(web.site(front))
    port = front.publish.port
    with web_socket(port, "/ws") as (stream, _), under_load(port) as answers:
        for chosen in (servers[:1], servers[1:], servers[:2], servers) * 2:
            pools = (Pool(Route(), "shop_web:8080", backends(chosen)),)
            web.apply(web.site(Frontend(front.publish, pools)))
            assert {ask(port).node for _ in range(6)} <= {each.name for each in chosen}
        stream.sendall(b"still here")
        assert stream.recv(20) == b"still here"
    assert len(answers) > 100
    assert Counter(answers) == {200: len(answers)}


def test_backends_that_are_replaced_one_after_the_other_cause_no_error(web: Running, servers: list[Server]) -> None:
    """As in an update of a service, whose tasks end before others begin."""
    front = published(servers)
    web.apply(web.site(front))
    with contextlib.ExitStack() as stack, under_load(front.publish.port) as answers:
        for server in servers:
            address, port = server.server_address[:2]
            server.shutdown()
            server.server_close()
            time.sleep(0.5)
            stack.enter_context(serving(f"new-{server.name}", str(address), int(port)))
            time.sleep(0.5)
    assert len(answers) > 100
    assert Counter(answers) == {200: len(answers)}


def test_a_draining_backend_keeps_its_clients_and_gets_no_new_ones(web: Running, servers: list[Server]) -> None:
    front = published(servers, sticky="cookie")
    web.apply(web.site(front))
    port = front.publish.port
    mine = "labgen_backend=worker1"
    assert ask(port, Cookie=mine).node == "worker1"
    draining = tuple(replace(each, draining=each.name == "worker1") for each in backends(servers))
    site = web.site(Frontend(front.publish, (Pool(Route(), "shop_web:8080", draining),)))
    web.apply(site)
    assert {ask(port).node for _ in range(10)} == {"worker2", "worker3"}
    assert {ask(port, Cookie=mine).node for _ in range(5)} == {"worker1"}
    assert web.health(site) == {"worker1": "draining", "worker2": "up", "worker3": "up"}


def test_what_has_no_backend_says_so_and_the_rest_works(web: Running, servers: list[Server]) -> None:
    publish = published(servers, *APPS).publish
    pools = (Pool(APPS[0], "shop_web:8080"), Pool(APPS[1], "wiki_web:80", backends(servers)))
    web.apply(web.site(Frontend(publish, pools)))
    answer = ask(publish.port, "/app1/")
    assert (answer.status, answer.body) == (503, b"balancer1: shop_web:8080 has no backends\n")
    assert ask(publish.port, "/app2/").status == 200


def test_other_paths_can_be_redirected(web: Running, servers: list[Server]) -> None:
    front = published(servers, Route(path="/old", redirect="/app1/"), *APPS)
    web.apply(web.site(front))
    for path in ("/old", "/old/page"):
        answer = ask(front.publish.port, path)
        assert (answer.status, answer.headers["Location"]) == (302, "/app1/")


def test_no_header_tells_who_answered_if_that_is_not_wanted(web: Running, servers: list[Server]) -> None:
    front = published(servers, anonymous=True)
    web.apply(web.site(front))
    headers = ask(front.publish.port).headers
    assert "X-Backend" not in headers
    assert "X-Balancer" not in headers


def test_connections_are_passed_on_as_they_are_and_announced(nginx: Running) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        place = Backend("worker1", "worker1", "127.0.0.2", listener.getsockname()[1])
        publish = Publish(free_port(), "tcp", (Route(),), proxy_protocol=True)
        site = nginx.site(Frontend(publish, (Pool(Route(), "lamp_db:3306", (place,)),)))
        nginx.apply(site)
        with socket.create_connection(("127.0.0.1", publish.port), timeout=10) as client:
            own = client.getsockname()[1]
            backend, _ = listener.accept()
            with backend:
                backend.sendall(b"hello")  # a database speaks first
                assert client.recv(10) == b"hello"
                expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {own} {publish.port}\r\n".encode()
                assert backend.recv(100) == expected
        assert nginx.health(site) == {"worker1": "up"}
    assert nginx.health(site) == {"worker1": "down"}


def test_datagrams_reach_all_backends(nginx: Running) -> None:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for number, each in enumerate(sockets):
            each.bind((f"127.0.0.{number + 2}", 0))
            each.settimeout(10)
        places = tuple(
            Backend(f"worker{number}", f"worker{number}", *each.getsockname())
            for number, each in enumerate(sockets, 1)
        )
        publish = Publish(free_port(), "udp", (Route(),))
        nginx.apply(nginx.site(Frontend(publish, (Pool(Route(), "dns_server:53", places),))))
        for _ in range(2):
            client = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            client.sendto(b"question", ("127.0.0.1", publish.port))
        assert [each.recvfrom(20)[0] for each in sockets] == [b"question", b"question"]


def test_statistics_are_for_the_labs_network(web: Running, servers: list[Server]) -> None:
    port = free_port()
    web.apply(web.site(published(servers), statistics=port))
    assert {"nginx": b"Active connections", "haproxy": b"Statistics Report"}[web.name] in ask(port).body


def eventually(web: Running, site: Site, backend: str, state: str) -> None:
    deadline = time.monotonic() + 15
    while web.health(site)[backend] != state:
        assert time.monotonic() < deadline, web.health(site)
        time.sleep(0.1)


def test_health_is_what_the_program_finds_itself(web: Running, servers: list[Server]) -> None:
    site = web.site(published(servers))
    web.apply(site)
    servers[2].shutdown()
    servers[2].server_close()
    eventually(web, site, "worker3", "down")
    assert web.health(site) == {"worker1": "up", "worker2": "up", "worker3": "down"}
    assert {each.state for each in web.program.health(site, "")} == {"unknown"}


def test_a_backend_whose_check_fails_gets_no_requests_until_it_succeeds_again(
    haproxy: Running, servers: list[Server]
) -> None:
    front = published(servers, check="/health")
    site = haproxy.site(front)
    servers[0].ill = True
    haproxy.apply(site)
    eventually(haproxy, site, "worker1", "down")
    assert {ask(front.publish.port).node for _ in range(8)} == {"worker2", "worker3"}
    servers[0].ill = False
    eventually(haproxy, site, "worker1", "up")
    assert {ask(front.publish.port).node for _ in range(8)} == {"worker1", "worker2", "worker3"}
    assert "GET /health" in servers[1].paths


def test_the_client_is_announced_by_the_proxy_protocol_in_its_second_version(haproxy: Running) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        place = Backend("worker1", "worker1", "127.0.0.2", listener.getsockname()[1])
        publish = Publish(free_port(), "tcp", (Route(),), proxy_protocol=True)
        haproxy.apply(haproxy.site(Frontend(publish, (Pool(Route(), "lamp_db:3306", (place,)),))))
        with socket.create_connection(
            ("127.0.0.1", publish.port), timeout=10, source_address=("127.0.0.9", 0)
        ) as client:
            client.sendall(b"hello")
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(10)
                    head = connection.recv(16, socket.MSG_WAITALL)
                    if head[12:13] == b"\x20":  # the command "LOCAL": a check, not a client
                        continue
                    assert head[:12] == b"\r\n\r\n\0\r\nQUIT\n"
                    rest = connection.recv(int.from_bytes(head[14:16], "big"), socket.MSG_WAITALL)
                    assert (head[12:14], socket.inet_ntoa(rest[:4])) == (b"\x21\x11", "127.0.0.9")
                    assert connection.recv(5, socket.MSG_WAITALL) == b"hello"
                    break


def test_connections_go_to_the_backend_of_their_address(haproxy: Running, servers: list[Server]) -> None:
    front = published(servers, protocol="tcp", sticky="address")
    haproxy.apply(haproxy.site(front))
    places = {}
    for number in range(1, 31):
        (places[number],) = {ask(front.publish.port, source=f"127.0.0.{number}").node for _ in range(2)}
    assert set(places.values()) == {"worker1", "worker2", "worker3"}


def test_a_connection_from_another_network_is_not_accepted(haproxy: Running, servers: list[Server]) -> None:
    front = published(servers, protocol="tcp", allow=("127.0.0.8/30",))
    haproxy.apply(haproxy.site(front))
    assert ask(front.publish.port, source="127.0.0.9").status == 200
    with pytest.raises(OSError):
        ask(front.publish.port)


def test_the_fewest_connections_decide(web: Running, servers: list[Server]) -> None:
    front = published(servers[:2], algorithm="least-connections")
    web.apply(web.site(front))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(web_socket(front.publish.port, "/ws")) for _ in range(2)]
        assert len(held) == 2
        answers = Counter(ask(front.publish.port).node for _ in range(6))
    assert set(answers) == {"worker1", "worker2"}
