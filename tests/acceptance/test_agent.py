"""How an agent starts, and how it says what stands in the way."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from websockets.sync.client import connect

from acceptance.house import House, Server
from harness.server import free_port


@pytest.fixture(scope="module")
def server(common: House) -> Server:
    """A server at which passwords fail; the shared one would count that against everybody."""
    return common.server(name="agents-server")


class _NotQuix(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    server: HTTPServer

    def do_GET(self) -> None:
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/200")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def other_server() -> Iterator[str]:
    """An HTTP server that is not Quix; answers `/404` with that status."""
    with HTTPServer(("127.0.0.1", 0), _NotQuix) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()


def test_the_token_is_for_its_owner_alone(house: House, server: Server) -> None:
    agent = house.agent(server.url)
    agent.wait_for("enrolled")
    folder = house.root / "m1"
    file = folder / "agent" / "token.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "agent").stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o711
    assert len(json.loads(file.read_text())["token"]) >= 30
    assert agent.terminate() == 0


def test_the_password_is_needed_once(house: House, server: Server) -> None:
    house.agent(server.url).wait_for("enrolled")
    (agent,) = house.programs
    agent.kill()
    house.password_file.unlink()
    house.agent(server.url).wait_for("resumed")


def test_a_wrong_password_is_77(house: House, server: Server) -> None:
    house.password_file.write_text("wrong horse\n")
    agent = house.agent(server.url)
    assert agent.wait() == 77
    assert "password_invalid" in agent.text
    assert not (house.root / "m1" / "agent" / "token.json").exists()


def test_a_user_who_may_not_enrol_is_77(house: House, server: Server) -> None:
    agent = house.agent(server.url, username="watch")
    assert agent.wait() == 77
    assert "enroll_denied" in agent.text


def test_a_token_that_is_no_longer_known_is_67_and_a_new_backend_only_if_so_told(house: House) -> None:
    server = house.server()
    rest = server.rest()
    agent = house.agent(server.url)
    first = rest.wait_online()
    assert rest.call("DELETE", f"/backends/{first}").status_code == 204
    assert agent.wait() == 67
    token = (house.root / "m1" / "agent" / "token.json").read_text()
    again = house.agent(server.url)
    assert again.wait() == 67
    assert "--re-enroll" in again.text
    assert rest.backends() == []
    assert (house.root / "m1" / "agent" / "token.json").read_text() == token
    house.agent(server.url, "--re-enroll")
    assert rest.wait_online() != first


@pytest.mark.parametrize("status", [200, 302, 404, 403])
def test_a_server_that_is_not_quix_is_76(house: House, other_server: str, status: int) -> None:
    agent = house.agent(f"{other_server}/{status}")
    assert agent.wait() == 76
    assert "no Quix server" in agent.text


@pytest.mark.parametrize("status", [503, 429])
def test_a_proxy_whose_server_is_away_is_waited_for(house: House, other_server: str, status: int) -> None:
    agent = house.agent(f"{other_server}/{status}")
    agent.wait_for("server not reached")
    assert agent.terminate() == 0


@pytest.mark.parametrize("answer", [b"", b"\x15\x03\x01\x00\x02\x02F", b"HTTP/1.1 101 Swi"])
def test_a_connection_that_ends_during_the_upgrade_is_tried_again(house: House, answer: bytes) -> None:
    """As a proxy does whose server is away, or a server that is killed at that moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        agent = house.agent(f"ws://127.0.0.1:{listening.getsockname()[1]}")
        for _ in range(3):
            connection, _ = listening.accept()
            with connection:
                connection.recv(10)
                connection.sendall(answer)
        agent.wait_for("server not reached")
        assert agent.terminate() == 0


def test_plain_text_to_another_machine_is_refused_before_anything_is_sent(house: House) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listening, socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # RFC 5737: tells which address this machine would send from
        address = probe.getsockname()[0]
        listening.setblocking(False)
        agent = house.agent(f"ws://{address}:{listening.getsockname()[1]}/wsi")
        assert agent.wait() == 78
        assert "--allow-plaintext" in agent.text
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.parametrize(
    ("url", "text"),
    [("http://127.0.0.1:1", "wss://"), ("nonsense", "wss://"), ("wss://user:secret@127.0.0.1", "leave"),
     ("ws://127.0.0.1:99999", "no URL"), ("wss://", "wss://")],
)  # fmt: skip
def test_a_url_that_cannot_be_dialled_is_78(house: House, url: str, text: str) -> None:
    agent = house.agent(url)
    assert agent.wait() == 78
    assert text in agent.text
    assert len(agent.text.splitlines()) == 1, agent.text


def test_a_password_file_that_is_not_there_is_78(house: House, server: Server) -> None:
    house.password_file.unlink()
    agent = house.agent(server.url)
    assert agent.wait() == 78
    assert str(house.password_file) in agent.text


def test_a_damaged_token_is_78_and_makes_no_new_backend(house: House, server: Server) -> None:
    house.agent(server.url).wait_for("enrolled")
    (agent,) = house.programs
    agent.kill()
    (house.root / "m1" / "agent" / "token.json").write_text("{")
    again = house.agent(server.url)
    assert again.wait() == 78
    assert "token.json" in again.text


def test_a_setting_that_does_not_exist_is_78(house: House, server: Server) -> None:
    file = house.root / "quix.toml"
    file.write_text('nmae = "m1"\n')
    agent = house.agent(server.url, f"--config={file}")
    assert agent.wait() == 78
    assert "nmae" in agent.text


def test_rate_limited_is_waited_for(house: House) -> None:
    server = house.server()
    who = {"username": "gate", "password": "wrong horse"}
    guess = json.dumps({"auth": None, "req": "authenticate", "rid": 1, "msg": who})
    with contextlib.ExitStack() as stack:
        guessers = [stack.enter_context(connect(server.url)) for _ in range(12)]
        # Somebody at the same address guesses, and all guesses are let in before the first has failed: each makes the
        # wait twice as long, and the agent meets the door while it is shut.
        for guesser in guessers:
            guesser.send(guess)
        for guesser in guessers:
            guesser.recv(timeout=20)
    agent = house.agent(server.url)
    agent.wait_for("rate_limited")
    assert agent.is_running


def test_it_can_be_stopped_while_it_waits(house: House) -> None:
    agent = house.agent(f"ws://127.0.0.1:{free_port()}")
    agent.wait_for("connecting again")
    assert agent.terminate() == 0


def test_it_can_be_stopped_while_nobody_answers(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        agent = house.agent(f"ws://127.0.0.1:{silent.getsockname()[1]}")
        agent.wait_for("starting")
        connection, _ = silent.accept()
        with connection:
            assert agent.terminate() == 0
