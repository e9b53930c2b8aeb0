from __future__ import annotations

import asyncio

from quix.link.clock import PING_INTERVAL, Clock


class Connection:
    """Something watched; `left` says for how many looks a request stays in flight."""

    def __init__(self, left: int = 0) -> None:
        self.left = left
        self.looks: list[float] = []
        self.beats = 0

    def expire(self, now: float) -> bool:
        self.looks.append(now)
        self.left -= 1
        return self.left > 0

    def beat(self) -> None:
        self.beats += 1

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(f"closed: {code} {reason}")


def seconds(clock: Clock, count: int) -> None:
    """Let the clock believe that time has passed."""
    for _ in range(count):
        clock._beat()
        clock.stop()


async def test_a_connection_is_looked_at_while_it_has_a_request_in_flight_and_no_longer() -> None:
    clock, connection = Clock(), Connection(left=3)
    clock.asking(connection)
    for looks in (1, 2, 3):
        assert clock._sweeping is not None
        clock._sweep()
        assert len(connection.looks) == looks
    assert clock._sweeping is None, "nobody asks: no timer runs"
    clock.asking(connection)
    clock._sweep()
    assert len(connection.looks) == 4
    clock.stop()


async def test_each_connection_is_pinged_once_an_interval_from_its_own_beginning() -> None:
    clock = Clock()
    connections = [Connection() for _ in range(3 * PING_INTERVAL)]
    for connection in connections:
        clock.add(connection)
        seconds(clock, 1)
    before = [connection.beats for connection in connections]
    seconds(clock, PING_INTERVAL)
    assert [connection.beats - seen for connection, seen in zip(connections, before, strict=True)] == [1] * len(
        connections
    )


async def test_a_new_connection_is_not_pinged_before_a_whole_interval_less_a_second() -> None:
    clock, connection = Clock(), Connection()
    seconds(clock, 3)
    clock.add(connection)
    seconds(clock, PING_INTERVAL - 1)
    assert connection.beats == 0
    seconds(clock, 1)
    assert connection.beats == 1


async def test_a_removed_connection_is_left_alone() -> None:
    clock, connection = Clock(), Connection()
    clock.add(connection)
    clock.remove(connection)
    clock.remove(connection)
    seconds(clock, 2 * PING_INTERVAL)
    assert connection.beats == 0


async def test_it_runs_by_itself_until_it_is_stopped() -> None:
    clock, connection = Clock(), Connection(left=2)
    clock.start()
    clock.asking(connection)
    async with asyncio.timeout(5):
        while connection.left > 0:
            await asyncio.sleep(0.01)
    clock.stop()
    clock.stop()
    assert len(connection.looks) == 2
