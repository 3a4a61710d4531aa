"""Connections to machines: commands, scripts and forwarded sockets. The only importer of paramiko."""

from labgen.ssh.connection import Connection, Result, Target, Unreachable, port_open, wait_for
from labgen.ssh.keys import make_key

__all__ = ["Connection", "Result", "Target", "Unreachable", "make_key", "port_open", "wait_for"]
