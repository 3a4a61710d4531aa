"""A drill at work: the lab and the service it acts on, and the load that measures."""

import contextlib
import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from labgen.drills.happenings import happenings
from labgen.engine import Service, Task
from labgen.errors import ClusterError, UsageError
from labgen.machines import putting_back
from labgen.machines.opened import Opened
from labgen.machines.putting_back import Temporary
from labgen.model import Node
from labgen.records.changes import Change
from labgen.records.notebook import Notebook
from labgen.records.results import Result
from labgen.services import cluster
from labgen.services.cluster import Cluster
from labgen.services.view import View, look
from labgen.traffic import ANSWER_LIMIT, Answer, Load, Measurement, Target

POLL = 0.5  # seconds
STEADY = 5.0  # seconds in which no request fails, before anything is done
STEADY_LIMIT = 90  # seconds
COMMAND_LIMIT = 300  # seconds without output; building an image prints nothing


class Stage(Notebook):
    """:ivar there: the cluster, through one of its managers. :ivar load: the running load, if there is one."""

    def __init__(
        self, lab: Opened, there: Cluster, service: str, rate: float, result: Result, *, force: bool
    ) -> None:
        """:param service: its full name; empty: the drill needs none. :param rate: requests per second.

        :param force: even if the cluster loses its majority of managers.
        """
        super().__init__(lab.plan.name, result, lab.progress)
        self.lab, self.there, self.name, self.rate, self.force = lab, there, service, rate, force
        self.load: Load | None = None
        self._seen: View | None = None
        self._changes = Temporary(lab, f"labgen {result.kind} {lab.plan.name} {result.name}".strip())

    @property
    def manager(self) -> str:
        """The node through which it looks and acts."""
        return self.there.manager.target.name

    # what it does

    def docker(
        self, text: str, *words: str, change: Change | None = None, stdin: bytes = b"", secret: bool = False
    ) -> str:
        """Runs a docker command on the manager. :param change: that it makes, if it has to be put back.

        :param secret: what it prints is not kept. :return: that. :raises ClusterError: it fails.
        """
        if change:
            self._changes.about_to(change)
        step = self._begin(text, f"{self.manager}$ docker {shlex.join(words)}")
        result = self.there.manager.run(["sudo", "-n", "docker", *words], limit=COMMAND_LIMIT, stdin=stdin)
        self._end(step, "" if secret else result.stdout + result.stderr)
        if result.status:
            raise ClusterError(f"docker {words[0]} failed", result.tail)
        return result.stdout

    def on(self, node: str, *words: str) -> str:
        """What a docker command prints on a node. :raises ClusterError: it fails."""
        result = self.there.connection(node).run(["sudo", "-n", "docker", *words], limit=COMMAND_LIMIT)
        if result.status:
            raise ClusterError(f"docker {words[0]} failed on {node}", result.tail)
        return result.stdout

    def act(
        self, text: str, command: str, do: Callable[[], object], change: Change | None = None, *, on: str = "host"
    ) -> None:
        """Does something by other means than a docker command.

        :param command: that does the same, as a user would type it. :param on: where: a node's name, or "host".
        """
        if change:
            self._changes.about_to(change)
        step = self._begin(text, f"{on}$ {command}")
        do()
        self._end(step, "")

    def keep(self, change: Change) -> None:
        """Writes down what has to be put back, for a change whose record is not known before it is made."""
        self._changes.about_to(change)

    def put_back(self) -> None:
        """Puts back all that was changed. :raises LabgenError: something cannot be put back."""
        putting_back.put_back(self.lab)

    # what it sees

    def look(self) -> View:
        """What runs now; what has changed since the last look is kept."""
        view = look(self.there.engine)
        for text in happenings(self._seen, view, self.name) if self._seen else ():
            self.progress.step(text, stage="watch")
            self.happened(text)
        self._seen = view
        self.running(view.placed())
        return view

    def service(self, view: View | None = None) -> Service:
        """:raises ClusterError: it is gone."""
        return (view or self.look()).service(self.name)

    def surplus(self, view: View) -> int:
        """How many of its tasks run that should not, or are about to end."""
        service = self.service(view)
        return len([task for task in view.of(service) if task.state == "running"]) - view.wanted(service)

    def task_name(self, task: Task) -> str:
        """As Swarm's template ``{{.Task.Name}}`` has it, in the environment of a container."""
        return f"{self.name}.{task.slot or task.node_id}.{task.id}"

    def settings_kept(self) -> Change:
        """The service's present settings, to be put back. :raises ClusterError: it is gone."""
        settings = self.there.engine.services.settings(self.name)
        if settings is None:
            raise ClusterError(f"the service {self.name} is gone")
        return Change("service", self.name, json.dumps(settings))

    def require_replicas(self) -> None:
        """:raises UsageError: the service is not replicated."""
        if (service := self.service()).mode != "replicated":
            raise UsageError(f"{self.name} is {service.mode}: how many tasks it has is not a setting of its own")

    def spread(self, view: View | None = None) -> dict[str, int]:
        """How many of its tasks run on each node of the cluster."""
        view = view or self.look()
        on = view.spread(self.service(view))
        return {node.hostname: on.get(node.hostname, 0) for node in view.nodes}

    def until(self, what: str, holds: Callable[[View], bool], limit: float) -> float | None:
        """Waits for something. :return: its moment, in seconds since the beginning; None: not within the limit."""
        self.progress.step(f"waiting until {what}", stage="watch")
        deadline = time.monotonic() + limit
        while True:
            with contextlib.suppress(ClusterError):  # a busy manager may miss a moment
                view = self.look()
                if holds(view):
                    self.happened(what)
                    return self.now()
            if time.monotonic() > deadline:
                self.progress.note(f"not within {limit:.0f} s: {what}")
                return None
            time.sleep(POLL)

    def wait(self, seconds: float, why: str) -> None:
        self.progress.step(f"{why} ({seconds:.0f} s)", stage="watch")
        time.sleep(seconds)

    @contextlib.contextmanager
    def seen_without(self, nodes: Sequence[str]) -> Iterator[None]:
        """Looks and acts through another manager meanwhile, if it does so through one of these.

        :raises ClusterError: no other manager answers.
        """
        if self.manager not in nodes:
            yield
            return
        others = {name: node for name, node in self.there.running.items() if name not in nodes}
        former = self.there
        with cluster.managed(self.lab.plan, others) as there:
            self.there = there
            try:
                yield
            finally:
                self.there = former

    def tasks_now(self, moment: str) -> dict[str, int]:
        """Keeps, and returns, how many tasks run on each node. :param moment: before, during, after."""
        found = self.spread()
        self.tasks(moment, found)
        self.progress.done(f"tasks {moment}: {in_words(found)}", stage="watch")
        return found

    # the load

    @contextlib.contextmanager
    def measured(self, *, without: Sequence[str] = (), targets: Sequence[Target] = ()) -> Iterator[Load]:
        """Sends requests meanwhile; they have to be answered before anything is done.

        :param without: the nodes that get no requests, because they will be off.
        :param targets: get a request each, in turn; none: the service's port of all other nodes.
        :raises UsageError: the service publishes no port. :raises ClusterError: it does not answer.
        """
        with Load(targets or self.targets(without), self.rate) as self.load:
            began = self.load.began - self._began
            self._keep(load_began=round(began, 3))
            try:
                self._require_answers(self.load)
                yield self.load
            finally:
                self.load.end()
                self.requests(self.load.measured())

    @contextlib.contextmanager
    def perhaps_measured(self) -> Iterator[None]:
        """The same, if the service publishes a port; else nothing is measured."""
        try:
            published(self.service())
        except UsageError:
            self.progress.note(f"{self.name} publishes no port: whether requests are lost is not measured")
            yield
            return
        with self.measured():
            yield

    def members(self) -> list[Node]:
        """The nodes of the cluster whose machines run."""
        return [node for node in self.lab.plan.members if node.name in self.there.running]

    def targets(self, without: Sequence[str] = ()) -> list[Target]:
        port = published(self.service())
        return [Target(node.name, node.address, port) for node in self.members() if node.name not in without]

    def since(self, moment: float) -> Measurement:
        """The requests since a moment (in seconds since the beginning)."""
        return self.between(moment, float("inf"))

    def between(self, begin: float, end: float) -> Measurement:
        """The requests that were due between two moments (in seconds since the beginning)."""
        assert self.load  # noqa: S101 - only while there is one
        return self.load.measured().between(begin - self.result.load_began, end - self.result.load_began)

    def answering_after(self, moment: float) -> float | None:
        """Seconds from a moment until no request failed any more; None: the last one did."""
        assert self.load  # noqa: S101 - only while there is one
        begin = moment - self.result.load_began
        since = self.load.measured().answering_since(begin)
        return None if since is None else since - begin

    def check_none_lost(self, lost: Sequence[Answer], when: str = "") -> None:
        """That no request was lost. :param lost: those that were."""
        causes = Counter(answer.failure for answer in lost)
        evidence = ", ".join(f"{count} {cause}" for cause, count in causes.items())
        self.check(f"no request is lost{', ' if when else ''}{when}", not lost, evidence)

    def _require_answers(self, load: Load) -> None:
        """Waits for some seconds in which no request fails. :raises ClusterError: there are none."""
        self.progress.step(f"sending {self.rate:g} requests per second", stage="watch")
        deadline = time.monotonic() + STEADY_LIMIT
        while True:
            time.sleep(POLL)
            now = load.now()
            measured = load.measured().between(now - ANSWER_LIMIT - STEADY, now - ANSWER_LIMIT)
            if now > ANSWER_LIMIT + STEADY and measured.answers and not measured.failures:
                return
            if time.monotonic() > deadline:
                causes = ", ".join(f"{count} {cause}" for cause, count in measured.causes().items())
                count = f"{len(measured.failures)} of {len(measured.answers)} requests failed within {STEADY:.0f} s"
                raise ClusterError(
                    f"{self.name} does not answer reliably before anything is done",
                    f"{count}: {causes}",
                    f"labgen why {self.lab.plan.name} {self.name}",
                )


def published(service: Service) -> int:
    """The port at which all nodes answer for a service. :raises UsageError: there is none."""
    for port in service.ports:
        if port.published and port.protocol == "tcp" and port.mode == "ingress":
            return port.published
    raise UsageError(
        f"{service.name} publishes no port at which its answers could be measured",
        ", ".join(f"{port.published}/{port.protocol}, {port.mode}" for port in service.ports),
        "Choose another service with --service.",
    )


def is_published(service: Service) -> bool:
    """Whether all nodes answer for it at a port."""
    with contextlib.suppress(UsageError):
        return bool(published(service))
    return False


def in_words(spread: Mapping[str, int]) -> str:
    """Tasks per node."""
    return ", ".join(f"{node} {count}" for node, count in spread.items())
