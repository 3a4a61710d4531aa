"""Compose files: what labgen sees in them, and what it refuses before Docker sees them."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from labgen import images
from labgen.errors import LabgenError, StackError, UsageError
from labgen.stacks import External, constraint, find, name_of, read, shipped
from labgen.stacks.compose import Build, Needs
from labgen.stacks.override import text, versions
from labgen.stacks.variables import mentioned, replaced

EVERYTHING = """\
version: "3.8"
x-common: &common
  image: docker.io/library/app:${TAG:-9}
services:
  web:
    <<: *common
    depends_on: [db]
    ports:
      - "${PORT}:80"
      - 127.0.0.1:9000-9001:90-91/udp
      - {target: 80, published: 8093, mode: host}
      - {target: 81, published: "8094"}
      - "80"
    volumes: [./app:/var/www:ro, "data:/data", "/etc/hosts:/h", {type: bind, source: conf, target: /c}]
    env_file: web.env
    environment: {SECRET: , A: $A}
    deploy:
      placement: {constraints: ["node.role == worker", node.labels.disk!=slow]}
  db:
    image: db
    environment: [PASSED, SET=1]
networks:
  front: {external: true}
  host: {external: {name: host}}
volumes:
  data:
  shared: {external: true, name: far}
configs:
  site: {file: ./site.conf, labels: [owner=me]}
secrets:
  password: {file: ./password, name: "pw-${TAG:-9}"}
  there: {external: true}
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name in ("app", "conf"):
        (tmp_path / name).mkdir()
    for name in ("web.env", "site.conf", "password"):
        (tmp_path / name).write_text(f"{name}\n")
    (tmp_path / ".env").write_text("PORT=8092\nPASSED=file\nUNUSED=1\n")
    (tmp_path / "compose.yaml").write_text(EVERYTHING)
    return tmp_path


def test_what_labgen_has_to_know_is_read(directory: Path) -> None:
    compose = read(directory / "compose.yaml", {"PASSED": "shell", "SECRET": "s", "OTHER": "x"})
    web, db = compose.services
    assert (web.image, db.image) == ("app:9", "db:latest")
    assert web.ports == ((8092, "tcp"), (9000, "udp"), (9001, "udp"), (8094, "tcp"))
    assert web.binds == ("app", "conf")
    assert [str(each) for each in web.constraints] == ["node.role==worker", "node.labels.disk!=slow"]
    assert compose.env_files == ("web.env",)
    assert compose.environment == {"PORT": "8092", "PASSED": "shell", "SECRET": "s"}
    assert compose.unset == ("A",)
    assert compose.ignored == {"web": ("depends_on",)}
    assert [(each.kind, each.key, each.name) for each in compose.stored] == [
        ("configs", "site", ""), ("secrets", "password", "pw-9"),
    ]  # fmt: skip
    assert set(compose.externals) == {
        External("networks", "front"), External("volumes", "far"), External("secrets", "there"),
    }  # fmt: skip


def test_what_is_built_is_read(directory: Path) -> None:
    (directory / "app" / "Containerfile").write_text("FROM scratch\n")
    (directory / "app" / "Dockerfile").write_text("FROM localhost/hello:1 AS a\n from --platform=x two\n")
    (directory / "compose.yaml").write_text(
        "services:\n  a: {build: ./app}\n"
        "  b: {image: b, build: {context: app, dockerfile: Containerfile, target: last, "
        "args: [X=1, PASSED, UNSET]}}\n"
        "  c: {image: c, build: {context: app, args: {Y: $PORT, PASSED: , Z: true}}}\n"
    )
    a, b, c = read(directory / "compose.yaml", {}).services
    assert (a.image, a.build) == ("", Build("app", "Dockerfile", "", {}, ("localhost/hello:1", "two")))
    assert (b.image, b.build) == (
        "b:latest",
        Build("app", "Containerfile", "last", {"X": "1", "PASSED": "file"}, ("scratch",)),
    )
    assert c.build
    assert c.build.arguments == {"Y": "8092", "PASSED": "file", "Z": "true"}


LABELLED = """\
services:
  db: {image: a, deploy: {placement: {constraints: [node.labels.database == true, node.role != manager]}}}
secrets:
  password: {external: true, name: shop-password}
  other: {external: true}
x-labgen:
"""


def test_what_labgen_may_make_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LABELLED + "  labels: {database: true}\n  secrets: [shop-password]\n")
    assert read(tmp_path / "a.yaml", {}).needs == Needs({"database": "true"}, ("shop-password",))
    (tmp_path / "a.yaml").write_text(LABELLED)
    assert read(tmp_path / "a.yaml", {}).needs == Needs()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("  labels: {disk: ssd}\n", ":7: x-labgen.labels.disk: no service has the constraint node.labels.disk==ssd"),
        ("  labels: {database: }\n", "no service has the constraint node.labels.database=="),
        ("  labels: 5\n", "x-labgen.labels: must be a mapping"),
        ("  secrets: [password]\n", ":7: x-labgen.secrets: 'password' is not an external secret of the file"),
        ("  secrets: password\n", ":7: x-labgen.secrets: must be a list"),
        ("  volumes: [a]\n", ":7: x-labgen.volumes: is not one of: labels, secrets"),
        ("  - labels\n", ":7: x-labgen: must be a mapping"),
    ],
)
def test_what_labgen_cannot_make_is_named(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "a.yaml").write_text(LABELLED + content)
    with pytest.raises(StackError) as caught:
        read(tmp_path / "a.yaml", {})
    assert words in caught.value.brief


SERVICE = 'version: "3.8"\nservices:\n  web:\n    image: app:1\n'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("services:\n  web: {image: 'a'\n  x: 1\n", ":3 is not valid YAML"),
        ("hello\n", "is not a compose file"),
        ("", "is not a compose file"),
        ("version: '3.8'\nservices: {}\n", "services: there are none"),
        ("services:\n  web:\n    command: x\n", ":3: services.web: has neither an image nor a build"),
        ("services:\n  web:\n    build: ../x\n", ":3: services.web.build: ../x is outside the directory"),
        ("services:\n  web:\n    build: http://a/x.git\n", "services.web.build: http://a/x.git does not"),
        ("services:\n  web:\n    build: .\n", ":3: services.web.build: there is no Dockerfile in ."),
        ("services:\n  web:\n    image: Not An Image\n", ":3: services.web.image: 'Not An Image' is not a valid"),
        (SERVICE + "    volumes: [./nothing:/x]\n", ":5: services.web.volumes: ./nothing does not exist"),
        (SERVICE + "    volumes:\n      - ../x:/x\n", ":6: services.web.volumes: ../x is outside the directory"),
        (SERVICE + "    volumes: ['~/x:/x']\n", "~/x is outside the directory"),
        (SERVICE + "    env_file: /etc/passwd\n", "services.web.env_file: /etc/passwd is not a relative path"),
        (SERVICE + "    build: {args: [X: y]}\n", "there is no Dockerfile in ."),
        (SERVICE + "secrets:\n  a: {file: ~nobody-here/x}\n", "is not a file"),
        (SERVICE + "secrets:\n  a: {file: ./compose.yaml, labels: [a: b]}\n", "secrets.a.labels: must be a mapping"),
        (SERVICE + "secrets:\n  a: {file: ./compose.yaml, labels: foo}\n", "secrets.a.labels: must be a mapping"),
        (SERVICE + "    env_file: none.env\n", ":5: services.web.env_file: none.env does not exist"),
        (SERVICE + "    deploy: {placement: {constraints: [node.role=a]}}\n", "'node.role=a' is not a constraint"),
        (SERVICE + "secrets:\n  a:\n    file: ./a\n", ":7: secrets.a.file:"),
        (SERVICE.replace("app:1", "app:${TAG:?which one}"), "the variable TAG is not set, and required"),
        (SERVICE.replace("app:1", "app:$"), "has a '$' that begins no variable"),
        (SERVICE + "#" + "x" * 2**20, "larger than 1 MiB"),
        ("a: &a [x]\nb: &b [*a, *a]\nservices: {web: {image: a}}\nc: *d\n", "is not valid YAML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(content: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(content)
    with pytest.raises(StackError) as caught:
        read(file, {})
    assert words in caught.value.brief
    assert caught.value.exit_code == 10


NULLS = "    env_file:\n    volumes: [{type: bind, source: }]\n    ports:\n    deploy:\n    build:\n"


@pytest.mark.parametrize(
    "content",
    [
        "version:\nname:\nservices:\n  web:\n    image: a\n" + NULLS,
        "services: {web: {image: a, volumes: x, ports: [null, {}], environment: 5, deploy: {placement: []}}}\n",
        "services: {web: {image: a}}\nnetworks: [a]\nconfigs: {b: }\nsecrets: {c: {external: no}}\nvolumes: {d: 5}\n",
        "# $COMMENTED\nservices: {7: {image: c}}\n",
    ],
)
def test_what_only_docker_can_judge_is_left_to_it(content: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(content)
    compose = read(tmp_path / "compose.yaml", {})
    assert (compose.version, compose.name, compose.externals, compose.unset) == ("", "", (), ())


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_what_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_bytes(content) if content else file.mkdir()
    with pytest.raises(StackError, match="cannot be read"):
        read(file, {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A-${A}", "1-1"), ("$$A", "$A"), ("${B-x}", ""), ("${B:-x}", "x"), ("${C-x y}", "x y"), ("${C}", ""),
        ("${B?no}", ""), ("a$$", "a$"), ("${A:?no}", "1"),
    ],
)  # fmt: skip
def test_variables_follow_dockers_rules(text: str, value: str) -> None:
    assert replaced(text, {"A": "1", "B": ""}) == value


@pytest.mark.parametrize("text", ["$", "${", "${A", "$1", "${A!x}", "${B:?}", "${C?}"])
def test_what_docker_refuses_is_refused(text: str) -> None:
    with pytest.raises(StackError):
        replaced(text, {"A": "1", "B": ""})


def test_variables_are_found() -> None:
    assert mentioned("$A ${B:-c} $$D $$$E") == {"A", "B", "E"}


@pytest.mark.parametrize(
    ("text", "valid"), [("node.role==worker", True), ("a.b != c d", True), ("a=b", False), ("a==", False)]
)
def test_constraints(text: str, valid: bool) -> None:
    assert (constraint(text) is not None) == valid


def test_stacks_and_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hello" in {each.name for each in shipped()}
    assert find("hello").name == "compose.yaml"
    (tmp_path / "docker-compose.yml").write_text("")
    assert find(str(tmp_path)) == tmp_path / "docker-compose.yml"
    with pytest.raises(UsageError, match="neither a stack nor a compose file") as caught:
        find("helo")
    assert "hello" in caught.value.details
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no compose file in"):
        find(str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("path", "given", "in_file", "name"),
    [
        ("/x/My Shop/compose.yaml", "", "", "myshop"), ("/x/shop.yaml", "", "", "shop"), ("/x/a.yaml", "b", "c", "b"),
        ("/x/a.yaml", "", "c", "c"),
    ],
)  # fmt: skip
def test_a_stack_gets_a_name(path: str, given: str, in_file: str, name: str) -> None:
    assert name_of(Path(path), given, in_file) == name


@pytest.mark.parametrize("given", ["Shop", "a b", "-x", "x" * 41])
def test_other_names_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match="not a valid stack name"):
        name_of(Path("/x/a.yaml"), given, "")


def test_every_shipped_stack_is_valid_and_says_what_it_is() -> None:
    for stack in shipped():
        assert read(stack.path, {}).version
        assert stack.about


def test_shipped_stacks_run_side_by_side_with_images_that_labgen_builds() -> None:
    services = [service for stack in shipped() for service in read(stack.path, {}).services]
    ports = [port for service in services for port in service.ports]
    assert len(ports) == len(set(ports))
    assert {service.image for service in services} <= {images.load(name).reference for name in images.known()}
    for stack in shipped():
        for name, service in YAML(typ="safe").load(stack.path)["services"].items():
            assert {"test", "interval", "timeout", "retries", "start_period"} == service["healthcheck"].keys(), name
            assert service["deploy"]["restart_policy"]["condition"] == "any", name
            assert service["deploy"]["update_config"]["failure_action"] == "rollback", name
            assert service["deploy"]["resources"]["limits"]["memory"].endswith("M"), name


def chosen(
    directory: Path, existing: Mapping[str, Mapping[str, str]], key: bytes = b"key"
) -> dict[str, tuple[str, bool]]:
    compose = read(directory / "compose.yaml", {})
    return {each.of.key: (each.name, each.is_new) for each in versions(compose, "shop", existing, key)}


def test_what_has_changed_gets_a_new_name(directory: Path) -> None:
    nothing: dict[str, dict[str, str]] = {"configs": {}, "secrets": {}}
    compose = read(directory / "compose.yaml", {})
    first = versions(compose, "shop", nothing, b"key")
    assert [(each.name, each.is_new) for each in first] == [("shop_site", False), ("pw-9", False)]
    there = {each.of.kind: {each.name: each.mark} for each in first}
    assert chosen(directory, there) == {"site": ("shop_site", False), "password": ("pw-9", False)}
    (directory / "password").write_text("changed")
    name, is_new = chosen(directory, there)["password"]
    assert (name.startswith("pw-9_"), is_new) == (True, True)
    assert chosen(directory, {"configs": {"shop_site": ""}, "secrets": {}})["site"][
        1
    ]  # made by hand: unknown content
    assert chosen(directory, there, b"another key")["site"][1]  # nobody without the key can find out a content


def test_docker_reads_it_in_a_second_file(directory: Path) -> None:
    compose = read(directory / "compose.yaml", {})
    new = versions(compose, "shop", {"configs": {"shop_site": "old"}, "secrets": {}}, b"key")
    second = directory / "second.yaml"
    second.write_text(text(compose, new, "/run/there"))
    assert '"version": "3.8"' in second.read_text()
    assert '"file": "/run/there/secrets/password"' in second.read_text()
    assert f'"name": "{new[0].name}"' in second.read_text()
    assert '"owner": "me"' in second.read_text()
    assert "site.conf\\n" not in second.read_text()


def test_a_version_without_names_is_refused_only_when_one_is_needed(directory: Path) -> None:
    file = directory / "compose.yaml"
    file.write_text(EVERYTHING.replace('"3.8"', '"3.3"'))
    assert not any(is_new for _, is_new in chosen(directory, {"configs": {}, "secrets": {}}).values())
    with pytest.raises(LabgenError, match="cannot get a new name"):
        chosen(directory, {"configs": {"shop_site": "old"}, "secrets": {}})
