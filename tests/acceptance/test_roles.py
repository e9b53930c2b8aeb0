"""What each kind of user may do, and what a backend's token may not."""

from __future__ import annotations

import httpx
import pytest

from acceptance.house import Rest, Server, is_alive
from acceptance.raw import RawSocket
from harness.server import NO_TLS, PASSWORD


@pytest.fixture(scope="module")
def viewer(shared: Server) -> Rest:
    return shared.rest("watch")


@pytest.fixture(scope="module")
def operator(shared: Server) -> Rest:
    return shared.rest("op")


def denied(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["reason"]) == (403, "permission_denied")


def test_a_viewer_sees_and_changes_nothing(viewer: Rest, rest: Rest, machine: str) -> None:
    pid = rest.execute(machine, "sleep", "1000")
    assert machine in viewer.online()
    assert [row["pid"] for row in viewer.processes(machine)] == [pid]
    assert denied(viewer.signal(machine, pid, "SIGKILL"))
    assert denied(viewer.call("POST", f"/backends/{machine}/processes", cmd=["true"]))
    assert denied(viewer.call("DELETE", f"/backends/{machine}"))
    assert denied(viewer.call("POST", f"/backends/{machine}/vpn", conf_type="wireguard"))
    assert denied(viewer.call("DELETE", f"/backends/{machine}/vpn"))
    assert denied(viewer.call("GET", "/users"))
    assert denied(viewer.call("POST", "/users", name="mallory", role="admin", password="long enough"))
    assert is_alive(pid)
    assert [row["pid"] for row in rest.processes(machine)] == [pid]
    assert rest.signal(machine, pid, "SIGKILL").status_code == 200


def test_an_operator_runs_programs_and_changes_no_users(operator: Rest, machine: str) -> None:
    pid = operator.execute(machine, "sleep", "1000")
    assert operator.signal(machine, pid, "SIGTERM").status_code == 200
    assert denied(operator.call("POST", "/users", name="mallory", role="admin", password="long enough"))
    assert denied(operator.call("DELETE", f"/backends/{machine}"))
    assert machine in operator.online()


def test_an_enroller_cannot_log_in(shared: Server) -> None:
    answer = httpx.post(f"{shared.http}/api/v1/login", json={"username": "gate", "password": PASSWORD}, verify=NO_TLS)
    assert denied(answer)


@pytest.mark.parametrize("path", ["/backends", "/users", "/vpn", "/me", "/backends/x/processes"])
def test_a_backends_token_opens_no_door_of_operators(shared: Server, path: str) -> None:
    with RawSocket(shared.port) as backend:
        token = backend.enrol()
    assert Rest(shared.http, token).call("GET", path).status_code == 401
    assert httpx.get(f"{shared.http}/api/v1{path}", verify=NO_TLS).status_code == 401


def test_an_operators_token_is_no_backends(shared: Server, rest: Rest) -> None:
    with RawSocket(shared.port) as backend:
        assert backend.resume(rest.token) == {"success": False, "reason": "token_invalid"}


def test_a_login_that_was_ended_is_good_for_nothing(shared: Server) -> None:
    login = shared.rest()
    assert login.call("POST", "/logout").status_code == 204
    assert login.call("GET", "/me").status_code == 401


def test_a_user_whose_password_changes_is_logged_out(shared: Server, rest: Rest) -> None:
    rest.post("/users", name="fleeting", role="operator", password="first password")
    login = shared.rest("fleeting", "first password")
    assert login.get("/me")["username"] == "fleeting"
    assert rest.call("PATCH", "/users/fleeting", password="second password").status_code == 200
    assert login.call("GET", "/me").status_code == 401
    assert shared.rest("fleeting", "second password").get("/me")["role"] == "operator"
    assert rest.call("DELETE", "/users/fleeting").status_code == 204
