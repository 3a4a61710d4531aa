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
    try:
        deployed = labgen("deploy", lab, "lamp", "--timeout", "900", "--format", "json")
        assert {name: row["tasks"] for name, row in rows(deployed.stdout).items()} == {
            "admin": "1/1", "db": "1/1", "php": "2/2", "web": "1/1",
        }  # fmt: skip
        assert set(rows(deployed.stdout)["php"]["nodes"]) <= WORKERS
        yield deployed.stderr
    finally:
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
    again = labgen("deploy", lab, "lamp", "--timeout", "900")
    assert "is new" not in again.stderr
    assert int(facts(ask(lab, "manager1", 8081))["requests"]) == counts[-1] + 2

    drilled = labgen("drill", lab, "persist")
    assert "yes  all rows are there" in drilled.stdout
    answers = lambda: (answer := ask(lab, "manager1", 8081)).status == 200 and answer  # noqa: E731
    page = facts(eventually("the page after a power failure of the database's node", answers, 600))
    assert int(page["requests"]) > counts[-1] + 2
    assert labelled(lab) == ["worker1"]


@pytest.fixture
def clinic(lab: str) -> Iterator[None]:
    try:
        deployed = rows(labgen("deploy", lab, "clinic", "--timeout", "900", "--format", "json").stdout)
        assert {name: row["tasks"] for name, row in deployed.items()} == {
            "auth": "2/2", "gateway": "1/1", "patients": "2/2", "staff": "1/1", "visualizer": "1/1",
        }  # fmt: skip
        assert deployed["visualizer"]["nodes"] == {"manager1": 1}
        yield
    finally:
        labgen("stack", "remove", lab, "clinic", check=False)


def session(lab: str, user: str) -> str:
    """A login's cookie."""
    password = in_task(lab, "clinic_auth", f"cat /run/secrets/{user}_password")
    answer = ask(lab, "worker1", 8083, "/login", data=f"user={user}&password={password}&to=/{user}/")
    assert answer.status == 303
    return str(answer.headers["Set-Cookie"]).partition(";")[0]


def on_node(lab: str, node: str) -> list[str]:
    """The names of the tasks that the visualizer shows on a node."""
    tasks: dict[str, list[str]] = {}
    for line in ask(lab, "worker2", 8084).text.splitlines():
        if line.startswith(" "):
            next(reversed(tasks.values())).append(line.split()[0])
        else:
            tasks[line.split()[0]] = []
    return tasks[node]


@pytest.mark.slow
def test_clinic_lets_in_who_has_logged_in(lab: str, clinic: None) -> None:
    assert ask(lab, "worker2", 8083, "/staff?a=1").headers["Location"] == "/staff/?a=1"
    assert ask(lab, "worker2", 8083, "/staff/").headers["Location"] == "/login?to=/staff/"
    wrong = ask(lab, "worker2", 8083, "/login", data="user=staff&password=wrong")
    assert (wrong.status, wrong.headers["Set-Cookie"]) == (403, None)
    staff, patient = session(lab, "staff"), session(lab, "patient")
    name, end, signature = staff.split(".")
    assert ask(lab, "worker1", 8083, "/staff/", Cookie=f"{name}.{int(end) + 1}.{signature}").status == 302

    checked_by: set[str] = set()
    answered_by: set[str] = set()

    def all_replicas_answered() -> bool:
        for node in NODES:
            answer = ask(lab, node, 8083, "/patients/", Cookie=patient)
            assert "user patient\n" in answer.text
            checked_by.add(answer.headers["X-Checked-By"])
            answered_by.add(answer.headers["X-Task"])
        return len(checked_by) == len(answered_by) == 2

    eventually("both replicas of auth and patients answer", all_replicas_answered)
    assert all(task.startswith("clinic_auth.") for task in checked_by)
    assert all(task.startswith("clinic_patients.") for task in answered_by)
    style = ask(lab, "manager1", 8083, "/staff/style.css", Cookie=staff)
    assert style.headers["Content-Type"].startswith("text/css")
    assert style.headers["X-Task"].startswith("clinic_staff.1.")
    assert ask(lab, "manager1", 8083, "/patients/", Cookie=staff).status == 403
    page = ask(lab, "manager1", 8083, "/staff/", Cookie=staff, User_Agent="Mozilla/5.0")
    assert f"answered by {page.headers['X-Task']} on {page.headers['X-Node']}" in page.text
    assert '<div class="nodes">' in ask(lab, "worker1", 8084, User_Agent="Mozilla/5.0").text


@pytest.mark.slow
def test_clinic_follows_its_tasks_and_shows_where_they_are(lab: str, clinic: None) -> None:
    cookie = session(lab, "staff")
    node = str(ask(lab, "worker1", 8083, "/staff/", Cookie=cookie).headers["X-Node"])
    assert "clinic_staff.1" in on_node(lab, node)
    assert "clinic_visualizer.1" in on_node(lab, "manager1")
    away = node if node != "manager1" else "worker1"
    node_output(lab, "manager1", "docker", "node", "update", "--availability", "drain", away)
    try:
        eventually("the visualizer shows no task on the drained node", lambda: on_node(lab, away) == [])
        assert f"{away:<16} worker   ready    drain" in ask(lab, "manager1", 8084).text

        def is_answered_elsewhere() -> bool:
            answer = ask(lab, "worker1", 8083, "/staff/", Cookie=cookie)
            return answer.status == 200 and answer.headers["X-Node"] != away

        eventually("the gateway follows", is_answered_elsewhere)
    finally:
        node_output(lab, "manager1", "docker", "node", "update", "--availability", "active", away)
