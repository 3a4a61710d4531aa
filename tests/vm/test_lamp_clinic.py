"""The stacks lamp and clinic in a real lab, as a user sees them."""

import http.client
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.vm.conftest import NODES, address, eventually, labgen, node_output, rows

WORKERS = {"worker1", "worker2"}
LAMP_SECRETS = {"lamp-password", "lamp-root-password"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


class NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:  # type: ignore[override]
        return None


def ask(lab: str, node: str, port: int, path: str = "/", *, data: str = "", **headers: str) -> Answer:
    """One request to a node. :param data: posted, if there is any. :param headers: with _ for -."""
    request = urllib.request.Request(
        f"http://{address(lab, node)}:{port}{path}",
        data=data.encode() or None,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urllib.request.build_opener(NoRedirects).open(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read().decode())


def facts(answer: Answer) -> dict[str, str]:
    """The lines of the page for curl."""
    assert answer.status == 200, answer
    return dict(line.split(" ", 1) for line in answer.text.splitlines())


def in_task(lab: str, service: str, command: str) -> str:
    """A command's output in a container of a service, on whichever node."""
    node = node_output(
        lab, "manager1", "docker", "service", "ps", service, "-f", "desired-state=running", "--format", "{{.Node}}"
    ).split()[0]
    script = f"docker exec \"$(docker ps -q -f name={service}. | head -1)\" sh -c '{command}'"
    return node_output(lab, node, "sh", "-c", script)


def secrets_of(lab: str) -> set[str]:
    return set(node_output(lab, "manager1", "docker", "secret", "ls", "--format", "{{.Name}}").split())


def labelled(lab: str) -> list[str]:
    command = ["docker", "node", "ls", "-f", "node.label=database=true", "--format", "{{.Hostname}}"]
    return node_output(lab, "manager1", *command).split()


@pytest.fixture
def lamp(lab: str) -> Iterator[str]:
    deployed = labgen("deploy", lab, "lamp", "--timeout", "600", "--format", "json")
    assert {name: row["tasks"] for name, row in rows(deployed.stdout).items()} == {
        "admin": "1/1", "db": "1/1", "php": "2/2", "web": "1/1",
    }  # fmt: skip
    assert set(rows(deployed.stdout)["php"]["nodes"]) <= WORKERS
    yield deployed.stderr
    labgen("stack", "remove", lab, "lamp", check=False)
    labgen("exec", lab, "--", "sh", "-c", "docker volume rm -f lamp_data")


@pytest.mark.slow
def test_lamp_counts_and_keeps_its_data(lab: str, lamp: str) -> None:
    assert labelled(lab) == ["worker1"]
    assert "worker1 has the label database=true now" in lamp
    assert secrets_of(lab) >= LAMP_SECRETS
    seen: set[str] = set()
    counts = [0]

    def both_replicas_answered() -> bool:
        for node in NODES:
            answer = ask(lab, node, 8081)
            page = facts(answer)
            assert page["node"] == answer.headers["X-Node"]
            seen.add(answer.headers["X-Task"])
            counts.append(int(page["requests"]))
        return len(seen) == 2

    eventually("both replicas of PHP answer", both_replicas_answered)
    assert counts == list(range(len(counts)))
    assert "<table>" in ask(lab, "worker2", 8081, User_Agent="Mozilla/5.0").text
    assert ask(lab, "manager1", 8082).headers["Location"] == "/?server=db&username=root&db=lamp"
    assert "Adminer" in ask(lab, "manager1", 8082, "/?server=db&username=root&db=lamp").text
    password = in_task(lab, "lamp_db", "cat /run/secrets/root_password")
    assert len(password) == 24
    assert password not in lamp

    labgen("stack", "remove", lab, "lamp")
    again = labgen("deploy", lab, "lamp", "--timeout", "600")
    assert "is new" not in again.stderr
    assert int(facts(ask(lab, "manager1", 8081))["requests"]) == counts[-1] + 2

    labgen("restart", lab, "worker1")
    answers = lambda: (answer := ask(lab, "manager1", 8081)).status == 200 and answer  # noqa: E731
    page = facts(eventually("the page after a restart of the database's node", answers, 600))
    assert int(page["requests"]) > counts[-1] + 2
    assert labelled(lab) == ["worker1"]
