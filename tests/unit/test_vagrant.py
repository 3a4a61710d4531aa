"""Vagrant's owner, with a program of our own in Vagrant's place."""

import os
import threading
from pathlib import Path

import pytest

from labgen import vagrant
from labgen.errors import HypervisorError

SAYS = r"""#!/bin/sh
echo "An unexpected error occurred when executing the action on the 'manager1' machine." >&2
echo "Call to virDomainCreate failed: no such device" >&2
for line in $(seq 40); do echo "/usr/share/gems/vagrant/lib/vagrant/action/warden.rb:$line:in \`call'" >&2; done
exit 1
"""


def test_the_reason_is_told_and_not_where_in_vagrant_it_came_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "vagrant"
    program.parent.mkdir()
    program.write_text(SAYS)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    log = tmp_path / "vagrant.log"
    with pytest.raises(HypervisorError) as caught:
        vagrant.up(tmp_path, log, threading.Event())
    assert "virDomainCreate failed: no such device" in caught.value.details
    assert "warden.rb" not in caught.value.details
    assert "warden.rb" in log.read_text()
    assert str(log) in caught.value.resolution
