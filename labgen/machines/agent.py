"""QEMU's guest agent in a machine: runs scripts as root where no login is possible, and without a network.

The commands are those of QEMU's docs/interop/qemu-ga-ref.
"""

import base64
import json
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from labgen.errors import GuestError, HypervisorError
from labgen.hypervisor import Hypervisor
from labgen.ssh import Result

ANSWER_LIMIT = 60  # seconds until the agent answers
LIMIT = 120  # seconds for a script
POLL = 0.5  # seconds; each poll costs an emulated machine some work


def run(
    hypervisor: Hypervisor,
    domain: str,
    script: str,
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Result:
    """Runs a shell script as root in a machine.

    :param variables: set before the script begins; unlike the arguments, they never appear in a process list.
    :raises GuestError: it does not end, or the agent's answer is invalid. :raises HypervisorError: there is no agent.
    """
    try:
        return _run(hypervisor, domain, script, arguments, variables or {})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise GuestError(f"{domain}: unexpected answer from its guest agent", str(error)) from error


def _run(
    hypervisor: Hypervisor, domain: str, script: str, arguments: Sequence[str], variables: Mapping[str, str]
) -> Result:
    assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    text = base64.b64encode((assignments + script).encode()).decode()
    _wait_until_there(hypervisor, domain)
    process = _ask(
        hypervisor,
        domain,
        "guest-exec",
        {"path": "/bin/sh", "arg": ["-s", "--", *arguments], "input-data": text, "capture-output": True},
    )["pid"]
    deadline = time.monotonic() + LIMIT
    while not (status := _ask(hypervisor, domain, "guest-exec-status", {"pid": process}))["exited"]:
        if time.monotonic() > deadline:
            raise GuestError(f"{domain}: a script did not end within {LIMIT} s")
        time.sleep(POLL)
    return Result(status.get("exitcode", -1), _text(status, "out-data"), _text(status, "err-data"))


def _wait_until_there(hypervisor: Hypervisor, domain: str) -> None:
    deadline = time.monotonic() + ANSWER_LIMIT
    while True:
        try:
            _ask(hypervisor, domain, "guest-ping", {})
            return
        except HypervisorError:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL)


def _ask(hypervisor: Hypervisor, domain: str, command: str, arguments: Mapping[str, Any]) -> Any:
    question = {"execute": command} | ({"arguments": arguments} if arguments else {})
    return json.loads(hypervisor.ask_agent(domain, json.dumps(question)))["return"]


def _text(status: Mapping[str, Any], stream: str) -> str:
    return base64.b64decode(status.get(stream, "")).decode(errors="replace")
