"""Rules that involve several fields."""

from collections import Counter
from collections.abc import Iterator

from labgen.kinds import KINDS
from labgen.orchestrators import ORCHESTRATORS
from labgen.profile import balancing
from labgen.profile.problems import ANY, Finding, Location
from labgen.profile.schema import MOST_NODES, Group, Profile
from labgen.profile.size import Size
from labgen.storage import DRIVERS


def broken(profile: Profile) -> Iterator[Finding]:
    """The problems of a profile whose single fields are all valid."""
    yield from _strange_kinds(profile)
    yield from _no_manager(profile)
    total = sum(group.count for group in profile.nodes.values())
    if total > MOST_NODES:
        yield Finding(("nodes",), f"{total} nodes are too many: at most {MOST_NODES}", (("nodes", ANY, "count"),))
    else:  # comparing the names of all nodes that a hostile file can ask for would take long
        yield from _same_names(profile)
    yield from _small_storage(profile)
    yield from _same_scripts(profile)
    yield from _no_docker(profile)
    yield from balancing.broken(profile)


def warnings(profile: Profile) -> Iterator[str]:
    """Settings that are allowed, but probably not intended."""
    managers = sum(group.count for group in profile.nodes.values() if _manages(profile, group))
    labels = bool(profile.labels) or any(group.labels for group in profile.nodes.values())
    yield from ORCHESTRATORS[profile.orchestrator].advice(managers=managers, labels=labels)
    if (profile.registry_mirror or "").startswith("http:"):
        yield "registry_mirror: with http, anyone on the way can replace images that are pulled by a tag"
    yield from balancing.warnings(profile)


def _strange_kinds(profile: Profile) -> Iterator[Finding]:
    own = ORCHESTRATORS[profile.orchestrator].kind
    for name, group in profile.nodes.items():
        kind, location = profile.kind_of(group), ("nodes", name, "kind")
        if KINDS[kind].is_member and kind != own:
            message = f"{kind!r} needs a cluster, and 'orchestrator: {profile.orchestrator}' forms none"
            yield Finding(location, message, (location, ("orchestrator",)))
        elif profile.is_outside(group) and group.role == "manager":
            message = f"nodes of kind {kind!r} are outside the cluster and cannot have a role"
            yield Finding(("nodes", name, "role"), message, (location, ("nodes", name, "role"), ("orchestrator",)))


def _no_manager(profile: Profile) -> Iterator[Finding]:
    orchestrator = ORCHESTRATORS[profile.orchestrator]
    if not orchestrator.needs_manager or any(_manages(profile, group) for group in profile.nodes.values()):
        return
    first = "manager" if "manager" in profile.nodes else next(iter(profile.nodes))
    message = (
        f"no group has 'role: manager', and a {profile.orchestrator} needs one; "
        f"add it to '{first}', or set 'orchestrator: none'"
    )
    yield Finding(("nodes",), message, (("nodes", ANY, "role"), ("nodes", ANY, "kind"), ("orchestrator",)))


def _manages(profile: Profile, group: Group) -> bool:
    return group.role == "manager" and not profile.is_outside(group)


def _same_names(profile: Profile) -> Iterator[Finding]:
    """Group ``node`` with 11 nodes and group ``node1`` with one both have a node11."""
    names = Counter(node.name for node in profile.node_specs())
    for node in profile.node_specs():
        if names[node.name] > 1:
            others = {other.group for other in profile.node_specs() if other.name == node.name} - {node.group}
            yield Finding(
                ("nodes", node.group),
                f"has a node {node.name!r}, and so has group {min(others)!r}; rename one of the groups",
                (("nodes", node.group, "count"), ("nodes", min(others), "count")),
            )


def _small_storage(profile: Profile) -> Iterator[Finding]:
    least = Size(DRIVERS[profile.storage.driver].minimum_gib * 1024)
    sizes = {("storage", "size"): profile.storage.size} | {
        ("nodes", name, "storage", "size"): group.storage.size for name, group in profile.nodes.items()
    }
    for location, size in sizes.items():
        if size is not None and size < least:
            message = f"{size} is too little: {profile.storage.driver} needs at least {least}"
            yield Finding(location, message, (("storage", "driver"), location))


def _same_scripts(profile: Profile) -> Iterator[Finding]:
    yield from _repeated(profile.provision, ("provision",), set())
    for name, group in profile.nodes.items():
        yield from _repeated(group.provision, ("nodes", name, "provision"), set(profile.provision))


def _no_docker(profile: Profile) -> Iterator[Finding]:
    """Without a machine that has Docker, a registry has neither a place nor users."""
    if any(KINDS[profile.kind_of(group)].has_docker for group in profile.nodes.values()):
        return
    for field in ("registry", "registry_mirror"):
        if getattr(profile, field):
            rests_on = ((field,), ("nodes", ANY, "kind"), ("orchestrator",))
            yield Finding((field,), "is for Docker, and none of the nodes has it", rests_on)


def _repeated(scripts: tuple[str, ...], location: Location, seen: set[str]) -> Iterator[Finding]:
    """A script that is listed twice for a node would run there twice."""
    for index, script in enumerate(scripts):
        if script in seen:
            message = f"{script!r} is listed before, and would run twice"
            yield Finding((*location, index), message, ((*location, index),))
        seen.add(script)
