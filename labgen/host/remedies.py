"""Commands that repair this host: with or without systemd, from a checkout or a wheel."""

import re
import shlex
from pathlib import Path

from labgen import paths

_SYSTEMD = Path("/run/systemd/system")
_DAEMONS = paths.CHECKOUT / "scripts/host/daemons"


def install(*packages: str) -> str:
    return "sudo apt-get install --no-install-recommends " + " ".join(packages)


def start_libvirt() -> str:
    if _DAEMONS.exists():
        return f"{_DAEMONS} start"
    return "sudo systemctl enable --now libvirtd" if _SYSTEMD.exists() else "sudo virtlogd -d; sudo libvirtd -d"


def restart_libvirt() -> str:
    if _SYSTEMD.exists():
        return "sudo systemctl restart libvirtd"
    if _DAEMONS.exists():
        return f"{_DAEMONS} stop; {_DAEMONS} start"
    return 'sudo kill "$(cat /run/libvirtd.pid)"; sudo libvirtd -d'


def reach_libvirt(refusal: str) -> str:
    """:param refusal: libvirt's error when it could not be reached."""
    if "ermission denied" in refusal or "authentication" in refusal:
        return "sudo usermod -aG libvirt $USER, then log in again"
    return start_libvirt()


def start_machine(refusal: str, domain: str) -> str:
    """:param refusal: libvirt's or QEMU's error when a machine did not start."""
    closed = re.search(r"'?(/[^' :]+)'?.*ermission denied", refusal)
    if closed:
        return f"Give QEMU's user access to every directory on the path: namei -l {shlex.quote(closed[1])}"
    if "annot allocate memory" in refusal:
        return "Free some memory: labgen stop, for labs that you do not use now"
    return f"sudo tail /var/log/libvirt/qemu/{domain}.log"


def move_kvm_aside() -> str:
    """The command that hides a /dev/kvm that cannot run a guest from libvirt."""
    return start_libvirt() if _DAEMONS.exists() else "sudo mv /dev/kvm /dev/kvm.unusable; " + restart_libvirt()
