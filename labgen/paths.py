"""Every file name that labgen uses on a host, with its contents.

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
    """A top-level file or directory. labgen/assets links to it; in a wheel it is in labgen/assets itself."""
    return (PACKAGE / "assets" / name).resolve()


def vagrantfile_template() -> Path:
    return _asset("Vagrantfile.j2")


def shipped_profiles() -> Path:
    return _asset("profiles")


def box_recipes() -> Path:
    return _asset("boxes")


def image_recipes() -> Path:
    return _asset("images")


def shipped_stacks() -> Path:
    return _asset("stacks")


def guest_scripts() -> Path:
    return _asset("guest")


def report_assets() -> Path:
    """Templates, styles and scripts of reports."""
    return _asset("report")


def handoff_script(name: str) -> Path:
    """A part of the script that brings up an exported lab without labgen."""
    return _asset("handoff") / name


def balancer_template(program: str) -> Path:
    """The template of a load balancer's configuration; beside its module."""
    return PACKAGE / "balancers" / f"{program}.j2"


# Not allowed in the path of a home, because other programs interpret it: OpenSSH expands ${NAME} and Ansible
# evaluates Jinja's braces, and neither can be prevented; Vagrant treats a box's path as a URL that it quotes
# incompletely, and a backslash as a slash; apt does not accept a double quote.
_IMPOSSIBLE = ("${", "{{", "{%", "{#", "?", "[", "]", "\\", '"')


def labgen_home() -> Path | None:
    """The one directory that everything is below, if there is one."""
    home = os.environ.get("LABGEN_HOME")
    return _resolved(home, "LABGEN_HOME") if home else None


def _own(directory: Callable[[], str], variable: str) -> Path:
    """One of the user's own directories, which never depends on the directory that labgen is run in.

    :raises HostError: its location is unknown.
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
    """A directory's canonical path, with all links resolved: libvirt and Vagrant store it.

    :raises HostError: it cannot be determined, or libvirt's XML cannot contain it.
    """
    try:
        path = Path(directory).expanduser().resolve()
        str(path).encode()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a current directory that was removed, ...
        raise HostError(
            f"{directory!r} is not a directory that labgen can use",
            str(error),
            f"Set {variable} to an absolute path in UTF-8.",
        ) from error
    return path


def _usable(home: Path) -> Path:
    """:raises HostError: not every program that needs its path can handle it."""
    path = str(home)
    found = [each for each in _IMPOSSIBLE if each in path]
    found += [ascii(each)[1:-1] for each in path if not each.isprintable()]
    if found:
        evidence = f"{path}: Vagrant, OpenSSH, Ansible or apt cannot handle a path with {' or '.join(found)}"
        raise HostError("labgen cannot use this directory", evidence, "Set LABGEN_HOME to a different directory.")
    return home


def data_home() -> Path:
    """Labs and the registry: data that cannot be recreated. :raises HostError: its path cannot be used."""
    home = labgen_home()
    return _usable(home / "data" if home else _own(lambda: platformdirs.user_data_dir("labgen"), "XDG_DATA_HOME"))


def cache_home() -> Path:
    """Boxes: data that labgen can recreate. :raises HostError: its path cannot be used."""
    home = labgen_home()
    return _usable(home / "cache" if home else _own(lambda: platformdirs.user_cache_dir("labgen"), "XDG_CACHE_HOME"))


def vagrant_home() -> Path:
    """Vagrant's own store of boxes and its machine index.

    By default it is the user's, so that plain ``vagrant`` works in a lab's directory.
    """
    if given := os.environ.get("VAGRANT_HOME"):
        return _resolved(given, "VAGRANT_HOME")
    if home := labgen_home():
        return home / "vagrant"
    return _own(lambda: str(Path.home() / ".vagrant.d"), "VAGRANT_HOME")


def fault() -> Path:
    """The report of the last bug in labgen; only its owner can read it."""
    return cache_home() / "fault.txt"


def vagrant_view() -> Path:
    """Vagrant's store as labgen's calls see it: links to the contents of :func:`vagrant_home`, but no Vagrantfile."""
    return cache_home() / "vagrant-home"


def identity() -> Path:
    """The data home's id (JSON), with which the names of all its labs in libvirt begin."""
    return data_home() / "identity.json"


def labs() -> Path:
    return data_home() / "labs"


def lab(name: str) -> Path:
    """One lab's directory: an ordinary Vagrant project."""
    return labs() / name


def checkpoints(lab_name: str) -> Path:
    """The records of a lab's checkpoints (JSON), one file each."""
    return lab(lab_name) / "checkpoints"


def checkpoint(lab_name: str, label: str) -> Path:
    return checkpoints(lab_name) / f"{label}.json"


def events(lab_name: str) -> Path:
    """The history of the commands that changed a lab (JSON, one event per line)."""
    return lab(lab_name) / LOGS / "events.jsonl"


def former_events(lab_name: str) -> Path:
    """The part of the history from before that file was started."""
    return events(lab_name).with_suffix(".jsonl.1")


def changes(lab_name: str) -> Path:
    """What a drill has changed in a lab, and what has to be put back (JSON); exists only meanwhile."""
    return lab(lab_name) / "changes.json"


def results(lab_name: str) -> Path:
    """The records of a lab's drills, deploys and rebalances (JSON), one file each."""
    return lab(lab_name) / RESULTS


def archive() -> Path:
    """What reports need of labs that were destroyed: NAME/MOMENT/{lab.json,results/}."""
    return data_home() / "archive"


def archived(lab_name: str, moment: str) -> Path:
    """One destroyed lab's records. :param moment: when it was destroyed, as ``20261127-201933``."""
    return archive() / lab_name / moment


def balancers(lab_name: str) -> Path:
    """What the lab's load balancers were given (JSON)."""
    return lab(lab_name) / "balancers.json"


def outgoing(lab_name: str) -> Path:
    """Where a lab's export is prepared."""
    return lab(lab_name) / "outgoing"


def incoming(lab_name: str) -> Path:
    """Where the bundle that a lab is created from is unpacked."""
    return lab(lab_name) / "incoming"


def registry() -> Path:
    """The subnets of all labs (JSON), guarded by :func:`registry_lock`."""
    return data_home() / "registry.json"


def registry_lock() -> Path:
    return data_home() / "registry.lock"


def trial(mark: str) -> Path:
    """The directory of doctor's machine, with its key: exists briefly, or was left by a killed doctor."""
    return data_home() / f".doctor-{mark}"


def locks() -> Path:
    """The files with which labgen processes wait for each other; the kernel keeps the locks themselves."""
    return data_home() / "locks"


def lab_lock(name: str) -> Path:
    """Held while a lab is being changed; outside the lab's directory, which destroy removes."""
    return locks() / f"{name}.lock"


def boxes() -> Path:
    """Built boxes: NAME/VERSION/{box.img,lock.json,...} and NAME/catalog.json."""
    return cache_home() / "boxes"


def box_log(name: str) -> Path:
    """mmdebstrap's output from the last attempt to build that box."""
    return boxes() / f"{name}.log"


def build_lock() -> Path:
    """Held while a box is being built, or while all boxes are being removed."""
    return boxes() / ".build.lock"


def images() -> Path:
    """Built container images: NAME/ID/{image.tar,lock.json}."""
    return cache_home() / "images"


def image_log(name: str) -> Path:
    """mmdebstrap's output from the last attempt to build that image."""
    return images() / f"{name}.log"


def image_lock() -> Path:
    """Held while an image is being built."""
    return images() / ".build.lock"


def accelerator() -> Path:
    """Whether KVM works (JSON), as tried since the host was booted."""
    return cache_home() / "accelerator.json"


def templates() -> Path:
    """Labs as they were before their clusters were formed, to start new ones from.

    KEY/{template.json,NODE.root,...}
    """
    return cache_home() / "templates"


def template(key: str) -> Path:
    return templates() / key


def template_record(key: str) -> Path:
    """The template's sources and its data home (JSON); without this file the rest is a leftover."""
    return template(key) / "template.json"


def template_lock(key: str) -> Path:
    """Held while a template is created, used or removed."""
    return templates() / f"{key}.lock"


def vagrant_lock() -> Path:
    """Held while Vagrant boots machines: its libvirt plugin serialises uploads only within one process."""
    return locks() / ".vagrant.lock"


def base_lock(sha256: str) -> Path:
    """Held while an import stores that box, until a disk is based on it."""
    return locks() / f".base-{sha256}.lock"


VAGRANTS_SLASH = "-VAGRANTSLASH-"  # Vagrant's replacement for the slash in a box's name
# In the pool: boxes as Vagrant uploads them, and those from bundles, named after their digest.
BOX_VOLUMES = f"labgen{VAGRANTS_SLASH}"
RECEIVED_BOXES = "labgen-base_"
PROBE = "labgen-probe"  # the volume that doctor creates and removes; in 0.1.0 also a network

# Names inside a lab's directory.
VAGRANTFILE = "Vagrantfile"
NETWORK_XML = "network.xml"  # the libvirt network, as defined
GUEST_DIR = "guest"  # the scripts that run in the machines
INVENTORY = "inventory.ini"  # Ansible
SSH_CONFIG = "ssh_config"  # for plain ssh -F
STATE = "lab.json"  # the journal of what exists
RESULTS = "results"  # the records of drills, deploys and rebalances
PROFILE = "profile.yaml"  # the profile as resolved
LOGS = "logs"  # vagrant.log, NODE.console.log, NODE.provision.log, events.jsonl
KEY = "id_ed25519"  # the lab's own private key
REGISTRY_CA = "registry.crt"  # the certificate of the CA by which the lab's image registry is known
BALANCER_CA = "balancer.crt"  # the certificates of the CAs by which the lab's load balancers are known
KNOWN_HOSTS = "known_hosts"  # the machines' host keys, learned at the first contact
