"""Every file name labgen uses on a host, each with what it holds.

``LABGEN_HOME`` moves all of it below one directory; otherwise the XDG directories are used.
"""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from labgen.errors import HostError

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parent


def _asset(name: str) -> Path:
    """A file or directory of the top level, which labgen/assets links to; a wheel has it in labgen/assets itself."""
    return (PACKAGE / "assets" / name).resolve()


def vagrantfile_template() -> Path:
    return _asset("Vagrantfile.j2")


def shipped_profiles() -> Path:
    return _asset("profiles")


def box_recipes() -> Path:
    return _asset("boxes")


def guest_scripts() -> Path:
    return _asset("guest")


def handoff_script(name: str) -> Path:
    """A part of what brings up an exported lab without labgen."""
    return _asset("handoff") / name


# What cannot be in the path of a home, because others read it in their way: OpenSSH puts a variable in the place of
# ${NAME} and Ansible evaluates what is in the braces of Jinja, neither to be prevented; Vagrant takes the path of a
# box for a URL that it quotes only half, and a backslash for a slash; apt takes no double quote.
_IMPOSSIBLE = ("${", "{{", "{%", "{#", "?", "[", "]", "\\", '"')


def labgen_home() -> Path | None:
    """The one directory that everything lies below, if there is one."""
    home = os.environ.get("LABGEN_HOME")
    return _resolved(home, "LABGEN_HOME") if home else None


def _own(directory: Callable[[], str], variable: str) -> Path:
    """One of the user's own directories: never one that depends on where labgen is run.

    :raises HostError: it is not known where that is.
    """
    try:
        found = directory()
        if not Path(found).is_absolute():
            raise RuntimeError(f"{found} is not an absolute path")
    except RuntimeError as error:
        raise HostError(
            "there is no home directory for labs and boxes",
            str(error),
            f"Set HOME (or {variable}) to an absolute path, "
            "or LABGEN_HOME to a directory for everything that labgen stores.",
        ) from error
    return _resolved(found, variable)


def _resolved(directory: str, variable: str) -> Path:
    """The one name that a directory has, by whatever links it was reached: libvirt and Vagrant keep it.

    :raises HostError: it cannot be told, or libvirt's XML cannot hold it.
    """
    try:
        path = Path(directory).expanduser().resolve()
        str(path).encode()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a current directory that is gone, ...
        raise HostError(
            f"{directory!r} is not a directory that labgen can use",
            str(error),
            f"Set {variable} to an absolute path in UTF-8.",
        ) from error
    return path


def _usable(home: Path) -> Path:
    """:raises HostError: not everybody who has to could be told where it is."""
    path = str(home)
    found = [each for each in _IMPOSSIBLE if each in path]
    found += [ascii(each)[1:-1] for each in path if not each.isprintable()]
    if found:
        evidence = f"{path}: Vagrant, OpenSSH, Ansible or apt cannot handle a path with {' or '.join(found)}"
        raise HostError("labgen cannot use this directory", evidence, "Set LABGEN_HOME to a different directory.")
    return home


def data_home() -> Path:
    """Labs and the registry: what a user would miss. :raises HostError: its path is impossible."""
    home = labgen_home()
    return _usable(home / "data" if home else _own(lambda: platformdirs.user_data_dir("labgen"), "XDG_DATA_HOME"))


def cache_home() -> Path:
    """Boxes: what labgen can make again. :raises HostError: its path is impossible."""
    home = labgen_home()
    return _usable(home / "cache" if home else _own(lambda: platformdirs.user_cache_dir("labgen"), "XDG_CACHE_HOME"))


def vagrant_home() -> Path:
    """Vagrant's own store of boxes and its machine index.

    The user's own by default, so that plain ``vagrant`` works in a lab's directory.
    """
    if given := os.environ.get("VAGRANT_HOME"):
        return _resolved(given, "VAGRANT_HOME")
    if home := labgen_home():
        return home / "vagrant"
    return _own(lambda: str(Path.home() / ".vagrant.d"), "VAGRANT_HOME")


def fault() -> Path:
    """What there is to report of the last fault of labgen's own; its owner's alone."""
    return cache_home() / "fault.txt"


def vagrant_view() -> Path:
    """Vagrant's store as labgen's calls see it: links to what is in :func:`vagrant_home`, and no Vagrantfile."""
    return cache_home() / "vagrant-home"


def identity() -> Path:
    """The data home's id (JSON), which all its labs' names in libvirt begin with."""
    return data_home() / "identity.json"


def labs() -> Path:
    return data_home() / "labs"


def lab(name: str) -> Path:
    """One lab's directory: an ordinary Vagrant project."""
    return labs() / name


def checkpoints(lab_name: str) -> Path:
    """The records of a lab's checkpoints (JSON), one a file."""
    return lab(lab_name) / "checkpoints"


def checkpoint(lab_name: str, label: str) -> Path:
    return checkpoints(lab_name) / f"{label}.json"


def events(lab_name: str) -> Path:
    """What commands have done with a lab (JSON, one event a line)."""
    return lab(lab_name) / LOGS / "events.jsonl"


def former_events(lab_name: str) -> Path:
    """The same, of before that file was begun."""
    return events(lab_name).with_suffix(".jsonl.1")


def outgoing(lab_name: str) -> Path:
    """Where a lab's export is being made."""
    return lab(lab_name) / "outgoing"


def incoming(lab_name: str) -> Path:
    """Where the bundle that a lab is made of is unpacked."""
    return lab(lab_name) / "incoming"


def registry() -> Path:
    """Which lab has which subnet (JSON), guarded by :func:`registry_lock`."""
    return data_home() / "registry.json"


def registry_lock() -> Path:
    return data_home() / "registry.lock"


def trial(mark: str) -> Path:
    """The directory of doctor's machine, with its key: there for a moment, or left by a doctor that was killed."""
    return data_home() / f".doctor-{mark}"


def locks() -> Path:
    """The files by which labgens wait for each other; the kernel holds the locks themselves."""
    return data_home() / "locks"


def lab_lock(name: str) -> Path:
    """Held by whoever changes the lab; outside its directory, which destroy removes."""
    return locks() / f"{name}.lock"


def boxes() -> Path:
    """Built boxes: NAME/VERSION/{box.img,lock.json,...} and NAME/catalog.json."""
    return cache_home() / "boxes"


def box_log(name: str) -> Path:
    """What mmdebstrap said when that box was last built, or was to be."""
    return boxes() / f"{name}.log"


def build_lock() -> Path:
    """Held while a box is being built, or all of them are removed."""
    return boxes() / ".build.lock"


def accelerator() -> Path:
    """Whether KVM works (JSON), as it was tried since the host was booted."""
    return cache_home() / "accelerator.json"


def templates() -> Path:
    """Labs as they were before their clusters, to begin the next ones with: KEY/{template.json,NODE.root,...}."""
    return cache_home() / "templates"


def template(key: str) -> Path:
    return templates() / key


def template_record(key: str) -> Path:
    """What it was made of and by which data home (JSON); without it the rest is a remainder."""
    return template(key) / "template.json"


def template_lock(key: str) -> Path:
    """Held by whoever makes, uses or removes a template."""
    return templates() / f"{key}.lock"


def vagrant_lock() -> Path:
    """Held while Vagrant boots machines: its libvirt plugin guards its uploads only within one process."""
    return locks() / ".vagrant.lock"


def base_lock(sha256: str) -> Path:
    """Held while an import stores that box, until a disk lies on it."""
    return locks() / f".base-{sha256}.lock"


VAGRANTS_SLASH = "-VAGRANTSLASH-"  # what Vagrant writes for the one in a box's name
# In the pool: boxes as Vagrant uploads them, and those that came in a bundle, called after their digest.
BOX_VOLUMES = f"labgen{VAGRANTS_SLASH}"
RECEIVED_BOXES = "labgen-base_"
PROBE = "labgen-probe"  # the volume that doctor makes, and removes; in 0.1.0 a network, too

# Names inside a lab's directory.
VAGRANTFILE = "Vagrantfile"
NETWORK_XML = "network.xml"  # the libvirt network, as defined
GUEST_DIR = "guest"  # the scripts that run in the machines
INVENTORY = "inventory.ini"  # Ansible
SSH_CONFIG = "ssh_config"  # for plain ssh -F
STATE = "lab.json"  # the journal of what exists
PROFILE = "profile.yaml"  # the profile as resolved
LOGS = "logs"  # vagrant.log, NODE.console.log, NODE.provision.log, events.jsonl
KEY = "id_ed25519"  # the lab's own private key
KNOWN_HOSTS = "known_hosts"  # the machines' host keys, learned at the first contact
