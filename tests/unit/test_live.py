"""The live display on real terminals of several kinds and sizes."""

import re
import sys
import textwrap

import pytest

from labgen.cli.live import clipped
from tests.unit.terminal import Terminal, on_terminal

# A lab's progress as the recipes report it; the test decides when to continue, by pressing Enter.
CREATE = """
from labgen.cli.console import emit, note, progress
with progress() as shown:
    shown.note("[this] stays")
    for node in NODES:
        shown.step("booting", node)
    for node in NODES:
        shown.done("ready", node)
    shown.step("forming the cluster")
    input()
    shown.step("joining the Swarm", NODES[-1])
    input()
    END
note("a note")
emit([{"node": NODES[0]}], "table", ["node"])
"""


def program(nodes: list[str], end: str = "pass") -> list[str]:
    return [sys.executable, "-c", f"NODES = {nodes}\n" + textwrap.dedent(CREATE).replace("END", end)]


def row(terminal: Terminal, name: str) -> str:
    (found,) = [line for line in terminal.lines() if name in line]
    return found


def test_a_node_that_is_at_work_again_has_no_tick_and_its_clock_runs() -> None:
    with on_terminal(program(["manager1", "worker1"]), echo=False) as (terminal, process):
        terminal.wait_for("forming the cluster")
        terminal.wait_for("ready")
        assert row(terminal, "manager1").startswith("✓ manager1 ready")
        assert row(terminal, "worker1").startswith("✓ worker1  ready")
        terminal.type("\r")
        terminal.wait_for("joining the Swarm")
        assert row(terminal, "manager1").startswith("✓")
        before = row(terminal, "worker1")
        assert not before.startswith("✓")
        terminal.read(2.5)
        assert row(terminal, "worker1").split()[-1] > before.split()[-1]
        assert row(terminal, "forming").split()[-2] == "total"
        terminal.type("\r")
        terminal.wait_for_end()
        assert process.wait() == 0
        # The spinners have stopped; the results follow below, and the notes are kept above.
        rest = [line for line in terminal.lines() if line[0] != "✓"]
        assert rest == ["[this] stays", "a note", "NODE", "manager1"]
        assert len(terminal.lines()) == 3 + len(rest)


def test_a_failure_leaves_no_tick_at_what_failed() -> None:
    with on_terminal(program(["manager1", "worker1"], "raise SystemExit(1)"), echo=False) as (terminal, process):
        for _ in range(2):
            terminal.type("\r")
        terminal.wait_for_end()
        assert process.wait() == 1
        assert row(terminal, "manager1").startswith("✓")
        assert row(terminal, "worker1").startswith("✗")
        assert row(terminal, "forming").startswith("✗")


@pytest.mark.parametrize("columns", [40, 80])
def test_nodes_can_be_told_apart_however_narrow_the_terminal_is(columns: int) -> None:
    nodes = ["edge-manager-with-a-long-name-1", "edge-manager-with-a-long-name-2"]
    with on_terminal(program(nodes), echo=False, columns=columns) as (terminal, _):
        terminal.wait_for("forming")
        shown = [line for line in terminal.lines() if "ready" in line]
        assert len(shown) == 2
        assert "name-1 ready" in shown[0]
        assert "name-2 ready" in shown[1]


def test_more_nodes_than_lines_leave_the_total_on_the_screen() -> None:
    nodes = [f"worker{number}" for number in range(1, 41)]
    with on_terminal(program(nodes), echo=False, rows=24) as (terminal, _):
        terminal.wait_for("forming the cluster")
        terminal.type("\r")
        terminal.wait_for("joining the Swarm")  # the last of the forty, for which there is no room below the others
        assert "total" in row(terminal, "forming")
        terminal.wait_for("and 19 more")


def test_a_dumb_terminal_gets_plain_lines() -> None:
    with on_terminal(program(["manager1"]), echo=False, environment={"TERM": "dumb"}) as (terminal, _):
        for _ in range(2):
            terminal.type("\r")
        terminal.wait_for_end()
        assert b"\x1b" not in terminal.raw
        assert any(line.endswith("s  manager1: booting") for line in terminal.lines())


def test_no_colour_means_none_anywhere() -> None:
    coloured = b"\x1b[1m", b"\x1b[33m", b"\x1b[3"
    for environment, seen in ({}, True), ({"NO_COLOR": "1"}, False):
        with on_terminal(program(["manager1"]), echo=False, environment=environment) as (terminal, _):
            for _ in range(2):
                terminal.type("\r")
            terminal.wait_for_end()
            assert any(code in terminal.raw for code in coloured) is seen
            assert "total" in "\n".join(terminal.lines())  # the display itself does not depend on colour


def test_a_long_name_keeps_its_end() -> None:
    assert clipped("manager1", 20) == "manager1"
    assert clipped("manager-of-everything-1", 12) == "man…ything-1"
    assert len(clipped("manager-of-everything-1", 12)) == 12


# Two nodes copy bytes; then the second node does something else.
COPY = """
import time
from labgen.cli.console import progress
with progress() as shown:
    for tenth in range(1, 4):
        shown.moved("copying", tenth * 2**20, 10 * 2**20, "worker1", stage="copy")
        shown.moved("copying", tenth * 2**20, 10 * 2**20, "worker2", stage="copy")
        time.sleep(0.5)
    shown.done("copied", "worker2", stage="copy")
    input()
"""


def test_bytes_on_their_way_have_their_amount_and_the_time_that_is_left() -> None:
    with on_terminal([sys.executable, "-c", COPY], echo=False) as (terminal, _):
        terminal.wait_for("copied")
        # The speed is about 2 MiB/s, and seven are left.
        assert re.search(r"copying: 3\.0/10\.0 MiB, 0:00:0[3-5] left", row(terminal, "worker1"))
        assert row(terminal, "worker2").split()[2:-1] == ["copied"]
        terminal.type("\r")
        terminal.wait_for_end()
