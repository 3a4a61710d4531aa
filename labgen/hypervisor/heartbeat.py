"""A libvirt that hangs: an open connection notices, and a call on it fails instead of waiting for ever."""

import contextlib
import threading

import libvirt

# libvirtd's main loop answers at once, whatever its workers do; a minute is for hosts that can hardly breathe.
INTERVAL = 5  # seconds of silence after which the daemon is asked whether it is there
COUNT = 12  # questions without an answer, after which the connection is given up

_starting = threading.Lock()
_loop: list[threading.Thread] = []


def prepare() -> None:
    """Runs libvirt's event loop, which asks; has to come before a connection is opened."""
    with _starting:
        if not _loop:
            libvirt.virEventRegisterDefaultImpl()
            _loop.append(threading.Thread(target=_run, daemon=True, name="libvirt"))
            _loop[0].start()


def watch(connection: libvirt.virConnect) -> None:
    """From now on the connection is given up when its daemon does not answer."""
    with contextlib.suppress(libvirt.libvirtError):  # of a driver that has no daemon
        connection.setKeepAlive(INTERVAL, COUNT)


def _run() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
