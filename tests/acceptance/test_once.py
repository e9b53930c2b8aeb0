"""A command runs once, and all that it writes arrives once, whatever happens to the wire, the agent and the server."""

from __future__ import annotations

import hashlib
import random
import subprocess
import threading
import time

from acceptance.house import QUIX, House, Rest, is_alive, until
from acceptance.operator import Operator
from harness.cutter import Cutter, between
from harness.supervisor import PYTHON

COUNTED = """
import hashlib, sys
left, block, digest = int(sys.argv[1]), 0, hashlib.sha256()
while left:
    data = hashlib.shake_128(str(block).encode()).digest(min(left, 65536))
    digest.update(data)
    sys.stdout.buffer.write(data)
    left, block = left - len(data), block + 1
    if block % 100 == 0:
        print(block, file=sys.stderr, flush=True)
sys.stdout.flush()
print(digest.hexdigest(), file=sys.stderr)
sys.exit(33)
"""
"""Writes as many bytes as it is told, no two blocks alike, and at its end on standard error what they hash to."""


def test_one_request_is_one_program_however_often_it_is_asked(machine: str, rest: Rest, common: House) -> None:
    path = f"/backends/{machine}/processes"
    marks = common.root / "machine" / "data" / "marks"
    body = {"cmd": ["sh", "-c", "echo x >> marks; sleep 1000"]}
    answers = [rest.call("POST", path, headers={"Idempotency-Key": "once"}, **body) for _ in range(3)]
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].status_code == 201
    until(marks.exists, "it runs")
    other = rest.call("POST", path, headers={"Idempotency-Key": "once"}, cmd=["false"])
    assert (other.status_code, other.json()["reason"]) == (409, "already_exists")
    assert rest.signal(machine, answers[0].json()["proc_id"], "SIGKILL").status_code == 200
    assert marks.read_text() == "x\n"
    marks.unlink()


def test_nothing_is_lost_or_doubled_while_the_wire_is_cut_and_the_agent_is_killed(house: House) -> None:
    """100 MB, 200 cuts at random moments, and the agent killed 20 times."""
    server = house.server()
    total, seed = 100 * 10**6, random.randrange(2**32)
    with Cutter(server.port, between(1, 2 * 640_000, seed)) as wire:
        url = f"ws://127.0.0.1:{wire.port}/wsi"
        agent = house.agent(url, reconnect_max="0.05")
        rest = server.rest()
        backend = rest.wait_online()
        op = Operator(house, server)
        out = house.root / "out"
        with out.open("wb") as sink:
            argv = [QUIX, "run", backend, "--", PYTHON, "-c", COUNTED, str(total)]
            with subprocess.Popen(argv, stdout=sink, stderr=subprocess.PIPE, env=op.env) as process:
                kills = 0
                while process.poll() is None and kills < 20:
                    if out.stat().st_size > total * (kills + 1) / 22:
                        agent.kill()
                        agent = house.agent(url, reconnect_max="0.05")
                        kills += 1
                    time.sleep(0.01)
                assert process.stderr is not None
                said = process.stderr.read().decode().splitlines()
        digest = hashlib.sha256(out.read_bytes()).hexdigest()
        assert (process.wait(150), out.stat().st_size) == (33, total), f"seed {seed}: {said[-5:]}"
        lines = [line for line in said if not line.startswith("quix: ")]
        assert lines == [*map(str, range(100, total // 65536 + 1, 100)), digest], f"seed {seed}"
        assert kills == 20
        assert wire.cuts >= 200, f"only {wire.cuts} cuts"


def test_an_end_is_told_after_hours_without_a_server(house: House) -> None:
    server = house.server()
    house.agent(server.url, reconnect_max="0.2")
    rest = server.rest()
    backend = rest.wait_online()
    started = rest.post(f"/backends/{backend}/processes", cmd=["sh", "-c", "sleep 1; echo all; exit 9"])
    server.kill()
    until(lambda: not is_alive(started["proc_id"]), "it ends meanwhile")
    house.again(server)
    rest = server.rest()
    rest.wait_online()
    path = f"/backends/{backend}/runs/{started['run_id']}"
    run = until(lambda: found if (found := rest.get(path))["state"] == "ended" else None, "its end is told")
    assert (run["outcome"], run["exit_code"]) == ("exited", 9)
    assert rest.get(f"{path}/output")["chunks"] == [{"stream": "stdout", "offset": 0, "data": "YWxsCg=="}]


def test_a_command_survives_the_connection_it_was_sent_on(house: House) -> None:
    """The connection is cut as soon as the agent has something to say: the answer is lost, the program is not."""
    server = house.server()
    with Cutter(server.port) as wire:
        house.agent(f"ws://127.0.0.1:{wire.port}/wsi", reconnect_max="0.05")
        rest = server.rest()
        backend = rest.wait_online()
        marks = house.root / "m1" / "data" / "marks"
        done = 0
        while done < 10:
            rest.wait_online()
            before = wire.passed
            answers: list[tuple[int, str]] = []

            def ask(answers: list[tuple[int, str]] = answers) -> None:
                cmd = ["sh", "-c", "echo x >> marks"]
                answer = rest.call("POST", f"/backends/{backend}/processes", cmd=cmd)
                answers.append((answer.status_code, answer.text))

            asking = threading.Thread(target=ask)
            asking.start()
            until(lambda before=before: wire.passed > before, "it is on its way", 5)  # type: ignore[misc]
            wire.cut()
            asking.join(40)
            # The cut of the round before may have come too late for it, and so show only now; nothing was sent then.
            assert answers[0][0] in (201, 409), answers
            done += answers[0][0] == 201
        until(lambda: marks.read_text() == "x\n" * done, f"{done} ran, each once")
        assert done == 10
