"""The box that a profile names: whether it exists, and whether it has what the profile needs of it."""

from collections.abc import Container, Iterator

from labgen.balancers import BALANCERS
from labgen.boxes import recipe
from labgen.profile.problems import Finding, Location, suggestion
from labgen.profile.schema import Profile
from labgen.storage import DRIVERS

BOX: Location = ("box",)
DRIVER: Location = ("storage", "driver")
REGISTRY: Location = ("registry",)
REGISTRY_NEEDS = frozenset({"docker-registry"})


def unfit(profile: Profile, written: Container[Location]) -> Iterator[Finding]:
    """:param written: the fields that are given, as opposed to those with their defaults.

    :raises BoxError: the box's recipe cannot be read.
    """
    boxes = recipe.known()
    if profile.box not in boxes:
        yield Finding(BOX, f"{profile.box!r} is not a box{suggestion(profile.box, boxes)}", (BOX,))
        return
    driver = profile.storage.driver
    wanted: list[tuple[str, frozenset[str], Location]] = [(driver, DRIVERS[driver].needs, DRIVER)]
    if profile.registry:
        wanted.append(("the registry", REGISTRY_NEEDS, REGISTRY))
    for name, group in profile.nodes.items():
        if group.balancer:
            program = group.balancer.program
            wanted.append((program, BALANCERS[program].needs, ("nodes", name, "balancer", "program")))
    provided = recipe.load(profile.box).provides
    for who, needs, field in wanted:
        if lacking := sorted(needs - provided):
            able = recipe.serving(needs)
            way = f"boxes that have it: {', '.join(able)}" if able else "add it to the packages of the box's recipe"
            message = f"{who} needs {', '.join(lacking)}, which the box {profile.box!r} lacks; {way}"
            yield Finding(field if field in written else BOX, message, (field, BOX))
