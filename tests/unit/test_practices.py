"""Each best practice on settings that follow it, settings that do not, and settings to which it does not apply."""

from dataclasses import replace

import pytest

from labgen.records.inspections import (
    Amounts,
    InspectedNode,
    InspectedPort,
    InspectedService,
    Inspection,
    Logging,
    Restarts,
    Rollout,
)
from labgen.report.practices import PRACTICES, Finding
from labgen.report.practices.services import CREDENTIAL

GOOD = InspectedService(
    "web",
    "shop",
    "registry:5000/shop:2",
    "sha256:abc",
    "replicated",
    3,
    ports=(InspectedPort(80, 80, "tcp", "ingress"),),
    limits=Amounts(0.5, 64 * 2**20),
    reservations=Amounts(0, 32 * 2**20),
    health_check="image",
    environment=("MODE", "DB_PASSWORD_FILE"),
    secrets=("db",),
    restarts=Restarts("any", 5.0, 3, 60.0),
    update=Rollout(1, 0.0, "start-first", "rollback", 15.0, 0.0),
)
NODES = tuple(
    InspectedNode(
        f"manager{n}",
        "manager",
        "ready",
        "active",
        engine="26.1.5",
        logging=Logging("json-file", {"max-size": "10m"}),
    )
    for n in (1, 2, 3)
)


def checked(title: str, services: list[InspectedService], nodes: tuple[InspectedNode, ...] = NODES) -> Finding:
    (practice,) = [each for each in PRACTICES if each.title == title]
    return practice.check(Inspection("debian13 1", 0.0, nodes, tuple(services)))


@pytest.mark.parametrize("practice", PRACTICES, ids=lambda each: type(each).__name__)
def test_settings_that_follow_all(practice: object) -> None:
    found = practice.check(Inspection("debian13 1", 0.0, NODES, (GOOD,)))  # type: ignore[attr-defined]
    assert found.verdict == "pass", found.evidence
    assert found.evidence


@pytest.mark.parametrize("practice", PRACTICES, ids=lambda each: type(each).__name__)
def test_nothing_that_runs(practice: object) -> None:
    assert practice.check(Inspection("", 0.0)).verdict == "not applicable"  # type: ignore[attr-defined]


@pytest.mark.parametrize("practice", PRACTICES, ids=lambda each: type(each).__name__)
def test_each_names_docker_as_its_source(practice: object) -> None:
    source: str = practice.source  # type: ignore[attr-defined]
    assert source.startswith("https://docs.docker.com/")
    assert (type(practice).__doc__ or "").startswith(source.partition("#")[0][:40])
    assert practice.why.endswith(".")  # type: ignore[attr-defined]


BAD = {
    "no tag": ("Images are pinned", {"image": "shop", "digest": ""}, "no tag"),
    "latest": ("Images are pinned", {"image": "shop:latest", "digest": ""}, "whatever was pushed last"),
    "a port is no tag": ("Images are pinned", {"image": "registry:5000/shop", "digest": ""}, "no tag"),
    "a tag": ("Images are pinned", {"image": "shop:2", "digest": ""}, "shop:2 has a tag, but no digest"),
    "local latest": ("Images are pinned", {"image": "localhost/shop:latest", "digest": ""}, "pushed last"),
    "no limit": ("Tasks have limits", {"limits": Amounts(0.5)}, "no limit for its memory"),
    "no check": ("Services have health checks", {"health_check": ""}, "neither the service nor its image"),
    "disabled": ("Services have health checks", {"health_check": "disabled"}, "switched off"),
    "password": ("No secrets in the environment", {"environment": ("DB_PASSWORD",)}, "DB_PASSWORD"),
    "none": ("Tasks that end are replaced", {"restarts": Restarts("none")}, "restart condition none"),
    "given up": ("Tasks that end are replaced", {"restarts": Restarts("any", 5, 3)}, "after 3 attempts: no window"),
    "default": ("Updates go step by step, and back if they fail", {"update": None}, "no update settings"),
    "at once": (
        "Updates go step by step, and back if they fail",
        {"update": Rollout(0, 0, "stop-first", "rollback", 0, 0)},
        "all tasks at once",
    ),
    "continue": (
        "Updates go step by step, and back if they fail",
        {"update": Rollout(1, 0, "stop-first", "continue", 0, 0)},
        "continue, not rollback",
    ),
    "one": ("What users reach has more than one task", {"replicas": 1}, "1 replica behind a published port"),
    "own logs": ("Logs are bounded", {"logging": Logging("json-file", {"max-file": "3"})}, "json-file (max-file=3)"),
}


@pytest.mark.parametrize(("title", "fields", "said"), BAD.values(), ids=BAD)
def test_settings_that_do_not_follow_it(title: str, fields: dict[str, object], said: str) -> None:
    found = checked(title, [GOOD, replace(GOOD, name="bad", **fields)])  # type: ignore[arg-type]
    assert found.verdict == "fail"
    assert len(found.evidence) == 1
    assert found.evidence[0].startswith("bad: ")
    assert said in found.evidence[0]


OTHER: dict[str, tuple[str, dict[str, object]]] = {
    "local image": ("Images are pinned", {"image": "localhost/shop:2", "digest": ""}),
    "own driver": ("Logs are bounded", {"logging": Logging("local")}),
    "own size": ("Logs are bounded", {"logging": Logging("json-file", {"max-size": "1m"})}),
    "default restarts": ("Tasks that end are replaced", {"restarts": None}),
    "one of one at once": (
        "Updates go step by step, and back if they fail",
        {"replicas": 1, "update": Rollout(0, 0, "stop-first", "rollback", 0, 0)},
    ),
}


@pytest.mark.parametrize(("title", "fields"), OTHER.values(), ids=OTHER)
def test_other_settings_that_follow_it(title: str, fields: dict[str, object]) -> None:
    assert checked(title, [replace(GOOD, **fields)]).verdict == "pass"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "fields"),
    [
        ("Services have health checks", {"mode": "replicated-job"}),
        ("Services have health checks", {"health_check": "unknown"}),
        ("Tasks that end are replaced", {"mode": "global-job"}),
        ("What users reach has more than one task", {"ports": ()}),
        ("What users reach has more than one task", {"mode": "global"}),
        ("No secrets in the environment", {"environment": (), "secrets": ()}),
    ],
)
def test_settings_to_which_it_does_not_apply(title: str, fields: dict[str, object]) -> None:
    assert checked(title, [replace(GOOD, **fields)]).verdict == "not applicable"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "odd", "spare"),
    [
        (0, "not applicable", "not applicable"),
        (1, "pass", "fail"),
        (2, "fail", "fail"),
        (3, "pass", "pass"),
        (4, "fail", "pass"),
    ],
)
def test_managers(count: int, odd: str, spare: str) -> None:
    nodes = tuple(replace(NODES[0], name=f"m{n}") for n in range(count))
    assert checked("The number of managers is odd", [], nodes).verdict == odd
    assert checked("The cluster survives the loss of a manager", [], nodes).verdict == spare


def test_the_nodes_default_of_logs() -> None:
    unbounded = replace(NODES[1], logging=Logging("json-file"))
    found = checked("Logs are bounded", [GOOD], (NODES[0], unbounded))
    assert found.verdict == "fail"
    assert found.evidence == ("web: the nodes' default, which has no max-size on manager2",)
    unknown = replace(NODES[1], logging=Logging("json-file", known=False))
    assert checked("Logs are bounded", [GOOD], (unknown,)).verdict == "not applicable"
    assert checked("Logs are bounded", [GOOD], (replace(unknown, logging=Logging("journald")),)).verdict == "pass"


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD",
        "DB_PASSWORD",
        "MYSQL_ROOT_PASSWORD",
        "PGPASSWORD",
        "API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "db_pass",
        "SECRET",
        "SECRET_KEY",
        "PRIVATE_KEY",
        "CREDENTIALS",
    ],
)
def test_names_of_credentials(name: str) -> None:
    assert CREDENTIAL.search(name)


@pytest.mark.parametrize(
    "name",
    [
        "PASSWORD_FILE",
        "DB_PASSWORD_FILE",
        "SECRET_FILE",
        "TOKEN_FILE",
        "PASSENGER",
        "COMPASS",
        "KEYBOARD",
        "MONKEY",
        "TOKENIZER",
        "PATH",
        "BYPASS",
    ],
)
def test_other_names(name: str) -> None:
    assert not CREDENTIAL.search(name)
