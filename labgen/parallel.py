"""The same work on several nodes at once."""

import queue
import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from labgen.errors import LabgenError

T = TypeVar("T")
R = TypeVar("R")


def on_each(items: Mapping[str, T], work: Callable[[T], R]) -> dict[str, R]:
    """Calls ``work`` for every item, each in a separate thread, and waits for all.

    The threads are daemon threads and the caller's thread waits: Ctrl-C ends the wait at once.

    :return: the results by item name, in the items' order.
    :raises LabgenError: of the same kind as the first failure, naming every node that failed.
    """
    outcomes: queue.Queue[tuple[str, R | None, BaseException | None]] = queue.Queue()

    def attempt(name: str, item: T) -> None:
        try:
            outcomes.put((name, work(item), None))
        except BaseException as error:  # whatever it is, it is re-raised in the caller's thread
            outcomes.put((name, None, error))

    for name, item in items.items():
        threading.Thread(target=attempt, args=(name, item), daemon=True, name=name).start()
    results, failures = {}, []
    for _ in items:
        name, result, error = outcomes.get()
        if error is not None:
            failures.append(error)
        else:
            results[name] = result
    if failures:
        raise joined(failures)
    return {name: results[name] for name in items}  # type: ignore[misc]  # R may itself be None


def joined(failures: list[BaseException]) -> BaseException:
    """A single failure unchanged; several LabgenErrors as one that lists them all."""
    failures = list(dict.fromkeys(failures))  # several threads may have raised the same object
    first = failures[0]
    if len(failures) == 1 or not all(isinstance(failure, LabgenError) for failure in failures):
        return next((failure for failure in failures if not isinstance(failure, LabgenError)), first)
    ours = [failure for failure in failures if isinstance(failure, LabgenError)]
    details = "\n".join(f"{error.brief}\n{error.details}".strip() for error in ours)
    joined = type(ours[0])(f"{len(ours)} nodes failed", details, ours[0].resolution)
    joined.__cause__ = first
    return joined
