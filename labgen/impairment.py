"""What a network does to packets on purpose: delay, loss, a limit. Values with the units that tc(8) has. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from labgen.errors import UsageError

LONGEST_DELAY = 60_000_000  # microseconds; connections break before
LOWEST_RATE, HIGHEST_RATE = 8_000, 10_000_000_000  # bit/s; libvirt counts in thousands of bytes
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z/%]*)")
TIMES = {"us": 1, "ms": 1_000, "s": 1_000_000}  # in microseconds
RATES = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}  # in bit/s
BYTES = {"bps": "bytes", "kbps": "kilobytes", "mbps": "megabytes", "gbps": "gigabytes"}  # per second, to tc


@dataclass(frozen=True)
class Impairment:
    """What happens to packets; 0 means none of it.

    :param delay: in microseconds. :param loss: in percent. :param rate: in bit/s.
    """

    delay: int = 0
    loss: float = 0
    rate: int = 0

    @property
    def delays_or_loses(self) -> bool:
        return bool(self.delay or self.loss)


def delay(text: str) -> int:
    """Reads a delay such as ``100ms``; 0 removes it. :return: microseconds. :raises UsageError: it is none."""
    number, unit = _quantity(text)
    if unit not in TIMES and number:
        raise UsageError(
            f"{text!r} is not a valid delay", resolution="Write a time with its unit: 100ms, 1.5s, 500us."
        )
    value = round(number * TIMES.get(unit, 1))
    if value > LONGEST_DELAY:
        raise UsageError(f"the delay {text!r} is too long", resolution="Use at most 60s.")
    return value


def loss(text: str) -> float:
    """Reads a loss such as ``5%``; 0 removes it. :return: percent. :raises UsageError: it is none."""
    number, unit = _quantity(text)
    if unit != "%" and number:
        raise UsageError(f"{text!r} is not a valid loss", resolution="Write a percentage: 5%, 0.1%.")
    if number > 100:
        raise UsageError(f"the loss {text!r} is more than 100%")
    return number


def rate(text: str) -> int:
    """Reads a rate such as ``1mbit``. :return: bit/s. :raises UsageError: it is none."""
    number, unit = _quantity(text)
    if unit in BYTES:
        bits = unit.replace("bps", "bit")
        raise UsageError(
            f"{text!r} may be misunderstood: to tc(8), it means {BYTES[unit]} per second",
            resolution=f"Write bits: {number:g}{bits} or, if you mean bytes, {number * 8:g}{bits}.",
        )
    if unit not in RATES:
        raise UsageError(f"{text!r} is not a valid rate", resolution="Write bits per second: 1mbit, 500kbit, 1gbit.")
    value = round(number * RATES[unit])
    if not LOWEST_RATE <= value <= HIGHEST_RATE:
        raise UsageError(f"the rate {text!r} is out of range", resolution="Use 8kbit to 10gbit; --reset removes it.")
    return value


def delay_in_words(value: int) -> str:
    """:param value: in microseconds."""
    return _in_words(value, TIMES)


def loss_in_words(value: float) -> str:
    """:param value: in percent."""
    return f"{value:g}%"


def rate_in_words(value: int) -> str:
    """:param value: in bit/s."""
    return _in_words(value, {"bit": 1, **RATES})


def _quantity(text: str) -> tuple[float, str]:
    """Number and unit; the unit of something else is ``?``, which is none."""
    found = QUANTITY.fullmatch(text.strip().lower())
    return (float(found[1]), found[2]) if found else (1, "?")


def _in_words(value: int, units: Mapping[str, int]) -> str:
    unit = max(
        (unit for unit, size in units.items() if size <= value), key=units.__getitem__, default=next(iter(units))
    )
    return f"{value / units[unit]:g}{unit}"
