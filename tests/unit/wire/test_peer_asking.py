"""What a peer asks itself: each request ends in exactly one outcome, and its own authenticate opens the connection."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from harness.wire import TOKEN, failure, request, sent
from quix.wire import codec
from quix.wire.messages import Authenticate, Execute, ViewRunning
from quix.wire.peer import (
    Answered,
    Incoming,
    Limits,
    Peer,
    State,
    TooManyRequestsError,
)

# -- our own authenticate -----------------------------------------------------------------------


def authenticated(auth: str | None, msg: bytes, **offered: Any) -> Peer[str]:
    """Return a peer that asked with `auth` and was answered with `msg`."""
    peer: Peer[str] = Peer(Limits())
    rid = msgspec.json.decode(peer.request(Authenticate(**offered), "ours", 10, auth=auth))["rid"]
    event = peer.receive(b'{"rid":%d,"msg":%b}' % (rid, msg))
    assert isinstance(event, Answered)
    assert event.waiter == "ours"
    return peer


@pytest.mark.parametrize(
    ("auth", "msg"), [(None, b'{"success":true,"token":"%b","validity":9}' % TOKEN.encode()),
                      (TOKEN, b'{"success":true,"validity":9}'),
                      (TOKEN, b'{"success":true,"token":"no","validity":9}')],
)  # fmt: skip
def test_once_our_authenticate_has_succeeded_the_next_message_may_be_a_request(auth: str | None, msg: bytes) -> None:
    peer = authenticated(auth, msg)
    assert isinstance(peer.receive(request("execute")), Incoming)
    assert isinstance(peer.receive(request("execute", 2, auth=TOKEN)), Incoming)
    assert peer.extensions == {}


@pytest.mark.parametrize(
    ("auth", "msg"), [(None, b'{"success":true,"validity":9}'),
                      (None, b'{"success":false,"reason":"password_invalid"}'),
                      (TOKEN, b'{"success":false,"reason":"token_invalid"}'), (TOKEN, b"null"),
                      (TOKEN, b'{"success":true,"validity":"9"}'), (TOKEN, b'{"result":"success"}')],
)  # fmt: skip
def test_no_other_answer_to_our_authenticate_lets_a_request_through(auth: str | None, msg: bytes) -> None:
    peer = authenticated(auth, msg)
    assert sent(peer.receive(request("execute"))) == failure(1, "not_authenticated")


def test_a_success_for_another_request_does_not_authenticate(peer: Peer[str]) -> None:
    peer.request(Authenticate(), "ours", 10, auth=TOKEN)
    rid = msgspec.json.decode(peer.request(ViewRunning(), "another", 10))["rid"]
    peer.receive(b'{"rid":%d,"msg":{"success":true,"validity":9}}' % rid)
    peer.receive(b'{"rid":99,"msg":{"success":true,"validity":9}}')
    assert peer.state is State.OPEN


def test_a_success_that_comes_too_late_does_not_authenticate(peer: Peer[str]) -> None:
    rid = msgspec.json.decode(peer.request(Authenticate(), "ours", 10, auth=TOKEN))["rid"]
    assert peer.expire(10) == ["ours"]
    peer.receive(b'{"rid":%d,"msg":{"success":true,"validity":9}}' % rid)
    assert peer.state is State.OPEN


def test_only_extensions_that_we_offered_are_agreed() -> None:
    answer = b'{"success":true,"validity":9,"extensions":{"agent":1,"process":2,"token":0,"vpn":1}}'
    assert authenticated(TOKEN, answer, extensions={"agent": 1, "process": 1, "token": 1}).extensions == {"agent": 1}
    assert authenticated(TOKEN, answer).extensions == {}


# -- requests of ours ---------------------------------------------------------------------------


def test_a_response_that_nobody_waits_for_is_dropped_and_counted(accepted: Peer[str]) -> None:
    assert accepted.receive(b'{"rid":99,"msg":{}}') is None
    assert accepted.unmatched == 1


def test_a_second_response_finds_nobody(accepted: Peer[str]) -> None:
    rid = msgspec.json.decode(accepted.request(ViewRunning(), "ours", deadline=10))["rid"]
    assert isinstance(accepted.receive(b'{"rid":%d,"msg":[]}' % rid), Answered)
    assert accepted.receive(b'{"rid":%d,"msg":[]}' % rid) is None
    assert accepted.unmatched == 1


def test_responses_find_their_callers_in_any_order(accepted: Peer[str]) -> None:
    rids = [msgspec.json.decode(accepted.request(ViewRunning(), f"w{i}", deadline=10))["rid"] for i in range(64)]
    assert len(set(rids)) == 64
    for i in reversed(range(64)):
        event = accepted.receive(b'{"rid":%d,"msg":%d}' % (rids[i], i))
        assert isinstance(event, Answered)
        assert (event.waiter, bytes(event.msg)) == (f"w{i}", str(i).encode())
    assert not accepted.is_waiting


def test_we_ask_no_more_than_a_peer_need_accept(accepted: Peer[str]) -> None:
    for i in range(64):
        accepted.request(ViewRunning(), f"w{i}", deadline=10)
    with pytest.raises(TooManyRequestsError):
        accepted.request(ViewRunning(), "one too many", deadline=10)
    assert len(accepted.lost()) == 64


def test_only_authenticate_carries_auth(accepted: Peer[str]) -> None:
    ours = [
        msgspec.json.decode(accepted.request(Authenticate(), "a", 10, auth=TOKEN)),
        msgspec.json.decode(accepted.request(Authenticate(username="u", password="p"), "b", 10)),
        msgspec.json.decode(accepted.request(Execute(cmd=["a"]), "c", 10, auth=TOKEN)),
    ]
    assert [message.get("auth", "absent") for message in ours] == [TOKEN, None, "absent"]
    assert set(ours[2]) == {"req", "rid", "msg"}


def test_rids_start_again_after_the_last_one_and_pass_over_those_in_flight(accepted: Peer[str]) -> None:
    first = msgspec.json.decode(accepted.request(ViewRunning(), "first", 10))["rid"]
    accepted._rid = codec.MAX_RID - 1
    rids = [msgspec.json.decode(accepted.request(ViewRunning(), "later", 10))["rid"] for _ in range(2)]
    assert (first, rids) == (1, [codec.MAX_RID, 2])
    accepted._rid = codec.MAX_RID - 1
    assert msgspec.json.decode(accepted.request(ViewRunning(), "last", 10))["rid"] == 3


def test_a_request_that_cannot_be_encoded_is_not_in_flight(accepted: Peer[str]) -> None:
    with pytest.raises(UnicodeEncodeError):
        accepted.request(Execute(cmd=["\udcff"]), "ours", 10)
    assert not accepted.is_waiting


def test_expire_returns_those_whose_deadline_has_passed_once(accepted: Peer[str]) -> None:
    for deadline in (5.0, 6.0, 7.0):
        accepted.request(ViewRunning(), f"until {deadline}", deadline)
    assert accepted.expire(4.9) == []
    assert accepted.expire(6.0) == ["until 5.0", "until 6.0"]
    assert accepted.expire(6.0) == []
    assert accepted.is_waiting
    assert accepted.lost() == ["until 7.0"]
    assert accepted.lost() == []
    assert not accepted.is_waiting


def test_an_answer_after_the_deadline_is_dropped(accepted: Peer[str]) -> None:
    rid = msgspec.json.decode(accepted.request(ViewRunning(), "ours", 5))["rid"]
    assert accepted.expire(5) == ["ours"]
    assert accepted.receive(b'{"rid":%d,"msg":[]}' % rid) is None
    assert accepted.unmatched == 1


def test_a_withdrawn_request_is_waited_for_no_more(accepted: Peer[str]) -> None:
    accepted.request(ViewRunning(), "stays", 5)
    accepted.request(ViewRunning(), "goes", 5)
    accepted.withdraw("goes")
    assert accepted.lost() == ["stays"]
