"""UTF-8 inside, whatever the user's locale is; on a terminal, what it can show.

The names of directories go into files that others read (ssh_config, the inventory, machines' definitions): they have
to be the same text in every locale.
"""

import io
import locale
import os
import sys


def settle() -> None:
    """Makes Python's UTF-8 mode sure, which can only be chosen when the interpreter starts: it may start anew."""
    if sys.getfilesystemencoding() != "utf-8" and "utf8" not in sys._xoptions:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this very program
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None, if it was closed before the start
            stream.reconfigure(encoding=_shown_by(stream), errors="replace")


def _shown_by(stream: io.TextIOWrapper) -> str:
    """A terminal is in the user's locale; what goes elsewhere, perhaps into a file for ssh, is UTF-8."""
    return locale.getencoding() if "utf8" in sys._xoptions and stream.isatty() else stream.encoding
