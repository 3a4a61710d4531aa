"""``labgen report`` as users run it: of a lab, of a destroyed one, and with input that cannot work."""

import os
import shutil
from pathlib import Path

import pytest

from labgen import paths
from labgen.lab import report as recipe
from labgen.records import journals
from labgen.report import browser
from tests.report import example
from tests.unit.commands import Run, run

__all__ = ["run"]  # fixtures
MOMENT = "20261127-210000"


@pytest.fixture
def former(home: Path) -> str:
    """A lab that was destroyed."""
    shutil.copytree(example.DIRECTORY, paths.archived(example.LAB, MOMENT))
    return example.LAB


@pytest.fixture
def living(home: Path) -> str:
    """A lab that exists, as far as its records tell."""
    shutil.copytree(example.DIRECTORY, paths.lab(example.LAB))
    return example.LAB


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def test_a_report_of_a_lab(living: str, run: Run) -> None:
    done = run(
        "report", living, "-o", "report.html", "--author", "Ada", "--course", "Systems", "--title", "What <is>"
    )
    assert done.status == 0, done.stderr
    assert done.stdout == f"wrote report.html ({Path('report.html').stat().st_size / 2**20:.1f} MiB)\n"
    text = Path("report.html").read_text()
    assert "<title>What &lt;is&gt;</title>" in text
    assert "Ada · Systems · lab three-node-btrfs · 2" in text
    assert "destroyed" not in text


def test_a_report_of_a_destroyed_lab(former: str, run: Run) -> None:
    done = run("report", former, "-o", "report.md", "--notes", str(example.NOTES))
    assert done.status == 0, done.stderr
    text = Path("report.md").read_text()
    assert text.startswith(f"# Report of {former}\n")
    assert "lab three-node-btrfs, destroyed 2026-11-27 21:00:00" in text


def test_the_newest_of_several_is_taken_unless_another_is_chosen(former: str, run: Run) -> None:
    older = "20261101-080000"
    shutil.copytree(example.DIRECTORY, paths.archived(former, older))
    assert "destroyed 2026-11-27 21:00:00" in run("report", former, "-o", "-", "--format", "md").stdout
    chosen = run("report", former, "-o", "-", "--format", "md", "--destroyed", older)
    assert "destroyed 2026-11-01 08:00:00" in chosen.stdout
    wrong = run("report", former, "-o", "-", "--destroyed", "20250101-000000")
    assert wrong.status == 2
    assert f"destroyed: {MOMENT}, {older}" in wrong.stderr


def test_the_living_lab_comes_first(living: str, former: str, run: Run) -> None:
    assert "destroyed" not in run("report", living, "-o", "-", "--format", "md").stdout
    assert "destroyed 2026" in run("report", living, "-o", "-", "--format", "md", "--destroyed", MOMENT).stdout


def test_what_there_is(living: str, former: str, run: Run) -> None:
    listed = run("report", "--list")
    rows = [line.split() for line in listed.stdout.splitlines()]
    count = str(len(example.records().results))
    assert rows == [["LAB", "DESTROYED", "RECORDS"], [living, "-", count], [former, MOMENT, count]]


def test_an_unknown_lab(former: str, run: Run) -> None:
    wrong = run("report", "three-node-btrf", "-o", "report.html")
    assert wrong.status == 2
    assert "there is no lab named 'three-node-btrf', and no records of one that was destroyed" in wrong.stderr
    assert "Did you mean three-node-btrfs?" in wrong.stderr
    assert not Path("report.html").exists()


@pytest.mark.parametrize("name", ["..", "../labs", "/", "a/b", ""])
def test_a_name_that_leads_elsewhere(former: str, run: Run, name: str) -> None:
    assert run("report", name, "-o", "report.html").status == 2


def test_a_lab_in_which_nothing_was_tried(living: str, former: str, run: Run) -> None:
    shutil.rmtree(paths.results(living))
    wrong = run("report", living, "-o", "report.html")
    assert wrong.status == 2
    assert "there is nothing to report: no drill, deploy or rebalance was done in 'three-node-btrfs'" in wrong.stderr
    assert f"labgen report {living} --destroyed {MOMENT}" in wrong.stderr


def test_records_that_cannot_be_read(former: str, run: Run) -> None:
    for file in (paths.archived(former, MOMENT) / paths.RESULTS).iterdir():
        file.write_text("{")
    wrong = run("report", former, "-o", "report.html")
    assert wrong.status == 2
    assert "cannot be read" in wrong.stderr


@pytest.mark.parametrize("content", ["{", None])
def test_a_lost_journal_does_not_matter(living: str, former: str, run: Run, content: str | None) -> None:
    for directory in (paths.lab(living), paths.archived(former, MOMENT)):
        path = directory / paths.STATE
        path.unlink() if content is None else path.write_text(content)
    for more in ((), ("--destroyed", MOMENT)):
        done = run("report", living, "-o", "report.html", *more)
        assert done.status == 0, done.stderr
    with pytest.raises(journals.JournalLost):
        journals.load(living)


BAD_PLACES = {
    "a directory": ("there", "there is a directory"),
    "no directory": ("none/report.html", "there is no directory none"),
    "unknown suffix": ("report.txt", "has to end with one of .html, .md, .pdf"),
    "no suffix": ("report", "has to end with one of .html, .md, .pdf"),
}


@pytest.mark.parametrize(("place", "said"), BAD_PLACES.values(), ids=BAD_PLACES)
def test_a_place_that_cannot_be_written(living: str, run: Run, elsewhere: Path, place: str, said: str) -> None:
    (elsewhere / "there").mkdir()
    wrong = run("report", living, "-o", place)
    assert wrong.status == 2
    assert said in " ".join(wrong.stderr.split())
    assert sorted(path.name for path in elsewhere.iterdir()) == ["there"]


def test_a_file_that_cannot_be_written_stays_as_it_was(
    living: str, run: Run, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    Path("report.html").write_text("former")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        wrong = run("report", living, "-o", "report.html")
    assert wrong.status == 1
    assert "error: report.html cannot be written\n  No space left on device\n" in wrong.stderr
    assert {path.name: path.read_text() for path in elsewhere.iterdir()} == {"report.html": "former"}


def test_a_link_stays_a_link(living: str, run: Run, elsewhere: Path) -> None:
    (elsewhere / "kept.html").write_text("")
    (elsewhere / "report.html").symlink_to("kept.html")
    assert run("report", living, "-o", "report.html").status == 0
    assert (elsewhere / "report.html").is_symlink()
    assert "<!doctype html>" in (elsewhere / "kept.html").read_text()


def test_a_device_is_not_replaced(living: str, run: Run) -> None:
    assert run("report", living, "-o", "/dev/null", "--format", "html").status == 0
    assert Path("/dev/null").is_char_device()


def test_a_pdf_without_a_browser(living: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    wrong = run("report", living, "-o", "report.pdf")
    assert wrong.status == 20
    assert "a PDF is printed by a browser, and none is installed" in wrong.stderr
    assert "apt install chromium" in wrong.stderr
    assert not Path("report.pdf").exists()


PROGRAM = "#!/bin/sh\n{}\n"


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("echo it is broken >&2; exit 3", "has not printed the report (exit code 3)"),
        ("exit 0", "has not printed the report (exit code 0)"),
        ("exec sleep 60", "has not printed the report within 0.5 s"),
    ],
)
def test_a_browser_that_does_not_print(
    living: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, said: str
) -> None:
    (tmp_path / "chromium").write_text(PROGRAM.format(does))
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(browser, "LIMIT", 0.5)
    wrong = run("report", living, "-o", "report.pdf")
    assert wrong.status == 20
    assert said in wrong.stderr
    assert not Path("report.pdf").exists()


def test_the_browser_is_kept_from_the_network_and_the_users_profile(
    living: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        'printf "%s\\n" "$@" "HOME=$HOME" >"$(dirname "$0")/said"; for each; do case $each in --print-to-pdf=*) '
    )
    program += 'echo %PDF >"${each#*=}";; esac; done'
    (tmp_path / "chromium").write_text(PROGRAM.format(program))
    (tmp_path / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert run("report", living, "-o", "report.pdf").status == 0
    said = (tmp_path / "said").read_text().splitlines()
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in said
    assert ("--no-sandbox" in said) == (os.geteuid() == 0)
    (profile,) = [each.partition("=")[2] for each in said if each.startswith("--user-data-dir=")]
    assert not Path(profile).exists()
    assert f"HOME={Path(profile).parent}" in said
    assert Path("report.pdf").read_text() == "%PDF\n"


def test_notes_that_do_not_fit(living: str, run: Run, elsewhere: Path) -> None:
    (elsewhere / "notes.md").write_text("## power-of\n\ntext\n")
    wrong = run("report", living, "-o", "report.html", "--notes", "notes.md")
    assert wrong.status == 2
    assert "notes.md, line 1: the heading 'power-of' matches no exercise" in wrong.stderr
    (elsewhere / "notes.md").write_bytes(b"\xff")
    assert "the notes notes.md are not UTF-8" in run("report", living, "-o", "r.html", "--notes", "notes.md").stderr
    missing = run("report", living, "-o", "r.html", "--notes", "none.md")
    assert (missing.status, "the notes none.md cannot be read" in missing.stderr) == (2, True)
    for form in ("html", "md"):
        (elsewhere / "notes.md").write_text("![x](https://example.org/x.png)")
        remote = run("report", living, "-o", "-", "--format", form, "--notes", "notes.md")
        assert (remote.status, remote.stdout) == (2, "")
        assert "a report loads nothing from elsewhere" in remote.stderr


@pytest.mark.parametrize("arguments", [(), ("lab",), ("-o", "x.html")])
def test_what_is_missing_is_told(run: Run, arguments: tuple[str, ...]) -> None:
    wrong = run("report", *arguments)
    assert wrong.status == 2
    assert "specify a lab and -o FILE, or --list" in wrong.stderr


def test_formats_are_those_of_the_help() -> None:
    from labgen.cli.report import FORMS
    from labgen.report.formats import FORMATS

    assert set(FORMS) == set(FORMATS)


def test_names_are_completed(former: str, living: str, run: Run) -> None:
    import click

    from labgen.cli import complete
    from labgen.cli.report import report

    shutil.copytree(example.DIRECTORY, paths.archived("other", MOMENT))
    context = click.Context(report)
    parameter = report.params[0]
    assert complete.reported(context, parameter, "") == ["other", "three-node-btrfs"]
    context.params["lab"] = "other"
    assert complete.moments(context, parameter, "2026") == [MOMENT]
    assert complete.moments(context, parameter, "1") == []


def test_a_strange_moment_is_shown_as_it_is() -> None:
    assert recipe._in_words("20261127-210000-2") == "2026-11-27 21:00:00"
    assert recipe._in_words("backup") == "backup"
