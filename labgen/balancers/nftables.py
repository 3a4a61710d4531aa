"""nftables: layers 3 and 4, in the kernel. It rewrites addresses, and knows nothing about what is sent."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from labgen.balancers.base import Backend, Frontend, Health, Program, Site, State, words

TABLE = "labgen"
ASK = f"nft -j list table ip {TABLE}"


@dataclass(frozen=True)
class Chain:
    """What a port does with a connection: one of its backends' chains.

    :param number: the port's, in the order of the profile. :param transport: tcp or udp.
    """

    number: int
    transport: str
    frontend: Frontend

    @property
    def service(self) -> str:
        return self.frontend.pools[0].service if self.frontend.pools else ""

    @property
    def targets(self) -> list[tuple[str, Backend]]:
        """The backends by the names of their chains."""
        backends = self.frontend.pools[0].backends if self.frontend.pools else ()
        return [(f"port{self.number}_{re.sub('[^A-Za-z0-9]', '_', each.name)}", each) for each in backends]

    @property
    def chosen(self) -> list[str]:
        """The chains of the backends that get new connections."""
        return [name for name, each in self.targets if not each.draining]

    @property
    def method(self) -> str:
        if self.frontend.publish.sticky == "address":
            return f"jhash ip saddr mod {len(self.chosen)} seed 0x1abe1abe"  # the same one after each change
        return f"numgen inc mod {len(self.chosen)}"


class Nftables(Program):
    name = "nftables"
    about = "addresses rewritten by the kernel: tcp and udp, whatever they carry"
    main = "nftables.conf"
    layers = "3, 4"
    needs = frozenset({"nftables"})
    can = frozenset({"tcp", "udp", "sticky: address", "allow"})
    notices = "never: the kernel does not ask its backends"

    def files(self, site: Site, version: str) -> dict[str, str]:
        values = {"site": site, "version": version or "none", "table": TABLE, "chains": list(_chains(site))}
        return {self.main: self.fill(values)}

    def question(self, site: Site) -> str:
        return ASK

    def health(self, site: Site, answer: str) -> list[Health]:
        """The kernel does not know whether a backend answers, but it counts the connections it has given to each."""
        counted = dict(_counted(answer))
        found = []
        for chain in _chains(site):
            for name, backend in chain.targets:
                state: State = "draining" if backend.draining else "unknown"
                says = f"{counted[name]} connections" if name in counted else ""
                pool = chain.frontend.pools[0]
                text = words(pool, chain.frontend.publish)
                found.append(Health(text, chain.service, backend.name, backend.place, state, says))
        return found


def _chains(site: Site) -> Iterator[Chain]:
    for number, frontend in enumerate(site.frontends):
        yield Chain(number, frontend.publish.protocol, frontend)


def _counted(answer: str) -> Iterator[tuple[str, int]]:
    """How many connections each chain has got: only the first packet of each passes there."""
    try:
        rules = [each["rule"] for each in json.loads(answer)["nftables"] if "rule" in each]
        for rule in rules:
            for expression in rule["expr"]:
                if isinstance(counter := expression.get("counter"), dict):
                    yield rule["chain"], int(counter["packets"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return
