"""The command line as the entry point calls it, in the test's process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from labgen import cli


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["labgen", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        output, errors = capsys.readouterr()
        return Ran(int(ended.value.code or 0), output, errors)

    return call


__all__ = ["Ran", "Run", "run"]
