"""Refusals by the operating system: their names, and which of them are the host's."""

import errno
import os
from pathlib import Path

import pytest

from labgen import paths
from labgen.errors import HostError, LabgenError
from labgen.refusals import explained


def refused(number: int, file: object) -> LabgenError:
    return explained(OSError(number, os.strerror(number), file))


def test_a_file_system_that_is_read_only_is_the_hosts() -> None:
    error = refused(errno.EROFS, str(paths.registry()))
    assert isinstance(error, HostError)
    assert "read-only" in error.brief
    assert str(paths.registry()) in error.details
    assert "LABGEN_HOME" in error.resolution


def test_a_file_in_the_way_is_named(home: Path) -> None:
    home.write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        paths.registry().read_text()
    error = explained(caught.value)
    assert (type(error), error.brief) == (HostError, f"{home} is not a directory")


def test_a_directory_in_the_way_is_named() -> None:
    paths.registry().mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught:
        paths.registry().read_text()
    error = explained(caught.value)
    assert (type(error), error.brief) == (HostError, f"{paths.registry()} is a directory, and should be a file")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.ENOSPC])
@pytest.mark.parametrize("file", ["/srv/somewhere/else", "relative", 7, None, b"bytes"], ids=repr)
def test_a_file_that_is_the_users_to_choose_is_only_named(number: int, file: object) -> None:
    error = refused(number, file)
    assert type(error) is LabgenError
    assert error.brief == os.strerror(number)
    assert error.details == str(file or "")


def test_a_full_disk_is_none_of_the_hosts_settings() -> None:
    assert type(refused(errno.ENOSPC, str(paths.registry()))) is LabgenError


def test_a_current_directory_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError) as caught:
        Path("lab").absolute()
    assert explained(caught.value).brief == "the current directory no longer exists"
    monkeypatch.chdir(tmp_path)
    assert explained(caught.value).brief == "No such file or directory"


def test_an_error_without_a_number_is_told_in_its_own_words() -> None:
    assert explained(OSError("cannot read from timed out object")).brief == "cannot read from timed out object"
