"""Who is let in, as what, and for how long; over the wire, against a real server."""

from __future__ import annotations

import sqlite3
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from acceptance.house import House, Rest, Server, until
from acceptance.raw import RawSocket
from harness.server import PASSWORD


def ids(rest: Rest) -> set[str]:
    return {backend["id"] for backend in rest.backends()}


# -- a new backend, and the same one again ------------------------------------------------------


def test_each_initial_authentication_makes_a_new_backend(shared: Server, rest: Rest) -> None:
    before = ids(rest)
    tokens = set()
    for _ in range(3):
        with RawSocket(shared.port) as backend:
            tokens.add(backend.enrol())
    assert len(tokens) == 3
    assert len(ids(rest) - before) == 3


def test_a_backend_that_resumes_keeps_its_id_and_its_validity_never_grows(shared: Server, rest: Rest) -> None:
    with RawSocket(shared.port) as backend:
        token = backend.enrol()
    before = ids(rest)
    validities = [86400]
    began = time.monotonic()
    while time.monotonic() < began + 2.2:
        with RawSocket(shared.port) as backend:
            answer = backend.resume(token)
            assert set(answer) == {"success", "validity"}
            assert type(answer["validity"]) is int
            validities.append(answer["validity"])
        time.sleep(0.2)
    assert validities == sorted(validities, reverse=True)
    assert 86396 <= validities[-1] <= 86398
    assert ids(rest) == before


def test_the_older_connection_is_closed_with_4001_before_the_newer_one_is_answered(shared: Server) -> None:
    with ExitStack() as stack:
        older = stack.enter_context(RawSocket(shared.port))
        token = older.enrol()
        for _ in range(20):
            newer = stack.enter_context(RawSocket(shared.port))
            assert not older.can_read()
            assert newer.resume(token)["success"] is True
            assert older.can_read(), "the answer was here before the close of the older connection"
            code, reason = older.closed()
            assert code == 4001
            assert reason
            older = newer


def test_a_request_in_flight_on_the_older_connection_is_lost_at_once(house: House) -> None:
    server = house.server()
    rest = server.rest()
    with RawSocket(server.port) as older, RawSocket(server.port) as newer:
        token = older.enrol()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(rest.call, "GET", f"/backends/{rest.wait_online()}/processes")
            assert older.receive()["req"] == "view_running"
            newer.resume(token)
            answer = asked.result(5)
    assert (answer.status_code, answer.json()["reason"]) == (502, "connection_lost")


# -- the end of a token -------------------------------------------------------------------------


def test_a_token_that_expires_ends_the_connection_and_is_invalid_then(house: House) -> None:
    server = house.server(token_validity="2")
    with RawSocket(server.port) as backend:
        began = time.monotonic()
        answer = backend.ask("authenticate", {"username": "gate", "password": PASSWORD}, auth=None)
        assert answer["validity"] == 2
        assert backend.closed()[0] == 4002
        assert 1.5 < time.monotonic() - began < 6
    with RawSocket(server.port) as backend:
        assert backend.resume(answer["token"]) == {"success": False, "reason": "token_invalid"}


def test_a_token_is_good_to_its_end_and_no_longer_when_resumed(house: House) -> None:
    server = house.server(token_validity="5")
    with RawSocket(server.port) as backend:
        token = backend.enrol()
    began = time.monotonic()
    time.sleep(3)
    with RawSocket(server.port) as backend:
        assert 0 <= backend.resume(token)["validity"] <= 2
        assert backend.closed()[0] == 4002
    assert time.monotonic() - began < 8


def test_a_removed_backend_is_closed_with_4002_and_its_token_is_invalid(shared: Server, rest: Rest) -> None:
    before = ids(rest)
    with RawSocket(shared.port) as backend:
        token = backend.enrol()
        (added,) = ids(rest) - before
        assert rest.call("DELETE", f"/backends/{added}").status_code == 204
        assert backend.closed()[0] == 4002
    with RawSocket(shared.port) as backend:
        assert backend.resume(token)["reason"] == "token_invalid"


def test_tokens_outlive_the_server(house: House) -> None:
    server = house.server()
    with RawSocket(server.port) as backend:
        token = backend.enrol()
    server.kill()
    server = house.again(server)
    with RawSocket(server.port) as backend:
        assert backend.resume(token)["success"] is True


# -- passwords ----------------------------------------------------------------------------------


def test_an_unknown_user_and_a_wrong_password_are_the_same_answer_after_the_same_work(house: House) -> None:
    server = house.server()
    times: dict[str, list[float]] = {"gate": [], "nobody": []}
    for _ in range(5):
        for username, taken in times.items():
            with RawSocket(server.port) as backend:
                began = time.monotonic()
                answer = backend.ask("authenticate", {"username": username, "password": "wrong horse"}, auth=None)
                taken.append(time.monotonic() - began)
                assert answer == {"success": False, "reason": "password_invalid"}
    known, unknown = (min(taken) for taken in times.values())
    assert 0.5 < known / unknown < 2, times


def test_a_viewer_may_not_enrol(shared: Server, rest: Rest) -> None:
    before = ids(rest)
    with RawSocket(shared.port) as backend:
        answer = backend.ask("authenticate", {"username": "watch", "password": PASSWORD}, auth=None)
        assert answer == {"success": False, "reason": "enroll_denied"}
    assert ids(rest) == before


def test_too_many_failures_are_rate_limited_and_those_with_a_token_go_on(house: House) -> None:
    server = house.server()
    with RawSocket(server.port) as held, RawSocket(server.port) as guesser:
        token = held.enrol()
        reasons = [
            guesser.ask("authenticate", {"username": "gate", "password": f"guess {i}"}, auth=None)["reason"]
            for i in range(12)
        ]
        assert reasons[0] == "password_invalid"
        assert reasons[-1] == "rate_limited"
        # The right password helps no more, or guessing would go on.
        answer = guesser.ask("authenticate", {"username": "gate", "password": PASSWORD}, auth=None)
        assert answer == {"success": False, "reason": "rate_limited"}
        # Whoever is connected stays so, and a token is still good.
        assert held.ask("get_vpn_conf", {"conf_type": "wireguard", "tun_mode": "udp"})["reason"] == "vpn_unavailable"
    with RawSocket(server.port) as back:
        assert back.resume(token)["success"] is True
    assert server.rest().backends()


@pytest.mark.parametrize(
    ("msg", "field"),
    [({}, "msg.username"), ({"username": "gate"}, "msg.password"), ({"username": 5, "password": "x"}, "msg.username"),
     ({"username": "x" * 5000, "password": "x"}, "msg.username"), ([], "msg")],
)  # fmt: skip
def test_what_is_missing_is_named(shared: Server, msg: object, field: str) -> None:
    with RawSocket(shared.port) as backend:
        answer = backend.ask("authenticate", msg, auth=None)
        assert (answer["success"], answer["reason"]) == (False, "request_invalid")
        assert answer["detail"].startswith(field)


# -- without authentication ---------------------------------------------------------------------


def test_nothing_else_is_answered_before_authentication(shared: Server) -> None:
    with RawSocket(shared.port) as backend:
        for req in ("get_vpn_conf", "agent_facts", "renew_token", "execute", "unheard_of"):
            assert backend.ask(req, {}) == {"result": "failure", "reason": "not_authenticated"}
        backend.enrol()
        assert backend.ask("unheard_of", {}) == {"result": "failure", "reason": "request_unknown"}


def test_a_second_authenticate_is_invalid(shared: Server) -> None:
    with RawSocket(shared.port) as backend:
        token = backend.enrol()
        answer = backend.resume(token)
        assert (answer["success"], answer["reason"]) == (False, "request_invalid")
        assert backend.ask("unheard_of", {})["reason"] == "request_unknown"


def test_a_later_request_may_carry_the_own_token_and_no_other(shared: Server) -> None:
    with RawSocket(shared.port) as backend:
        token = backend.enrol()
        for auth, reason in ((token, "request_unknown"), (None, "request_unknown"), ("x", "token_invalid")):
            assert backend.ask("unheard_of", {}, auth=auth)["reason"] == reason


def test_the_first_authenticate_has_to_come_in_time(house: House) -> None:
    server = house.server(auth_timeout="1")
    with RawSocket(server.port) as silent, RawSocket(server.port) as talker, RawSocket(server.port) as held:
        held.enrol()
        began = time.monotonic()
        while time.monotonic() < began + 0.5:
            talker.ask("get_vpn_conf", {})  # talking is not authenticating
        for backend in (silent, talker):
            assert backend.closed()[0] == 1008
            assert time.monotonic() - began < 3
        assert held.ask("unheard_of", {})["reason"] == "request_unknown"


def test_extensions_are_for_those_who_offered_the_subprotocol(shared: Server) -> None:
    """Without it `extensions` is one more field that nobody knows: ignored, and not answered with a field."""
    with RawSocket(shared.port) as backend:
        msg = {"username": "gate", "password": PASSWORD, "extensions": {"agent": 1, "token": 1}}
        assert set(backend.ask("authenticate", msg, auth=None)) == {"success", "token", "validity"}
        assert backend.ask("renew_token", {})["reason"] == "request_unknown"


# -- what the server keeps ----------------------------------------------------------------------


def test_the_server_keeps_neither_password_nor_token(house: House) -> None:
    server = house.server()
    with RawSocket(server.port) as backend:
        token = backend.enrol()
    login = server.rest().token
    assert server.terminate() == 0
    everything = b"".join(file.read_bytes() for file in server.data_dir.rglob("*") if file.is_file())
    for secret in (token, login, PASSWORD):
        assert secret.encode() not in everything
        assert secret not in server.text
    assert stat.S_IMODE((server.data_dir / "quix.db").stat().st_mode) & 0o077 == 0
    with sqlite3.connect(server.data_dir / "quix.db") as database:
        rows = database.execute("SELECT * FROM users").fetchall()
    database.close()
    assert all(any("$argon2id$" in str(value) for value in row) for row in rows)


def test_a_token_that_was_renewed_is_replaced_when_the_new_one_is_used(house: House) -> None:
    """Our own agent renews at half of the token's life, and is still the same backend."""
    server = house.server(token_validity="4")
    agent = house.agent(server.url)
    rest = server.rest()
    backend = rest.wait_online()
    until(lambda: agent.text.count("token renewed") >= 3, "the token is renewed again and again")
    assert rest.online() == [backend]
    assert agent.is_running
    assert "connection ended" not in agent.text
