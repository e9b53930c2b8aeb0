"""Bytes to envelopes and back: what is an envelope, what is none, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from quix.wire import codec
from quix.wire.codec import ErrorReport, InvalidUtf8Error, MalformedError
from quix.wire.messages import Authenticate, Execute, Executed

DEPTH = 32

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def malformed(data: bytes, depth: int = DEPTH) -> MalformedError:
    with pytest.raises(MalformedError) as caught:
        codec.decode_envelope(data, depth)
    return caught.value


# -- envelopes ----------------------------------------------------------------------------------


def test_a_request_has_a_req_and_a_response_has_none() -> None:
    request = codec.decode_envelope(b'{"req": "execute", "rid": 65019, "msg": {"cmd": ["a"]}}', DEPTH)
    response = codec.decode_envelope(b'{"rid": 65019, "msg": {}}', DEPTH)
    assert isinstance(request, codec.Envelope)
    assert isinstance(response, codec.Envelope)
    assert (request.req, request.rid, bytes(request.msg)) == ("execute", 65019, b'{"cmd": ["a"]}')
    assert (response.req, response.auth, response.rid) == (UNSET, UNSET, 65019)


@pytest.mark.parametrize(("text", "auth"), [("null", None), ('"t"', "t"), ('""', "")])
def test_auth_is_null_or_a_string(text: str, auth: str | None) -> None:
    envelope = codec.decode_envelope(b'{"auth":%b,"req":"authenticate","rid":1,"msg":{}}' % text.encode(), DEPTH)
    assert isinstance(envelope, codec.Envelope)
    assert envelope.auth == auth


def test_unknown_fields_are_ignored_and_the_order_is_free() -> None:
    envelope = codec.decode_envelope(b'{"later": [{}], "msg": [1], "rid": 0, "x": "\\ud83d\\ude00"}', DEPTH)
    assert isinstance(envelope, codec.Envelope)
    assert bytes(envelope.msg) == b"[1]"


@pytest.mark.parametrize("rid", [0, 1, 2**31, 2**53 - 1])
def test_a_rid_is_an_integer_that_every_json_implementation_keeps(rid: int) -> None:
    envelope = codec.decode_envelope(b'{"rid":%d,"msg":{}}' % rid, DEPTH)
    assert isinstance(envelope, codec.Envelope)
    assert envelope.rid == rid


@pytest.mark.parametrize("rid", ["-1", "1.0", "1e3", "1.5", "true", '"1"', "[1]", "{}", str(2**53), "1" * 400])
def test_any_other_rid_is_unusable(rid: str) -> None:
    error = malformed(b'{"req":"x","rid":%b,"msg":{}}' % rid.encode())
    assert error.rid is None
    assert error.detail == "rid: an integer from 0 to 9007199254740991 is required"


def test_a_rid_that_no_parser_need_read_is_not_json_to_us() -> None:
    error = malformed(b'{"req":"x","rid":%b,"msg":{}}' % (b"1" * 5000))
    assert error.rid is None
    assert error.detail.startswith("not JSON: ")


@pytest.mark.parametrize(
    "data",
    [b"", b" ", b"nul", b"{", b'{"rid":1,"msg":{}}x', b'{"rid":1,"msg":{"a":01}}', b'{"rid":1,"msg":"\n"}',
     b"{'rid':1}", b'{"rid":1,"msg":{},}', b'{"rid":1,"msg":"\\q"}', b"\xef\xbb\xbf{}",
     b'{"rid":1,"msg":"\\ud800"',
     b'{"rid":1,"msg":NaN}', b'{"rid":1 "msg":{}}'],
)  # fmt: skip
def test_what_is_not_json_is_said_to_be_not_json(data: bytes) -> None:
    error = malformed(data)
    assert error.detail.startswith("not JSON: ")
    assert error.rid is None


@pytest.mark.parametrize("data", [b"null", b"1", b'"a"', b"[]", b'[{"rid":1,"msg":{}}]', b"true"])
def test_json_that_is_no_object_is_no_message(data: bytes) -> None:
    assert malformed(data).detail == "not a JSON object"


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b'{"req":"execute","rid":7}', "msg: this field is required"),
        (b'{"req":5,"rid":7,"msg":{}}', "req: expected str, got int"),
        (b'{"req":null,"rid":7,"msg":{}}', "req: expected str, got null"),
        (b'{"auth":5,"req":"execute","rid":7,"msg":{}}', "auth: expected str | null, got int"),
    ],
)
def test_a_request_with_a_usable_rid_is_told_which_field_is_wrong(data: bytes, detail: str) -> None:
    error = malformed(data)
    assert (error.rid, error.is_request, error.detail) == (7, True, detail)


def test_the_name_of_a_malformed_request_is_kept_where_it_has_one() -> None:
    assert malformed(b'{"req":"authenticate","rid":7}').req == "authenticate"
    assert malformed(b'{"req":["authenticate"],"rid":7,"msg":{}}').req == ""


def test_a_response_without_msg_is_malformed_but_its_rid_is_known() -> None:
    error = malformed(b'{"rid":7}')
    assert (error.rid, error.is_request) == (7, False)


def test_a_field_twice_of_which_one_is_unusable_is_no_message() -> None:
    error = malformed(b'{"rid":"a","rid":7,"req":"x","msg":{}}')
    assert (error.rid, error.detail) == (7, "not a Quix message")


@pytest.mark.parametrize(
    ("msg", "detail"),
    [(b'{"reason":"message_invalid"}', "{'reason': 'message_invalid'}"), (b'"%b"' % (b"[" * 900), "[" * 200)],
)
def test_an_error_report_is_kept_short(msg: bytes, detail: str) -> None:
    assert codec.decode_envelope(b'{"rid":null,"msg":%b}' % msg, DEPTH) == ErrorReport(detail)


def test_a_request_with_rid_null_is_malformed_and_no_error_report() -> None:
    assert malformed(b'{"req":"x","rid":null,"msg":{}}').rid is None


# -- UTF-8 and depth ----------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"])
def test_text_that_is_not_utf8_is_told_apart_from_malformed_json(bad: bytes) -> None:
    with pytest.raises(InvalidUtf8Error, match="not UTF-8 at byte 16"):
        codec.decode_envelope(b'{"rid":1,"msg":"%b"}' % bad, DEPTH)


def test_bytes_that_are_not_utf8_are_noticed_where_no_field_is_read() -> None:
    with pytest.raises(InvalidUtf8Error):
        codec.decode_envelope(b'{"rid":1,"msg":{},"unknown":"\xff"}', DEPTH)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_nesting_is_bounded_exactly(opening: bytes, closing: bytes) -> None:
    levels = 1 if len(opening) in {1, 5} else 2

    def message(depth: int) -> bytes:
        times = (depth - 1) // levels
        return b'{"rid":1,"msg":%b1%b}' % (opening * times, closing * times)

    at_limit = 1 + (DEPTH - 1) // levels * levels
    assert isinstance(codec.decode_envelope(message(at_limit), DEPTH), codec.Envelope)
    assert malformed(message(DEPTH + levels)).detail == f"nested deeper than {DEPTH} levels"


def test_brackets_in_strings_are_no_nesting() -> None:
    for text in ("[{" * 100, '\\"' * 10 + "[" * 100, "\\\\", '\\\\\\"' + "{" * 100):
        data = b'{"rid":1,"msg":["%b",%b]}' % (text.encode(), b",".join([b"[]"] * 40))
        assert isinstance(codec.decode_envelope(data, DEPTH), codec.Envelope), text


def test_many_brackets_side_by_side_are_not_deep() -> None:
    data = json.dumps({"rid": 1, "msg": [{"port_util": [1, 2]}] * 1000}).encode()
    assert isinstance(codec.decode_envelope(data, 4), codec.Envelope)
    assert malformed(data, 3).detail == "nested deeper than 3 levels"


@pytest.mark.parametrize("data", [b"[" * 2**20, b'{"a":' * 100_000, b'{"rid":' + b"[" * 2**20])
def test_nesting_without_end_is_refused_and_does_no_harm(data: bytes) -> None:
    assert malformed(data).rid is None


def _depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth_of(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth_of(inner) for inner in value), default=0)
    return 0


@given(value=json_values, limit=st.integers(1, 6), spaced=st.booleans())
def test_depth_is_that_of_the_parsed_value(value: Any, limit: int, *, spaced: bool) -> None:
    data = json.dumps({"rid": 1, "msg": value}, indent=1 if spaced else None, ensure_ascii=False).encode()
    if _depth_of(value) + 1 > limit:
        assert malformed(data, limit).detail == f"nested deeper than {limit} levels"
    else:
        assert isinstance(codec.decode_envelope(data, limit), codec.Envelope)


# -- anything at all ----------------------------------------------------------------------------


@given(st.binary())
def test_any_bytes_are_an_envelope_or_one_of_two_errors(data: bytes) -> None:
    try:
        codec.decode_envelope(data, DEPTH)
    except (MalformedError, InvalidUtf8Error) as error:
        assert str(error)


@given(value=json_values)
def test_any_json_is_an_envelope_or_malformed(value: Any) -> None:
    try:
        codec.decode_envelope(json.dumps(value).encode(), DEPTH)
    except MalformedError as error:
        assert error.detail


@given(rid=st.integers(0, codec.MAX_RID), req=st.text(), auth=st.none() | st.text(), msg=json_values)
def test_every_envelope_of_json_comes_out_as_it_went_in(rid: int, req: str, auth: str | None, msg: Any) -> None:
    data = json.dumps({"auth": auth, "req": req, "rid": rid, "msg": msg}).encode()
    envelope = codec.decode_envelope(data, 64)
    assert isinstance(envelope, codec.Envelope)
    assert (envelope.rid, envelope.req, envelope.auth) == (rid, req, auth)
    assert json.loads(bytes(envelope.msg)) == msg


# -- encoding and failures ----------------------------------------------------------------------


def test_messages_carry_the_fields_of_the_seed_and_no_other() -> None:
    execute = Execute(cmd=["python3", "testserver/testserver.py", "--help"])
    assert codec.encode_request(65019, execute) == (
        b'{"req":"execute","rid":65019,"msg":{"cmd":["python3","testserver/testserver.py","--help"]}}'
    )
    enrol = Authenticate(username="quix123", password="bright01")
    assert codec.encode_authenticate(12345, enrol, None) == (
        b'{"auth":null,"req":"authenticate","rid":12345,"msg":{"username":"quix123","password":"bright01"}}'
    )
    assert codec.encode_authenticate(12345, Authenticate(), "fons") == (
        b'{"auth":"fons","req":"authenticate","rid":12345,"msg":{}}'
    )
    assert codec.encode_response(65019, Executed(12345)) == (
        b'{"rid":65019,"msg":{"result":"success","proc_id":12345}}'
    )


def test_authenticate_fails_in_its_own_shape() -> None:
    assert codec.encode_failure(1, "authenticate", "token_invalid", None) == (
        b'{"rid":1,"msg":{"success":false,"reason":"token_invalid"}}'
    )
    assert codec.encode_failure(1, "execute", "spawn_failed", None) == (
        b'{"rid":1,"msg":{"result":"failure","reason":"spawn_failed"}}'
    )
    assert codec.encode_failure(None, None, "message_invalid", "why") == (
        b'{"rid":null,"msg":{"result":"failure","reason":"message_invalid","detail":"why"}}'
    )


@pytest.mark.parametrize("shape", [b'"success":false', b'"result":"failure"'])
def test_a_failure_is_read_in_both_shapes(shape: bytes) -> None:
    failure = codec.decode_failure(Raw(b'{%b,"reason":"no","detail":"why","more":1}' % shape))
    assert failure is not None
    assert (failure.reason, failure.detail) == ("no", "why")


@pytest.mark.parametrize(
    "msg",
    [b"{}", b"[]", b"null", b'{"reason":"no"}', b'{"success":true,"reason":"no"}', b'{"result":"failure"}',
     b'{"result":"success","reason":"no"}', b'{"result":"failure","reason":5}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_failure_is_none(msg: bytes) -> None:
    assert codec.decode_failure(Raw(msg)) is None


@given(value=json_values)
def test_any_json_is_a_failure_or_none(value: Any) -> None:
    failure = codec.decode_failure(Raw(json.dumps(value).encode()))
    assert failure is None or isinstance(failure, codec.Failure)


def test_a_decoder_is_made_once_for_a_type() -> None:
    assert codec.decoder(Execute) is codec.decoder(Execute)


@pytest.mark.parametrize(
    ("kind", "msg", "detail"),
    [
        (Execute, b"{}", "msg.cmd: this field is required"),
        (Execute, b'{"cmd":[]}', "msg.cmd: expected array of length >= 1"),
        (Execute, b'{"cmd":["a",1]}', "msg.cmd[1]: expected str, got int"),
        (Execute, b"[]", "msg: expected object, got array"),
        (Executed, b'{"result":"success","proc_id":"x"}', "msg.proc_id: expected int, got str"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(kind: Any, msg: bytes, detail: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        codec.decoder(kind).decode(msg)
    assert codec.field_detail(caught.value) == detail


def test_a_detail_does_not_repeat_at_length_what_the_peer_sent() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        codec.decoder(Executed).decode(b'{"result":"%b"}' % (b"x" * 100_000))
    assert len(codec.field_detail(caught.value)) < 250
