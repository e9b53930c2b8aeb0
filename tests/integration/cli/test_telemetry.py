"""`quix telemetry`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import signal
import subprocess
import time
from typing import Any

from harness.api import Place
from harness.cli import QUIX, Shell
from quix.exits import Exit
from quix.wire.samples import Sample

DATA = {
    "ttl_cpu_usage": [0.10, 0.11, 0.02, 0.01],
    "ttl_mem_usage": [128, 1000, 412],
    "disk_util": {"/dev/sda": [195739194, 8185749375], "/dev/sdb": [185844831, 8187395730]},
    "vpn_status": {
        "ifname": "wg0", "conn_type": "wireguard", "conn_host": "th1.s.quix.click", "conn_ip4": "10.8.0.120",
        "conn_ip6": "fe80::1",
    },
}  # fmt: skip


def machine(_req: str, msg: Any) -> Any:
    """The seed's own example."""
    return {"tele_data": {name: DATA[name] for name in msg["stat_types"] if name in DATA}}


async def test_everything(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1"):
        assert (await shell.quix("telemetry", "web-1")).out.splitlines() == [
            "cpu     10%  11%  2%  1%",
            "memory  used 128 MB, buffers and cache 1.0 GB, free 412 MB",
            "disk    /dev/sda: 2% of 8.4 GB used, 8.2 GB free",
            "disk    /dev/sdb: 2% of 8.4 GB used, 8.2 GB free",
            "vpn     wg0 (wireguard) 10.8.0.120 fe80::1 to th1.s.quix.click",
        ]
        assert (await shell.quix("telemetry", "--json", "web-1")).json == DATA


async def test_what_was_chosen(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        args = ("--stat", "disk_util", "--stat", "ttl_cpu_usage", "--json")
        assert list((await shell.quix("telemetry", *args, "web-1")).json) == ["ttl_cpu_usage", "disk_util"]
        assert agent.asked == [("telemetry", {"stat_types": ["disk_util", "ttl_cpu_usage"]})]


async def test_unknown_type(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1"):
        result = await shell.quix("telemetry", "--stat", "mood", "web-1")
        assert result.complaint.startswith("request_invalid: stat_types: 'mood' is none of ")
        assert result.code == Exit.DATA


def fill(there: Place, backend_id: str) -> None:
    """Let a backend have a minute of samples."""
    now = time.time()
    for number in range(60):
        sample = Sample(at=round(now - 59 + number, 3), cpu=0.5, memory_used=1e9, memory_total=4e9, net_sent=1500.0)
        there.control.collector.add(backend_id, sample)


async def test_how_it_was(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent:
        empty = await shell.quix("telemetry", "--history", "1m", "web-1")
        assert (empty.out, empty.err) == ("", "Nothing was sampled in that time.\n")
        fill(there, agent.id)
        lines = (await shell.quix("telemetry", "--history", "2m", "web-1")).out.splitlines()
        assert lines[0].split() == ["METRIC", "LOWEST", "MEAN", "HIGHEST", "LAST", "OVER", "2", "MIN"]
        cells = [line.split() for line in lines[1:]]
        assert [row[0] for row in cells] == ["cpu", "memory_used", "net_sent"]
        assert cells[0][1:5] == ["50%"] * 4
        assert cells[1][1:5] == ["1.0", "GB"] * 2
        assert set(lines[1].rpartition("%")[2].strip()) == {"▅"}
        assert lines[2].endswith("▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃▃")
        found = (await shell.quix("telemetry", "--history", "2m", "--json", "web-1")).json
        assert len(found["series"]["cpu"]) == 60
        assert (found["resolution"], found["step"]) == ("raw", 0)


async def test_history_of_what_is_measured_now(there: Place, shell: Shell) -> None:
    result = await shell.quix("telemetry", "--history", "2m", "--stat", "disk_util", "web-1")
    assert result.code == Exit.USAGE
    assert "--stat" in result.err
    assert (await shell.quix("telemetry", "--history", "soon", "web-1")).code == Exit.USAGE


# -- top ----------------------------------------------------------------------------------------


async def test_top_wants_a_terminal(shell: Shell) -> None:
    result = await shell.quix("top")
    assert result.complaint.startswith("top: this draws on a terminal; ")
    assert result.code == Exit.USAGE


class Screen:
    """`quix top` on a terminal, and somebody at its keys."""

    def __init__(self, shell: Shell, *args: str) -> None:
        self._ours, theirs = pty.openpty()
        env = {**shell.env, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        self.process = subprocess.Popen(
            [QUIX, "top", "--interval", "0.5", *args], stdin=theirs, stdout=theirs, stderr=theirs, env=env
        )
        os.close(theirs)
        os.set_blocking(self._ours, False)
        self.text = ""

    async def until(self, text: str) -> None:
        async with asyncio.timeout(30):
            while text not in self.text:
                await asyncio.sleep(0.05)
                self._read()

    def _read(self) -> None:
        try:
            self.text += os.read(self._ours, 65536).decode(errors="replace")
        except BlockingIOError:
            return

    async def press(self, keys: bytes) -> int:
        """Press keys; return the exit status that they lead to."""
        os.write(self._ours, keys)
        async with asyncio.timeout(30):
            while self.process.poll() is None:
                await asyncio.sleep(0.05)
                with contextlib.suppress(OSError):
                    self._read()
        os.close(self._ours)
        assert self.process.returncode is not None
        return self.process.returncode


async def test_top_shows_the_fleet_until_q(there: Place, shell: Shell) -> None:
    async with there.agent(machine, "web-1") as agent, there.agent(machine, "web-2"):
        fill(there, agent.id)
        screen = Screen(shell)
        await screen.until("q leaves")
        for text in ("NAME", "web-1", "online", "50%", "25%", "▅" * 30, "web-2"):
            assert text in screen.text
        assert screen.text.index("web-1") < screen.text.index("web-2")
        there.control.collector.add(agent.id, Sample(at=time.time() + 1, cpu=0.97))
        await screen.until("97%")
        assert await screen.press(b"xq") == 0


async def test_top_shows_one_backend_until_ctrl_c(there: Place, shell: Shell) -> None:
    def answer(req: str, msg: Any) -> Any:
        return [] if req == "view_running" else machine(req, msg)

    async with there.agent(answer, "web-1") as agent:
        fill(there, agent.id)
        screen = Screen(shell, "web-1")
        await screen.until("q leaves")
        for text in ("memory_used", "OVER 10 MIN", "Nothing runs."):
            assert text in screen.text
        screen.process.send_signal(signal.SIGINT)
        assert await screen.press(b"") == 0


async def test_top_goes_on_while_the_backend_is_away(there: Place, shell: Shell) -> None:
    async with there.agent(lambda req, _msg: [] if req == "view_running" else None, "web-1"):
        screen = Screen(shell, "web-1")
        await screen.until("q leaves")
    await screen.until("backend_offline")
    assert await screen.press(b"q") == 0


async def test_top_of_nothing_there_is(there: Place, shell: Shell) -> None:
    screen = Screen(shell, "web-9")
    await screen.until("backend_unknown")
    assert await screen.press(b"") == Exit.NO_BACKEND
