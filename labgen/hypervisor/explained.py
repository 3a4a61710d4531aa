"""libvirt's errors become ours."""

import contextlib
from collections.abc import Iterator

import libvirt

from labgen.errors import HypervisorError


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """:raises HypervisorError: libvirt refused what is being done."""
    try:
        yield
    except libvirt.libvirtError as error:
        raise HypervisorError(f"{doing} failed", str(error)) from error
