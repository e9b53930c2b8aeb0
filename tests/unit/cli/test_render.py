"""What people read, from data alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from quix.cli import render
from quix.cli.render import Table, age, fits, plain, records, size
from quix.client import Backend, Lease, Run, Traffic
from quix.wire.messages import AgentFacts, Process, TeleData, VpnStatus

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1500, "1.5 KB"), (99_940, "99.9 KB"), (99_960, "100 KB"),
        (999_400, "999 KB"), (999_600, "1.0 MB"), (1e9, "1.0 GB"), (8.185749375e9, "8.2 GB"), (2.5e12, "2.5 TB"),
        (3e15, "3.0 PB"), (4e18, "4000 PB"),
    ],
)  # fmt: skip
def test_size(count: float, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "just now"), (0, "just now"), (9.9, "just now"), (10, "10 s"), (59.9, "59 s"), (60, "1 min"),
        (119, "1 min"), (3599, "59 min"), (3600, "1 h"), (47.9 * 3600, "47 h"), (48 * 3600, "2 d"),
        (400 * 86400, "400 d"),
    ],
)  # fmt: skip
def test_age(seconds: float, text: str) -> None:
    assert age(seconds) == text


# -- tables -------------------------------------------------------------------------------------

TABLE = Table(("PID", "NAME", "COMMAND"), [("7", "ä", "true"), ("1234", "雨雨", "")], frozenset({0}))


def test_columns_are_aligned_and_no_line_ends_in_spaces() -> None:
    assert plain(TABLE) == " PID  NAME  COMMAND\n   7  ä     true\n1234  雨雨"


def test_wide_and_combining_characters_take_their_columns() -> None:
    lines = plain(Table(("A", "B"), [("雨雨", "x"), ("e\u0301", "x"), ("four", "x")])).splitlines()
    assert lines == ["A     B", "雨雨  x", "e\u0301     x", "four  x"]


def test_no_rows() -> None:
    assert plain(Table(("A",), [], empty="Nothing.")) == "Nothing."


def test_records_are_for_where_columns_do_not_fit() -> None:
    assert records(TABLE) == "PID      7\nNAME     ä\nCOMMAND  true\n\nPID      1234\nNAME     雨雨\nCOMMAND"


def test_fits() -> None:
    # 4 + 2 + 4 + 2 + 7
    assert fits(TABLE, 19)
    assert not fits(TABLE, 18)
    long = Table(("ID", "COMMAND"), [("7", "x" * 500)])
    assert fits(long, 28), "the last column is folded"
    assert not fits(long, 27)


# -- nouns --------------------------------------------------------------------------------------

FACTS = AgentFacts(
    name="web-1", hostname="web-1", os="Debian 12", kernel="6.1", arch="x86_64", agent_version="0.1.0", boot_id="b"
)


def backend(**changes: Any) -> Backend:
    values: dict[str, Any] = {
        "id": "b1", "name": "web-1", "connected": True, "connected_since": NOW - 7200, "address": "192.0.2.7",
        "enrolled_by": "gate", "created_at": 0, "last_seen": NOW, "facts": FACTS, "extensions": {},
    }  # fmt: skip
    return Backend(**{**values, **changes})


def test_backends() -> None:
    away = backend(id="b2", name="b2", connected=False, connected_since=None, last_seen=NOW - 86400 * 3, facts=None)
    assert render.backends([backend(), away], NOW).rows == [
        ("web-1", "online", "2 h", "192.0.2.7", "Debian 12", "b1"),
        ("b2", "offline", "3 d", "192.0.2.7", "", "b2"),
    ]


def test_no_backends_says_how_to_get_one() -> None:
    assert "quix agent --server" in plain(render.backends([], NOW))


def test_processes() -> None:
    row = Process(title="t", pid=7, cpu_util=12.345, mem_util=1111, reqc="sleep 60", port_util=[80, 443])
    assert render.processes([row]).rows == [("7", "12.3", "1.1 GB", "80,443", "t", "sleep 60")]


def test_runs_quote_as_a_shell_would() -> None:
    run = Run(
        id="r", backend_id="b", cmd=["sh", "-c", "a; b"], proc_id=7, started_by="op", started_at=NOW - 90,
        state="running",
    )  # fmt: skip
    assert render.runs([run], NOW).rows == [("r", "7", "1 min", "", "running", "op", "sh -c 'a; b'")]


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"state": "ended", "outcome": "exited", "exit_code": 3}, "exit 3"),
        ({"state": "ended", "outcome": "signalled", "exit_signal": "SIGKILL"}, "SIGKILL"),
        ({"state": "ended", "outcome": "memory_limit", "exit_signal": "SIGKILL"}, "memory_limit"),
        ({"state": "ended", "outcome": "lost"}, "lost"),
        ({"state": "refused", "outcome": "command_not_found"}, "command_not_found"),
        ({"state": "untracked"}, "untracked"),
    ],
)
def test_how_a_run_is_in_a_word(facts: dict[str, Any], text: str) -> None:
    run = Run(id="r", backend_id="b", cmd=["x"], proc_id=0, started_by="op", started_at=NOW - 3, ended_at=NOW, **facts)
    assert render.runs([run], NOW).rows == [("r", "", "just now", "3.0 s", text, "op", "x")]


def test_leases() -> None:
    revoked = Lease(
        backend_id="b", conf_type="wireguard", address4="10.83.0.2", address6="fd83::2", public_key=None,
        issued_at=NOW - 60, revoked_at=NOW,
    )  # fmt: skip
    traffic = Traffic(endpoint="192.0.2.7:1", last_handshake=NOW - 70, received=1500, sent=0)
    seen = msgspec.structs.replace(revoked, backend_id="c", revoked_at=None, public_key="k", traffic=traffic)
    never = msgspec.structs.replace(seen, traffic=msgspec.structs.replace(traffic, last_handshake=None))
    assert render.leases([revoked, seen, never], {"c": "web-1"}, NOW).rows == [
        ("b", "wireguard", "10.83.0.2", "fd83::2", "revoked", "", "", "", ""),
        ("web-1", "wireguard", "10.83.0.2", "fd83::2", "in force", "1 min", "1.5 KB", "0 B", "k"),
        ("web-1", "wireguard", "10.83.0.2", "fd83::2", "in force", "never", "1.5 KB", "0 B", "k"),
    ]


def test_nothing_that_a_terminal_would_obey_comes_through() -> None:
    hostile = "\x1b[2J\r\n\x9b31m\u202ex\x00\t"
    rows = [
        *render.backends([backend(name=hostile, address=hostile)], NOW).rows,
        *render.processes([Process(title=hostile, pid=1, cpu_util=0, mem_util=0, reqc=hostile, port_util=[])]).rows,
        *render.users([(hostile, hostile, NOW, {hostile: hostile})], NOW).rows,
    ]
    assert all(cell.isprintable() for row in rows for cell in row)


# -- telemetry ----------------------------------------------------------------------------------


def test_telemetry_shows_what_is_set() -> None:
    assert render.telemetry(TeleData(ttl_cpu_usage=[0.1, 1])) == "cpu     10%  100%"
    assert render.telemetry(TeleData(vpn_status=None)) == "vpn     no tunnel"
    assert render.telemetry(TeleData()) == "The backend knows none of what was asked for."


def test_telemetry_of_a_backend_that_counts_differently() -> None:
    data = TeleData(ttl_mem_usage=[1], disk_util={"/dev/b": [], "/dev/a\n": [5, 5, 5]})
    assert render.telemetry(data).splitlines() == [
        "memory  used 1.0 MB",
        "disk    /dev/a\ufffd: 50% of 10 B used, 5 B free",
        "disk    /dev/b: 0% of 0 B used, 0 B free",
    ]


def test_tunnel_without_endpoint() -> None:
    status = VpnStatus(ifname="wg0\x1b", conn_type="wireguard", conn_host="", conn_ip4="", conn_ip6="fe80::1")
    assert render.telemetry(TeleData(vpn_status=status)) == (
        "vpn     wg0\ufffd (wireguard) fe80::1 to an unknown endpoint"
    )
