"""A topology as text that other programs draw or read: Mermaid, Graphviz' dot, and JSON. Pure."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from labgen.report.text import line
from labgen.report.topology import Machine, Topology

LONGEST = 60  # characters of a name
HARMLESS = set(" .,:/-()_")


def mermaid(shown: Topology) -> str:
    """Source of the escapes: https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters"""
    return "\n".join(["flowchart TB", *_edges(shown, _mermaid_node, "    {} --- {}", "    {} -.-> {}")]) + "\n"


def dot(shown: Topology) -> str:
    """Source of the syntax: https://graphviz.org/doc/info/lang.html"""
    body = _edges(shown, _dot_node, "    {} -- {};", "    {} -- {} [style=dashed];")
    return "\n".join(["graph lab {", "    node [shape=box];", *body, "}"]) + "\n"


def as_json(shown: Topology) -> dict[str, Any]:
    """The stable format for scripts; see docs/report.md."""
    found = asdict(shown)
    found["partial"] = shown.partial or None
    for machine in found["machines"]:
        for field in ("role", "state", "member"):
            machine[field] = machine[field] or None
    return found


Node = Callable[[str, str, bool], str]


def _edges(shown: Topology, node: Node, wire: str, answers: str) -> list[str]:
    """:param node: writes a node: its id, its lines of text, whether it is rounded.

    :param wire: between a machine and the network. :param answers: between a port and what answers there.
    """
    lines = [node("net", f"{shown.lab}\n{shown.subnet}", True)]
    identities: dict[str, str] = {}
    for number, machine in enumerate(shown.machines):
        identities[machine.name] = f"m{number}"
        lines += [node(f"m{number}", _about(machine), False), wire.format("net", f"m{number}")]
    for number, port in enumerate(shown.ports):
        lines.append(node(f"p{number}", f"port {port.port}/{port.protocol}\n{port.service}", True))
        for name, identity in identities.items():
            if _answers(shown, name, port.service, port.mode):
                lines.append(answers.format(f"p{number}", identity))
    return lines


def _answers(shown: Topology, machine: str, service: str, mode: str) -> bool:
    found = next(each for each in shown.machines if each.name == machine)
    runs = any(task.rpartition(".")[0] == service for task in found.tasks)
    return bool(found.role) if mode == "ingress" else runs


def _about(machine: Machine) -> str:
    role = f"{machine.role or machine.kind}{', leader' if machine.leader else ''}"
    state = ", ".join(filter(None, (machine.state, machine.member)))
    return "\n".join(filter(None, (f"{machine.name} ({role})", machine.address, state, *machine.tasks)))


def _mermaid_node(identity: str, text: str, rounded: bool) -> str:
    said = "<br/>".join(_mermaid_text(line(each, LONGEST)) for each in text.split("\n"))
    return f'    {identity}(["{said}"])' if rounded else f'    {identity}["{said}"]'


def _mermaid_text(text: str) -> str:
    """All but letters, digits and harmless signs as entity codes: no text ends its node, or is a link or markup."""
    return "".join(each if each.isalnum() or each in HARMLESS else f"#{ord(each)};" for each in text)


def _dot_node(identity: str, text: str, rounded: bool) -> str:
    quoted = [line(each, LONGEST).replace("\\", "\\\\").replace('"', '\\"') for each in text.split("\n")]
    label, style = "\\n".join(quoted), ", style=rounded" if rounded else ""
    return f'    {identity} [label="{label}"{style}];'
