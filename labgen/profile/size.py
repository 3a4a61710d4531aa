"""Amounts of memory and disk, always with their unit."""

import re
from dataclasses import dataclass
from fractions import Fraction

_MIB = {"MiB": 1, "GiB": 1024, "TiB": 1024 * 1024}
PATTERN = r"([0-9]{1,12}(\.[0-9]{1,6})?) ?([MGT]iB)"
# What users write instead: 10G, 10 gb, 512m. Never accepted (is a GB 10^9 bytes?), but recognized.
_NEARLY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([MGT])(?:i?b)?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Size:
    """An amount of memory or disk.

    >>> Size.parse("1.5GiB").mib
    1536

    :param mib: in MiB (2**20 bytes), a whole number.
    """

    mib: int

    @property
    def gib(self) -> int:
        """In GiB (2**30 bytes), rounded down. Exact for disks: profiles give them in whole GiB."""
        return self.mib // 1024

    @classmethod
    def parse(cls, text: str) -> "Size":
        """``512MiB``, ``10 GiB``, ``1.5GiB``, ``1TiB``.

        :raises ValueError: it is not a size, or not a whole number of MiB; the message tells what would be valid.
        """
        match = re.fullmatch(PATTERN, text)
        if match is None:
            nearly = _NEARLY.fullmatch(text)
            better = f"did you mean '{nearly[1]}{nearly[2].upper()}iB'?" if nearly else ""
            raise ValueError(f"is not a size; {better or 'write it like 512MiB or 10GiB'}")
        mib = Fraction(match[1]) * _MIB[match[3]]
        if mib.denominator != 1:
            raise ValueError(f"is not a whole number of MiB; did you mean '{round(mib)}MiB'?")
        return cls(int(mib))

    def __str__(self) -> str:
        """The shortest form that :meth:`parse` reads back: ``1536MiB``, ``10GiB``."""
        return f"{self.mib}MiB" if self.mib % 1024 else f"{self.gib}GiB"
