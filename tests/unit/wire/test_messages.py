"""Every request and answer, in the shapes of the seed's page."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from quix.wire import codec, messages
from quix.wire.messages import (
    STAT_TYPES,
    AgentFacts,
    Authenticate,
    Authenticated,
    Execute,
    Executed,
    GetVpnConf,
    Process,
    ProcSignal,
    RenewedToken,
    Request,
    TeleData,
    Telemetry,
    TelemetryAnswer,
    ViewRunning,
    VpnConf,
    VpnStatus,
)

REQUESTS: list[type[Request[Any]]] = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, Request) and kind is not Request
]

VPN_STATUS = {
    "ifname": "wg0", "conn_type": "wireguard", "conn_host": "th1.s.quix.click", "conn_ip4": "10.8.0.120",
    "conn_ip6": "fe80::1",
}  # fmt: skip
ROW = {
    "title": "Test Server v0.1", "pid": 12351, "cpu_util": 0, "mem_util": 111,
    "reqc": "python3 testserver/testserver.py --help", "port_util": [12345, 56193],
}  # fmt: skip

# Each is `msg` as the seed prints it; encoding what was decoded must give the same again, field by field.
SEED: list[tuple[Any, Any]] = [
    (Authenticate, {"username": "quix123", "password": "bright01"}),
    (Authenticate, {}),
    (Authenticated, {"success": True, "token": "fonsdkosdg9wjttj092gf1rj9fm2fe", "validity": 86400}),
    (Authenticated, {"success": True, "validity": 21645}),
    (Execute, {"cmd": ["python3", "testserver/testserver.py", "--help"]}),
    (Executed, {"result": "success", "proc_id": 12345}),
    (ViewRunning, {"verb": 1}),
    (list[Process], [ROW]),
    (list[Process], []),
    (ProcSignal, {"pid": 12351, "mode": "SIGTERM"}),
    (messages.Done, {"result": "success"}),
    (GetVpnConf, {"conf_type": "wireguard", "tun_mode": "udp"}),
    (VpnConf, {"result": "success", "conf_type": "wireguard", "conf_data": "[Interface]\nPrivateKey=af8t8"}),
    (Telemetry, {"stat_types": ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]}),
    (
        TelemetryAnswer,
        {
            "tele_data": {
                "ttl_cpu_usage": [0.1, 0.11, 0.02, 0.01],
                "ttl_mem_usage": [128, 1000, 412],
                "disk_util": {"/dev/sda": [195739194, 8185749375], "/dev/sdb": [185844831, 8187395730]},
                "vpn_status": VPN_STATUS,
            }
        },
    ),
    (TelemetryAnswer, {"tele_data": {}}),
    (TelemetryAnswer, {"tele_data": {"vpn_status": None}}),
]


@pytest.mark.parametrize(("kind", "msg"), SEED)
def test_the_seed_is_read_and_written_as_printed(kind: Any, msg: Any) -> None:
    value = codec.decoder(kind).decode(json.dumps(msg).encode())
    assert json.loads(msgspec.json.encode(value)) == msg


@pytest.mark.parametrize(("kind", "msg"), SEED)
def test_fields_that_we_do_not_know_are_ignored(kind: Any, msg: Any) -> None:
    rows = msg if isinstance(msg, list) else [msg]
    more = [{**row, "later": {"deep": [1]}} for row in rows]
    value = codec.decoder(kind).decode(json.dumps(more if isinstance(msg, list) else more[0]).encode())
    assert json.loads(msgspec.json.encode(value)) == msg


@pytest.mark.parametrize(("kind", "msg"), SEED)
def test_what_the_seed_shows_cannot_be_of_another_type(kind: Any, msg: Any) -> None:
    for name in msg if isinstance(msg, dict) else ():
        # The content of `tele_data` is checked on its own: each kind in it may be left out.
        with pytest.raises(msgspec.ValidationError):
            codec.decoder(kind).decode(json.dumps({**msg, name: [[{}]]}).encode())


@pytest.mark.parametrize(
    ("kind", "msg"),
    [
        (Execute, {}), (Execute, {"cmd": []}), (Execute, {"cmd": "ls"}), (ProcSignal, {"pid": 1}),
        (ProcSignal, {"mode": "SIGTERM"}), (ProcSignal, {"pid": True, "mode": "SIGTERM"}), (GetVpnConf, {}),
        (Telemetry, {}), (Executed, {"proc_id": 1}), (Executed, {"result": "failure", "proc_id": 1}),
        (Executed, {"result": "maybe", "proc_id": 1}), (messages.Done, {}), (messages.Done, {"reason": "pid_unknown"}),
        (messages.Done, {"result": "failure"}), (Authenticated, {"success": False, "validity": 1}),
        (Authenticated, {"success": True}), (VpnConf, {"result": "success"}), (TelemetryAnswer, {}),
        (RenewedToken, {"result": "success", "token": "t"}), (TelemetryAnswer, {"tele_data": {"ttl_cpu_usage": 1}}),
        (TelemetryAnswer, {"tele_data": {"disk_util": {"/dev/sda": ["1", "2"]}}}),
    ],
)  # fmt: skip
def test_what_a_message_needs_is_required(kind: Any, msg: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        codec.decoder(kind).decode(json.dumps(msg).encode())


def test_what_may_be_left_out_has_the_meaning_the_protocol_gives_it() -> None:
    assert codec.decoder(ViewRunning).decode(b"{}").verb == 1
    assert codec.decoder(GetVpnConf).decode(b'{"conf_type":"wireguard"}').tun_mode is UNSET


def test_the_stat_types_are_the_seeds() -> None:
    assert STAT_TYPES == ("ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status")


def test_each_request_has_its_own_name_and_its_answer() -> None:
    names = [(kind.req, kind.extension) for kind in REQUESTS]
    assert len(set(names)) == len(names)
    assert {"authenticate", "execute", "view_running", "proc_signal", "get_vpn_conf", "telemetry"} <= {
        kind.req for kind in REQUESTS if kind.extension is None
    }
    for kind in REQUESTS:
        assert codec.decoder(kind.answer) is codec.decoder(kind.answer)


def test_the_seeds_requests_need_no_extension() -> None:
    beyond = {kind.req for kind in REQUESTS if kind.extension is not None}
    assert beyond == {
        "agent_facts", "renew_token", "execute", "proc_signal", "read_output", "write_input", "resize_terminal",
        "run_states", "push_samples",
        "change_vpn",
        "get_vpn_conf",
    }  # fmt: skip


def test_facts_are_bounded() -> None:
    facts = {"name": "n", "hostname": "h", "os": "o", "kernel": "k", "arch": "a", "agent_version": "0", "boot_id": "b"}
    decode = codec.decoder(AgentFacts).decode
    assert decode(json.dumps(facts).encode()).labels == {}
    assert decode(json.dumps({**facts, "labels": {"rack": "7"}}).encode()).labels == {"rack": "7"}
    too_much: list[dict[str, Any]] = [{name: "x" * 254} for name in facts]
    too_much += [{"labels": {str(i): "" for i in range(65)}}, {"labels": {"": "x"}}, {"labels": {"a": "x" * 254}}]
    for more in too_much:
        with pytest.raises(msgspec.ValidationError):
            decode(json.dumps({**facts, **more}).encode())


SECRET = "s3cret-Jq8wX"


@pytest.mark.parametrize(
    "value",
    [
        Authenticate(username="u", password=SECRET),
        Authenticated(token=SECRET, validity=1),
        RenewedToken(token=SECRET, validity=1),
        VpnConf(conf_type="wireguard", conf_data=f"PrivateKey={SECRET}"),
        codec.decode_envelope(b'{"auth":"%b","req":"authenticate","rid":1,"msg":{"password":"%b"}}'
                              % (SECRET.encode(), SECRET.encode()), 32),
        codec._AuthenticateOut(SECRET, "authenticate", 1, Authenticate(password=SECRET)),
        codec._RequestOut("authenticate", 1, Authenticate(password=SECRET)),
        codec._ResponseOut(1, Authenticated(token=SECRET, validity=1)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_no_secret_is_in_what_a_log_would_print(value: Any) -> None:
    assert SECRET not in repr(value)
    assert SECRET not in str(value)
    assert SECRET not in repr([value])


def test_the_messages_without_secrets_say_what_they_hold() -> None:
    assert repr(Executed(5)) == "Executed(proc_id=5)"
    assert "wg0" in repr(TeleData(vpn_status=VpnStatus(**VPN_STATUS)))


@pytest.mark.parametrize("kind", [*REQUESTS, *[kind.answer for kind in REQUESTS]])
@given(value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("success"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["cmd", "pid", "mode", "verb", "result", "success", "tele_data"]), inner),
    max_leaves=8,
))  # fmt: skip
def test_any_json_is_a_message_or_a_decode_error(kind: Any, value: Any) -> None:
    try:
        codec.decoder(kind).decode(json.dumps(value).encode())
    except msgspec.DecodeError as error:
        assert codec.field_detail(error).startswith("msg")
