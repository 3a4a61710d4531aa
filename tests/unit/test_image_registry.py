"""A lab's own image registry, on a host without machines; tests/vm/test_registry.py has a real one."""

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from labgen import handoff, images, paths
from labgen.errors import GuestError, ProfileError
from labgen.health.registry import Registry
from labgen.lab import rebuild
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.lab.export import export
from labgen.lab.import_ import receive
from labgen.lab.start import start
from labgen.machines.bringup import Outcome
from labgen.model import Lab
from labgen.plan import CERTIFICATE, REGISTRY, TRUST, plan, trusting
from labgen.profile import differences, dump, json_schema, load, parse
from labgen.progress import Silent
from labgen.records import journals, templates
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.labs import BOX, planned
from tests.unit.test_handoff import pool
from tests.unit.test_health import seen
from tests.unit.test_lab import NODES, make
from tests.unit.test_warm import base

__all__ = ["base", "host", "pool", "run"]  # fixtures

PROFILE = "three-node-registry"
NAME = "manager1:5000"
OUTSIDE = """
name: lab
nodes: {boss: {role: manager}, builder: {kind: docker}, client: {kind: plain}}
registry: true
"""


def trusted(host: Host) -> set[str]:
    return {host.machine(node).trusts for node in NODES}


def certificate(name: str = "lab") -> str:
    return (paths.lab(name) / paths.REGISTRY_CA).read_text().strip()


def made(**options: bool) -> Outcome:
    return make(reference=PROFILE, **options)


def test_all_nodes_trust_the_registry_of_the_first_manager(host: Host) -> None:
    made()
    assert host.machine("manager1").scripts[-1] == "registry"
    assert host.machine("worker1").scripts[-1] == "trust"
    assert trusted(host) == {certificate()} == {"certificate 1 of manager1 at 10.77.0.11"}
    assert not start("lab", Silent()).changed
    assert host.authorities == 1


@pytest.mark.parametrize("node", ["manager1", "worker2"])
def test_what_is_missing_is_put_right_by_start_and_nothing_else(host: Host, node: str) -> None:
    made()
    for name in NODES:
        host.machine(name).scripts.clear()
    host.machine(node).serves = False
    if node == "worker2":
        host.machine(node).trusts = ""
    assert start("lab", Silent()).changed
    assert trusted(host) == {certificate()}
    assert {name: host.machine(name).scripts for name in NODES if host.machine(name).scripts} == {
        node: ["certificate", "registry"] if node == "manager1" else ["trust"]
    }
    assert host.authorities == 1


def test_a_registry_that_does_not_start_is_reported_and_create_goes_on_from_there(host: Host) -> None:
    host.failing_script = REGISTRY
    with pytest.raises(GuestError) as caught:
        made()
    assert caught.value.brief == "registry.sh failed on manager1 with exit status 7"
    assert "manager1.provision.log" in caught.value.resolution
    host.failing_script = ""
    made()
    assert journals.load("lab").complete
    assert trusted(host) == {certificate()}


def test_a_registry_without_its_certificate_is_explained(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "_act", lambda *_: None)
    with pytest.raises(GuestError) as caught:
        made()
    assert caught.value.details == f"/etc/docker/certs.d/{NAME}/labgen.crt"


@pytest.mark.usefixtures("base")
def test_labs_from_one_template_have_registries_of_their_own(host: Host) -> None:
    made(cold=False)
    assert len(templates.every()) == 1
    first = certificate()
    ups = host.ups
    for node in NODES:  # as the template has it
        host.machine(node).trusts, host.machine(node).serves = "", False
    create(load(PROFILE), "second", Silent())
    assert host.ups == ups
    assert certificate("second") != first
    assert trusted(host) == {certificate("second")}


@pytest.mark.parametrize("pool", [PROFILE], indirect=True)
def test_a_received_lab_has_another_certificate_than_the_senders(host: Host, pool: Path, tmp_path: Path) -> None:
    senders = certificate()
    export("lab", tmp_path / "lab.labgen", "disks", Silent())
    assert senders.encode() not in (tmp_path / "lab.labgen").read_bytes()  # the disks of this test are empty
    destroy("lab", Silent())
    receive(tmp_path / "lab.labgen", None, None, Silent())
    start("lab", Silent())
    assert certificate() != senders
    assert trusted(host) == {certificate()}
    start("lab", Silent())
    assert host.authorities == 2


def test_a_rebuilt_registry_is_trusted_again(host: Host) -> None:
    made()
    (lost,) = [loss for loss in rebuild.losses("lab", "manager1") if "root" in loss]
    assert lost == "its root disk, with all files on it, also the images in the lab's registry"
    host.machine("manager1").trusts, host.machine("manager1").serves = "", False
    start("lab", Silent())
    assert trusted(host) == {certificate()} == {"certificate 2 of manager1 at 10.77.0.11"}


def test_it_is_on_the_first_node_with_docker_and_trusted_by_all_that_have_it() -> None:
    lab = _lab(OUTSIDE)
    assert (lab.registry, lab.registry_name) == ("boss1", "boss1:5000")
    assert lab.registry_address == "10.77.0.11:5000"
    assert [node.name for node in trusting(lab)] == ["builder1"]
    without = _lab("name: lab\norchestrator: none\nnodes: {c: {kind: plain}, d: {}}\nregistry: true\n")
    assert without.registry == "d1"
    assert planned().registry == planned().registry_name == planned().registry_address == ""


def test_its_scripts_are_no_steps_so_that_templates_do_not_contain_their_results() -> None:
    scripts = {step.script for node in planned(reference=PROFILE).nodes for step in node.steps}
    assert scripts.isdisjoint({CERTIFICATE, REGISTRY, TRUST})


def test_a_handed_over_lab_starts_its_registry_and_tells_the_others(tmp_path: Path) -> None:
    lab = plan(load(PROFILE).profile, "lab", subnet="10.77.3.0/24", box=BOX, accelerator="tcg", owner=handoff.OWNER)
    files = handoff.files(lab, {})
    assert "a Swarm, an image registry, manager1:5000." in files[handoff.README]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "guest").mkdir()
    for script in (CERTIFICATE, REGISTRY, TRUST):
        (tmp_path / "guest" / script).write_text(f"# {script}\n")
    log = tmp_path / "log"
    stand_in = f"""#!/bin/sh
shift 2
node=$1
shift
echo "$node: $*" >>{log}
case "$*" in
*"sh -s"*) head -n 1 >>{log} ;;
"cat /etc/docker"*) echo CERTIFICATE ;;
"docker info"*) echo active ;;
"docker node ls --format"*) printf 'Ready\\nReady\\nReady\\n' ;;
esac
"""
    for program, text in {"ssh": stand_in, "vagrant": "#!/bin/sh\n"}.items():
        (tmp_path / program).write_text(text)
        (tmp_path / program).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", tmp_path / "up"], env=environment, check=True, capture_output=True, timeout=60)
    made = "sudo sh -s /etc/labgen/registry docker-registry 'labgen CA of manager1:5000' 'manager1' '10.77.3.11'"
    assert log.read_text().splitlines()[:9] == [
        f"manager1: {made}",
        "# certificate.sh",
        "manager1: sudo sh -s manager1:5000",
        "# registry.sh",
        "manager1: cat /etc/docker/certs.d/manager1:5000/labgen.crt",
        "worker1: sudo sh -s 'manager1:5000' 'CERTIFICATE'",
        "# trust.sh",
        "worker2: sudo sh -s 'manager1:5000' 'CERTIFICATE'",
        "# trust.sh",
    ]


def test_status_shows_where_it_is(host: Host, run: Run) -> None:
    made()
    assert "\nregistry manager1:5000; from this host https://10.77.0.11:5000\n" in run("status", "lab").stdout
    shown = json.loads(run("status", "lab", "--format", "json").stdout)["registry"]
    assert shown == {
        "name": NAME,
        "address": "10.77.0.11:5000",
        "certificate": str(paths.lab("lab") / paths.REGISTRY_CA),
    }


@pytest.mark.parametrize(
    ("said", "status", "evidence"),
    [
        (["200"], "ok", f"{NAME} answers"),
        ([], "fail", f"Docker does not trust {NAME}"),
        (["curl: (7) refused", "000"], "fail", f"{NAME} does not answer: curl: (7) refused"),
        (["503"], "fail", f"{NAME} does not answer: HTTP status 503"),
    ],
)
def test_whether_it_answers(said: list[str], status: str, evidence: str) -> None:
    verdict = Registry().judge(replace(seen(registry=said), lab=planned(reference=PROFILE)))
    assert verdict
    assert (verdict.status, verdict.evidence) == (status, evidence)
    assert verdict.fix == ("" if status == "ok" else "labgen start lab")
    assert Registry().judge(seen(registry=[])) is None  # a lab without one


def test_a_journal_of_a_labgen_without_registries_is_read() -> None:
    journals.save(journals.Journal(planned(), "verified"))
    path = paths.lab("lab") / paths.STATE
    content = json.loads(path.read_text())
    del content["lab"]["registry"]
    path.write_text(json.dumps(content))
    assert journals.load("lab").lab == planned()


def test_the_mirror_is_in_dockers_configuration() -> None:
    lab = _lab("name: lab\nnodes: {m: {role: manager}}\nregistry_mirror: http://10.0.0.1:5000/\n")
    (configuration,) = [step.arguments[0] for step in lab.nodes[0].steps if step.script == "docker.sh"]
    assert json.loads(configuration) == {
        "registry-mirrors": ["http://10.0.0.1:5000"],
        "storage-driver": "overlay2",
    }


@pytest.mark.parametrize(
    "mirror",
    [
        "ftp://x",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u:p@a",
        "https://a:0",
        "https://a:65536",
        "https://a b",
    ],
)
def test_mirrors_that_docker_would_not_accept(mirror: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse(f"name: lab\nnodes: {{m: {{role: manager}}}}\nregistry_mirror: '{mirror}'\n", "lab")
    assert "is not a mirror's URL" in caught.value.details


def test_an_editor_accepts_the_same_mirrors() -> None:
    pattern = json_schema()["properties"]["registry_mirror"]["pattern"]
    assert re.search(pattern, "https://mirror.example.org:5000/")
    assert not re.search(pattern, "https://mirror.example.org/path")
    assert "P<" not in pattern


def test_a_mirror_without_tls_is_allowed_with_a_warning() -> None:
    (warning,) = load(PROFILE, ["registry_mirror=http://mirror:5000"]).warnings
    assert warning.startswith("registry_mirror: with http, ")
    assert load(PROFILE, ["registry_mirror=https://mirror:5000"]).warnings == ()


def test_a_profile_with_a_registry_is_dumped_and_compared() -> None:
    with_it, without = load(PROFILE).profile, load(PROFILE, ["registry=false"]).profile
    assert parse(dump(with_it), "x").profile == with_it
    assert parse(dump(without), "x").profile == without
    assert "registry" not in dump(without).replace(PROFILE, "").replace("image registry", "")
    assert list(differences(without, with_it)) == ["registry: false in the lab, true now"]


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("localhost/shop-web:latest", f"{NAME}/shop-web:latest"),
        ("me/app:1", f"{NAME}/me/app:1"),
        ("app:1", f"{NAME}/app:1"),
        ("ghcr.io/me/app:1", f"{NAME}/me/app:1"),
        (f"{NAME}/app:1", f"{NAME}/app:1"),
    ],
)
def test_names_in_the_registry(name: str, there: str) -> None:
    assert images.in_registry(name, NAME) == there


def test_the_certificates_are_those_of_a_ca_that_can_sign_nothing_more(tmp_path: Path) -> None:
    """The scripts themselves, with the parts of a machine that they need in another directory."""
    for directory in ("docker/registry", "systemd/system/multi-user.target.wants", "labgen"):
        (tmp_path / "etc" / directory).mkdir(parents=True)
    for script in (CERTIFICATE, REGISTRY):
        text = (paths.guest_scripts() / script).read_text()
        text = text.replace("/etc/", f"{tmp_path}/etc/").replace('-g "$group" ', "")
        text = text.replace("/usr/bin/docker-registry", "/bin/sh").replace("-p /run", "")
        (tmp_path / script).write_text(text)
    for program in ("systemctl", "curl"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho {program} "$@" >>{tmp_path}/log\n')
        (tmp_path / program).chmod(0o755)
    (tmp_path / "tmp").mkdir()
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "tmp")}
    own = tmp_path / "etc" / "labgen" / "registry"

    def run_scripts(*names: str) -> bytes:
        made = ["sh", tmp_path / CERTIFICATE, own, "docker-registry", "labgen CA of manager1:5000", *names]
        for command in (made, ["sh", tmp_path / REGISTRY, NAME]):
            subprocess.run(command, env=environment, check=True, capture_output=True)
        return (tmp_path / "etc" / "docker" / "certs.d" / NAME / "labgen.crt").read_bytes()

    first = run_scripts("manager1", "10.77.0.11")
    authority = x509.load_pem_x509_certificate(first)
    server = x509.load_pem_x509_certificate((own / "server.crt").read_bytes())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["manager1"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.77.0.11"]
    assert (server.not_valid_before_utc.year, server.not_valid_after_utc.year) == (2020, 2049)
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert isinstance(authority.public_key(), ec.EllipticCurvePublicKey)
    assert {path.name for path in own.iterdir()} == {"ca.crt", "server.crt", "server.key", "for", "served.crt"}
    assert (own / "server.key").stat().st_mode & 0o777 == 0o640
    assert list((tmp_path / "tmp").iterdir()) == []

    assert run_scripts("manager1", "10.77.0.11") == first
    assert run_scripts("manager1", "10.77.0.12") != first  # another address
    again = run_scripts("manager1", "10.77.0.12", "new")
    assert again != first
    (own / "served.crt").unlink()  # it was interrupted before the registry had read it
    assert run_scripts("manager1", "10.77.0.12") == again
    done = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("systemctl")]
    verbs = [line.split()[1] for line in done]
    assert verbs == ["restart", "start", "restart", "restart", "restart"]


def _lab(text: str) -> Lab:
    profile = parse(text, "lab").profile
    return plan(profile, "lab", subnet="10.77.0.0/24", box=BOX, accelerator="tcg", owner="labgen-000000")
