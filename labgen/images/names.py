"""Names of images, as Docker reads them.

The grammar is that of https://pkg.go.dev/github.com/distribution/reference.
"""

import re

from labgen.errors import UsageError

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:[a-zA-Z0-9-]+\.[a-zA-Z0-9.-]+|localhost|[a-zA-Z0-9-]+(?=:))(?::[0-9]+)?/"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_DOMAIN})?{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?", re.ASCII
)
LONGEST = 255  # characters of a name without its tag
HUB = ("docker.io/library/", "docker.io/")


def reference(text: str) -> str:
    """The name as Docker shows it, with its tag; ``latest`` by default.

    :raises UsageError: it is not a valid name.
    """
    found = _REFERENCE.fullmatch(text)
    if not found or len(found["repository"]) > LONGEST:
        raise UsageError(
            f"{text!r} is not a valid image name",
            resolution="Use NAME or NAME:TAG, for example hello:1. NAME is in lower case; '/' separates its parts.",
        )
    return familiar(f"{found['repository']}:{found['tag'] or 'latest'}")


def familiar(name: str) -> str:
    """Without Docker Hub's host, which Docker leaves out and other programs write."""
    return next((name.removeprefix(prefix) for prefix in HUB if name.startswith(prefix)), name)


def in_registry(name: str, registry: str) -> str:
    """The name under which a registry has an image; a host that the name has is replaced.

    :param registry: its host and port.
    """
    host, slash, rest = name.partition("/")
    has_host = bool(slash) and (host == "localhost" or "." in host or ":" in host)
    return f"{registry}/{rest if has_host else name}"
