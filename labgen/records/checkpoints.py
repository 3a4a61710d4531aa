"""The records of a lab's checkpoints. The memory and the disks themselves are in libvirt's pool.

A record is written before the first machine is touched and states the operation in progress. So after a labgen
process was killed, the next one knows what to finish or to undo.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from labgen import paths
from labgen.errors import LabgenError, UsageError
from labgen.records.record import Kind
from labgen.suggestions import near

Phase = Literal["saving", "complete", "restoring", "dropping"]


@dataclass(frozen=True)
class Checkpoint:
    """A whole lab at one moment.

    :param created: local time, ISO 8601, to the millisecond.
    :param memory: the nodes that were running; the others were off.
    :param phase: anything but ``complete`` is in progress, or was interrupted.
    """

    label: str
    created: str
    memory: tuple[str, ...]
    phase: Phase


_KIND = Kind(Checkpoint)


def begun(label: str, memory: tuple[str, ...]) -> Checkpoint:
    return Checkpoint(label, datetime.now().astimezone().isoformat(timespec="milliseconds"), memory, "saving")


def default_label() -> str:
    """The time of day, for users who give no label."""
    return datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")


def save(lab: str, checkpoint: Checkpoint) -> None:
    path = paths.checkpoint(lab, checkpoint.label)
    path.parent.mkdir(exist_ok=True)
    _KIND.save(path, checkpoint)


def remove(lab: str, label: str) -> None:
    paths.checkpoint(lab, label).unlink(missing_ok=True)


def every(lab: str) -> list[Checkpoint]:
    """All checkpoints of a lab, oldest first, including incomplete ones."""
    found = [_read(lab, path.stem) for path in paths.checkpoints(lab).glob("*.json")]
    return sorted(found, key=lambda each: datetime.fromisoformat(each.created))


def load(lab: str, label: str) -> Checkpoint:
    """:raises UsageError: there is none with that label."""
    labels = [each.label for each in every(lab)]
    if label not in labels:
        hint = f"'labgen checkpoint list {lab}' shows all, 'labgen checkpoint save {lab} LABEL' saves one."
        raise UsageError(f"{lab!r} has no checkpoint named {label!r}", near(label, labels, "checkpoints"), hint)
    return _read(lab, label)


def _read(lab: str, label: str) -> Checkpoint:
    path = paths.checkpoint(lab, label)
    try:
        found = _KIND.load(path)
        if datetime.fromisoformat(found.created).tzinfo is None:
            raise ValueError(f"{found.created} is not a time")
        if found.label != label:
            raise ValueError(f"it is the record of {found.label!r}")
        return found
    except PermissionError:
        raise  # it belongs to another user, and is not damaged
    except (ValueError, OSError) as error:
        raise LabgenError(
            "the record of a checkpoint is damaged",
            f"{path}: {error}",
            f"Remove that file; 'labgen destroy {lab}' removes the lab with all its checkpoints.",
        ) from error
