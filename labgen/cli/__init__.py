"""The command line. Command modules parse, call and print; each is loaded when it is needed."""

import contextlib
import importlib
import os
import signal
import sys
import warnings
from types import FrameType
from typing import Any, NoReturn

import click

from labgen.cli import complete, encoding, fault, streams
from labgen.cli.console import fail
from labgen.cli.group import Group
from labgen.cli.history import History
from labgen.errors import Interrupted

# The commands, and the modules that contain them; in the order in which the help shows them.
COMMANDS = {
    "create": "create",
    "list": "status",
    "status": "status",
    "events": "events",
    "ssh": "access",
    "exec": "exec",
    "ssh-config": "access",
    "inventory": "access",
    "stop": "power",
    "start": "power",
    "restart": "power",
    "kill": "power",
    "net": "net",
    "suspend": "power",
    "resume": "power",
    "image": "image",
    "deploy": "stack",
    "stack": "stack",
    "why": "stack",
    "drill": "drill",
    "rebalance": "drill",
    "report": "report",
    "graph": "report",
    "balance": "balance",
    "checkpoint": "checkpoint",
    "export": "handoff",
    "import": "handoff",
    "rebuild": "rebuild",
    "destroy": "destroy",
    "prune": "destroy",
    "profile": "profile",
    "render": "create",
    "box": "box",
    "doctor": "doctor",
    "completion": "completion",
}

READER_GONE = 141  # 128 + SIGPIPE: the status that shells give a program ended by this signal


class ReaderGone(Exception):
    """The reader of our output closed the pipe. click would exit with 1 if it saw the original error."""


# The same for commands that work but are not shown: flags that some users type as commands.
HIDDEN = {"help": "help", "version": "help"}


class LazyGroup(Group):
    """Imports a command's module only when the command is needed, which keeps ``--help`` and completion fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        known = COMMANDS | HIDDEN
        if cmd_name not in known:
            return None
        module = importlib.import_module(f"labgen.cli.{known[cmd_name]}")
        attribute = cmd_name.replace("-", "_")
        # "list", "exec" and "help" are Python built-ins, so the names of their functions have a second word.
        command = getattr(module, attribute, None) or getattr(module, f"{attribute}_command")
        assert isinstance(command, click.Command)  # noqa: S101 - each module contains its COMMANDS
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error


@click.command("labgen", cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="labgen")
def cli() -> None:
    """Virtual container labs: identical KVM machines with the Docker storage driver of your choice, in one cluster.

    \b
    Examples:
      labgen create three-node-btrfs      create and boot a lab
      labgen status three-node-btrfs      show its state
      labgen ssh three-node-btrfs         log in to its first manager
      labgen destroy three-node-btrfs     remove it without a trace

    \b
    Exit codes: 0 done, 1 failed, 2 usage, 10 profile or compose file, 20 host not
    ready, 30 box, 40 hypervisor or Vagrant, 50 guest, 60 cluster, 70 bundle or
    image, 130 interrupted, 141 the reader of the output went away.
    """


def main() -> NoReturn:
    """The program: runs a command, and turns every failure into an error message and an exit code."""
    encoding.settle()
    streams.complete()
    if complete.VARIABLE in os.environ:
        complete.answer(cli)
    if "PYTHONWARNINGS" in os.environ:  # meant for other programs; labgen's own warnings are for its tests
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, _interrupt)
    history = History()
    status = streams.flushed(_run(history))
    history.end(status)
    sys.exit(status)


def _run(history: History) -> int:
    try:
        status: Any = cli(standalone_mode=False, obj=history)
    except click.exceptions.Abort:
        with contextlib.suppress(OSError):
            click.echo("interrupted", err=True)
        return Interrupted.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except ReaderGone:
        streams.abandon(sys.stdout)
        return READER_GONE
    except Exception as error:
        failure = fault.in_words(error)
        fail(failure)
        return failure.exit_code
    return status if isinstance(status, int) else 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Makes SIGTERM end labgen like Ctrl-C."""
    raise KeyboardInterrupt
