"""Detects a libvirt that hangs: an open connection notices, and a call on it fails instead of waiting forever."""

import contextlib
import threading

import libvirt

# libvirtd's main loop answers at once, whatever its workers do; a minute allows for heavily overloaded hosts.
INTERVAL = 5  # seconds of silence after which the daemon is asked whether it is alive
COUNT = 12  # unanswered requests after which the connection is closed

_starting = threading.Lock()
_loop: list[threading.Thread] = []


def prepare() -> None:
    """Runs libvirt's event loop, which sends the requests; must be called before a connection is opened."""
    with _starting:
        if not _loop:
            libvirt.virEventRegisterDefaultImpl()
            _loop.append(threading.Thread(target=_run, daemon=True, name="libvirt"))
            _loop[0].start()


def watch(connection: libvirt.virConnect) -> None:
    """From now on the connection is closed if its daemon does not answer."""
    with contextlib.suppress(libvirt.libvirtError):  # from a driver without a daemon
        connection.setKeepAlive(INTERVAL, COUNT)


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
