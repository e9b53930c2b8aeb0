"""The state of one connection: what is let through, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import SECRET, TOKEN, failure, request, sent
from quix.wire import codec
from quix.wire.extensions import AGENT
from quix.wire.messages import Authenticate, Authenticated, Executed, ViewRunning
from quix.wire.peer import (
    Answered,
    Closing,
    Incoming,
    Limits,
    Peer,
    Send,
    State,
    token_digest,
)
from quix.wire.reasons import CloseCode, Reason, Refusal

# -- before authentication ----------------------------------------------------------------------


def test_before_authentication_only_authenticate_is_answered(peer: Peer[str]) -> None:
    for rid, req in enumerate(("execute", "view_running", "get_vpn_conf", "unheard_of", "")):
        assert sent(peer.receive(request(req, rid))) == failure(rid, "not_authenticated")
    assert peer.state is State.OPEN


def test_a_token_on_another_request_does_not_authenticate(peer: Peer[str]) -> None:
    assert sent(peer.receive(request("execute", auth=TOKEN))) == failure(1, "not_authenticated")


def test_while_authentication_is_checked_nothing_else_is_answered(peer: Peer[str]) -> None:
    assert isinstance(peer.receive(request("authenticate", auth=None)), Incoming)
    assert sent(peer.receive(request("execute", 2))) == failure(2, "not_authenticated")
    assert peer.state is State.CHECKING


def test_authenticate_needs_its_auth_field(peer: Peer[str]) -> None:
    detail = "auth: this field is required, null or the token"
    answer = sent(peer.receive(request("authenticate")))
    assert answer == {"rid": 1, "msg": {"success": False, "reason": "request_invalid", "detail": detail}}
    assert peer.state is State.OPEN


def test_a_malformed_authenticate_is_refused_in_the_shape_of_authenticate(peer: Peer[str]) -> None:
    for message in (b'{"auth":null,"req":"authenticate","rid":3}', b'{"auth":1,"req":"authenticate","rid":3,"msg":{}}'):
        answer = sent(peer.receive(message))
        assert answer["rid"] == 3
        assert answer["msg"].pop("detail")
        assert answer["msg"] == {"success": False, "reason": "request_invalid"}


def test_authenticate_hands_on_what_is_presented(peer: Peer[str]) -> None:
    credentials = {"username": "quix123", "password": "bright01"}
    event = peer.receive(request("authenticate", 12345, credentials, auth=None))
    assert isinstance(event, Incoming)
    assert (event.rid, event.req, json.loads(bytes(event.msg))) == (12345, "authenticate", credentials)
    assert peer.credential is None


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_a_token_is_handed_on_and_forgotten(peer: Peer[str], token: str) -> None:
    peer.receive(request("authenticate", auth=token))
    assert peer.credential == token
    peer.accept(token, {})
    assert peer.credential is None


def test_a_refused_authenticate_may_be_tried_again(peer: Peer[str]) -> None:
    peer.receive(request("authenticate", 1, auth=TOKEN))
    refused = json.loads(peer.refuse(1, Refusal(Reason.TOKEN_INVALID)))
    assert refused == {"rid": 1, "msg": {"success": False, "reason": "token_invalid"}}
    assert peer.state is State.OPEN
    assert peer.credential is None
    assert isinstance(peer.receive(request("authenticate", 1, auth=None)), Incoming)


def test_a_second_authenticate_is_invalid(accepted: Peer[str]) -> None:
    answer = sent(accepted.receive(request("authenticate", auth=TOKEN)))
    detail = "req: this connection is authenticated already"
    assert answer == {"rid": 1, "msg": {"success": False, "reason": "request_invalid", "detail": detail}}
    assert accepted.state is State.ACCEPTED


def test_a_second_authenticate_while_the_first_is_checked_is_invalid(peer: Peer[str]) -> None:
    peer.receive(request("authenticate", 1, auth=TOKEN))
    answer = sent(peer.receive(request("authenticate", 2, auth=None)))
    assert (answer["rid"], answer["msg"]["reason"]) == (2, "request_invalid")
    assert peer.credential == TOKEN
    assert peer.state is State.CHECKING


def test_accept_lets_requests_through_and_keeps_no_token(peer: Peer[str]) -> None:
    peer.receive(request("authenticate", auth=None))
    peer.accept(TOKEN, {AGENT: 1})
    answer = Authenticated(token=TOKEN, validity=86400)
    assert json.loads(peer.respond(1, answer))["msg"] == {"success": True, "token": TOKEN, "validity": 86400}
    assert isinstance(peer.receive(request("get_vpn_conf")), Incoming)
    assert peer.extensions == {AGENT: 1}
    assert not any(getattr(peer, name) == TOKEN for name in Peer.__slots__)


def test_a_renewed_token_leaves_the_extensions_alone(accepted: Peer[str]) -> None:
    accepted.extensions = {AGENT: 1}
    accepted.accept("next")
    assert accepted.extensions == {AGENT: 1}
    assert isinstance(accepted.receive(request("execute", 1, auth="next")), Incoming)
    assert sent(accepted.receive(request("execute", 2, auth=TOKEN)))["msg"]["reason"] == "token_invalid"


# -- requests that come in ----------------------------------------------------------------------


@pytest.mark.parametrize("auth", [{}, {"auth": None}, {"auth": TOKEN}])
def test_a_later_request_may_carry_the_own_token_or_none(accepted: Peer[str], auth: Any) -> None:
    assert isinstance(accepted.receive(request("get_vpn_conf", **auth)), Incoming)


@pytest.mark.parametrize("auth", ["", "another", TOKEN + " ", TOKEN.lower(), "€"])
def test_a_later_request_with_another_token_is_refused(accepted: Peer[str], auth: str) -> None:
    assert sent(accepted.receive(request("get_vpn_conf", auth=auth))) == failure(1, "token_invalid")
    assert isinstance(accepted.receive(request("get_vpn_conf")), Incoming)


def test_a_rid_in_progress_cannot_be_used_again_and_the_first_goes_on(accepted: Peer[str]) -> None:
    assert isinstance(accepted.receive(request("execute", 5)), Incoming)
    assert sent(accepted.receive(request("telemetry", 5))) == failure(5, "rid_in_use")
    assert json.loads(accepted.respond(5, Executed(77))) == {"rid": 5, "msg": {"result": "success", "proc_id": 77}}
    assert isinstance(accepted.receive(request("execute", 5)), Incoming)


def test_at_most_so_many_requests_are_in_progress(accepted: Peer[str]) -> None:
    for rid in range(64):
        assert isinstance(accepted.receive(request("execute", rid)), Incoming)
    assert sent(accepted.receive(request("execute", 64))) == failure(64, "too_many_requests")
    assert sent(accepted.receive(request("execute", 0))) == failure(0, "rid_in_use")
    accepted.refuse(7, Refusal(Reason.SPAWN_FAILED))
    assert isinstance(accepted.receive(request("execute", 64)), Incoming)
    assert sent(accepted.receive(request("execute", 65))) == failure(65, "too_many_requests")


def test_the_two_directions_are_separate_spaces(accepted: Peer[str]) -> None:
    data = accepted.request(ViewRunning(), "ours", deadline=10)
    rid = msgspec.json.decode(data)["rid"]
    assert isinstance(accepted.receive(request("get_vpn_conf", rid)), Incoming)
    answered = accepted.receive(b'{"rid":%d,"msg":[]}' % rid)
    assert isinstance(answered, Answered)
    assert (answered.waiter, bytes(answered.msg)) == ("ours", b"[]")
    assert sent(accepted.receive(request("get_vpn_conf", rid))) == failure(rid, "rid_in_use")


def test_an_answer_that_cannot_be_encoded_can_still_be_refused(peer: Peer[str]) -> None:
    peer.receive(request("authenticate", 4, auth=None))
    with pytest.raises(UnicodeEncodeError):
        peer.respond(4, Authenticate(username="\udcff"))
    refused = json.loads(peer.refuse(4, Refusal(Reason.INTERNAL_ERROR)))
    assert refused == {"rid": 4, "msg": {"success": False, "reason": "internal_error"}}


def test_a_detail_is_for_peers_that_agreed_on_it(accepted: Peer[str]) -> None:
    refusal = Refusal(Reason.SPAWN_FAILED, "no memory")
    accepted.receive(request("execute", 1))
    assert json.loads(accepted.refuse(1, refusal)) == failure(1, "spawn_failed")
    accepted.extensions = {AGENT: 1}
    accepted.receive(request("execute", 1))
    assert json.loads(accepted.refuse(1, refusal)) == failure(1, "spawn_failed", detail="no memory")


def test_an_invalid_request_always_has_its_detail(accepted: Peer[str]) -> None:
    accepted.receive(request("execute", 1))
    refused = json.loads(accepted.refuse(1, Refusal(Reason.REQUEST_INVALID, "msg.cmd: this field is required")))
    assert refused == failure(1, "request_invalid", detail="msg.cmd: this field is required")


# -- messages that cannot be read ---------------------------------------------------------------


def test_a_request_that_is_malformed_is_answered_with_its_rid(accepted: Peer[str]) -> None:
    answer = sent(accepted.receive(b'{"req":"execute","rid":9}'))
    assert answer == failure(9, "request_invalid", detail="msg: this field is required")


def test_what_cannot_be_read_is_answered_with_rid_null(accepted: Peer[str]) -> None:
    for data in (b"}", b"[]", b'{"req":"execute","msg":{}}', b"[" * 40 + b"]" * 40):
        answer = sent(accepted.receive(data))
        detail = answer["msg"].pop("detail")
        assert answer == failure(None, "message_invalid")
        assert detail


def test_ten_unreadable_messages_in_a_row_end_the_connection_and_the_tenth_is_answered(peer: Peer[str]) -> None:
    for _ in range(9):
        assert sent(peer.receive(b"}"))["msg"]["reason"] == "message_invalid"
    event = peer.receive(b"}")
    assert isinstance(event, Closing)
    assert (event.code, event.reason) == (CloseCode.MALFORMED, "10 unreadable messages in a row")
    assert event.data is not None
    assert json.loads(event.data)["msg"]["reason"] == "message_invalid"


@pytest.mark.parametrize("readable", [b'{"rid":5,"msg":{}}', request("execute"), b'{"rid":null,"msg":{}}'])
def test_a_message_that_can_be_read_ends_the_row(peer: Peer[str], readable: bytes) -> None:
    for _ in range(3):
        for _ in range(9):
            assert isinstance(peer.receive(b"}"), Send)
        peer.receive(readable)


def test_responses_that_are_malformed_are_dropped_and_do_not_count_as_unreadable(accepted: Peer[str]) -> None:
    for _ in range(30):
        assert accepted.receive(b'{"rid":5}') is None
    assert accepted.unmatched == 30
    assert isinstance(accepted.receive(b"}"), Send)


def test_a_malformed_response_is_an_answer_to_its_waiter(accepted: Peer[str]) -> None:
    rid = msgspec.json.decode(accepted.request(ViewRunning(), "ours", deadline=10))["rid"]
    event = accepted.receive(b'{"rid":%d}' % rid)
    assert isinstance(event, Answered)
    assert (event.waiter, bytes(event.msg)) == ("ours", b"null")


def test_an_error_report_is_counted_and_never_answered(accepted: Peer[str]) -> None:
    report = codec.encode_failure(None, None, Reason.MESSAGE_INVALID, "why")
    assert accepted.receive(report) is None
    assert accepted.unmatched == 1


def test_two_peers_never_complain_to_each_other_without_end(peer: Peer[str]) -> None:
    other: Peer[str] = Peer(Limits())
    complaint = peer.receive(b"}")
    assert isinstance(complaint, Send)
    assert other.receive(complaint.data) is None


def test_a_text_that_is_not_utf8_ends_the_connection(accepted: Peer[str]) -> None:
    event = accepted.receive(b'{"rid":1,"msg":"\xff"}')
    assert isinstance(event, Closing)
    assert (event.code, event.reason, event.data) == (CloseCode.INVALID_TEXT, "not UTF-8 at byte 16", None)


def test_a_message_has_at_most_the_agreed_size() -> None:
    peer: Peer[str] = Peer(Limits(message_bytes=100))
    largest = b'{"rid":1,"msg":"%b"}' % (b"x" * (100 - 18))
    assert len(largest) == 100
    assert peer.receive(largest) is None
    event = peer.receive(largest + b" ")
    assert isinstance(event, Closing)
    assert (event.code, event.reason, event.data) == (CloseCode.MESSAGE_TOO_BIG, "over 100 bytes", None)


def test_the_limits_are_those_of_the_protocol() -> None:
    assert Limits() == Limits(message_bytes=2**20, depth=32, in_progress=64, malformed=10)


# -- anything at all ----------------------------------------------------------------------------

EVENTS = (Incoming, Answered, Send, Closing, type(None))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
near_messages = st.fixed_dictionaries(
    {},
    optional={
        "auth": json_values | st.just(TOKEN),
        "req": json_values | st.sampled_from(["authenticate", "execute", "telemetry"]),
        "rid": json_values | st.integers(0, 3),
        "msg": json_values,
    },
)


def check_event(event: object) -> None:
    assert isinstance(event, EVENTS)
    assert SECRET not in repr(event)
    if isinstance(event, Send | Closing) and event.data is not None:
        answer = msgspec.json.decode(event.data)
        assert set(answer) == {"rid", "msg"}
        assert answer["msg"].get("result") == "failure" or answer["msg"].get("success") is False
        assert answer["msg"]["reason"] in set(Reason)


@given(messages=st.lists(st.binary(max_size=200), max_size=15), is_accepted=st.booleans())
def test_any_bytes_are_an_event(messages: list[bytes], *, is_accepted: bool) -> None:
    peer: Peer[str] = Peer(Limits())
    if is_accepted:
        peer.accept(TOKEN, {})
    for data in messages:
        check_event(peer.receive(data))


@given(messages=st.lists(near_messages | json_values, max_size=15), is_accepted=st.booleans())
def test_any_json_is_an_event(messages: list[Any], *, is_accepted: bool) -> None:
    peer: Peer[str] = Peer(Limits())
    if is_accepted:
        peer.accept(TOKEN, {})
        peer.request(ViewRunning(), "ours", deadline=1)
    for message in messages:
        check_event(peer.receive(json.dumps(message).encode()))
    assert len(peer._in_progress) <= 64


@given(data=st.data(), cut=st.integers(0, 80))
def test_any_damage_to_a_message_is_an_event(data: st.DataObject, cut: int) -> None:
    message = bytearray(request("authenticate", 3, {"username": "u", "password": SECRET}, auth=None))
    for at in data.draw(st.lists(st.integers(0, len(message) - 1), max_size=3)):
        message[at] = data.draw(st.integers(0, 255))
    check_event(Peer[str](Limits()).receive(bytes(message[: len(message) - cut])))


# -- secrets ------------------------------------------------------------------------------------


def test_no_event_shows_a_secret(peer: Peer[str]) -> None:
    event = peer.receive(request("authenticate", 1, {"username": "u", "password": SECRET}, auth=SECRET))
    assert repr(event) == "Incoming(rid=1, req='authenticate')"
    peer.accept(SECRET, {})
    rid = msgspec.json.decode(peer.request(Authenticate(), "ours", 10, auth=SECRET))["rid"]
    answered = peer.receive(b'{"rid":%d,"msg":{"success":true,"token":"%b"}}' % (rid, SECRET.encode()))
    assert isinstance(answered, Answered)
    assert SECRET not in repr(answered)
    assert SECRET not in repr(peer)
    peer.request(Authenticate(), "ours", 10, auth=SECRET)
    assert SECRET not in repr(peer._asked)
    assert SECRET not in repr(peer.receive(request("execute", 2, auth=SECRET + "x")))


def test_a_token_is_kept_as_a_digest_only() -> None:
    assert token_digest("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
