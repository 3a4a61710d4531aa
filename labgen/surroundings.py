"""The environment of the programs that labgen runs: the user's variables listed here, and no others.

A variable with a meaning to Vagrant, ssh, QEMU, tar or libvirt (VAGRANT_CWD, LIBVIRT_DEFAULT_URI, TAR_OPTIONS,
SOURCE_DATE_EPOCH, ...) would change a lab for no visible reason.
"""

import os
import tempfile
from collections.abc import Collection

# The user's identity and home, and the terminal's capabilities.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TZ")
# Needed in networks without direct access to the internet; both spellings are in use.
PROXIES = tuple(
    spelling for name in ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy") for spelling in (name, name.upper())
)
# Used by ssh-keygen to ask for a passphrase, or to have an agent sign.
KEY_AGENT = ("SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY")
SYSTEM_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"  # not in every user's PATH on Debian


def hide(prefix: str) -> None:
    """Removes the user's variables with this prefix from this process, because a library would read them."""
    for name in [name for name in os.environ if name.startswith(prefix)]:
        del os.environ[name]


def environment(also: Collection[str] = (), **own: str) -> dict[str, str]:
    """The environment for a program that labgen runs.

    :param also: further user variables that this program needs. :param own: variables that labgen sets.
    """
    passed_on = {name: os.environ[name] for name in (*PASSED_ON, *also) if name in os.environ}
    return {
        **passed_on,
        "PATH": f"{os.environ.get('PATH') or os.defpath}:{SYSTEM_PROGRAMS}",
        "TMPDIR": tempfile.gettempdir(),  # tested by Python, whatever TMPDIR is set to
        "LC_ALL": "C.UTF-8",  # labgen parses their output
        **own,
    }
