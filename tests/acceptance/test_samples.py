"""Samples of real agents: taken, kept while the server is away, and filled in afterwards."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from acceptance.house import House, Rest, Server, until
from acceptance.operator import Operator
from quix.store.samples import HOUR, MINUTE, unpack_raw, unpack_rollups

INTERVAL = 0.2

SERVER: dict[str, Any] = {"telemetry__interval": str(INTERVAL)}
AGENT = {"telemetry_fastest": "0.1", "reconnect_max": "1", "log_format": "json"}


def times(rest: Rest, backend: str) -> list[float]:
    """When the samples of a backend were taken, those of the last hour."""
    found = rest.get(f"/backends/{backend}/telemetry/history?points=5000&metrics=cpu")
    assert (found["resolution"], found["step"]) == ("raw", 0)
    return [point[0] for point in found["series"]["cpu"]]


def until_sampled(rest: Rest, backend: str, after: float, seconds: float = 20) -> None:
    """Wait until there is a sample that was taken later than `after`, and none is missing before it."""
    until(lambda: (found := times(rest, backend)) and found[-1] > after, f"a sample after {after}", seconds)


def longest_gap(found: list[float], start: float, end: float) -> float:
    inside = [start, *(at for at in found if start < at < end), end]
    return max(later - earlier for earlier, later in pairwise(inside))


def assert_none_twice(server: Server, found: list[float]) -> None:
    """No sample is there twice, and none was counted twice in the roll-ups; ends the server."""
    assert len(set(found)) == len(found)
    assert server.terminate() == 0
    with sqlite3.connect(server.data_dir / "quix.db") as database:
        rows = database.execute("SELECT step, start, data FROM rollups").fetchall()
        raw = database.execute("SELECT start, data FROM samples").fetchall()
    database.close()
    count = len([*unpack_raw(raw)])
    for step in (MINUTE, HOUR):
        parts = [part for _, part in unpack_rollups([(start, data) for of, start, data in rows if of == step], step)]
        assert sum(part[0] for part in parts) == count >= len(found)


def test_samples_arrive_and_are_what_the_machine_says(house: House) -> None:
    server = house.server(**SERVER)
    rest = server.rest()
    agent = house.agent(server.url, **AGENT)
    backend = rest.wait_online()
    rest.execute(backend, "sleep", "60")
    until(lambda: len(times(rest, backend)) > 10, "ten samples")
    series = rest.get(f"/backends/{backend}/telemetry/history")["series"]
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert series["memory_total"][-1][2] == _about(int(memory["MemTotal"].split()[0]) * 1024)
    assert series["runs"][-1][2] == 1
    assert 0 <= series["cpu"][-1][2] <= series["cpu_busiest"][-1][2] + 0.01 <= 1.01
    assert series["load"][-1][2] == _about(os.getloadavg()[0], 0.5)
    load = rest.get(f"/backends/{backend}")["load"]
    assert time.time() - load["at"] < 5
    assert len(load["recent"]["cpu"]) >= 10
    assert rest.backends()[0]["load"].get("recent") is None
    file = house.root / "m1" / "agent" / "samples"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert agent.is_running


def _about(value: float, share: float = 0.01) -> object:
    return pytest.approx(value, rel=share, abs=0.5)


def test_what_was_sampled_while_the_server_was_away_is_filled_in(house: House) -> None:
    server = house.server(**SERVER)
    rest = server.rest()
    house.agent(server.url, **AGENT)
    backend = rest.wait_online()
    until(lambda: len(times(rest, backend)) > 5, "samples")
    server.process.send_signal(signal.SIGKILL)
    server.wait()
    left = time.time()
    time.sleep(5)
    server = house.again(server, **SERVER)
    rest, back = server.rest(), time.time()
    until_sampled(rest, backend, back)
    until(lambda: _is_filled(times(rest, backend), left, back), "no sample is missing")
    assert_none_twice(server, times(rest, backend))


def _is_filled(found: list[float], left: float, back: float) -> bool:
    # A busy machine may be late for a sample now and then; one in a second is what is asked for.
    return bool(found) and found[0] < left and longest_gap(found, left - 0.5, back) < 1.0


def test_an_agent_that_is_killed_meanwhile_has_what_it_had(house: House) -> None:
    server = house.server(**SERVER)
    rest = server.rest()
    agent = house.agent(server.url, **AGENT)
    backend = rest.wait_online()
    until(lambda: len(times(rest, backend)) > 5, "samples")
    before = times(rest, backend)
    server.process.send_signal(signal.SIGKILL)
    server.wait()
    left = time.time()
    for _ in range(3):
        time.sleep(1)
        agent.kill()
        agent = house.agent(server.url, **AGENT)
        agent.wait_for("server not reached")
    time.sleep(1.5)
    server = house.again(server, **SERVER)
    rest, back = server.rest(), time.time()
    until_sampled(rest, backend, back)
    found = until(lambda: _without_holes(times(rest, backend), before, left, back), "what was taken while it was away")
    assert_none_twice(server, found)


def _without_holes(found: list[float], before: list[float], left: float, back: float) -> list[float] | None:
    """Return the samples, once all of before are there, and those of while the agents ran."""
    away = [at for at in found if left < at < back]
    return found if set(before) <= set(found) and len(away) >= 2 / INTERVAL else None


def test_servers_that_die_again_and_again_cost_no_sample(house: House) -> None:
    server = house.server(**SERVER)
    rest = server.rest()
    house.agent(server.url, **AGENT)
    backend = rest.wait_online()
    seen: set[float] = set()
    for _ in range(4):
        seen |= _more_than(len(seen), rest, backend)
        server.process.send_signal(signal.SIGKILL)
        server.wait()
        server = house.again(server, **SERVER)
        rest = server.rest()
        until(rest.online, "it is back")
    until(lambda: seen <= set(times(rest, backend)), "all that was ever seen")
    found = times(rest, backend)
    assert longest_gap(found, min(seen), max(seen)) < 1.0
    assert_none_twice(server, found)


def _more_than(count: int, rest: Rest, backend: str) -> set[float]:
    return set(until(lambda: found if len(found := times(rest, backend)) > count else None, "more samples"))


def test_a_backend_of_the_seeds_page_is_asked(house: House) -> None:
    server = house.server(telemetry__interval="0.5")
    rest = server.rest()
    house.seed_backend(server.url)
    backend = rest.wait_online()
    until(lambda: len(times(rest, backend)) >= 3, "three samples")
    series = rest.get(f"/backends/{backend}/telemetry/history")["series"]
    assert series["memory_total"]
    assert series["net_sent"] == []
    assert rest.get(f"/backends/{backend}")["load"]["memory"] is not None


def test_the_owner_may_forbid_it_and_allow_it_again(house: House) -> None:
    server = house.server(**SERVER)
    rest = server.rest()
    folder = house.root / "m1"
    folder.mkdir(mode=0o711)
    policy = folder / "policy.toml"
    policy.write_text('allow = ["execute"]\n')
    agent = house.agent(server.url, **AGENT)
    backend = rest.wait_online()
    agent.wait_for("no samples are taken nor pushed")
    time.sleep(1)
    assert times(rest, backend) == []
    policy.write_text('allow = ["telemetry"]\n')
    agent.wait_for("samples are taken and pushed again")
    until(lambda: times(rest, backend), "a sample")


def test_the_command_line_shows_how_it_was(house: House) -> None:
    server = house.server(**SERVER)
    house.agent(server.url, **AGENT)
    rest = server.rest()
    backend = rest.wait_online()
    until(lambda: len(times(rest, backend)) > 5, "samples")
    shown = Operator(house, server).quix("telemetry", "--history", "1m", "m1")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.decode().splitlines()
    assert lines[0].split()[:5] == ["METRIC", "LOWEST", "MEAN", "HIGHEST", "LAST"]
    assert {line.split()[0] for line in lines[1:]} >= {"cpu", "memory_used", "load", "runs"}
