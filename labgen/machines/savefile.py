"""The file to which libvirt saves a machine's memory. Pure.

It has a header, the machine's definition (XML) padded to the length in the header, then QEMU's own stream. If the
definition is replaced by another one with the same devices, the memory comes up in another machine. The format is
that of libvirt's src/qemu/qemu_saveimage.h.
"""

import struct

HEADER = struct.Struct(
    "<16s19I"
)  # magic, version, length of the definition, was running, compression, cookie, unused
MAGIC = b"LibvirtQemudSave"
VERSION = 2
LONGEST = 2**20  # bytes of a definition


def start_length(header: bytes) -> int:
    """The length of everything before QEMU's stream, in bytes.

    :param header: the file's first bytes, at least :data:`HEADER` many. :raises ValueError: it is not such a file.
    """
    return HEADER.size + _fields(header)[2]


def redefined(start: bytes, xml: str) -> bytes:
    """The start of a file with another definition, for a machine that comes up paused.

    :param start: of the length returned by :func:`start_length`. :param xml: empty for none.
    :raises ValueError: it is not such a file, or the definition does not fit.
    """
    magic, version, length = _fields(start)
    text = xml.encode() + b"\0"
    if len(start) != HEADER.size + length or len(text) > length:
        raise ValueError(f"a definition of {len(text)} bytes does not fit into {length}")
    return HEADER.pack(magic, version, length, *[0] * 17) + text.ljust(length, b"\0")


def _fields(header: bytes) -> tuple[bytes, int, int]:
    if len(header) < HEADER.size:
        raise ValueError("it is too short")
    magic, version, length, _, compression, *_ = HEADER.unpack(header[: HEADER.size])
    if magic != MAGIC or version != VERSION or compression or not 0 < length <= LONGEST:
        raise ValueError("it is not in the form that libvirt saves memory in")
    return magic, version, length
