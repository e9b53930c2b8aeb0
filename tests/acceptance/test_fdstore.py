"""What a program leaves that ends while there is no supervisor, where a service manager keeps it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance.house import House, Rest, Server, until
from acceptance.machine import Machine
from harness.manager import Manager
from quix import Client
from quix.client import Started
from quix.wire.runs import RunOptions, RunState, Terminal

pytestmark = pytest.mark.root

PR_SET_CHILD_SUBREAPER = 36

LINES = "".join(f"{number}\n" for number in range(1, 20_001)).encode()
SCRIPT = "while [ ! -e go ]; do sleep 0.02; done; rm go; seq 1 20000; echo bye >&2; exit 7"


class Place:
    """A machine whose service manager keeps descriptors, and an operator."""

    def __init__(self, machine: Machine, manager: Manager, client: Client, rest: Rest) -> None:
        self.machine = machine
        self.manager = manager
        self.client = client
        self.rest = rest
        self.backend = ""

    def begin(self) -> None:
        self.machine.start_supervisor()
        self.machine.start_agent()
        self.backend = self.rest.wait_online()

    def start(self, options: RunOptions | None = None) -> Started:
        return self.client.execute(self.backend, ["sh", "-c", SCRIPT], options)

    def let_go(self) -> None:
        (self.machine.folder / "data" / "go").touch()

    def follow(self, run: str) -> tuple[bytes, bytes, RunState]:
        """Return all that a run wrote to stdout and to stderr, and how it ended."""
        written = {"stdout": b"", "stderr": b""}
        state = None
        for output in self.client.follow(self.backend, run):
            for chunk in output.chunks:
                written[chunk.stream] += chunk.data
            state = output.state
        assert state is not None
        return written["stdout"], written["stderr"], state


@pytest.fixture
def server(house: House) -> Server:
    return house.server()


@pytest.fixture
def place(house: House, server: Server) -> Iterator[Place]:
    machine = Machine(house, server)
    rest = server.rest()
    with Manager(house.root) as manager, Client(server.http, rest.token) as client:
        machine.env["NOTIFY_SOCKET"] = manager.address
        machine.before = manager.before
        place = Place(machine, manager, client, rest)
        place.begin()
        yield place


@pytest.fixture
def orphanage() -> Iterator[None]:
    """What loses its parent is a child of this process, as it is one of init's elsewhere."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    yield
    assert prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_lost_of_what_ends_meanwhile(place: Place, orphanage: None, number: signal.Signals) -> None:
    started = place.start()
    until(lambda: list(place.manager.kept().values()) == [3], "its descriptors are kept")
    place.machine.end_supervisor(number)
    place.let_go()
    assert os.waitstatus_to_exitcode(os.waitpid(started.proc_id, 0)[1]) == 7
    assert not Path(f"/proc/{started.proc_id}").exists()
    place.machine.start_supervisor()
    stdout, stderr, state = place.follow(started.run_id)
    assert (stdout, stderr) == (LINES, b"bye\n")
    assert (state.outcome, state.exit_code) == ("exited", 7)
    until(lambda: place.manager.kept() == {}, "nothing is kept any longer")


def test_what_goes_on_is_kept_until_it_ends(place: Place) -> None:
    started = place.start(RunOptions(restart="on-failure"))
    until(lambda: list(place.manager.kept()) == [f"run.{started.run_id}.0"], "its descriptors are kept")
    place.machine.end_supervisor(signal.SIGKILL)
    place.machine.start_supervisor()
    until(lambda: place.rest.processes(place.backend), "it is adopted")
    assert list(place.manager.kept().values()) == [3]
    place.let_go()
    until(lambda: list(place.manager.kept()) == [f"run.{started.run_id}.1"], "its next start is a program of its own")
    place.client.signal_run(place.backend, started.run_id, "SIGKILL")
    assert place.follow(started.run_id)[2].restarts == 1
    until(lambda: place.manager.kept() == {}, "nothing is kept any longer")


def test_a_terminal_and_input_go_on(place: Place) -> None:
    terminal = place.client.execute(place.backend, ["sh"], RunOptions(terminal=Terminal(30, 90))).run_id
    pipe = place.client.execute(place.backend, ["cat"], RunOptions(stdin="pipe")).run_id
    offset = place.client.write_input(place.backend, terminal, 0, b"x=kept\n")
    assert place.client.write_input(place.backend, pipe, 0, b"first ") == 6
    until(lambda: len(place.manager.kept()) == 5, "the input of each is kept")
    for _ in range(2):
        place.machine.end_supervisor(signal.SIGKILL)
        place.machine.start_supervisor()
    place.client.write_input(place.backend, terminal, offset, b"echo still $x\nexit 3\n")
    stdout, _, state = place.follow(terminal)
    assert b"still kept\r\n" in stdout
    assert state.exit_code == 3
    sent, more = 6, b"x" * 60_000
    while sent < 2**21:
        sent = place.client.write_input(place.backend, pipe, sent, more)
    place.machine.end_supervisor(signal.SIGTERM)
    place.machine.start_supervisor()
    assert place.client.write_input(place.backend, pipe, sent, b"last", end=True) == sent + 4
    stdout, _, _ = place.follow(pipe)
    assert (len(stdout), stdout[:7], stdout[-5:]) == (sent + 4, b"first x", b"xlast")
    until(lambda: place.manager.kept() == {}, "nothing is kept any longer")


def test_what_nobody_knows_is_let_go_of(place: Place) -> None:
    reading, writing = os.pipe()
    place.manager.put("run.nobody.0", reading)
    place.manager.put("something", writing)
    place.machine.end_supervisor(signal.SIGTERM)
    place.machine.start_supervisor()
    until(lambda: place.manager.kept() == {}, "the manager is told so")
