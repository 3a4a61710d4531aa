"""Checks the layers of the import graph: which unit may import which, and which owns which outside library."""

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "labgen"
# Each unit may import those in the layers before its own; see docs/internals.md.
LAYERS = [
    {"errors", "model", "progress", "suggestions", "surroundings", "backtrace", "templating"},
    {"paths", "files", "impairment", "mmdebstrap", "parallel", "recipes", "traffic", "turns"},
    {"refusals", "records", "storage"},
    {"bundle", "disks", "images", "hypervisor", "ssh", "vagrant", "vagrant_settings"},
    {"boxes", "engine", "stacks", "vagrant_store"},
    {"balancers"},
    {"kinds", "orchestrators"},
    {"subnets"},
    {"health", "profile"},
    {"clients", "domain", "host", "plan"},
    {"render"},
    {"handoff"},
    {"machines"},
    {"services"},
    {"drills", "report"},
    {"lab"},
    {"cli"},
    {"__main__"},
]
OWNERS = {
    "click": {"cli"},
    "cryptography": {"health"},
    "docker": {"engine"},
    "dotenv": {"stacks"},
    "filelock": {"turns"},
    "h11": {"traffic"},
    "hdrh": {"traffic"},
    "jinja2": {"templating"},
    "markdown_it": {"report"},
    "markupsafe": {"templating"},
    "msgspec": {"records"},
    "libvirt": {"hypervisor"},
    "libvirt_qemu": {"hypervisor"},
    "paramiko": {"ssh"},
    "platformdirs": {"paths"},
    "pydantic": {"profile", "bundle"},  # what untrusted senders write
    "pydantic_core": {"profile"},
    "requests": {"engine"},
    "rich": {"cli"},
    "ruamel": {"profile", "stacks"},
    "vagrant": {"vagrant"},
}


TYPES_ONLY = "_typeshed"  # mypy's; the module does not exist when labgen runs


def unit_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """The full names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def test_every_unit_has_a_layer() -> None:
    assert {unit_of(path) for path in FILES} == set().union(*LAYERS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_downward(path: Path) -> None:
    unit = unit_of(path)
    level = next(number for number, layer in enumerate(LAYERS) if unit in layer)
    allowed = {unit}.union(*LAYERS[:level])
    used = {name.split(".")[1] for name in imports(path) if name.startswith("labgen.")}
    assert used <= allowed


def outside(path: Path) -> set[str]:
    """The libraries that a file imports and that are neither Python's nor labgen's."""
    return {name.split(".")[0] for name in imports(path)} - sys.stdlib_module_names - {"labgen", TYPES_ONLY}


def test_each_outside_library_has_its_owners() -> None:
    owners: dict[str, set[str]] = {}
    for path in FILES:
        for library in outside(path):
            owners.setdefault(library, set()).add(unit_of(path))
    assert owners == OWNERS


def test_each_outside_library_is_declared() -> None:
    required = {re.split("[ <>=;]", each)[0] for each in metadata.requires("labgen") or () if "extra ==" not in each}
    brought_by = metadata.packages_distributions()
    used = {brought_by[library][0].lower().replace("_", "-") for path in FILES for library in outside(path)}
    assert used == required


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_prints_and_exits(path: Path) -> None:
    if unit_of(path) in {"cli", "__main__"}:
        return
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert calls & {"print", "sys.exit", "exit", "os._exit"} == set()


# What only machines/opened.py may take for a verb, and the exceptions, each with its reason.
TAKEN_BY_OPENED = {
    "journals.locked": set[str](),
    "journals.save": set[str](),
    "freeze.recover": set[str](),
    "clocks.adjust": set[str](),
    "LOCAL.connect": {
        "destroy",  # whether anything of a lab exists, by its name
        "prune",  # what belongs to no lab
        "list_",  # all labs at once
        "uninstall",
    },
    "host.connect": {"doctor"},
}


@pytest.mark.parametrize("taken", TAKEN_BY_OPENED)
def test_verbs_open_labs_in_one_way(taken: str) -> None:
    found = set()
    for path in (PACKAGE / "lab").glob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        if any(f".{ast.unparse(call.func)}".endswith(f".{taken}") for call in calls):
            found.add(path.stem)
    assert found == TAKEN_BY_OPENED[taken]


@pytest.mark.parametrize("path", sorted((PACKAGE / "lab").glob("*.py")), ids=lambda path: path.name)
def test_a_verb_is_short(path: Path) -> None:
    """The parts that it uses are in machines/."""
    assert len(path.read_text().splitlines()) <= 120


@pytest.mark.parametrize(
    ("verb", "slow"),
    [
        ("status", {"paramiko", "pydantic", "docker"}),
        ("stop", {"pydantic", "docker"}),
        ("destroy", {"pydantic", "docker"}),
    ],
)
def test_a_verb_does_not_load_what_it_may_not_need(verb: str, slow: set[str]) -> None:
    """Each takes longer to load than the rest of labgen."""
    code = f"import sys; import labgen.lab.{verb}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(loaded.split()).isdisjoint(slow)
