"""A backend by somebody who has the seed's page and nothing else.

    python tests/peers/seed_backend.py URL USERNAME PASSWORD_FILE [--data-dir DIR] [--vpn]

It enrols or, where it has a token, resumes, and then does what the server asks until the connection ends. What happens
is printed as one JSON object a line. It exits with 0 when the server closes with 1001 or 1013, 3 when it is not let in,
4 when another connection took over, 5 at any other end, and 1 where a message is not what the page shows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import page

_SIGNALS: Final = {"SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL, "SIGHUP": signal.SIGHUP}
_PATIENCE: Final = 20.0


class NotLetInError(Exception):
    """The server refused; `str()` is its reason."""


class SeedBackend:
    """One connection of a backend of the page; used as an async context manager.

    Attributes:
        validity: seconds that the token lives, as the server last said.
        programs: what this backend has started.
    """

    def __init__(self, url: str, data_dir: Path) -> None:
        self._url = url
        self._data_dir = data_dir
        self._token_file = data_dir / "token"
        self._rid = 12345
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.validity = 0
        self.programs: list[subprocess.Popen[bytes]] = []
        self.connection: ClientConnection

    async def __aenter__(self) -> Self:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self.connection = await connect(self._url, max_size=None)
        if self.connection.subprotocol is not None:
            raise page.OffThePageError(f"a subprotocol was selected: {self.connection.subprotocol}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.connection.close()

    # -- authentication -------------------------------------------------------------------------

    async def authenticate(self, username: str, password: str) -> None:
        """Resume where a token was saved, else enrol. Raises NotLetInError."""
        if self._token_file.exists():
            await self.resume(self._token_file.read_text())
        else:
            await self.enrol(username, password)

    async def enrol(self, username: str, password: str) -> str:
        """Return the token, which is saved to disk. Raises NotLetInError."""
        msg = await self._authenticate(None, {"username": username, "password": password}, page.NEW_TOKEN)
        token: str = msg["token"]
        self._token_file.touch(mode=0o600)
        self._token_file.write_text(token)
        return token

    async def resume(self, token: str) -> None:
        """Come back with a token. Raises NotLetInError."""
        await self._authenticate(token, {}, page.TOKEN_ACCEPTED)

    async def _authenticate(self, auth: str | None, msg: dict[str, str], expected: page.Shape) -> Any:
        self._rid += 1
        await self._send({"auth": auth, "req": "authenticate", "rid": self._rid, "msg": msg})
        async with asyncio.timeout(_PATIENCE):
            answer = json.loads(await self.connection.recv())
        if isinstance(answer.get("msg"), dict) and answer["msg"].get("success") is False:
            page.check(answer, page.NOT_AUTHENTICATED)
            raise NotLetInError(answer["msg"]["reason"])
        page.check(answer, expected)
        self.validity = answer["msg"]["validity"]
        return answer["msg"]

    # -- what the server asks -------------------------------------------------------------------

    async def serve(self) -> None:
        """Answer the server and hand its answers on, until the connection ends.

        Raises:
            OffThePageError: the server sent something that the page does not show.
            ConnectionClosed: always, at the end.
        """
        while True:
            message = json.loads(await self.connection.recv())
            if "req" in message:
                await self._send({"rid": message["rid"], "msg": self._do(message)})
            else:
                self._answers.pop(message["rid"]).set_result(message)

    def _do(self, message: dict[str, Any]) -> Any:
        handlers = {
            "execute": (page.EXECUTE, self._execute),
            "view_running": (page.VIEW_RUNNING, self._view_running),
            "proc_signal": (page.PROC_SIGNAL, self._proc_signal),
            "telemetry": (page.TELEMETRY, self._telemetry),
        }
        if message["req"] not in handlers:
            raise page.OffThePageError(f"the page shows no request {message['req']!r}")
        shape, handler = handlers[message["req"]]
        page.check(message, shape)
        return handler(message["msg"])

    def _execute(self, msg: Any) -> Any:
        try:
            program = subprocess.Popen(msg["cmd"], cwd=self._data_dir)
        except OSError:
            return {"result": "failure", "reason": "execute_failed"}
        self.programs.append(program)
        return {"result": "success", "proc_id": program.pid}

    def _view_running(self, _msg: Any) -> Any:
        return [_row(program) for program in self.programs if program.poll() is None]

    def _proc_signal(self, msg: Any) -> Any:
        for program in self.programs:
            if program.pid == msg["pid"] and program.poll() is None and msg["mode"] in _SIGNALS:
                program.send_signal(_SIGNALS[msg["mode"]])
                return {"result": "success"}
        return {"result": "failure", "reason": "not_ours"}

    def _telemetry(self, msg: Any) -> Any:
        unknown = set(msg["stat_types"]) - page.TELE_DATA.keys()
        if unknown:
            raise page.OffThePageError(f"the page shows no stat_types {unknown}")
        return {"tele_data": {name: _measure(name) for name in msg["stat_types"]}}

    # -- what this backend asks -----------------------------------------------------------------

    async def get_vpn_conf(self) -> Any:
        """Return the server's answer, `serve` running meanwhile."""
        self._rid += 1
        future = self._answers[self._rid] = asyncio.get_running_loop().create_future()
        msg = {"conf_type": "wireguard", "tun_mode": "udp"}
        await self._send({"req": "get_vpn_conf", "rid": self._rid, "msg": msg})
        async with asyncio.timeout(_PATIENCE):
            answer = await future
        has_failed = isinstance(answer["msg"], dict) and answer["msg"].get("result") == "failure"
        page.check(answer, page.FAILED if has_failed else page.VPN_CONF)
        return answer["msg"]

    async def _send(self, message: Any) -> None:
        await self.connection.send(json.dumps(message))


def _row(program: subprocess.Popen[bytes]) -> Any:
    process = psutil.Process(program.pid)
    command: Any = program.args
    return {
        "title": process.name(),
        "pid": program.pid,
        "cpu_util": process.cpu_percent(),
        "mem_util": process.memory_info().rss // 1_000_000,
        "reqc": " ".join(command),
        "port_util": [found.laddr.port for found in process.net_connections() if found.status == "LISTEN"],
    }


def _measure(name: str) -> Any:
    if name == "ttl_cpu_usage":
        return [round(percent / 100, 2) for percent in psutil.cpu_percent(interval=0.1, percpu=True)]
    if name == "ttl_mem_usage":
        memory = psutil.virtual_memory()
        return [part // 1_000_000 for part in (memory.used, memory.buffers + memory.cached, memory.free)]
    if name == "disk_util":
        usage = psutil.disk_usage("/")
        return {"/dev/sda": [usage.used, usage.free]}
    return {
        "ifname": "wg0", "conn_type": "wireguard", "conn_host": "th1.s.quix.click", "conn_ip4": "10.8.0.120",
        "conn_ip6": "fe80::1",
    }  # fmt: skip


# -- as a program -------------------------------------------------------------------------------


def _say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


async def _ask_for_vpn(backend: SeedBackend) -> None:
    _say("vpn", **await backend.get_vpn_conf())


async def _live(backend: SeedBackend, username: str, password: str, *, wants_vpn: bool) -> int:
    try:
        await backend.authenticate(username, password)
    except NotLetInError as error:
        _say("refused", reason=str(error))
        return 3
    _say("authenticated", validity=backend.validity)
    async with asyncio.TaskGroup() as group:
        if wants_vpn:
            group.create_task(_ask_for_vpn(backend))
        try:
            await backend.serve()
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else 1006
            _say("closed", code=code)
            return {1001: 0, 1013: 0, 4001: 4}.get(code, 5)
    raise AssertionError("serve() returned")


async def _run(arguments: argparse.Namespace) -> int:
    password = arguments.password_file.read_text().rstrip("\n")
    async with SeedBackend(arguments.url, arguments.data_dir) as backend:
        return await _live(backend, arguments.username, password, wants_vpn=arguments.vpn)


def main() -> int:
    parser = argparse.ArgumentParser(description="A backend of the seed's page, and of nothing else.")
    parser.add_argument("url")
    parser.add_argument("username")
    parser.add_argument("password_file", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path("quix-seed"))
    parser.add_argument("--vpn", action="store_true", help="ask for a VPN configuration once authenticated")
    try:
        return asyncio.run(_run(parser.parse_args()))
    except* page.OffThePageError as errors:
        for error in errors.exceptions:
            _say("off_the_page", error=str(error))
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sys.exit(main())
