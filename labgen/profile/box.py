"""The box that a profile names: whether it exists, and whether it has what the storage driver needs."""

from collections.abc import Container, Iterator

from labgen.boxes import recipe
from labgen.profile.problems import Finding, Location, suggestion
from labgen.profile.schema import Profile
from labgen.storage import DRIVERS

BOX: Location = ("box",)
DRIVER: Location = ("storage", "driver")


def unfit(profile: Profile, written: Container[Location]) -> Iterator[Finding]:
    """:param written: the fields that are given, as opposed to those with their defaults.

    :raises BoxError: the box's recipe cannot be read.
    """
    boxes = recipe.known()
    if profile.box not in boxes:
        yield Finding(BOX, f"{profile.box!r} is not a box{suggestion(profile.box, boxes)}", (BOX,))
        return
    needs = DRIVERS[profile.storage.driver].needs
    if lacking := sorted(needs - recipe.load(profile.box).provides):
        able = recipe.serving(needs)
        way = f"boxes that have it: {', '.join(able)}" if able else "add it to the packages of the box's recipe"
        message = f"{profile.storage.driver} needs {', '.join(lacking)}, which the box {profile.box!r} lacks; {way}"
        yield Finding(DRIVER if DRIVER in written else BOX, message, (DRIVER, BOX))
