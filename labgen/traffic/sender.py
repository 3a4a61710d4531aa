"""The process that sends requests; it is run as a program, so that labgen's own work cannot delay its schedule.

Open loop: every request has its moment, and leaves then, whatever became of those before; its latency counts from
that moment. A sender that waits for answers hides a stall, because it sends nothing meanwhile (Gil Tene's
"coordinated omission"). Each request has its own connection, so that a task is chosen for each.

Standard input: a line of JSON, see :class:`labgen.traffic.load.Load`; the schedule ends with the input. Standard
output: a line of JSON with the moment of the schedule's begin, and one for each request.
"""

import asyncio
import contextlib
import errno
import json
import resource
import sys
from collections.abc import Mapping
from typing import Any

import h11

CHUNK = 65536  # bytes
FAILURES = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ETIMEDOUT: "timed out",
}


class Sender:
    """:param wanted: targets, rate, limit, and the names of the answer's headers that tell where it comes from."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._targets = wanted["targets"]
        self._interval = 1 / wanted["rate"]  # seconds
        self._limit = wanted["limit"]  # seconds for an answer
        self._headers = {name.lower().encode(): field for field, name in wanted["headers"].items()}
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    async def send(self, ended: asyncio.Event) -> None:
        """Sends until the event, then waits for the answers."""
        tell({"began": self._began})
        number, requests = 0, set()
        while not ended.is_set():
            moment = self._began + number * self._interval
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), max(0, moment - self._loop.time()))
                break
            request = asyncio.create_task(self._request(number, moment))
            requests.add(request)
            request.add_done_callback(requests.discard)
            number += 1
        if requests:
            await asyncio.wait(requests)

    async def _request(self, number: int, moment: float) -> None:
        target = number % len(self._targets)
        left = self._loop.time()
        answer: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self._limit):
                failure = await self._exchange(target, answer)
        except TimeoutError:
            failure = "timed out"
        except OSError as error:
            failure = FAILURES.get(error.errno or 0, "failed")
        except h11.RemoteProtocolError:
            failure = "cut off" if answer else "reset"
        tell(
            {
                "at": moment - self._began,
                "late": left - moment,
                "took": self._loop.time() - moment,
                "target": target,
                "failure": failure,
                **answer,
            }
        )

    async def _exchange(self, target: int, answer: dict[str, Any]) -> str:
        """:return: why it failed; empty: it did not."""
        address, port, path, host = self._targets[target]
        reader, writer = await asyncio.open_connection(address, port)
        try:
            exchange = h11.Connection(h11.CLIENT)
            headers = [("Host", host), ("User-Agent", "labgen"), ("Connection", "close")]
            request = h11.Request(method="GET", target=path, headers=headers)
            writer.write((exchange.send(request) or b"") + (exchange.send(h11.EndOfMessage()) or b""))
            while True:
                event = exchange.next_event()
                if event is h11.NEED_DATA:
                    exchange.receive_data(await reader.read(CHUNK))
                elif isinstance(event, h11.Response):
                    answer["status"] = event.status_code
                    answer |= {
                        self._headers[name]: value.decode(errors="replace")
                        for name, value in event.headers
                        if name in self._headers
                    }
                elif isinstance(event, h11.EndOfMessage):
                    return "" if answer["status"] < 400 else f"status {answer['status']}"
        finally:
            writer.close()


def tell(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def allow_many_connections() -> None:
    """To a node that is cut off, every request waits for its limit with a connection of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def main() -> None:
    ended = asyncio.Event()
    wanted = json.loads(sys.stdin.readline())
    # The rest of the input is empty: it becomes readable when it ends.
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await Sender(wanted).send(ended)


if __name__ == "__main__":
    allow_many_connections()
    asyncio.run(main())
