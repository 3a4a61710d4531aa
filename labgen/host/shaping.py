"""Delay, loss and limits on this host's interfaces, which its kernel applies. The only caller of tc(8).

What tc sets at the root of an interface applies to packets that leave the host through it: a machine's interface
delays what the machine receives.
"""

import json
import math
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from labgen import surroundings
from labgen.errors import HostError
from labgen.host import remedies
from labgen.impairment import Impairment

LIMIT = 10  # seconds; tc only asks the kernel
QUEUE = 0.4  # seconds that a packet waits for its turn before it is dropped, as in common routers
FULL_SIZE = 1500  # bytes of a packet
FASTEST = 1_000_000_000  # bit/s that a delayed interface without a limit has room for
SMALLEST_BURST = 16_384  # bytes
# What tc says if the kernel has no such queueing discipline, and no module with it; in old kernels the second.
UNKNOWN = ("qdisc kind is unknown", "No such file or directory")


def impairments() -> dict[str, Impairment]:
    """What tc does to packets that leave through each interface, for interfaces where that is something.

    :raises HostError: tc cannot tell.
    """
    result = _run(["tc", "-json", "qdisc", "show"])
    try:
        found: list[dict[str, Any]] = json.loads(result or "[]")
    except ValueError as error:
        raise HostError("tc cannot be understood", f"tc -json qdisc show: {error}", "Run: labgen doctor") from error
    each = {qdisc["dev"]: _read(qdisc) for qdisc in found if qdisc.get("root")}
    return {interface: impairment for interface, impairment in each.items() if impairment != Impairment()}


def impair(interface: str, wanted: Impairment) -> None:
    """Replaces what happens to packets that leave through an interface; if that fails, it is as before.

    :raises HostError: the kernel lacks a part, or this user may not change interfaces.
    """
    present = impairments().get(interface, Impairment())
    # netem keeps a rate that a change does not mention.
    if present.rate > wanted.rate == 0 or present != wanted == Impairment():
        _change("del", interface, [])
    if wanted != Impairment():
        _change("replace", interface, _discipline(wanted))


def _discipline(wanted: Impairment) -> list[str]:
    """The queueing discipline in tc's words. netem has a limit of its own: its rate, and its length in packets."""
    bits = f"{wanted.rate}bit"
    if not wanted.delays_or_loses:
        burst = max(SMALLEST_BURST, wanted.rate // 8 // 100)
        return ["tbf", "rate", bits, "burst", str(burst), "latency", f"{round(QUEUE * 1000)}ms"]
    seconds = wanted.delay / 1e6 + QUEUE
    packets = math.ceil(seconds * (wanted.rate or FASTEST) / 8 / FULL_SIZE) + 1
    delay = ["delay", f"{wanted.delay}us"] if wanted.delay else []
    loss = ["loss", f"{wanted.loss:g}%"] if wanted.loss else []
    return ["netem", "limit", str(packets), *delay, *loss, *(["rate", bits] if wanted.rate else [])]


def _change(verb: str, interface: str, discipline: list[str]) -> None:
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n", "--"]
    _run([*as_root, "tc", "qdisc", verb, "dev", interface, "root", *discipline])


def _run(command: list[str]) -> str:
    shown = " ".join(command)
    try:
        result = subprocess.run(
            command,
            env=surroundings.environment(),
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=LIMIT,
            check=False,
        )
    except FileNotFoundError as error:
        package = "sudo" if command[0] == "sudo" else "iproute2"
        raise HostError(f"{command[0]} is missing", shown, remedies.install(package)) from error
    except subprocess.TimeoutExpired as error:
        raise HostError("tc does not answer", f"{shown}: not within {LIMIT} s") from error
    if result.returncode:
        raise _refused(command, result.stderr.strip())
    return result.stdout


def _refused(command: list[str], words: str) -> HostError:
    evidence = f"{' '.join(command)}:\n{words}"
    kind = next((each for each in ("netem", "tbf") if each in command), "")
    if kind and any(unknown in words for unknown in UNKNOWN):
        does = "delay or lose packets" if kind == "netem" else "limit the rate of packets"
        return HostError(
            f"this host's kernel cannot {does}: it has no {kind}",
            evidence,
            f"Load the module: sudo modprobe sch_{kind}\nIf there is none, install your distribution's kernel with "
            "all modules (Fedora: kernel-modules-extra), and boot it.",
        )
    if words.startswith("sudo:"):
        return HostError(
            "only root can change what an interface does to packets",
            evidence,
            "Run 'sudo -v', then the same command again.",
        )
    return HostError("tc refused to change an interface", evidence, "Run: labgen doctor")


def _read(qdisc: Mapping[str, Any]) -> Impairment:
    """Rates are in bytes per second here, delays in seconds, and losses between 0 and 1."""
    options: Mapping[str, Any] = qdisc.get("options", {})
    if qdisc["kind"] == "tbf":
        return Impairment(rate=round(options.get("rate", 0) * 8))
    if qdisc["kind"] != "netem":
        return Impairment()
    delay, loss, rate = (_first(options, *each) for each in (("delay",), ("loss-random", "loss"), ("rate",)))
    return Impairment(round(delay * 1e6), round(loss * 100, 4), round(rate * 8))


def _first(options: Mapping[str, Any], name: str, inner: str = "") -> float:
    found = options.get(name, {})
    return float(found.get(inner or name, 0)) if isinstance(found, Mapping) else 0
