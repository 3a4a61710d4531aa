"""Tab completion: what it offers, in real shells, and that nothing ever disturbs the line that is being typed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from labgen import boxes, paths
from labgen.boxes.store import FIELDS
from tests.unit.commands import Run, run
from tests.unit.host import Host, host
from tests.unit.terminal import on_terminal

__all__ = ["host", "run"]  # fixtures

# How to start each shell without anyone's settings, and its documented line.
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(labgen completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'eval "$(labgen completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "labgen completion fish | source"),
}


def asked(words: str) -> "subprocess.CompletedProcess[str]":
    """labgen's answer to bash about the last word; a space at the end begins a new word."""
    environment = {
        **os.environ,
        "_LABGEN_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
    }
    program = Path(sys.executable).with_name("labgen")
    return subprocess.run([program], env=environment, capture_output=True, text=True, check=True)


def completed(words: str) -> set[str]:
    answer = asked(words)
    assert answer.stderr == ""
    return {line.partition(",")[2] for line in answer.stdout.splitlines() if line}


def test_labs_nodes_and_checkpoints(host: Host, run: Run) -> None:
    run("create", "three-node-btrfs", "--name", "mylab")
    run("checkpoint", "save", "mylab", "before-upgrade")
    nodes = {"manager1", "worker1", "worker2"}
    assert completed("labgen ssh ") == {"mylab"}
    assert completed("labgen ssh mylab ") == nodes
    assert completed("labgen exec mylab --node ") == nodes
    assert completed("labgen exec mylab --node manager1 --node w") == {"worker1", "worker2"}
    assert completed("labgen checkpoint restore mylab ") == {"before-upgrade"}
    assert completed("labgen rm my") == {"mylab"}


def test_boxes_and_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    built = paths.boxes() / "debian13" / "13.1.1"
    built.mkdir(parents=True)
    (built / "box.img").touch()
    (built / "lock.json").write_text(json.dumps(dict.fromkeys(FIELDS, "")))
    assert completed("labgen box build ") == set(boxes.known())
    assert completed("labgen box remove debian12") == {"debian12"}
    assert completed("labgen box remove debian13 ") == {"13.1.1"}
    assert completed("labgen doctor --profile single") == {"single-node"}
    assert completed("labgen create five") == {"five-node-ha"}


@pytest.mark.parametrize(
    "words",
    [
        "labgen ssh nowhere ",
        "labgen exec --node w",
        "labgen exec nowhere --node w",
        "labgen exec --nonsense w",
        "labgen checkpoint restore ",
        "labgen checkpoint restore nowhere ",
        "labgen status ../../etc ",
        "labgen box remove nonsense ",
        'labgen ssh "half',
    ],
)
def test_there_is_nothing_to_offer(words: str) -> None:
    assert completed(words) == set()


def test_a_failure_is_silence(host: Host, run: Run) -> None:
    run("create", "single-node", "--name", "mylab")
    (paths.lab("mylab") / paths.STATE).write_text("{")
    assert completed("labgen ssh mylab ") == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_real_shells_complete_with_the_documented_line(host: Host, run: Run, tmp_path: Path, shell: str) -> None:
    command, line = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{shell} is not installed")
    assert line in run("completion", "--help").stdout
    run("create", "three-node-btrfs", "--name", "mylab")
    with on_terminal(command, environment={"HOME": str(tmp_path), "PS1": "$ "}) as (terminal, _):
        terminal.type(f"{line}; echo re'ad'y\r")
        terminal.wait_for("\nready")
        terminal.type("labgen exec mylab --node worker\t\t")
        terminal.wait_for("worker2")
        assert "worker1" in "\n".join(terminal.lines())
        terminal.type("\x15labgen doctor --profile sing\t")
        terminal.wait_for("--profile single-node")
        terminal.type("\x15labgen box remove nonsense \t\t")
        terminal.read(2)
        assert "Traceback" not in "\n".join(terminal.lines())
