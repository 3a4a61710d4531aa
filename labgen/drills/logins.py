"""What becomes of a login that lives in one replica, behind each load balancer."""

from collections.abc import Sequence
from dataclasses import dataclass

from labgen.drills.entrances import Entrance, is_on
from labgen.drills.sessions import Client, Visit, client_of
from labgen.drills.stage import Stage
from labgen.errors import ClusterError


@dataclass(frozen=True)
class Login:
    """A client at a balancer. :param first: where it was last, before a node was lost."""

    entrance: Entrance
    client: Client
    first: Visit


class Logins:
    """One client of each balancer; those that stay with a backend are at one that will be lost, if they get there."""

    def __init__(self, stage: Stage, entrances: Sequence[Entrance], victim: str) -> None:
        """:raises ClusterError: a balancer does not answer."""
        self.stage, self.victim = stage, victim
        self._logins = [self._login(each) for each in entrances]

    def _login(self, way: Entrance) -> Login:
        client = client_of(way, self.victim)
        visits = client.visits()
        backends = list(dict.fromkeys(each.backend for each in visits if each.backend))
        tasks = list(dict.fromkeys(each.task for each in visits if each.task))
        who = f"{way.label}: {len(visits)} requests of one client went to"
        self.stage.saw(
            f"{who} {', '.join(backends) or 'backends that are not named'}; answered by "
            f"{', '.join(tasks) or 'tasks that are not named'}"
        )
        if tasks:
            self.stage.number("tasks that one client meets", len(tasks), "", of=way.label)
        self._judge(way, backends, tasks)
        return Login(way, client, visits[-1])

    def _judge(self, way: Entrance, backends: list[str], tasks: list[str]) -> None:
        stays = way.publish.sticky
        if stays and way.publish.direct and tasks:
            text = f"{way.label}: a client stays with its task: a login that lives there is kept"
            self.stage.check(text, len(tasks) == 1, ", ".join(tasks))
        elif stays and backends:
            text = f"{way.label}: a client stays with its backend"
            self.stage.check(text, len(backends) == 1, ", ".join(backends))
        elif not stays and self._has_several_tasks() and tasks:
            text = f"{way.label}: without 'sticky', a client meets several tasks: a login that lives in one is lost"
            self.stage.check(text, len(tasks) > 1, ", ".join(tasks))

    def _has_several_tasks(self) -> bool:
        return sum(self.stage.spread().values()) > 1

    def look_again(self) -> None:
        """Called when a node was lost."""
        for login in self._logins:
            way, former = login.entrance, login.first
            try:
                visit = login.client.visit()
            except ClusterError as error:
                self.stage.saw(f"{way.label}: its client gets no answer", error.details)
                visit = Visit("", "")
            if way.publish.sticky and is_on(former.backend, self.victim):
                self.stage.check(
                    f"{way.label}: the client of {former.backend} goes to another backend: its login there is lost",
                    visit.backend not in {"", former.backend},
                    f"now {visit.backend}" if visit.backend else "it gets no answer",
                )
            elif visit.task:
                self.stage.saw(f"{way.label}: its client is answered by {visit.task} now; before by {former.task}")
