"""The author's own words: Markdown to HTML in which nothing is markup but Markdown, and nothing is loaded."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from labgen.errors import UsageError
from labgen.files import read_limited

SCHEMES = ("http://", "https://", "mailto:")
# The formats of images, by the beginnings of their files.
IMAGES = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF87a": "gif", b"GIF89a": "gif"}
LARGEST_IMAGE = 2 * 2**20  # bytes
DEEPEST = 6  # of HTML's headings


class _Reader(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the library's name
        return True  # its own check would turn an image with a wrong address into text, without a word


def parsed(text: str) -> list[Token]:
    """The blocks of a Markdown text. Links and images are checked later, by :func:`html`."""
    return _Reader("commonmark", {"html": False}).enable("table").parse(text)


def html(tokens: Sequence[Token], directory: Path, below: int) -> str:
    """:param directory: of the notes, for their images. :param below: the level of the heading above them.

    :raises UsageError: an image is not a small local file beside the notes.
    """
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1:]) + below, DEEPEST)}"
        if "style" in token.attrs:  # the alignment of a table's cells; a page with a strict policy ignores it
            token.attrs = {"class": str(token.attrs["style"]).replace(":", "-")}
        if token.children:
            token.children = list(_inline(token.children, directory))
    tokens = [part for token in tokens for part in _scrolling(token)]
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return str(reader.renderer.render(tokens, reader.options, {}))


def _scrolling(token: Token) -> Sequence[Token]:
    """A table is in a part of the page that scrolls by itself, and that the keyboard reaches."""
    if token.type == "table_open":
        about = '<div class="scroll" tabindex="0" role="group" aria-label="Table">\n'
        return (Token("html_block", "", 0, content=about), token)
    return (token, Token("html_block", "", 0, content="</div>\n")) if token.type == "table_close" else (token,)


def _inline(tokens: Iterable[Token], directory: Path) -> Iterable[Token]:
    """Links to pages and addresses stay, others become plain text; images become part of the page."""
    dropped = False
    for token in tokens:
        if token.type == "link_open":
            address = str(token.attrs.get("href", ""))
            dropped = not address.lower().startswith(SCHEMES)
            token.attrs = {"href": address, "rel": "noreferrer"}
        if token.type in {"link_open", "link_close"} and dropped:
            continue
        if token.type == "image":
            token.attrs = {"src": _image(str(token.attrs.get("src", "")), directory), "alt": ""}
        yield token


def _image(source: str, directory: Path) -> str:
    """As a ``data:`` address. :raises UsageError: it is not a small image beside the notes."""
    place = directory / source
    try:
        inside = "://" not in source and place.resolve().is_relative_to(directory.resolve()) and place.is_file()
        content = read_limited(place, LARGEST_IMAGE) if inside else None
    except (OSError, ValueError) as error:
        raise UsageError(f"the image {source!r} of the notes cannot be read", str(error)) from error
    if content is None:
        raise UsageError(
            f"the notes have an image that is not a file beside them: {source!r}",
            "a report loads nothing from elsewhere",
            "Put the file beside the notes, and name it by its relative path.",
        )
    kind = next((kind for begin, kind in IMAGES.items() if content.startswith(begin)), "")
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        kind = "webp"
    if not kind:
        raise UsageError(f"the image {source!r} of the notes is not a PNG, JPEG, GIF or WebP file")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
