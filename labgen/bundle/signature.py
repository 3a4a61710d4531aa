"""Signing and verifying bundles: OpenSSH signatures over the manifest, which lists every part's sha256.

ssh-keygen(1), section "-Y"; the allowed signers have the format of its section ALLOWED SIGNERS.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labgen.errors import BundleError, HostError
from labgen.surroundings import KEY_AGENT, environment

NAMESPACE = "labgen"
LARGEST = 64 * 1024  # bytes


def sign(manifest: bytes, key: Path) -> bytes:
    """:param key: a private key, or the public half of one in the agent. ssh-keygen may ask for a passphrase.

    :raises BundleError: the key cannot sign.
    """
    with tempfile.TemporaryDirectory(prefix="labgen-sign-") as scratch:
        file = Path(scratch) / "manifest.json"
        file.write_bytes(manifest)
        result = _keygen("-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(file))
        if result.status:
            raise BundleError(f"{key} cannot sign the bundle", result.stderr, "It must be an OpenSSH private key.")
        return file.with_suffix(".json.sig").read_bytes()


def verify(manifest: bytes, signature: bytes | None, allowed: Path | None) -> str | None:
    """Determines who signed a manifest.

    :param allowed: the signers to accept; None: the signer is reported, but neither accepted nor refused.
    :return: the signer, as text for users; None if it is not signed.
    :raises BundleError: none of the allowed signers signed exactly this manifest.
    """
    if signature is None:
        if allowed:
            raise BundleError("the bundle is not signed", resolution="It can still be imported without --verify.")
        return None
    with tempfile.TemporaryDirectory(prefix="labgen-verify-") as scratch:
        file = Path(scratch) / "signature"
        file.write_bytes(signature)
        checked = _keygen("-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(file), stdin=manifest)
        if checked.status:
            raise BundleError("the bundle's signature does not match it", checked.stderr)
        fingerprint = checked.stdout.strip().rpartition(" key ")[2]
        if allowed is None:
            return f"{fingerprint}, not verified (see --verify)"
        found = _keygen("-Y", "find-principals", "-s", str(file), "-f", str(allowed))
        for principal in found.stdout.splitlines() if found.status == 0 else []:
            options = ("-n", NAMESPACE, "-I", principal, "-f", str(allowed), "-s", str(file))
            if _keygen("-Y", "verify", *options, stdin=manifest).status == 0:
                return f"{principal} ({fingerprint})"
        raise BundleError(f"the bundle is not signed by anyone listed in {allowed}", f"signed by {fingerprint}")


@dataclass(frozen=True)
class _Said:
    status: int
    stdout: str
    stderr: str


def _keygen(*arguments: str, stdin: bytes | None = None) -> _Said:
    try:
        result = subprocess.run(
            ["ssh-keygen", *arguments], input=stdin, capture_output=True, env=environment(KEY_AGENT), check=False
        )
    except FileNotFoundError as error:
        raise HostError("ssh-keygen is missing", resolution="Install openssh-client.") from error
    return _Said(result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace"))
