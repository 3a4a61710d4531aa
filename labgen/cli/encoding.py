"""UTF-8 internally, whatever the user's locale is; on a terminal, the encoding that it can show.

Directory names are written to files that other programs read (ssh_config, the inventory, machines' definitions): they
have to be the same text in every locale.
"""

import io
import locale
import os
import sys


def settle() -> None:
    """Ensures UTF-8. Python's UTF-8 mode can only be chosen when the interpreter starts, so it may be restarted."""
    if sys.getfilesystemencoding() != "utf-8" and "utf8" not in sys._xoptions:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this same program
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if it was closed before the start
            stream.reconfigure(encoding=_shown_by(stream), errors="replace")


def _shown_by(stream: io.TextIOWrapper) -> str:
    """The locale's encoding on a terminal; UTF-8 elsewhere, for example in a file for ssh."""
    return locale.getencoding() if "utf8" in sys._xoptions and stream.isatty() else stream.encoding
