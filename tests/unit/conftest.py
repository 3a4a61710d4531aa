from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A separate labgen home for every test: none sees, or touches, the developer's labs."""
    directory = tmp_path / "labgen-home"
    monkeypatch.setenv("LABGEN_HOME", str(directory))
    monkeypatch.delenv("LABGEN_SUBNET_POOL", raising=False)
    monkeypatch.delenv("VAGRANT_HOME", raising=False)
    yield directory
