"""The notes file: an introduction, and a text for each exercise under a heading with its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from markdown_it.token import Token

from labgen.errors import UsageError
from labgen.files import read_limited
from labgen.report import prose
from labgen.report.text import clean
from labgen.suggestions import near

LARGEST = 2**20  # bytes
LEVEL = "h2"


@dataclass(frozen=True)
class Note:
    """:param source: Markdown."""

    source: str = ""
    tokens: Sequence[Token] = ()


@dataclass(frozen=True)
class Notes:
    """:param exercises: by their headings, as they are written. :param lines: of these headings in the file."""

    path: Path
    introduction: Note = field(default_factory=Note)
    exercises: Mapping[str, Note] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    def require_known(self, names: Sequence[str]) -> None:
        """:param names: of the exercises. :raises UsageError: a heading matches none."""
        for heading, number in self.lines.items():
            if heading not in names:
                raise UsageError(
                    f"{self.path}, line {number}: the heading {heading!r} matches no exercise",
                    near(heading, list(names), "exercises") or f"exercises: {', '.join(names)}",
                    "A heading '## NAME' begins the text of an exercise; use ### for headings within it.",
                )


def read(path: Path) -> Notes:
    """:raises UsageError: it cannot be read, or is not UTF-8, or two headings are the same."""
    try:
        text = clean(read_limited(path, LARGEST).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"the notes {path} are not UTF-8", str(error), "Save the file as UTF-8.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"the notes {path} cannot be read", reason) from error
    tokens, rows = prose.parsed(text), text.splitlines(keepends=True)
    starts = [
        (place, tokens[place + 1].content.strip(), token.map[0])
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == LEVEL and token.level == 0 and token.map
    ]
    end = (len(tokens), "", len(rows))
    first = [*starts, end][0]
    exercises: dict[str, Note] = {}
    for (place, heading, row), (last, _, last_row) in pairwise([*starts, end]):
        if heading in exercises:
            raise UsageError(f"{path}, line {row + 1}: the heading {heading!r} is there twice")
        after = tokens[place].map
        exercises[heading] = Note("".join(rows[after[1] if after else row + 1 : last_row]), tokens[place + 3 : last])
    lines = {heading: row + 1 for _, heading, row in starts}
    return Notes(path, Note("".join(rows[: first[2]]), tokens[: first[0]]), exercises, lines)
