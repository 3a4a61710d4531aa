"""Only host/ contains paths and names of libvirt, its pool and the kernel; the exceptions give their reasons."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from labgen.host import LOCAL
from tests.unit.test_layers import FILES, PACKAGE, unit_of

KNOWN_TO_HOST = re.compile(
    "|".join(
        [
            r"\bqemu(\+\w+)?://",
            re.escape(str(LOCAL.libvirt.directory)),
            r"/proc\b",
            r"/sys/class/net\b",
            r"/dev/kvm\b",
            r"\bip (-\w+ )*(route|address|link)\b",
        ]
    )
)
# A program that is run is a list whose first word is its name.
PROGRAMS = {"ip", "lscpu", "nproc", "route", "sysctl", "tc", "virsh"}

# The exceptions, and why each does not belong to the host.
ITS_OWN_PROCESS = {
    "turns.py": {"/proc", "/proc/locks"},  # who holds one of labgen's locks: on the machine that labgen runs on
    "ssh/forwarding.py": {"/proc/self/fd/"},  # a short name for a socket that this process has created
    "bundle/writer.py": {"/proc/self/fd/"},  # how to give a name to a file without one; see open(2)
}
IN_THE_MACHINES = {"drills", "health", "orchestrators/swarm_words.py"}  # shell and Perl that run in the guests

# Code that uses this machine without being told which host: a second host begins with these.
TAKES_THE_LOCAL_HOST = {
    "cli/create.py",  # the files of a lab that is only rendered
    "handoff.py",  # the receiver's own
    "lab/destroy.py",  # a lab of which perhaps only the name is left
    "lab/doctor.py",
    "lab/prune.py",
    "lab/list_.py",  # all labs at once
    "lab/uninstall.py",
    "machines/access.py",  # why a machine cannot be entered
    "machines/estate.py",
    "machines/opened.py",  # each lab's host
    "machines/seen.py",  # the same
    "machines/orphans.py",
    "machines/planning.py",  # a lab that is only previewed
}


def outside_host() -> list[Path]:
    return [path for path in FILES if unit_of(path) != "host"]


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def calls(path: Path) -> set[str]:
    return {ast.unparse(node.func) for node in nodes(path) if isinstance(node, ast.Call)}


def strings(path: Path) -> Iterator[str]:
    """The strings in a module, except for its docstrings."""
    everything = nodes(path)
    said = {id(node.value) for node in everything if isinstance(node, ast.Expr)}
    for node in everything:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_only_the_host_knows_where_libvirt_is_and_what_the_kernel_says() -> None:
    found = {
        name_of(path): known
        for path in outside_host()
        if not {unit_of(path), name_of(path)} & IN_THE_MACHINES
        if (known := {text for text in strings(path) if KNOWN_TO_HOST.search(text)})
    }
    assert found == ITS_OWN_PROCESS


def test_what_runs_in_the_machines_is_shell_and_reads_nothing_here() -> None:
    for path in (PACKAGE / "health").glob("*.py"):
        assert calls(path) & {"open", "Path", "os.open", "subprocess.run"} == set(), path


def test_only_the_host_runs_programs_that_ask_the_kernel_or_libvirt() -> None:
    first_words = {
        (name_of(path), node.elts[0].value)
        for path in outside_host()
        for node in nodes(path)
        if isinstance(node, ast.List | ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant)
    }
    assert [each for each in first_words if each[1] in PROGRAMS] == []


def test_only_a_host_connects_to_its_libvirt() -> None:
    assert {name_of(path) for path in FILES if "Hypervisor.connect" in calls(path)} == {"host/base.py"}


def test_who_takes_the_local_host_unasked() -> None:
    taking = {
        name_of(path)
        for path in outside_host()
        for node in nodes(path)
        if isinstance(node, ast.Name) and node.id == "LOCAL"
    }
    assert taking == TAKES_THE_LOCAL_HOST


@pytest.mark.parametrize("template", ["Vagrantfile.j2", "scripts/handoff/up", "scripts/handoff/swarm"])
def test_what_is_rendered_is_told_which_libvirt(template: str) -> None:
    text = (PACKAGE.parent / template).read_text()
    assert not re.search(r"\bqemu(\+\w+)?://", text)
    assert str(LOCAL.libvirt.directory) not in text
