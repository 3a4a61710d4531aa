"""Delays, losses and rates as users write them."""

import pytest

from labgen.errors import UsageError
from labgen.impairment import delay, delay_in_words, loss, loss_in_words, rate, rate_in_words


@pytest.mark.parametrize(
    ("text", "microseconds", "words"),
    [
        ("100ms", 100_000, "100ms"),
        ("1.5s", 1_500_000, "1.5s"),
        ("1500MS", 1_500_000, "1.5s"),
        ("250us", 250, "250us"),
        ("0.5ms", 500, "500us"),
        ("60s", 60_000_000, "60s"),
    ],
)
def test_a_delay_has_a_unit_of_time(text: str, microseconds: int, words: str) -> None:
    assert delay(text) == microseconds
    assert delay_in_words(microseconds) == words


@pytest.mark.parametrize(
    ("text", "percent", "words"), [("5%", 5, "5%"), ("0.1%", 0.1, "0.1%"), ("100%", 100, "100%")]
)
def test_a_loss_is_a_percentage(text: str, percent: float, words: str) -> None:
    assert loss(text) == percent
    assert loss_in_words(percent) == words


@pytest.mark.parametrize(
    ("text", "bits", "words"),
    [
        ("1mbit", 1_000_000, "1mbit"),
        ("1Mbit", 1_000_000, "1mbit"),
        ("500kbit", 500_000, "500kbit"),
        ("1500kbit", 1_500_000, "1.5mbit"),
        ("10gbit", 10_000_000_000, "10gbit"),
    ],
)
def test_a_rate_is_in_bits(text: str, bits: int, words: str) -> None:
    assert rate(text) == bits
    assert rate_in_words(bits) == words


def test_zero_removes_a_delay_or_a_loss() -> None:
    assert [delay("0"), delay("0ms"), loss("0"), loss("0%")] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "text", ["", "100", "ms", "-1ms", "1 000ms", "1h", "5%", "1e3ms", "\u0661ms", "100ms;reboot"]
)
def test_what_is_no_delay(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid delay") as caught:
        delay(text)
    assert "100ms" in caught.value.resolution


@pytest.mark.parametrize("text", ["", "5", "5ms", "-5%", "half", "nan%", "inf%"])
def test_what_is_no_loss(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid loss") as caught:
        loss(text)
    assert "5%" in caught.value.resolution


@pytest.mark.parametrize("text", ["", "0", "1", "1mb", "1mbit/s", "5g", "-1mbit", "fast"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid rate") as caught:
        rate(text)
    assert "1mbit" in caught.value.resolution


def test_what_is_out_of_range() -> None:
    for read, text in ((delay, "61s"), (loss, "101%"), (rate, "0mbit"), (rate, "7kbit"), (rate, "11gbit")):
        with pytest.raises(UsageError, match=f"'{text}' is (too long|more than|out of range)"):
            read(text)


@pytest.mark.parametrize(
    ("text", "meant", "ways"),
    [
        ("10mbps", "megabytes", "10mbit or, if you mean bytes, 80mbit"),
        ("1.5Kbps", "kilobytes", "1.5kbit or, if you mean bytes, 12kbit"),
        ("100bps", "bytes", "100bit or, if you mean bytes, 800bit"),
    ],
)
def test_tcs_words_for_bytes_are_not_taken_for_bits(text: str, meant: str, ways: str) -> None:
    with pytest.raises(UsageError, match=f"to tc.8., it means {meant} per second") as caught:
        rate(text)
    assert ways in caught.value.resolution
