"""Which requests of the server a policy refuses, before any handler is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from quix.agent.policy import REQUESTS, gate
from quix.link.router import Router
from quix.supervisor.policy import KINDS, Kind
from quix.supervisor.policy_file import PolicyFile
from quix.wire.messages import Done, Execute, GetVpnConf, ProcSignal, Telemetry, ViewRunning
from quix.wire.reasons import Reason, Refusal

UNHEARD = GetVpnConf
"""A request that no server sends, and of which nobody said the kind."""


def answered(folder: Path, *allow: Kind) -> set[str]:
    """The requests that are let through where these kinds are allowed."""
    router: Router[None] = Router(gate(PolicyFile(None, folder, allow, lambda *_: None)))
    names = []
    for kind in (Execute, ProcSignal, Telemetry, ViewRunning, UNHEARD):
        router.add(kind, lambda _context, _request: Done())
        names.append(kind.req)
    found = set()
    for name in names:
        try:
            router.resolve(name, {})
        except Refusal as refusal:
            assert refusal.reason is Reason.POLICY_DENIED
        else:
            found.add(name)
    return found


@pytest.mark.parametrize(
    ("kind", "req"),
    [("execute", "execute"), ("signal", "proc_signal"), ("telemetry", "telemetry"), ("list", "view_running")],
)
def test_each_kind_lets_its_own_request_through_and_no_other(tmp_path: Path, kind: Kind, req: str) -> None:
    assert answered(tmp_path, kind) == {req}


def test_nothing_is_let_through_where_nothing_is_allowed(tmp_path: Path) -> None:
    assert answered(tmp_path) == set()


def test_a_request_of_no_kind_takes_all_of_them(tmp_path: Path) -> None:
    assert answered(tmp_path, *KINDS) == {"execute", "proc_signal", "telemetry", "view_running", UNHEARD.req}
    assert UNHEARD.req not in answered(tmp_path, *(kind for kind in KINDS if kind != "vpn"))
    assert UNHEARD.req not in REQUESTS


def test_a_request_that_does_not_exist_is_unknown_rather_than_forbidden(tmp_path: Path) -> None:
    router: Router[None] = Router(gate(PolicyFile(None, tmp_path, (), lambda *_: None)))
    with pytest.raises(Refusal) as caught:
        router.resolve("no_such_request", {})
    assert caught.value.reason is Reason.REQUEST_UNKNOWN
