"""Unexpected failures in words, with the evidence that labgen's maintainers need."""

import contextlib
import platform
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from labgen import paths
from labgen.errors import HostError, LabgenError
from labgen.files import write_atomically
from labgen.refusals import explained


def in_words(error: Exception) -> LabgenError:
    """The exception that ended a command, as an error that can be shown."""
    if isinstance(error, LabgenError):
        return error
    if isinstance(error, OSError):
        return explained(error)
    if isinstance(error, ImportError):
        return HostError(
            "labgen is not installed completely", str(error), "Run 'make install' in its checkout, or reinstall it."
        )
    return _of_our_own(error)


def _of_our_own(error: Exception) -> LabgenError:
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "nowhere"
    said = "".join(traceback.format_exception_only(error)).strip()
    evidence = f"labgen {version_of_ours()}, Python {platform.python_version()}; {place}:\n{said}"
    report = "Please report it to the maintainers of labgen, with the steps that led to it"
    # The frames name files and lines, and hold no values; what a machine or a user has said is in none of them.
    trace = "".join(traceback.format_exception(error))
    with contextlib.suppress(OSError, LabgenError):
        write_atomically(paths.fault(), f"{evidence}\n\n{trace}", 0o600)
        return LabgenError("this is a bug in labgen", evidence, f"{report} and this file: {paths.fault()}")
    return LabgenError("this is a bug in labgen", evidence, f"{report} and the lines above.")


def version_of_ours() -> str:
    """labgen's version, if it is installed."""
    with contextlib.suppress(PackageNotFoundError):
        return version("labgen")
    return "of a checkout that is not installed"
