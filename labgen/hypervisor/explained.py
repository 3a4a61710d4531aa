"""Turns libvirt's errors into labgen's."""

import contextlib
from collections.abc import Iterator

import libvirt

from labgen.errors import HostError, HypervisorError


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """:raises HypervisorError: libvirt refused the operation.

    :raises HostError: it has stopped answering, or is no longer running.
    """
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_domain() == libvirt.VIR_FROM_RPC:
            raise HostError(
                "libvirt has stopped answering",
                f"{doing}: {error}",
                "'labgen doctor' shows how to restart it; then run the same command again.",
            ) from error
        raise HypervisorError(f"{doing} failed", str(error)) from error
