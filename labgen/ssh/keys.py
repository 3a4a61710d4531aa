"""The lab's own key pair, and the host keys of its machines."""

import base64
import subprocess
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

import paramiko

from labgen.errors import GuestError, HostError
from labgen.files import read_text, write_atomically
from labgen.refusals import explained
from labgen.surroundings import environment

_writing = threading.Lock()


def make_key(path: Path, comment: str) -> None:
    """Creates a key pair, ``path`` and ``path.pub``, unless it exists; a private key is always kept.

    :raises HostError: ssh-keygen is missing or failed.
    """
    if path.exists():
        return
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment()
        )
    except FileNotFoundError as error:
        raise HostError("ssh-keygen is missing", resolution="Install openssh-client.") from error
    except subprocess.CalledProcessError as error:
        raise HostError("ssh-keygen could not create the lab's key", error.stderr) from error


def take_key(private: str, path: Path) -> None:
    """Stores a key that came from elsewhere in ``path``, and its public half in ``path.pub``.

    :raises HostError: ssh-keygen is missing. :raises ValueError: it is not a private key without a passphrase.
    """
    write_atomically(path, private, 0o600)
    write_atomically(path.with_suffix(".pub"), _public_half(path))


def _public_half(path: Path) -> str:
    """:raises HostError: ssh-keygen is missing. :raises ValueError: it is not a private key without a passphrase."""
    try:
        result = subprocess.run(
            ["ssh-keygen", "-y", "-P", "", "-f", str(path)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment(),
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError("ssh-keygen is missing", resolution="Install openssh-client.") from error
    if result.returncode:
        raise ValueError(f"{path} is not a private key: {result.stderr.strip()}")
    return result.stdout


def public_key(path: Path) -> str:
    """The public half of a key pair, one line; written again if it is missing.

    :raises HostError: ssh-keygen is missing.
    :raises GuestError: the private key is missing, without which the public half is of no use.
    """
    public = path.with_suffix(".pub")
    require_key(path, "the lab")
    if not public.exists():
        write_atomically(public, _public_half(path))
    return read_text(public).strip()


def require_key(path: Path, name: str) -> None:
    """:raises GuestError: the private key for the machine is missing.

    :raises OSError: it cannot be read.
    """
    if not path.is_file():
        raise GuestError(
            f"the private key of the lab is missing: {name} accepts no other key",
            str(path),
            f"Restore {path} from a backup, or from anyone else who has this lab's key.",
        )
    path.open().close()  # paramiko would report only that the login failed


def load_known_hosts(client: paramiko.SSHClient, file: Path) -> None:
    """Makes the client accept the host keys in the file, and add those of hosts that are not in it.

    :raises GuestError: the file is damaged.
    """
    with _writing:
        file.touch(mode=0o600)
        try:
            client.load_host_keys(str(file))
        except (paramiko.hostkeys.InvalidHostKey, UnicodeDecodeError) as error:
            raise _damaged(file, error) from error
    client.set_missing_host_key_policy(_Learn(file))


def _damaged(file: Path, error: Exception) -> GuestError:
    return GuestError("the record of the machines' host keys is damaged", f"{file}: {error}", "Remove that file.")


def forget_hosts(file: Path, addresses: Collection[str]) -> None:
    """The next machine that answers at one of the addresses counts as new."""
    know_hosts(file, dict.fromkeys(addresses, ""))


def know_hosts(file: Path, keys: Mapping[str, str]) -> None:
    """Replaces the known host keys of some addresses.

    :param keys: by address, each as in a file ``ssh_host_*_key.pub``; empty for none.
    :raises GuestError: one is not a valid key.
    """
    for address, key in keys.items():
        if key and not _is_host_key(key):
            raise GuestError(f"the machine at {address} sends an invalid host key", key[:200])
    with _writing:
        try:
            known = file.read_text().splitlines() if file.exists() else []
        except UnicodeDecodeError as error:
            raise _damaged(file, error) from error
        others = [line for line in known if line.strip() and line.split()[0] not in keys]
        new = [f"{address} {' '.join(key.split()[:2])}" for address, key in keys.items() if key]
        write_atomically(file, "".join(f"{line}\n" for line in [*others, *new]), 0o600)


def _is_host_key(text: str) -> bool:
    kind, _, rest = text.strip().partition(" ")
    try:
        paramiko.Ed25519Key(data=base64.b64decode(rest.partition(" ")[0], validate=True))
    except (ValueError, paramiko.SSHException):
        return False
    return kind == "ssh-ed25519"


class _Learn(paramiko.MissingHostKeyPolicy):
    """Records a new machine's host key; one writer at a time, because nodes are entered in parallel."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        new = f"{hostname} {key.get_name()} {key.get_base64()}"
        with _writing:
            try:
                lines = [*self._file.read_text().splitlines(), new]
                write_atomically(self._file, "".join(f"{line}\n" for line in lines), 0o600)
            except OSError as error:  # otherwise it would pass for an error of the connection
                raise explained(error) from error
