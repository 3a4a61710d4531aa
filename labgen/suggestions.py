"""Suggestions for mistyped names."""

import difflib
from collections.abc import Collection

NEAR = 0.7  # as difflib's ratio: "lsit" is near "list" (0.75), "delete" is not near "create" (0.67)


def near(name: str, known: Collection[str], kind: str) -> str:
    """A sentence with the nearest known names, or with all of them if none is near.

    :param kind: what they are, in the plural.
    """
    if not known:
        return f"There are no {kind}."
    if close := difflib.get_close_matches(name, known, n=3, cutoff=NEAR):
        return f"Did you mean {' or '.join(close)}?"
    return f"Available {kind}: {', '.join(sorted(known))}"
