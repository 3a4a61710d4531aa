"""Unix sockets in a machine, reached through a connection to it."""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko

# paramiko's errors if the connection, or one side of a stream, has been closed in the meantime.
CLOSED = (paramiko.SSHException, OSError, EOFError)


@contextlib.contextmanager
def local_socket(open_stream: Callable[[], paramiko.Channel]) -> Iterator[Path]:
    """A local socket for as long as the context lasts; each connection to it opens a new stream.

    It is in a directory that only its owner can enter, and its path uses this process's descriptor of that directory:
    a socket's name has at most 107 bytes, and Docker's SDK takes it for part of a URL, whatever the value of TMPDIR.
    """
    with (
        tempfile.TemporaryDirectory(prefix="labgen-") as directory,
        _opened(directory) as descriptor,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        path = Path(f"/proc/self/fd/{descriptor}/socket")
        listener.bind(str(path))
        listener.listen()
        acceptor = threading.Thread(target=_accept, args=(listener, open_stream), daemon=True)
        acceptor.start()
        try:
            yield path
        finally:
            # Wakes accept(), which a mere close() would not.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)


@contextlib.contextmanager
def _opened(directory: str) -> Iterator[int]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _accept(listener: socket.socket, open_stream: Callable[[], paramiko.Channel]) -> None:
    while True:
        try:
            local, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(local, open_stream), daemon=True).start()


def _relay(local: socket.socket, open_stream: Callable[[], paramiko.Channel]) -> None:
    with local:
        try:
            channel = open_stream()
        except CLOSED:
            return  # the program that connected sees the connection closed
        back = threading.Thread(target=_copy, args=(channel, local), daemon=True)
        back.start()
        _copy(local, channel)
        back.join()
        with contextlib.suppress(*CLOSED):
            channel.close()


def _copy(source: socket.socket | paramiko.Channel, sink: socket.socket | paramiko.Channel) -> None:
    """Copies until the source ends. Either side may be closed in the meantime."""
    with contextlib.suppress(*CLOSED):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(*CLOSED):
        sink.shutdown(socket.SHUT_WR)
