"""What the drill "balance" does, and measures on all lanes at once; each number is one of a lane."""

from collections.abc import Sequence

from labgen.drills import backends, entrances, in_flight, lanes, nodes
from labgen.drills.in_flight import InFlight
from labgen.drills.lanes import Lane, sent_to, settled, slow
from labgen.drills.sessions import short
from labgen.drills.stage import Stage
from labgen.records import balancers
from labgen.traffic import ANSWER_LIMIT, Measurement

STEADY_PART = 3  # of the time that is needed at least: one part is before anything is done
QUIET = 10.0  # seconds in which a lost backend would be noticed, if a balancer still sent requests there
BEGIN = 2.0  # seconds until requests that take long have reached their tasks
HANDOVER = 1.0  # seconds: nginx's former workers accept connections for a moment
TOLERANCE = 0.2  # of its share, that a backend may have less or more


class Comparison:
    """:param among: the lanes. :param rate: requests per second, on each of them."""

    def __init__(self, stage: Stage, among: Sequence[Lane], rate: float) -> None:
        self.stage, self.lanes, self.rate = stage, among, rate
        self._ways = [(lane, lane.entrance) for lane in among if lane.entrance]
        self._began = stage.now()
        self._has_slow_page = in_flight.are_possible(among[0].targets[0])
        if not self._has_slow_page:
            stage.saw(f"{stage.name} has no page /slow, as hello has: requests in flight are not measured")

    def watch_steady(self, least: int) -> None:
        """Shares and latency, while nothing is done. :param least: requests on each lane, during the whole drill."""
        begin = self.stage.now()
        self.stage.wait(max(QUIET, least / self.rate / STEADY_PART), "watching the answers")
        end = self._answered()
        for lane in self.lanes:
            measured = lane.between(self.stage, begin, end)
            for name, value in measured.latency().items():
                if name in {"p50", "p99"}:
                    self._number(lane, f"latency {name}", value, "ms")
            self._share(lane, measured)

    def _share(self, lane: Lane, measured: Measurement) -> None:
        """Who got how many; and whether every backend got its part, if that is what the port promises."""
        sent = {share.name: share.part for share in measured.backends()}
        for name, part in sent.items():
            self._number(lane, f"sent to {name}", 100 * part, "%")
        for share in measured.nodes():
            self._number(lane, f"answered by {share.name or 'a node that does not say so'}", 100 * share.part, "%")
        for share in measured.tasks():
            if share.name:
                self._number(lane, f"answered by {short(share.name)}", 100 * share.part, "%")
        way = lane.entrance
        if way and way.names_backends and way.publish.algorithm == "round-robin" and way.publish.sticky != "address":
            expected = 1 / len(way.backends)
            parts = {each.name: sent.get(each.name, 0.0) for each in way.backends}
            self.stage.check(
                f"{lane.label}: every backend gets its share",
                all(abs(part - expected) <= TOLERANCE * expected for part in parts.values()),
                ", ".join(f"{name} {part:.1%}" for name, part in parts.items()),
            )

    def lose(self, victim: str) -> None:
        """A node loses its power; balancers that do not notice it are told."""
        stage = self.stage
        flight = self._in_flight(self.lanes)
        moment = stage.now()
        nodes.cut_power(stage, victim)
        stage.until(f"the managers see {victim} as down", nodes.is_down(stage, victim), nodes.NOTICE_LIMIT)
        if self._can_move():
            stage.until("all tasks run on other nodes", nodes.all_elsewhere(stage, victim), nodes.RUN_LIMIT)
        stage.wait(QUIET, "watching the answers")
        end = self._answered()
        for lane in self.lanes:
            self._outage(lane, moment, end)
        self._flown(flight, "requests in flight lost, power cut")
        unaware = [lane for lane, _ in self._ways if lane.between(stage, end - QUIET, end).failures]
        if unaware:
            backends.refresh(stage, [way.node.name for lane, way in self._ways if lane in unaware])
            told = stage.now()
            stage.wait(QUIET, "watching the answers")
            after = self._answered()
        for lane, _ in self._ways:
            begin, end_of_it = (told, after) if lane in unaware else (end - QUIET, end)
            lost = lane.between(stage, begin, end_of_it).failures
            how = "after labgen balance" if lane in unaware else "by itself"
            evidence = how if not lost else f"{len(lost)} requests are lost, {how}"
            stage.check(f"{lane.label}: every request is answered again while {victim} is away", not lost, evidence)
        stage.tasks_now("during")

    def _outage(self, lane: Lane, moment: float, end: float) -> None:
        """:param moment: of the power cut. :param end: of the time that is looked at."""
        measured = lane.between(self.stage, moment, end)
        self._number(lane, "requests lost, power cut", len(measured.failures), "")
        self._number(lane, "requests slow, power cut", len(slow(measured, lanes.RETRIED)), "")
        began = self.stage.result.load_began
        troubled = measured.strictly(lanes.RETRIED)
        last = settled(troubled, moment - began, end - began, QUIET)
        expected = lane.entrance.program.notices if lane.entrance else ""
        self._number(lane, "none lost or slow any more after", last, "s", expected)

    def _can_move(self) -> bool:
        """Whether its tasks can run beside others of it on a node: not if each needs the same port there."""
        return not any(port.mode == "host" and port.published for port in self.stage.service().ports)

    def get_back(self, victim: str) -> None:
        """The node gets its power again. All balancers have it as a backend afterwards."""
        stage = self.stage
        moment = stage.now()
        domain = stage.lab.plan.node(victim).domain
        stage.act(f"switching {victim} on again", f"virsh start {domain}", stage.put_back)
        ready = stage.until(f"the managers see {victim} as ready", nodes.is_ready(stage, victim), nodes.BOOT_LIMIT)
        stage.until("all tasks run", nodes.all_run(stage), nodes.RUN_LIMIT)
        stage.wait(QUIET, "watching the answers")
        backends.refresh(stage, [way.node.name for _, way in self._ways])
        stage.wait(QUIET, "watching the answers")
        end = self._answered()
        stage.check(f"{victim} is ready again", ready is not None)
        for lane in self.lanes:
            measured, way = lane.between(stage, moment, end), lane.entrance
            self._number(lane, "requests lost, node's return", len(measured.failures), "")
            if way and way.names_backends and not way.publish.direct:  # its tasks do not return
                self._again(lane, victim, moment, end, "gets requests again after")

    def _again(self, lane: Lane, node: str, moment: float, end: float, name: str) -> None:
        """When a balancer sent the first request to a node, since a moment."""
        requests = sent_to(lane.between(self.stage, moment, end), node)
        first = self.stage.result.load_began + requests[0].at - moment if requests else None
        self._number(lane, name, first)

    def drain(self) -> None:
        """A backend that has tasks is drained, and gets clients again."""
        stage = self.stage
        node = self._drainable()
        if not node:
            stage.saw("no node can be drained: the balancers have no other backend")
            return
        flight = self._in_flight([lane for lane, _ in self._ways])
        moment = stage.now()
        backends.drain(stage, node)
        drained = stage.now() + HANDOVER
        stage.wait(QUIET, "watching the answers")
        end = self._answered()
        self._flown(flight, "requests in flight lost, drained")
        undrained = stage.now()
        backends.undrain(stage, node)
        stage.wait(QUIET, "watching the answers")
        over = self._answered()
        for lane, way in self._ways:
            if flight:
                self._judge_flight(lane, node, flight.lost[lane.label])
            lost = len(lane.between(stage, moment, over).failures)
            self._number(lane, "requests lost, drained and undrained", lost, "")
            text = f"{lane.label}: no request is lost while {node} is drained and undrained"
            stage.check(text, not lost, f"{lost} lost" if lost else "")
            if way.names_backends:
                self._judge_drained(lane, node, moment, drained, end)
                self._again(lane, node, undrained, over, "undrained node's first request after")

    def _judge_flight(self, lane: Lane, node: str, lost: int) -> None:
        text = f"{lane.label}: requests in flight are answered while {node} is drained"
        self.stage.check(text, not lost, f"{lost} of {in_flight.EACH} lost" if lost else "")

    def _judge_drained(self, lane: Lane, node: str, begun: float, drained: float, end: float) -> None:
        """When a node that was drained got its last request. :param drained: when it should get no more."""
        requests = sent_to(lane.between(self.stage, begun, end), node)
        last = max((self.stage.result.load_began + each.at for each in requests), default=begun)
        self._number(lane, "drained node's last request after", last - begun)
        late = [each for each in requests if self.stage.result.load_began + each.at >= drained]
        text = f"{lane.label}: {node} gets no requests while it is drained"
        self.stage.check(text, not late, f"{len(late)} requests" if late else "")

    def _drainable(self) -> str:
        """The node with most tasks that is not drained, and not the only backend; empty: there is none."""
        already = balancers.load(self.stage.lab.plan.name).drained
        now = entrances.of_service(self.stage, entrances.found(self.stage)[0])  # their tasks may have moved
        spread = self.stage.spread()
        candidates = [
            node.name
            for node in self.stage.members()
            if spread[node.name] and node.name not in already
            if all({each.node for each in way.backends} - {node.name} for way in now)
        ]
        return max(candidates, key=lambda node: spread[node], default="")

    def watch_until(self, least: int) -> None:
        """Waits until enough requests were sent. :param least: on each lane."""
        missing = least - self.rate * (self.stage.now() - self._began)
        if missing > 0:
            self.stage.wait(missing / self.rate, "sending the remaining requests")

    def count(self) -> None:
        """How many requests there were in all; called when the load has ended."""
        for lane in self.lanes:
            self._number(lane, "requests", len(lane.between(self.stage, 0, float("inf")).answers), "")

    def _answered(self) -> float:
        """Waits until all requests that were due until now have been answered, or are lost. :return: now."""
        moment = self.stage.now()
        self.stage.wait(ANSWER_LIMIT, "waiting for the last answers")
        return moment

    def _in_flight(self, among: Sequence[Lane]) -> InFlight | None:
        if not self._has_slow_page:
            return None
        flight = InFlight(among)
        self.stage.saw(f"{in_flight.EACH} requests on every way are in flight, which take {in_flight.TAKES} s")
        self.stage.wait(BEGIN, "waiting until they have reached their tasks")
        return flight

    def _flown(self, flight: InFlight | None, name: str) -> None:
        if flight:
            flight.wait()
            for label, lost in flight.lost.items():
                self.stage.number(name, lost, "", f"of {in_flight.EACH}", of=label)

    def _number(self, lane: Lane, name: str, value: float | None, unit: str = "s", expected: str = "") -> None:
        self.stage.number(name, value, unit, expected, of=lane.label)
