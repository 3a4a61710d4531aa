"""Text from machines and people, in a form that cannot change how a page reads. Pure."""

import re
import unicodedata

# What terminals interpret: colours, titles, moves of the cursor. https://ecma-international.org: ECMA-48
SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
# Characters that reorder the text around them, or that cannot be seen; https://www.unicode.org/reports/tr9
INVISIBLE = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF}
KEPT = set("\n\t\u200c\u200d")  # the last two join letters, and the parts of pictures
LONGEST = 20_000  # characters of one text that a report shows


def clean(text: str) -> str:
    """Without terminal sequences; control characters, and those that reorder text, are shown as escapes."""
    return "".join(map(_visible, SEQUENCES.sub("", text).replace("\r\n", "\n")))


def shortened(text: str, longest: int = LONGEST) -> str:
    """The beginning and the end of a long text, and how much is missing between."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n\n[... {len(text) - 2 * half} characters are left out ...]\n\n{text[-half:]}"


def line(text: str, longest: int) -> str:
    """On one line, with at most that many characters. :param longest: in characters."""
    words = " ".join(clean(text).split())
    return words if len(words) <= longest else f"{words[: longest - 1]}…"


def counted(number: int, noun: str) -> str:
    """A number with its noun. :param noun: in the singular; its plural must end in -s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _visible(each: str) -> str:
    if each in KEPT or (each.isprintable() and ord(each) not in INVISIBLE):
        return each
    if unicodedata.category(each) == "Zs":  # other spaces
        return " "
    return ascii(each)[1:-1]
