"""Machines that are up but not healthy: what labgen finds in real ones, and what it repairs."""

import json
import re
import time
from pathlib import Path

import pytest

from tests.vm.conftest import NODES, Ran, eventually, labgen, names, node_output, virsh

# On a busy host, the clocks of emulated machines are wrong until they read the hardware clock, once a minute: tests
# of something else do not check them.
PAUSE = 12  # seconds; more than the clock's tolerance and all that asking may take


def check(lab: str) -> tuple[Ran, set[tuple[str, str]]]:
    """The run, and the node and check of every finding that is not ok."""
    ran = labgen("status", lab, "--check", "--format", "json", check=False)
    health = json.loads(ran.stdout)["health"]
    return ran, {(each["node"], each["check"]) for each in health if each["status"] != "ok"}


def test_a_new_lab_is_well(lab: str) -> None:
    labgen("start", lab)  # sets the clocks
    ran = labgen("status", lab, "--check")
    assert all(len(line) <= 80 for line in ran.stdout.splitlines())
    rows = [line.split() for line in ran.stdout.splitlines()]
    checked = {row[0] for row in rows if row[1:3] == ["reachability", "ok"]}
    assert checked == set(NODES)


def test_a_machine_that_was_paused_from_outside_gets_its_clock_set(lab: str) -> None:
    domain = next(name for name in names("list") if name.endswith(f"_{lab}_worker1"))
    node_output(lab, "worker1", "sudo", "systemctl", "stop", "labgen-clock.timer")
    virsh("suspend", domain)
    time.sleep(PAUSE)
    virsh("resume", domain)
    ran, wrong = check(lab)
    assert ran.status == 50
    assert ("worker1", "clock") in wrong
    started = labgen("start", lab)
    assert "worker1: its clock was" in started.stderr
    assert "nothing to do" not in started.stdout
    assert check(lab)[1] == set()
    assert abs(behind(lab)) < PAUSE / 2
    node_output(lab, "worker1", "sudo", "systemctl", "start", "labgen-clock.timer")


@pytest.mark.slow
def test_a_machine_sets_its_clock_itself_within_a_minute_or_so(lab: str) -> None:
    node_output(lab, "worker1", "sudo", "sh", "-c", "date --set '-1 hour'")
    eventually("the clock is right", lambda: abs(behind(lab)) < PAUSE / 2)


def behind(lab: str) -> float:
    """How far worker1's clock is behind this host's, and how long the query took, in seconds."""
    return time.time() - float(node_output(lab, "worker1", "date", "+%s.%N"))


def test_what_is_wrong_is_found_where_it_is(lab: str) -> None:
    deaf = "sudo iptables -I INPUT -p tcp --dport 7946 -j DROP; sudo systemd-run --quiet --unit broken false"
    well = "sudo iptables -D INPUT -p tcp --dport 7946 -j DROP; sudo systemctl reset-failed broken"
    node_output(lab, "worker2", "sh", "-c", deaf)
    try:
        ran, wrong = check(lab)
    finally:
        node_output(lab, "worker2", "sh", "-c", well)
    assert ran.status == 50
    wrong = {(node, about) for node, about in wrong if about != "clock"}
    assert wrong == {("worker2", "services"), ("worker1", "reachability"), ("manager1", "reachability")}


def test_an_emulated_machine_randomises_addresses_once_it_is_up(lab: str) -> None:
    for node in NODES:
        assert "norandmaps" in node_output(lab, node, "cat", "/proc/cmdline")
        assert node_output(lab, node, "cat", "/proc/sys/kernel/randomize_va_space") == "2"


@pytest.mark.slow
def test_without_the_word_that_it_is_emulated_a_machine_boots_as_debian_does(lab: str, tmp_path: Path) -> None:
    """As under KVM: with the kernel's protections, and Docker confined by AppArmor."""
    domain = next(name for name in names("list") if name.endswith(f"_{lab}_worker2"))
    emulated = virsh("dumpxml", "--inactive", domain)
    assert "labgen-emulated" in emulated
    definition = tmp_path / "domain.xml"

    def boot(xml: str) -> None:
        definition.write_text(xml)
        virsh("define", str(definition))
        virsh("destroy", domain)
        virsh("start", domain)
        enter = ("exec", lab, "--node", "worker2", "--", "true")
        eventually("it lets us in", lambda: labgen(*enter, check=False).status == 0)

    boot(re.sub(r"<system>.*?</system>", "", emulated, flags=re.DOTALL))
    try:
        line = node_output(lab, "worker2", "cat", "/proc/cmdline")
        assert not {"norandmaps", "nokaslr", "mitigations=off", "lsm=yama"} & set(line.split())
        assert node_output(lab, "worker2", "cat", "/sys/module/apparmor/parameters/enabled") == "Y"
        options = node_output(lab, "worker2", "docker", "info", "-f", "{{.SecurityOptions}}")
        assert "name=apparmor" in options
    finally:
        boot(emulated)
        labgen("start", lab)
