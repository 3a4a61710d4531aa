"""Small web servers as a balancer's backends, on loopback addresses; and a client that sees everything."""

import base64
import contextlib
import hashlib
import http.client
import json
import random
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from labgen import paths
from labgen.balancers import Backend, Frontend, Pool
from labgen.balancers.base import precision
from labgen.model import Publish, Route
from labgen.plan import CERTIFICATE

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of the WebSocket handshake, RFC 6455


class Handler(BaseHTTPRequestHandler):
    """Answers by the path; a path that the service does not have is answered 404."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._web_socket()
        elif path == "/fail":
            self.close_connection = True  # without an answer
        elif path == "/health":
            self._answer(503 if self.server.ill else 200, b"")
        elif path == "/slow":
            time.sleep(1)
            self._answer(200, b"slow")
        elif path == "/login":
            self._answer(302, b"", Location="/welcome", Set_Cookie="session=1; Path=/")
        elif path == "/dir":  # as nginx and Apache do
            self._answer(301, b"", Location=f"http://{self.headers['Host']}/dir/")
        elif path == "/out":
            self._answer(302, b"", Location="https://login.example.org/dir/")
        elif path == "/headers":
            self._answer(200, json.dumps({name.title(): value for name, value in self.headers.items()}).encode())
        elif path in {"/", "/style.css", "/welcome", "/dir/", "/v2/", "/v2/style.css"} or "odd" in path:
            self._answer(200, path.encode())
        else:
            self._answer(404, b"not found")

    def do_HEAD(self) -> None:
        self._answer(200, b"")

    def do_POST(self) -> None:
        if self.path == "/fail":
            self.close_connection = True
            return
        left, digest = int(self.headers.get("Content-Length", 0)), hashlib.sha256()
        while left and (piece := self.rfile.read(min(left, 65536))):
            digest.update(piece)
            left -= len(piece)
        self._answer(200, digest.hexdigest().encode())

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        with self.server.lock:
            self.server.answered += 1
            self.server.paths.append(f"{self.command} {self.path}")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("X-Node", self.server.name)
        self.send_header("X-Seen", self.path)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _web_socket(self) -> None:
        """Accepts, and then repeats the bytes that come, whatever they mean."""
        key = self.headers["Sec-WebSocket-Key"] + MAGIC
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.send_header("X-Seen", self.path)
        self.end_headers()
        while data := self.connection.recv(4096):
            self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, name: str, address: tuple[str, int]) -> None:
        self.name, self.lock, self.answered, self.paths = name, threading.Lock(), 0, list[str]()
        self.ill = False
        super().__init__(address, Handler)

    def handle_error(self, *_: object) -> None:
        """A client that is gone."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@contextlib.contextmanager
def serving(name: str, address: str, port: int = 0) -> Iterator[Server]:
    with Server(name, (address, port)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def free_port() -> int:
    """Below those that the kernel gives to connections, so that none takes it before the program does."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


@dataclass
class Answer:
    status: int
    headers: Message  # whose names may be written in any case
    body: bytes
    cookies: list[str] = field(default_factory=list)

    @property
    def node(self) -> str:
        return str(self.headers.get("X-Node", ""))

    @property
    def seen(self) -> str:
        """The path that the backend got."""
        return str(self.headers.get("X-Seen", ""))


def ask(
    port: int,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    source: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    **headers: str,
) -> Answer:
    """One request to 127.0.0.1 on a connection of its own. :param headers: with underscores for hyphens."""
    kind: Any = http.client.HTTPSConnection if tls else http.client.HTTPConnection
    options: dict[str, Any] = {"context": tls} if tls else {}
    host = headers.pop("Host", f"127.0.0.1:{port}")
    connection = kind("127.0.0.1", port, timeout=20, source_address=(source, 0), **options)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host=True)
        for name, value in {"Host": host, **headers}.items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read(), answer.headers.get_all("Set-Cookie") or [])


@contextlib.contextmanager
def web_socket(port: int, path: str, tls: ssl.SSLContext | None = None) -> Iterator[tuple[socket.socket, str]]:
    """An open WebSocket. :return: it, and the path that the backend got."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with tls.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as stream:
        stream.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += stream.recv(1)
        lines = head.decode().split("\r\n")
        assert lines[0].split()[1] == "101", lines
        assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head.decode()
        yield stream, next(line.split(": ")[1] for line in lines if line.lower().startswith("x-seen"))


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(serving(f"worker{number}", f"127.0.0.{number + 1}")) for number in (1, 2, 3)]


def backends(servers: Sequence[Server]) -> tuple[Backend, ...]:
    return tuple(Backend(each.name, each.name, str(each.server_address[0]), each.port) for each in servers)


def published(servers: Sequence[Server], *routes: Route, **settings: object) -> Frontend:
    """A port with routes that all lead to the servers."""
    publish = Publish(free_port(), "http", routes or (Route(),))
    publish = replace(publish, **settings)  # type: ignore[arg-type]
    ordered = sorted(publish.routes, key=precision)
    return Frontend(publish, tuple(Pool(route, "shop_web:8080", backends(servers)) for route in ordered))


@contextlib.contextmanager
def under_load(port: int) -> Iterator[list[int]]:
    """Requests all the time, from several clients. :return: the statuses of the answers; 0: there was none."""
    answers, over = list[int](), threading.Event()

    def client() -> None:
        while not over.is_set():
            try:
                answers.append(ask(port).status)
            except (OSError, http.client.HTTPException):
                answers.append(0)

    threads = [threading.Thread(target=client) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def certificate(directory: Path, name: str, address: str) -> ssl.SSLContext:
    """Makes one as a balancer has it, with labgen's script. :return: what trusts it."""
    subprocess.run(
        ["sh", paths.guest_scripts() / CERTIFICATE, str(directory), "0", "labgen test", name, address],
        check=True,
        capture_output=True,
    )
    return ssl.create_default_context(cafile=str(directory / "ca.crt"))
