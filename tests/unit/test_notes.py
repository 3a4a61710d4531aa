"""The user's notes in a report: where they belong, and that they are Markdown and nothing else."""

import base64
from pathlib import Path

import pytest

from labgen.errors import UsageError
from labgen.report import notes, prose
from labgen.report.markdown import harmless

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def html(text: str, directory: Path = Path()) -> str:
    return prose.html(prose.parsed(text), directory, 2)


def file(directory: Path, content: str | bytes) -> Path:
    path = directory / "notes.md"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_beginning_is_the_introduction(tmp_path: Path) -> None:
    found = notes.read(file(tmp_path, "hello\n\n## drain\n\nfirst\n\n### more\n\n## power-off 2\nsecond\n"))
    assert found.introduction.source == "hello\n\n"
    assert {key: note.source.strip() for key, note in found.exercises.items()} == {
        "drain": "first\n\n### more",
        "power-off 2": "second",
    }
    assert found.lines == {"drain": 3, "power-off 2": 9}
    assert "<h5>more</h5>" in prose.html(found.exercises["drain"].tokens, tmp_path, 2)


def test_a_heading_in_code_or_in_a_quotation_is_none(tmp_path: Path) -> None:
    found = notes.read(file(tmp_path, "```\n## drain\n```\n\n> ## scale\n\n- ## spread\n"))
    assert found.exercises == {}
    assert "## drain" in found.introduction.source


@pytest.mark.parametrize(
    "text", ["", "\n", "## drain", "## drain ##\n", "drain\n-----\n", "\ufeff## drain\r\ntext\r\n"]
)
def test_short_notes(tmp_path: Path, text: str) -> None:
    found = notes.read(file(tmp_path, text))
    assert list(found.exercises) == (["drain"] if text.strip() else [])


def test_notes_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read") as caught:
        notes.read(tmp_path / "none.md")
    assert caught.value.details == "No such file or directory"
    with pytest.raises(UsageError, match="cannot be read"):
        notes.read(tmp_path)


def test_notes_that_are_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"notes.md are not UTF-8"):
        notes.read(file(tmp_path, b"\xff\xfe"))
    with pytest.raises(UsageError, match="cannot be read") as caught:
        notes.read(file(tmp_path, b"x" * (notes.LARGEST + 1)))
    assert caught.value.details == "it has more than 1 MiB"


def test_the_same_heading_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 3: the heading 'drain' is there twice"):
        notes.read(file(tmp_path, "## drain\n\n## drain\n"))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick=x>b</b>",
        "<!-- x -->",
        "`</code><script>`",
        '```x"><script>\n</script>\n```',
        '[x](<"><script>>)',
        "| <td> |\n|---|\n| <script> |",
    ],
)
def test_html_is_only_text(text: str) -> None:
    shown = html(text)
    assert not any(tag in shown for tag in ("<script", "<img", "<b ", "<!--", "<td>\n<"))
    assert "&lt;" in shown or "%3C" in shown


@pytest.mark.parametrize(
    ("address", "stays"),
    [
        ("https://example.org/a?b=c", True),
        ("http://example.org", True),
        ("mailto:a@example.org", True),
        ("HTTPS://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("//example.org", False),
        ("other.html", False),
        ("vbscript:x", False),
    ],
)
def test_links(address: str, stays: bool) -> None:
    shown = html(f"see [this *page*]({address}) and <{address}>.")
    assert ("<a href=" in shown) == stays
    assert "<em>page</em>" in shown
    assert "javascript" not in "".join(part.partition('"')[0] for part in shown.split('href="')[1:]).lower()


def test_an_image_beside_the_notes_becomes_part_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").write_bytes(PNG)
    shown = html('![what it "shows"](pictures/a.png)', tmp_path)
    assert f'src="data:image/png;base64,{base64.b64encode(PNG).decode()}"' in shown
    assert 'alt="what it &quot;shows&quot;"' in shown


@pytest.mark.parametrize(
    ("begin", "kind"), [(b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBPVP8", "webp")]
)
def test_formats_of_images(tmp_path: Path, begin: bytes, kind: str) -> None:
    (tmp_path / "a").write_bytes(begin)
    assert f"data:image/{kind};" in html("![](a)", tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "https://example.org/a.png",
        "//example.org/a.png",
        "data:image/png;base64,AAAA",
        "javascript:x",
        "../outside.png",
        "/etc/hostname",
        "none.png",
        "link.png",
        ".",
        "a%00.png",
    ],
)
def test_other_images_are_refused(tmp_path: Path, source: str) -> None:
    place = tmp_path / "notes"
    place.mkdir()
    (tmp_path / "outside.png").write_bytes(PNG)
    (place / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(UsageError, match="image"):
        html(f"![x]({source})", place)


def test_what_is_no_image_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<svg onload='alert(1)'/>")
    with pytest.raises(UsageError, match="not a PNG, JPEG, GIF or WebP file"):
        html("![](a.svg)", tmp_path)
    (tmp_path / "a.png").write_bytes(PNG + b"\0" * prose.LARGEST_IMAGE)
    with pytest.raises(UsageError, match="cannot be read") as caught:
        html("![](a.png)", tmp_path)
    assert caught.value.details == "it has more than 2 MiB"


def test_a_tables_alignment_is_a_class() -> None:
    shown = html("| a |\n|--:|\n| 1 |\n")
    assert "style=" not in shown
    assert '<td class="text-align-right">1</td>' in shown
    assert shown.count('<div class="scroll"') == shown.count("</div>") == 1


def test_control_characters_do_not_hide_anything(tmp_path: Path) -> None:
    found = notes.read(file(tmp_path, "a\u202egnp.exe\x1b[31m\n\n## drain\n"))
    assert found.introduction.source == "a\\u202egnp.exe\n\n"
    assert list(found.exercises) == ["drain"]


def test_html_in_markdown_is_only_text_except_in_code(tmp_path: Path) -> None:
    text = "a <b> `<i>` <script>\n\n```\n<pre>\n```\n\n    <code>\n\n- x\n    <p>\n"
    shown = harmless(notes.read(file(tmp_path, text)).introduction)
    assert "a &lt;b> `<i>` &lt;script>" in shown
    assert "\n<pre>\n" in shown
    assert "\n    <code>\n" in shown
    assert "    &lt;p>" in shown
