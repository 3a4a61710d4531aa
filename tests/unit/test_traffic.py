"""Requests on a schedule, against web servers of this host; and what is made of their answers."""

import socket
import threading
import time

import pytest

from labgen.errors import LabgenError
from labgen.traffic import Answer, Load, Measurement, Target, load
from labgen.traffic.measurement import percentiles
from tests.unit.small_swarm import web_server


def sent(port: int, rate: float, seconds: float, *further: Target) -> Measurement:
    with Load([Target("worker1", "127.0.0.1", port), *further], rate) as running:
        time.sleep(seconds)
    return running.measured()


def test_every_request_has_its_moment_and_its_answer() -> None:
    with web_server() as port:
        measured = sent(port, 50, 1)
    moments = sorted(answer.at for answer in measured.answers)
    assert 45 <= len(moments) <= 60
    assert moments == pytest.approx([number / 50 for number in range(len(moments))])
    assert measured.failures == []
    assert [(share.name, share.part) for share in measured.tasks()] == [("web.1.t1", 1.0)]
    assert measured.kept_up


def test_two_hundred_requests_per_second_are_all_sent() -> None:
    with web_server() as port:
        measured = sent(port, 200, 2)
    moments = sorted(answer.at for answer in measured.answers)
    assert len(moments) >= 380
    assert moments == pytest.approx([number / 200 for number in range(len(moments))])


def test_failures_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, web_server(503) as broken:
        closed = socket.create_server(("127.0.0.1", 0))
        nobody = closed.getsockname()[1]
        closed.close()
        ports = {"nobody": nobody, "silent": silent.getsockname()[1]}
        measured = sent(broken, 30, 0.5, *(Target(name, "127.0.0.1", port) for name, port in ports.items()))
    by_target = {measured.targets[answer.target]: answer.failure for answer in measured.answers}
    assert by_target == {"worker1": "status 503", "nobody": "refused", "silent": "timed out"}
    assert measured.latency() == {}


def test_a_stall_is_seen_by_every_request_that_was_due_meanwhile() -> None:
    """A sender that waits for answers would have sent one request, and seen one long latency."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:

        def answer_after_a_second() -> None:
            connection, _ = server.accept()
            time.sleep(1)
            while True:
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                try:
                    connection, _ = server.accept()
                except OSError:
                    return

        threading.Thread(target=answer_after_a_second, daemon=True).start()
        measured = sent(server.getsockname()[1], 40, 1.5)
    slow = [answer for answer in measured.answers if answer.took > 0.3]
    assert len(slow) >= 20
    assert measured.failures == []


def test_a_sender_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setattr(load, "SENDER", f"{tmp_path}/nothing.py")
    monkeypatch.setattr(load, "START_LIMIT", 2)
    with pytest.raises(LabgenError, match="does not start"), Load([Target("a", "127.0.0.1", 1)], 1):
        pass


def answer(at: float, failure: str = "", **more: float) -> Answer:
    return Answer(at, more.get("late", 0), more.get("took", 0.01), 0, failure, 0 if failure else 200, "worker1")


def measurement(*answers: Answer) -> Measurement:
    return Measurement(answers, ["worker1"], 2)


def test_seconds_with_their_failures() -> None:
    measured = measurement(answer(0.1), answer(2.2, "refused"), answer(2.7, "timed out"), answer(2.9))
    assert [each.sent for each in measured.seconds()] == [1, 0, 3]
    assert measured.seconds()[2].failed == {"refused": 1, "timed out": 1}
    assert measured.seconds()[0].nodes == {"worker1": 1}
    assert measured.failed_seconds() == [2]
    assert measured.causes() == {"refused": 1, "timed out": 1}
    assert measured.silent_seconds() == []
    assert measurement(answer(0), answer(1, "reset")).silent_seconds() == [1]


def test_when_it_answers_again() -> None:
    measured = measurement(answer(0, "reset"), answer(1, "reset"), answer(2), answer(3))
    assert measured.answering_since(0.5) == 2
    assert measured.answering_since(2.5) == 2.5
    assert measurement(answer(0), answer(1, "reset")).answering_since(0) is None
    assert measurement().answering_since(0) is None


def test_a_sender_that_falls_behind_is_told() -> None:
    assert measurement(*(answer(at / 100) for at in range(100)), answer(1, late=0.5)).kept_up
    assert not measurement(*(answer(at / 100, late=0.5) for at in range(10))).kept_up


def test_percentiles_are_in_milliseconds() -> None:
    found = percentiles(each / 1000 for each in range(1, 101))
    assert found["p50"] == pytest.approx(50, rel=0.01)
    assert found["p99"] == pytest.approx(99, rel=0.01)
    assert found["p100"] == pytest.approx(100, rel=0.01)
    assert percentiles([]) == {}
