"""Warm create: a lab begins where another one of the same profile was before its cluster existed.

``keep`` makes the template at the end of a first create; ``awaken`` creates machines from it. Then every machine,
also those that the template was made of, gets a new identity: no machine keeps the template's.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.metadata import version

from labgen import paths, ssh, vagrant
from labgen.domain import Hardware, domain_xml, hardware, root_volume, volumes
from labgen.errors import GuestError, HypervisorError, LabgenError
from labgen.files import read_text
from labgen.hypervisor import Hypervisor
from labgen.machines import agent, boot, freeze, savefile
from labgen.model import Lab, Node
from labgen.parallel import on_each
from labgen.plan import HOSTS
from labgen.progress import Progress
from labgen.records import data_home, templates
from labgen.records.templates import Template

SCHEMA = 2  # part of each key: a template of another schema is never found
LARGEST = 5 * 2**30  # bytes that all templates together may take
IDENTITY = "identity.sh"


def awaken(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> bool:
    """Creates a lab's machines from its template, prepared and running.

    :return: whether there was one; if it failed, it and what was created from it are removed, which is reported.
    """
    key = _key(lab, hypervisor)
    with templates.locked(key, progress):
        template = _usable(key, lab, hypervisor)
        if template is None:
            return False
        progress.step("starting from the template of an earlier create")
        try:
            _awaken(lab, template, hypervisor, progress)
        except (LabgenError, OSError) as error:
            progress.note(f"starting from the template failed: {_reason(error)}; booting instead")
            for node in lab.nodes:
                boot.remove(hypervisor, node.domain)
            remove(key, hypervisor)
            return False
        templates.used(key)
        return True


def keep(lab: Lab, hypervisor: Hypervisor, progress: Progress) -> None:
    """Makes the template for the next create of the same profile, from machines that are prepared, without a cluster.

    The machines are paused for some seconds. A failure is reported, and there is no template then.
    """
    key = _key(lab, hypervisor)
    with templates.locked(key, progress):
        if templates.find(key) or not _has_room(lab, hypervisor):
            return
        progress.step("saving a template for the next create")
        remove(key, hypervisor)  # left by an interrupted create
        try:
            template = _keep(lab, key, hypervisor)
            _renew(lab, lab.nodes, hypervisor, moved=False)
            templates.save(template)
        except (LabgenError, OSError) as error:
            progress.note(f"could not save a template for the next create: {_reason(error)}")
            remove(key, hypervisor)
        except BaseException:
            remove(key, hypervisor)
            raise
    _limit_size(hypervisor, progress)


def remove(key: str, hypervisor: Hypervisor) -> None:
    """Removes a template, or what exists of one. For a caller that holds its lock."""
    templates.remove(key)
    for volume in hypervisor.pool.volumes(templates.memory_volumes_of(key)):
        hypervisor.pool.remove(volume)


def go_on(lab: Lab, memory: Mapping[str, str], hypervisor: Hypervisor) -> None:
    """Resumes machines that are defined and off from memory that other machines left.

    :param memory: the volume with each node's memory, by the node's name; its start is overwritten.
    :raises LabgenError: libvirt or QEMU does not accept it, or a machine cannot be entered; all of them are off then.
    """

    def restore(node: Node) -> None:
        _redefine(memory[node.name], hypervisor.definition(node.domain), hypervisor)
        hypervisor.restore_memory(memory[node.name])

    nodes = [lab.node(name) for name in memory]
    try:
        on_each({node.name: node for node in nodes}, restore)
        freeze.wake(nodes, hypervisor)
        _renew(lab, nodes, hypervisor, moved=True)
    except LabgenError:
        for node in nodes:
            hypervisor.cut_power(node.domain)
        raise


def _awaken(lab: Lab, template: Template, hypervisor: Hypervisor, progress: Progress) -> None:
    directory = paths.lab(lab.name)
    public_key = ssh.public_key(directory / paths.KEY)
    uuids = {}
    for node in lab.nodes:
        for disk, volume in volumes(node).items():
            hypervisor.pool.upload(templates.disk(template.key, node.name, disk), volume, lambda _: None)
        built = Hardware(template.machine, template.slots[node.name])
        xml = domain_xml(lab, node, hypervisor.libvirt, directory, public_key, built=built)
        uuids[node.name] = hypervisor.define(xml)
    go_on(lab, {node.name: templates.memory_volume(template.key, node.name) for node in lab.nodes}, hypervisor)
    # Until now, a killed labgen process leaves machines that the next one removes.
    for name, uuid in uuids.items():
        vagrant.know_machine(directory, name, uuid)


def _redefine(volume: str, xml: str, hypervisor: Hypervisor) -> None:
    try:
        length = savefile.start_length(hypervisor.pool.read_start(volume, savefile.HEADER.size))
        hypervisor.pool.write_start(volume, savefile.redefined(hypervisor.pool.read_start(volume, length), xml))
    except ValueError as error:
        raise HypervisorError(f"the memory in {volume} cannot be used", str(error)) from error


def _renew(lab: Lab, nodes: Sequence[Node], hypervisor: Hypervisor, *, moved: bool) -> None:
    """Gives machines a new identity, and records the host keys that they show from now on.

    :param moved: they were resumed in another place.
    """
    directory = paths.lab(lab.name)
    owner = ssh.public_key(directory / paths.KEY)
    identity = (paths.guest_scripts() / IDENTITY).read_text()
    hosts = read_text(directory / paths.GUEST_DIR / HOSTS)

    def renew(node: Node) -> str:
        variables = {"randomness": secrets.token_hex(64), "owner": owner}
        if not moved:
            return _run(hypervisor, node, identity, variables)
        variables |= {"mac": node.mac, "address": node.address}
        (names,) = (step.arguments for step in node.steps if step.script == HOSTS)
        return _run(hypervisor, node, hosts + identity, variables, names)

    known = directory / paths.KNOWN_HOSTS
    ssh.forget_hosts(known, {node.address for node in nodes})  # first: a kill after this must not leave the old keys
    keys = on_each({node.name: node for node in nodes}, renew)
    ssh.know_hosts(known, {lab.node(name).address: key for name, key in keys.items()})


def _run(
    hypervisor: Hypervisor,
    node: Node,
    script: str,
    variables: Mapping[str, str],
    arguments: Sequence[str] = (),
) -> str:
    result = agent.run(hypervisor, node.domain, script, arguments, variables)
    if result.status:
        raise GuestError(f"{node.name} could not be given its own identity", result.tail)
    return result.stdout


def _keep(lab: Lab, key: str, hypervisor: Hypervisor) -> Template:
    paths.template(key).mkdir(mode=0o700)
    nodes = {node.name: node for node in lab.nodes}
    with freeze.standing_still(list(lab.nodes), hypervisor):
        on_each(nodes, lambda node: hypervisor.keep_memory(node.domain, templates.memory_volume(key, node.name)))
        for node in lab.nodes:
            for disk, volume in volumes(node).items():
                hypervisor.pool.download(volume, templates.disk(key, node.name, disk), lambda _: None)
    base = hypervisor.pool.backing(root_volume(lab.nodes[0]))
    built = {node.name: hardware(hypervisor.definition(node.domain)) for node in lab.nodes}
    memory = hypervisor.pool.sizes(templates.memory_volumes_of(key))
    disks = [path.stat().st_size for path in paths.template(key).iterdir()]
    return Template(
        key=key,
        owner=data_home.owner(),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        box=(lab.box.name, lab.box.version),
        base=(base, hypervisor.pool.fingerprint(base)),
        machine=built[lab.nodes[0].name].machine,
        slots={name: each.slots for name, each in built.items()},
        size=sum(memory.values()) + sum(disks),
    )


def _reason(error: LabgenError | OSError) -> str:
    if isinstance(error, OSError):
        return str(error)
    return ": ".join([error.brief, *error.details.splitlines()[:2]])


def _usable(key: str, lab: Lab, hypervisor: Hypervisor) -> Template | None:
    """The template, if it is complete and its base is the one it was made on."""
    template = templates.find(key)
    if template is None:
        return None
    volumes = hypervisor.pool.volumes("")
    base, fingerprint = template.base
    wanted = {base, *(templates.memory_volume(key, node.name) for node in lab.nodes)}
    if wanted <= set(volumes) and hypervisor.pool.fingerprint(base) == fingerprint:
        return template
    remove(key, hypervisor)
    return None


def _key(lab: Lab, hypervisor: Hypervisor) -> str:
    """Identifies labs whose machines are interchangeable: covers everything but names, addresses and keys."""
    directory = paths.lab(lab.name)
    scripts = sorted({step.script for node in lab.nodes for step in node.steps} - {HOSTS})
    content = [
        SCHEMA,
        version("labgen"),
        read_text(directory / paths.PROFILE),
        lab.box.name,
        lab.box.version,
        lab.accelerator,
        hypervisor.version(),
        hypervisor.qemu_version(),
        hypervisor.host_processor(),
        [(name, read_text(directory / paths.GUEST_DIR / name)) for name in scripts],
        [
            (node.name, [(step.script, step.arguments) for step in node.steps if step.script != HOSTS])
            for node in lab.nodes
        ],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _has_room(lab: Lab, hypervisor: Hypervisor) -> bool:
    """Whether the pool has space for all the machines' memory, even if all of it is in use, and stays half empty."""
    memory = sum(node.memory_mib for node in lab.nodes) * 2**20
    return memory * 2 < hypervisor.pool.free_bytes()


def _limit_size(hypervisor: Hypervisor, progress: Progress) -> None:
    """Removes templates, the least recently used first, until the rest is small enough."""
    kept = templates.every()
    while sum(each.size for each in kept) > LARGEST:
        oldest = kept.pop(0)
        with templates.locked(oldest.key, progress):
            remove(oldest.key, hypervisor)
