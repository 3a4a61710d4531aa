"""What is set and read with tc: a stand-in that knows netem, and the real one in a separate network namespace."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from labgen.errors import HostError
from labgen.host import shaping
from labgen.host.shaping import impair, impairments
from labgen.impairment import Impairment

# As tc 6.1 prints them, and the kernel's own disciplines between them.
SHOWN = [
    {"kind": "noqueue", "handle": "0:", "dev": "lo", "root": True, "refcnt": 2, "options": {}},
    {"kind": "netem", "handle": "8001:", "dev": "vnet0", "root": True, "refcnt": 2, "options": {
        "limit": 43, "delay": {"delay": 0.1, "jitter": 0, "correlation": 0},
        "loss-random": {"loss": 0.05, "correlation": 0}, "rate": {"rate": 125000, "packetoverhead": 0}, "gap": 0}},
    {"kind": "netem", "handle": "8002:", "dev": "vnet1", "root": True, "refcnt": 2, "options": {
        "limit": 8, "loss-random": {"loss": 0.001, "correlation": 0}}},
    {"kind": "tbf", "handle": "8003:", "dev": "vnet2", "root": True, "refcnt": 2, "options": {
        "rate": 62500, "burst": 16384, "lat": 400000}},
    {"kind": "htb", "handle": "1:", "dev": "vnet3", "root": True, "refcnt": 2, "options": {"r2q": 10}},
    {"kind": "netem", "handle": "2:", "dev": "vnet3", "parent": "1:1", "options": {
        "limit": 8, "loss-random": {"loss": 1}}},
    {"kind": "ingress", "handle": "ffff:", "dev": "vnet3", "parent": "ffff:fff1", "options": {}},
]  # fmt: skip
BOTH = Impairment(delay=100_000, loss=5, rate=1_000_000)

NOTED = 'echo "${0##*/} $*" >>"$d/calls"; cat "$d/words" >&2; exit "$(cat "$d/status")"'


class Tc:
    """A directory in PATH with a tc and a sudo that note their arguments."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.shows(SHOWN)
        self._program("tc", f'case $* in *show*) cat "$d/shown";; *) {NOTED};; esac')
        self._program("sudo", NOTED)
        self.answers("", 0)

    def _program(self, name: str, code: str) -> None:
        path = self.directory / name
        path.write_text(f'#!/bin/sh\nd=$(dirname "$0")\n{code}\n')
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    def shows(self, qdiscs: object) -> None:
        (self.directory / "shown").write_text(json.dumps(qdiscs))

    def answers(self, words: str, status: int) -> None:
        (self.directory / "words").write_text(words)
        (self.directory / "status").write_text(str(status))

    def calls(self) -> list[str]:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def tc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tc:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return Tc(tmp_path)


def test_only_what_is_at_the_root_of_an_interface_counts(tc: Tc) -> None:
    assert impairments() == {
        "vnet0": BOTH,
        "vnet1": Impairment(loss=0.1),
        "vnet2": Impairment(rate=500_000),
    }


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Impairment(rate=1_000_000), "tbf rate 1000000bit burst 16384 latency 400ms"),
        (Impairment(rate=1_000_000_000), "tbf rate 1000000000bit burst 1250000 latency 400ms"),
        # room for half a second of full packets at 1 Gbit/s, and at the rate
        (Impairment(delay=100_000), "netem limit 41668 delay 100000us"),
        (BOTH, "netem limit 43 delay 100000us loss 5% rate 1000000bit"),
        (Impairment(loss=0.1), "netem limit 33335 loss 0.1%"),
    ],
)
def test_one_discipline_replaces_the_other(tc: Tc, wanted: Impairment, words: str) -> None:
    impair("vnet9", wanted)
    assert tc.calls() == [f"tc qdisc replace dev vnet9 root {words}"]


def test_only_what_is_there_is_removed(tc: Tc) -> None:
    impair("vnet9", Impairment())
    assert tc.calls() == []
    impair("vnet2", Impairment())
    assert tc.calls() == ["tc qdisc del dev vnet2 root"]


def test_a_rate_that_netem_would_keep_is_removed_first(tc: Tc) -> None:
    impair("vnet0", Impairment(loss=5))
    assert tc.calls() == ["tc qdisc del dev vnet0 root", "tc qdisc replace dev vnet0 root netem limit 33335 loss 5%"]


def test_others_than_root_use_sudo_without_a_question(tc: Tc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    impair("vnet9", Impairment(loss=5))
    assert tc.calls() == ["sudo -n -- tc qdisc replace dev vnet9 root netem limit 33335 loss 5%"]
    tc.answers("sudo: a password is required", 1)
    with pytest.raises(HostError, match="only root can change") as caught:
        impair("vnet9", Impairment(loss=5))
    assert "a password is required" in caught.value.details
    assert "sudo -v" in caught.value.resolution
    assert impairments()["vnet0"] == BOTH  # reading needs no root


@pytest.mark.parametrize(
    "words", ["Error: Specified qdisc kind is unknown.", "RTNETLINK answers: No such file or directory"]
)
def test_a_kernel_without_netem_is_named_with_its_module(tc: Tc, words: str) -> None:
    tc.answers(words, 2)
    with pytest.raises(HostError, match="this host's kernel cannot delay or lose packets: it has no netem") as caught:
        impair("vnet9", BOTH)
    assert caught.value.exit_code == 20
    assert words in caught.value.details
    assert "tc qdisc replace dev vnet9 root netem" in caught.value.details
    assert "sudo modprobe sch_netem" in caught.value.resolution
    with pytest.raises(HostError, match="cannot limit the rate of packets: it has no tbf"):
        impair("vnet9", Impairment(rate=1_000_000))


def test_other_refusals_have_tcs_words(tc: Tc) -> None:
    tc.answers('Cannot find device "vnet9"', 1)
    with pytest.raises(HostError, match="tc refused to change an interface") as caught:
        impair("vnet9", BOTH)
    assert 'Cannot find device "vnet9"' in caught.value.details


def test_a_tc_that_is_missing_or_talks_nonsense(tc: Tc, monkeypatch: pytest.MonkeyPatch) -> None:
    (tc.directory / "shown").write_text("qdisc noqueue")
    with pytest.raises(HostError, match="cannot be understood"):
        impairments()
    (tc.directory / "shown").write_text("")
    assert impairments() == {}
    monkeypatch.setattr(shaping.surroundings, "environment", lambda: {"PATH": "/nowhere"})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError, match="tc is missing") as caught:
        impairments()
    assert "iproute2" in caught.value.resolution


REAL = """
import sys
from labgen.errors import HostError
from labgen.host.shaping import impair, impairments
from labgen.impairment import Impairment
import os
os.geteuid = lambda: 0
rate, delay = Impairment(rate=1_000_000), Impairment(delay=100_000, loss=0.1, rate=500_000)
assert impairments() == {}
impair("lo", rate)
assert impairments() == {"lo": rate}, impairments()
impair("lo", Impairment(rate=2_500_000_000))
assert impairments() == {"lo": Impairment(rate=2_500_000_000)}, impairments()
try:
    impair("lo", delay)
    assert impairments() == {"lo": delay}, impairments()
    impair("lo", Impairment(delay=1500))
    assert impairments() == {"lo": Impairment(delay=1500)}, impairments()
except HostError as error:
    assert "it has no netem" in error.brief, error.details
    assert impairments() == {"lo": Impairment(rate=2_500_000_000)}
impair("lo", Impairment())
impair("lo", Impairment())
assert impairments() == {}
"""


def test_what_the_real_tc_is_told_it_tells_again() -> None:
    command = ["unshare", "--user", "--map-root-user", "--net"]
    tried = subprocess.run(
        [
            *command,
            "tc",
            "qdisc",
            "add",
            "dev",
            "lo",
            "root",
            "tbf",
            "rate",
            "1mbit",
            "burst",
            "9kb",
            "latency",
            "1s",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip(f"no network namespace with tbf here: {tried.stderr}")
    done = subprocess.run([*command, sys.executable, "-c", REAL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
