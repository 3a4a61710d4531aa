"""paramiko's transport, with features of OpenSSH's server that paramiko lacks."""

import signal
import threading
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_REQUEST

_OPEN_LIMIT = 60  # seconds
_SIGNALLED = 128  # shells report a process that a signal ended as this plus the signal's number


def _handle_request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Converts "exit-signal" (RFC 4254, section 6.10) to an exit status: paramiko only handles "exit-status"."""
    if message.get_text() == "exit-signal":
        message.get_boolean()  # a reply is never wanted
        number = getattr(signal, f"SIG{message.get_text()}", 0)
        channel.exit_status = _SIGNALLED + int(number)
        channel.status_event.set()
        return
    message.rewind()
    message.get_int()  # the channel's number, which has already been read
    channel._handle_request(message)  # type: ignore[attr-defined]  # the stubs leave it out


class Transport(paramiko.Transport):
    """Able to open a channel to a Unix socket, and to report which signal ended a command.

    paramiko writes a channel request's fields only for the kinds that it has. The fields for a socket are its
    path, a reserved string and a reserved number (OpenSSH's PROTOCOL file, section 2.4); they are added when
    the request is sent, which happens in the thread that opens the channel.
    """

    _channel_handler_table = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]  # the stubs leave it out
        MSG_CHANNEL_REQUEST: _handle_request,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._opening = threading.local()

    def open_stream(self, path: str) -> paramiko.Channel:
        """:raises paramiko.SSHException: the machine refused, for example because there is no such socket."""
        self._opening.path = path
        try:
            return self.open_channel("direct-streamlocal@openssh.com", timeout=_OPEN_LIMIT)
        finally:
            self._opening.path = None

    def _send_user_message(self, data: Any) -> None:
        if path := getattr(self._opening, "path", None):
            data.add_string(path)
            data.add_string("")
            data.add_int(0)
        super()._send_user_message(data)  # type: ignore[misc]  # the stubs leave it out
