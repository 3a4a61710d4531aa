"""Rules about load balancers: what collides, and what a program cannot do."""

from collections.abc import Iterator

from labgen.balancers import ABILITIES, BALANCERS
from labgen.balancers.base import RESERVED
from labgen.orchestrators import ORCHESTRATORS
from labgen.profile.balancer import BalancerFields, PublishFields
from labgen.profile.problems import Finding, Location, dotted
from labgen.profile.schema import Group, Profile

KIND = "balancer"
WEB = {"http", "https"}


def broken(profile: Profile) -> Iterator[Finding]:
    for name, group in profile.nodes.items():
        place: Location = ("nodes", name)
        is_one = profile.kind_of(group) == KIND
        kind = (*place, "kind")
        if is_one and not group.balancer:
            message = "what it does is missing, e.g. balancer: {program: nginx, publish: [80]}"
            yield Finding(place, message, (kind, (*place, "balancer")))
        elif is_one and not ORCHESTRATORS[profile.orchestrator].runs_stacks:
            message = f"a balancer is for services, and 'orchestrator: {profile.orchestrator}' runs none"
            yield Finding(kind, message, (kind, ("orchestrator",)))
        elif group.balancer and not is_one:
            yield Finding((*place, "balancer"), "is for nodes of 'kind: balancer'", (kind, (*place, "balancer")))
        if group.balancer:
            yield from _collisions(group.balancer, (*place, "balancer"))
            for number, publish in enumerate(group.balancer.publish):
                where = (*place, "balancer", "publish", number)
                yield from _contradictions(publish, group.balancer.program, where)
                yield from _impossible(publish, group.balancer.program, where, (*place, "balancer", "program"))
            if group.balancer.statistics:
                can = BALANCERS[group.balancer.program].can
                if "statistics" not in can:
                    where = (*place, "balancer", "statistics")
                    message = _cannot(group.balancer.program, "statistics")
                    yield Finding(where, message, (where, (*place, "balancer", "program")))


def warnings(profile: Profile) -> Iterator[str]:
    for name, group in profile.nodes.items():
        for number, publish in enumerate(_published(group)):
            if publish.sticky and not publish.direct:
                yield (
                    f"nodes.{name}.balancer.publish[{number}].sticky: clients stay with a node, whose mesh then "
                    "chooses any task; to stay with a task, publish with 'mode: host' and set 'direct: true'"
                )


def _published(group: Group) -> tuple[PublishFields, ...]:
    return group.balancer.publish if group.balancer else ()


def _collisions(balancer: BalancerFields, place: Location) -> Iterator[Finding]:
    """One port that is wanted twice, or that something else has."""
    taken: dict[tuple[int, bool], str] = {}
    wanted: list[tuple[int, bool, Location]] = []
    for number, publish in enumerate(balancer.publish):
        where = (*place, "publish", number)
        wanted.append((publish.port, publish.protocol == "udp", (*where, "port")))
        if publish.redirect_from:
            wanted.append((publish.redirect_from, False, (*where, "redirect_from")))
    if balancer.statistics:
        wanted.append((balancer.statistics, False, (*place, "statistics")))
    for port, is_udp, where in wanted:
        if port in RESERVED and not is_udp:
            yield Finding(where, f"port {port} cannot be published: {RESERVED[port]}", (where,))
        elif other := taken.get((port, is_udp)):
            yield Finding(where, f"port {port} is taken by {other}", (where, place))
        taken.setdefault((port, is_udp), dotted(where[3:]))


def _contradictions(publish: PublishFields, program: str, where: Location) -> Iterator[Finding]:
    """Fields that do not fit each other."""
    is_web = publish.spoken(program) in WEB

    def finding(field: str, message: str, *others: str) -> Finding:
        return Finding((*where, field), message, tuple((*where, each) for each in (field, *others)))

    if publish.service and publish.routes:
        yield finding("service", "cannot be combined with 'routes': give each route its service", "routes")
    if publish.redirect_from and publish.spoken(program) != "https":
        yield finding("redirect_from", "needs 'protocol: https'", "protocol")
    for field in ("routes", "check", "anonymous"):
        if getattr(publish, field) and not is_web:
            yield finding(field, f"needs http or https: {publish.spoken(program)} is passed on unread", "protocol")
    if publish.access.users and not is_web:
        yield finding("access", f"users cannot log in over {publish.spoken(program)}", "protocol")
    if publish.sticky == "cookie" and not is_web:
        yield finding("sticky", "'cookie' needs http or https; 'address' works with all protocols", "protocol")
    seen: dict[tuple[str | None, str], int] = {}
    for number, route in enumerate(publish.routes):
        place = (*where, "routes", number)
        if route.redirect and (route.service or route.rewrite):
            message = "takes the place of a service: leave out 'service' and 'rewrite'"
            yield Finding((*place, "redirect"), message, (place,))
        if (first := seen.setdefault((route.host, route.path), number)) != number:
            what = f"{route.host or ''}{route.path}"
            message = f"collides with routes[{first}]: both are for {what}"
            yield Finding(place, message, (place, (*where, "routes", first)))


def _impossible(publish: PublishFields, program: str, where: Location, chosen: Location) -> Iterator[Finding]:
    can = BALANCERS[program].can
    for ability, field in _used(publish, program):
        if ability not in can:
            yield Finding((*where, *field), _cannot(program, ability), ((*where, *field), chosen))


def _used(publish: PublishFields, program: str) -> Iterator[tuple[str, Location]]:
    """What a port needs of its program, and the fields that say so."""
    protocol = publish.spoken(program)
    yield protocol, ("protocol",)
    if publish.sticky:
        yield f"sticky: {publish.sticky}", ("sticky",)
    if publish.algorithm != "round-robin":
        yield publish.algorithm, ("algorithm",)
    if publish.proxy_protocol:
        yield f"proxy_protocol with {'http' if protocol in WEB else protocol}", ("proxy_protocol",)
    if publish.access.allow:
        yield "allow", ("access", "allow")
    if protocol in WEB:  # otherwise the fields contradict each other
        for field in ("redirect_from", "check", "anonymous"):
            if getattr(publish, field):
                yield field, (field,)
        if publish.access.users:
            yield "users", ("access", "users")
        for number, route in enumerate(publish.routes):
            yield "routes", ("routes",)
            for field in ("rewrite", "redirect"):
                if getattr(route, field):
                    yield field, ("routes", number, field)


def _cannot(program: str, ability: str) -> str:
    able = [name for name, each in BALANCERS.items() if ability in each.can]
    way = f"programs that can: {', '.join(able)}" if able else "no program can"
    return f"{program} cannot do that ({ABILITIES[ability]}); {way}"
