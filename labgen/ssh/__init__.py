"""Connections to machines: commands, scripts and forwarded sockets. The only importer of paramiko."""

import logging

from labgen.ssh.batch import run_all
from labgen.ssh.command import Command, Lines, Sink
from labgen.ssh.connection import Connection, Result, Target, Unreachable, port_open, wait_for
from labgen.ssh.keys import forget_hosts, know_hosts, make_key, public_key, require_key, take_key

__all__ = [
    "Command",
    "Connection",
    "Lines",
    "Result",
    "Sink",
    "Target",
    "Unreachable",
    "forget_hosts",
    "know_hosts",
    "make_key",
    "port_open",
    "public_key",
    "require_key",
    "run_all",
    "take_key",
    "wait_for",
]

# Errors are raised; paramiko's threads would also write them to the terminal, with a traceback.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
