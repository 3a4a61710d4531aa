"""What other programs get of the user's environment: what is listed here, and nothing else.

A variable that means something to Vagrant, ssh, QEMU, tar or libvirt (VAGRANT_CWD, LIBVIRT_DEFAULT_URI, TAR_OPTIONS,
SOURCE_DATE_EPOCH, ...) would change a lab, and nobody would see why.
"""

import os
import tempfile
from collections.abc import Collection

# Who and where the user is, and what the terminal can do.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ")
# What leads out of a network without a direct way; both spellings are in use.
PROXIES = tuple(
    spelling for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy") for spelling in (name, name.upper())
)
# What ssh-keygen asks for a passphrase with, or has sign in its place.
KEY_AGENT = ("SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"  # not in every user's PATH on Debian


def hide(prefix: str) -> None:
    """Takes the user's variables that begin so from this process, for a library that reads them by itself."""
    for name in [name for name in os.environ if name.startswith(prefix)]:
        del os.environ[name]


def environment(also: Collection[str] = (), **own: str) -> dict[str, str]:
    """For a program that labgen runs.

    :param also: further variables of the user's that this program needs. :param own: what we tell it ourselves.
    """
    passed_on = {name: os.environ[name] for name in (*PASSED_ON, *also) if name in os.environ}
    return {
        **passed_on,
        "PATH": f"{os.environ.get('PATH') or os.defpath}:{SYSTEM_PROGRAMS}",
        "TMPDIR": tempfile.gettempdir(),  # which Python has tried, whatever TMPDIR says
        "LC_ALL": "C.UTF-8",  # what they print, we read
        **own,
    }
