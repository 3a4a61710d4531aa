"""Warm create on libvirt's test driver: what is kept, what is used, and that no two labs share an identity."""

import struct
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from labgen import paths, ssh
from labgen.domain import Hardware, domain_xml, hardware
from labgen.errors import GuestError, HypervisorError, LabgenError
from labgen.host import LOCAL
from labgen.hypervisor import Hypervisor, Pool
from labgen.lab import prune
from labgen.lab.create import create
from labgen.lab.destroy import destroy
from labgen.machines import agent, savefile, warm
from labgen.model import EMULATED
from labgen.profile import load
from labgen.progress import Silent
from labgen.records import data_home, journals, templates
from tests.unit.host import Host, host
from tests.unit.labs import planned
from tests.unit.test_lab import NODES, NOTHING, Heard, make, traces

__all__ = ["host"]  # a fixture


@pytest.fixture
def base(host: Host) -> None:
    """The box's volume, which Vagrant uploads at the first boot."""
    with LOCAL.connect() as hypervisor:
        hypervisor.pool.ensure()
    host.add_volume("base.img")


def template_volumes(host: Host) -> set[str]:
    return {name for name in host.volumes() if name.startswith(templates.memory_volumes(data_home.owner()))}


@pytest.mark.usefixtures("base")
def test_the_second_lab_begins_where_the_first_was(host: Host) -> None:
    make("first", cold=False)
    assert host.ups == 1
    assert len(template_volumes(host)) == 3
    make("second", cold=False)
    assert host.ups == 1
    lab = journals.load("second").lab
    assert journals.load("second").complete
    assert {node.domain for node in lab.nodes} <= host.domains()
    for node in lab.nodes:
        record = paths.lab("second") / ".vagrant" / "machines" / node.name / "libvirt" / "id"
        assert record.read_text() == host.libvirt.lookupByName(node.domain).UUIDString()


@pytest.mark.usefixtures("base")
def test_every_lab_has_an_identity_of_its_own_and_the_template_has_nobodys(host: Host) -> None:
    for name in ("first", "second", "third"):
        make(name, cold=False)
    for node in NODES:
        identities = host.machine(node).identities
        assert len({each["randomness"] for each in identities}) == len(identities) == 3
        assert len({each["owner"] for each in identities}) == 3
        # The machine that the template was made of is not moved.
        assert [each.get("mac") for each in identities] == [None] + [
            journals.load(name).lab.node(node).mac for name in ("second", "third")
        ]
        known = [(paths.lab(name) / paths.KNOWN_HOSTS).read_text() for name in ("first", "second", "third")]
        assert len(set(known)) == 3


@pytest.mark.usefixtures("base")
def test_a_lab_that_moved_tells_its_nodes_the_addresses(host: Host) -> None:
    make("first", cold=False)
    make("second", cold=False)
    address = journals.load("second").lab.node("worker1").address
    assert any(f"agent: {address[:-1]}1=manager1" in script for script in host.machine("manager1").scripts)


@pytest.mark.usefixtures("base")
def test_cold_neither_uses_nor_keeps(host: Host) -> None:
    make("first", cold=True)
    assert not templates.keys()
    make("second", cold=False)
    make("third", cold=True)
    assert host.ups == 3


@pytest.mark.usefixtures("base")
def test_another_profile_boots(host: Host) -> None:
    make("first", cold=False)
    create(load("single-node", ["storage.driver=btrfs"]), "second", Silent())
    assert host.ups == 2
    assert len(templates.every()) == 2


@pytest.mark.usefixtures("base")
def test_a_template_that_fails_is_removed_and_the_machines_boot(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make("first", cold=False)

    def refuse(_self: Hypervisor, _volume: str) -> None:
        raise HypervisorError("restoring the memory failed", "QEMU does not know this machine")

    with monkeypatch.context() as patched:
        patched.setattr(Hypervisor, "restore_memory", refuse)
        heard = Heard()
        create(load("three-node-btrfs"), "second", heard)
    assert any("restoring the memory failed" in note and "booting instead" in note for note in heard.notes)
    assert host.ups == 2
    assert journals.load("second").complete
    assert len(templates.every()) == 1  # the second one's


@pytest.mark.usefixtures("base")
def test_machines_without_a_new_identity_leave_no_template(host: Host) -> None:
    host.agent_fails = True
    heard = Heard()
    create(load("three-node-btrfs"), "first", heard)
    assert any("could not save a template" in note for note in heard.notes)
    assert journals.load("first").complete
    assert not templates.keys()
    assert not template_volumes(host)


@pytest.mark.usefixtures("base")
def test_a_full_disk_costs_the_template_and_not_the_lab(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Pool, "download", fill)
    heard = Heard()
    create(load("three-node-btrfs"), "first", heard)
    assert any("No space left on device" in note for note in heard.notes)
    assert journals.load("first").complete
    assert not templates.keys()
    assert not template_volumes(host)


@pytest.mark.usefixtures("base")
def test_host_keys_are_forgotten_before_they_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """If labgen is killed while they change, the old ones must not lock users out of the machines."""
    lab, known = planned("first"), paths.lab("first") / paths.KNOWN_HOSTS
    keep = Hypervisor.keep_memory

    def learn_and_keep(self: Hypervisor, name: str, volume: str) -> None:
        ssh.know_hosts(known, {node.address: "ssh-ed25519 former" for node in lab.nodes})
        keep(self, name, volume)

    host.agent_fails = True
    monkeypatch.setattr(Hypervisor, "keep_memory", learn_and_keep)
    make("first", cold=False)
    assert known.read_text() == ""


@pytest.mark.usefixtures("base")
def test_a_template_on_another_base_is_not_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make("first", cold=False)
    monkeypatch.setattr(Pool, "fingerprint", lambda _self, _volume: "changed")
    make("second", cold=False)
    assert host.ups == 2


@pytest.mark.usefixtures("base")
def test_what_is_kept_is_limited_and_the_oldest_goes_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    make("first", cold=False)
    oldest = templates.every()[0]
    monkeypatch.setattr(warm, "LARGEST", oldest.size + 1000)
    create(load("single-node", ["storage.driver=btrfs"]), "second", Silent())
    assert [each.key for each in templates.every()] != [oldest.key]
    assert len(templates.every()) == 1
    assert len(template_volumes(host)) == 1


@pytest.mark.usefixtures("base")
def test_without_room_nothing_is_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "free_bytes", lambda _self: 2**30)
    make("first", cold=False)
    assert not templates.keys()


@pytest.mark.usefixtures("base")
def test_prune_takes_templates_only_when_asked_or_useless(host: Host) -> None:
    make("first", cold=False)
    destroy("first", Silent())
    assert not prune.find().templates
    everything = prune.find(cache=True)
    assert everything.templates == templates.keys()
    assert {"kind": "template", "name": templates.keys()[0]} in everything.rows()
    prune.remove(everything, Silent())
    assert not template_volumes(host)
    assert not list(paths.templates().iterdir())


@pytest.mark.usefixtures("base")
def test_a_machine_that_a_killed_warm_create_left_paused_is_made_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("first", cold=False)
    with monkeypatch.context() as patch:
        patch.setattr(warm, "_renew", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            make("second", cold=False)
    with LOCAL.connect() as hypervisor:
        for node in journals.load("second").lab.nodes:
            hypervisor.pause(node.domain)
    make("second")  # a cold one: nobody waits for the destroyed machines
    assert host.ups == 2
    assert journals.load("second").complete


@pytest.mark.usefixtures("base")
def test_prune_takes_what_a_killed_create_left_of_a_template(host: Host) -> None:
    make("first", cold=False)
    paths.template_record(templates.keys()[0]).unlink()
    found = prune.find()
    assert found.templates == templates.keys()
    prune.remove(found, Silent())
    assert not template_volumes(host)
    destroy("first", Silent())
    host.libvirt.storagePoolLookupByName("labgen").storageVolLookupByName("base.img").delete()
    assert traces(host) == NOTHING


@pytest.mark.usefixtures("base")
def test_prune_leaves_a_template_that_is_being_made(host: Host) -> None:
    make("first", cold=False)
    key = templates.keys()[0]
    paths.template_record(key).unlink()
    with templates.locked(key, Silent()):
        assert not prune.find().templates


def test_a_template_that_somebody_holds_for_ever_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "TURN_LIMIT", 0.1)
    with (
        templates.locked("key", Silent()),
        pytest.raises(LabgenError, match="is using"),
        templates.locked("key", Silent()),
    ):
        pass


def start(xml: str = "", length: int = 1000) -> bytes:
    header = struct.pack("<16s19I", b"LibvirtQemudSave", 2, length, 1, 0, 500, *[0] * 14)
    return header + xml.encode().ljust(length, b"\0")


def test_another_definition_takes_the_place_of_one() -> None:
    changed = savefile.redefined(start("<domain>old</domain>"), "<domain>new</domain>")
    assert len(changed) == savefile.start_length(changed[:92]) == 1092
    assert changed[92:].rstrip(b"\0") == b"<domain>new</domain>"
    assert struct.unpack("<16s19I", changed[:92])[1:] == (2, 1000, *[0] * 17)  # paused, without a cookie


@pytest.mark.parametrize(
    "damaged",
    [b"", start()[:50], b"x" + start()[1:], start(length=2**21), start()[:-1], start(length=10)],
    ids=["empty", "short", "other magic", "huge", "cut", "too small"],
)
def test_what_is_no_memory_of_libvirts_is_refused(damaged: bytes) -> None:
    with pytest.raises(ValueError, match=r"short|form|fit"):
        savefile.redefined(damaged, "<domain>new</domain>")


def test_a_machine_is_built_as_the_one_whose_memory_it_takes() -> None:
    lab = planned()
    slots = {"usb": "1.2", "virtio-serial": "2.0", "vda": "3.0", "vdb": "4.0", "interface": "7.0", "rng": "6.0"}
    built = Hardware("pc-i440fx-7.2", slots)
    assert hardware(domain_xml(lab, lab.nodes[0], LOCAL.libvirt, Path("/lab"), "key", built=built)) == built


def test_a_machine_of_nobodys_memory_sits_as_libvirt_likes() -> None:
    lab = planned()
    tree = ElementTree.fromstring(domain_xml(lab, lab.nodes[0], LOCAL.libvirt, Path("/lab"), "key"))
    assert not tree.findall(".//address[@type='pci']")


def test_only_an_emulated_machine_is_told_to_boot_as_one() -> None:
    for accelerator, family in {"tcg": EMULATED, "kvm": None}.items():
        lab = replace(planned(), accelerator=accelerator)
        tree = ElementTree.fromstring(domain_xml(lab, lab.nodes[0], LOCAL.libvirt, Path("/lab"), "key"))
        assert tree.findtext("sysinfo/system/entry[@name='family']") == family


class Agent:
    """Answers like QEMU's agent; ``exited`` at the second poll."""

    def __init__(self, answers: list[str]) -> None:
        self.answers, self.asked = answers, list[str]()

    def ask_agent(self, _name: str, command: str) -> str:
        self.asked.append(command)
        answer = self.answers.pop(0)
        if not answer:
            raise HypervisorError("no agent")
        return answer


def test_a_script_runs_by_the_agent_and_its_secrets_are_in_no_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "POLL", 0)
    ended = '{"return": {"exited": true, "exitcode": 3, "out-data": "b3V0", "err-data": "ZXJy"}}'
    fake = Agent(["", '{"return": {}}', '{"return": {"pid": 7}}', '{"return": {"exited": false}}', ended])
    result = agent.run(fake, "domain", "echo", ["one"], {"secret": "it's"})  # type: ignore[arg-type]
    assert result == ssh.Result(3, "out", "err")
    assert '"arg": ["-s", "--", "one"]' in fake.asked[2]
    assert "it's" not in fake.asked[2]


def test_a_script_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LIMIT", -1)
    fake = Agent(['{"return": {}}', '{"return": {"pid": 7}}', '{"return": {"exited": false}}'])
    with pytest.raises(GuestError, match="did not end"):
        agent.run(fake, "domain", "sleep 1000")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "answers",
    [
        ["{}"],
        ["no JSON"],
        ['{"return": {}}', '{"return": []}'],
        ['{"return": {}}', '{"return": {"pid": 7}}', '{"return": {}}'],
        ['{"return": {}}', '{"return": {"pid": 7}}', '{"return": {"exited": true, "out-data": "YQ"}}'],
        ['{"return": {}}', '{"return": {"pid": 7}}', '{"return": {"exited": true, "out-data": 5}}'],
    ],
)
def test_an_agent_that_answers_nonsense_is_told(answers: list[str]) -> None:
    with pytest.raises(GuestError, match="unexpected answer"):
        agent.run(Agent(answers), "domain", "echo")  # type: ignore[arg-type]


HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBA"


def test_an_empty_line_among_the_host_keys_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("\n10.0.0.2 ssh-ed25519 other\n  \n")
    ssh.know_hosts(file, {"10.0.0.1": HOST_KEY})
    assert file.read_text().splitlines() == ["10.0.0.2 ssh-ed25519 other", f"10.0.0.1 {HOST_KEY}"]


def test_host_keys_are_replaced_and_others_stay(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text("10.0.0.1 ssh-ed25519 old\n10.0.0.2 ssh-ed25519 other\n")
    ssh.know_hosts(file, {"10.0.0.1": f"{HOST_KEY} comment\n"})
    assert file.read_text().splitlines() == ["10.0.0.2 ssh-ed25519 other", f"10.0.0.1 {HOST_KEY}"]
    ssh.forget_hosts(file, {"10.0.0.2"})
    assert file.read_text().splitlines() == [f"10.0.0.1 {HOST_KEY}"]


@pytest.mark.parametrize("key", ["ssh-ed25519 AAA", "x y", "ssh-rsa " + HOST_KEY.split()[1], "ssh-ed25519", "@"])
def test_what_is_no_host_key_is_not_learned(tmp_path: Path, key: str) -> None:
    with pytest.raises(GuestError, match="an invalid host key"):
        ssh.know_hosts(tmp_path / "known_hosts", {"10.0.0.1": key})
    assert not (tmp_path / "known_hosts").exists()
