"""Requests over a real socket: each ends in exactly one outcome."""

from __future__ import annotations

import asyncio
import socket

import pytest

from harness.link import End, Place
from quix.link.outcomes import (
    AnswerInvalidError,
    AskError,
    BackendOfflineError,
    ConnectionLostError,
    RefusedError,
    RequestTimeoutError,
    TooBusyError,
)
from quix.wire.messages import Execute, Executed, ProcSignal, Telemetry, ViewRunning


async def test_answers_find_their_callers_in_whatever_order_they_come(place: Place) -> None:
    end = await place.dial()
    slow = [asyncio.ensure_future(end.connection.ask(Execute(cmd=["x"] * n), 5)) for n in range(1, 20)]
    fast = await end.connection.ask(Telemetry(stat_types=["a", "b"]), 5)
    assert fast.tele_data.ttl_cpu_usage == [0.5, 0.5]
    place.hold.set()
    assert await asyncio.gather(*slow) == [Executed(n) for n in range(1, 20)]


async def test_both_directions_ask_at_once(place: Place) -> None:
    place.hold.set()
    end = await place.dial()
    other = place.ends[0]
    answers = await asyncio.gather(
        *(side.connection.ask(Execute(cmd=["x"] * n), 5) for n in range(1, 30) for side in (end, other))
    )
    assert answers == [Executed(n) for n in range(1, 30) for _ in range(2)]


async def test_a_refusal_carries_the_peers_reason(place: Place) -> None:
    place.hold.set()
    end = await place.dial()
    with pytest.raises(RefusedError) as caught:
        await end.connection.ask(Execute(cmd=["missing"]), 5)
    assert caught.value.reason == "command_not_found"
    with pytest.raises(RefusedError) as caught:
        await end.connection.ask(ProcSignal(pid=1, mode="SIGTERM"), 5)
    assert caught.value.reason == "request_unknown"


async def test_a_fault_of_the_handler_is_told_and_disturbs_nothing_else(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    end = await place.dial()
    with pytest.raises(RefusedError) as caught:
        await end.connection.ask(ViewRunning(), 5)
    assert caught.value.reason == "internal_error"
    assert "a fault of ours" not in caught.value.detail
    assert (await end.connection.ask(Telemetry(stat_types=[]), 5)).tele_data.ttl_cpu_usage == []
    assert "a fault of ours, 1" in "".join(capsys.readouterr())


async def test_no_answer_in_time_is_a_timeout_and_a_late_answer_is_dropped(place: Place) -> None:
    end = await place.dial()
    with pytest.raises(RequestTimeoutError):
        await end.connection.ask(Execute(cmd=["x"]), 0.15)
    place.hold.set()
    await place.until(lambda: end.connection.peer.unmatched == 1)
    assert end.connection.is_open


@pytest.mark.parametrize("cut", ["close", "abort"])
async def test_a_connection_that_ends_ends_every_request(place: Place, cut: str) -> None:
    end = await place.dial()
    asked = [asyncio.ensure_future(end.connection.ask(Execute(cmd=["x"]), 5)) for _ in range(5)]
    await place.until(lambda: len(place.ends[0].connection.peer._in_progress) == 5)
    ours, theirs = end.connection, place.ends[0].connection
    theirs.close(1001, "bye") if cut == "close" else theirs.abort("cut")
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionLostError] * 5
    assert not ours.is_open
    with pytest.raises(BackendOfflineError):
        await ours.ask(Execute(cmd=["x"]), 5)


async def test_more_than_a_peer_need_accept_is_not_sent(place: Place) -> None:
    end = await place.dial()
    asked = [asyncio.ensure_future(end.connection.ask(Execute(cmd=["x"]), 5)) for _ in range(64)]
    await asyncio.sleep(0)
    with pytest.raises(TooBusyError):
        await end.connection.ask(Execute(cmd=["x"]), 5)
    place.hold.set()
    assert await asyncio.gather(*asked) == [Executed(1)] * 64


async def test_a_peer_that_does_not_read_is_asked_no_more_until_it_does(place: Place) -> None:
    place.hold.set()
    end = await place.dial()
    there, here = end.connection._transport, place.ends[0].connection._transport
    assert there is not None
    assert here is not None
    there.underlying_transport.pause_reading()
    for transport, buffer in ((there, socket.SO_RCVBUF), (here, socket.SO_SNDBUF)):
        transport.underlying_transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, buffer, 4096)
    asked: list[asyncio.Future[Executed]] = []
    large = Execute(cmd=["x" * 9000])
    with pytest.raises(TooBusyError, match="has not read yet"):
        asked.extend(place.ends[0].connection.ask(large, 30) for _ in range(64))
    assert here.underlying_transport.get_write_buffer_size() < 17 * 10_000
    there.underlying_transport.resume_reading()
    assert await asyncio.gather(*asked) == [Executed(1)] * len(asked)
    assert await place.ends[0].connection.ask(Execute(cmd=["x"]), 5) == Executed(1)


async def test_a_request_over_the_largest_message_is_refused_here(place: Place) -> None:
    end = await place.dial()
    with pytest.raises(RefusedError, match="larger than a message may be"):
        await end.connection.ask(Execute(cmd=["x" * 10_000]), 5)
    assert not end.connection.peer.is_waiting
    assert end.connection.is_open


async def test_a_caller_who_gives_up_harms_nobody(place: Place) -> None:
    end = await place.dial()
    asked = asyncio.ensure_future(end.connection.ask(Execute(cmd=["x"]), 5))
    await asyncio.sleep(0.02)
    asked.cancel()
    place.hold.set()
    assert await end.connection.ask(Execute(cmd=["x", "y"]), 5) == Executed(2)
    assert not end.connection.peer.is_waiting


async def test_an_answer_that_is_none_is_the_peers_fault(place: Place) -> None:
    end = await place.dial()
    asked = asyncio.ensure_future(end.connection.ask(Execute(cmd=["x"]), 5))
    await place.until(lambda: bool(place.ends[0].connection.peer._in_progress))
    place.ends[0].connection._send(b'{"rid":1,"msg":{"result":"success","proc_id":"many"}}')
    with pytest.raises(AnswerInvalidError, match="msg.proc_id: expected int, got str"):
        await asked


async def test_every_outcome_has_a_reason_and_a_sentence() -> None:
    for kind in AskError.__subclasses__():
        error = kind("too_late") if kind is RefusedError else kind()
        assert error.reason
        assert str(error)


async def test_silence_ends_a_connection_after_two_pings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quix.link.connection._LAST_PING_GRACE", 0.2)
    end = await place.dial()
    other: End = place.ends[0]
    # The peer's kernel still takes our bytes, its program reads none: a half-open connection, from here.
    end.connection._transport.underlying_transport.pause_reading()  # type: ignore[union-attr]
    other.connection.beat()
    assert other.connection.is_open
    other.connection.beat()
    assert await other.end() == (1006, "two pings stayed unanswered")


async def test_any_frame_is_a_sign_of_life(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quix.link.connection._LAST_PING_GRACE", 0.1)
    await place.dial()
    other: End = place.ends[0]
    for _ in range(5):
        other.connection.beat()
        await place.until(lambda: other.connection._unanswered == 0)
    await asyncio.sleep(0.2)
    assert other.connection.is_open
