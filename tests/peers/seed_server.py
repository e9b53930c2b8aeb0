"""A control server by somebody who has the seed's page and nothing else.

    python tests/peers/seed_server.py HOST:PORT USERNAME PASSWORD_FILE

It takes connections on any path, selects no subprotocol, and once a backend has authenticated asks it for each thing on
the page. What happens is printed as one JSON object a line; a message that is not what the page shows ends it with 1.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from peers import page

VALIDITY: Final = 86400
STAT_TYPES: Final = ["ttl_cpu_usage", "ttl_mem_usage", "disk_util", "vpn_status"]
VPN_CONF: Final = "[Interface]\nPrivateKey=af8t8\nAddress = 10.8.0.120/32\n"
_PATIENCE: Final = 20.0


class FailedError(Exception):
    """The backend answered with a failure; `str()` is its reason."""


class SeedSession:
    """One authenticated backend.

    Attributes:
        token: that of the backend; the same after it has come back.
        is_new: whether it came with a password.
        vpn_requests: how many times it asked for a VPN configuration.
    """

    def __init__(self, connection: ServerConnection, token: str, *, is_new: bool) -> None:
        self.connection = connection
        self.token = token
        self.is_new = is_new
        self.vpn_requests = 0
        self._rids = itertools.count(65019)
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def execute(self, cmd: list[str]) -> int:
        msg = await self.ask("execute", {"cmd": cmd}, page.EXECUTED)
        pid: int = msg["proc_id"]
        return pid

    async def view_running(self, verb: int = 1) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = await self.ask("view_running", {"verb": verb}, page.RUNNING)
        return rows

    async def proc_signal(self, pid: int, mode: str) -> None:
        await self.ask("proc_signal", {"pid": pid, "mode": mode}, page.SIGNALLED)

    async def telemetry(self, stat_types: Sequence[str] = STAT_TYPES, *, has_vpn: bool = False) -> dict[str, Any]:
        expected = page.measured(list(stat_types), has_vpn=has_vpn)
        msg = await self.ask("telemetry", {"stat_types": list(stat_types)}, expected)
        data: dict[str, Any] = msg["tele_data"]
        return data

    async def ask(self, req: str, msg: Any, expected: page.Shape) -> Any:
        """Return the `msg` of the answer. Raises FailedError, or OffThePageError where it is not as expected."""
        return await self.answer_to(await self.send(req, msg), expected)

    async def send(self, req: str, msg: Any) -> int:
        """Send a request and return its rid."""
        rid = next(self._rids)
        self._answers[rid] = asyncio.get_running_loop().create_future()
        await self.connection.send(json.dumps({"req": req, "rid": rid, "msg": msg}))
        return rid

    async def answer_to(self, rid: int, expected: page.Shape) -> Any:
        async with asyncio.timeout(_PATIENCE):
            answer = await self._answers[rid]
        if isinstance(answer["msg"], dict) and answer["msg"].get("result") == "failure":
            page.check(answer, page.FAILED)
            raise FailedError(answer["msg"]["reason"])
        page.check(answer, expected)
        return answer["msg"]

    async def outcome(self, rid: int, expected: page.Shape) -> str:
        """Return "success" or the reason of the failure."""
        try:
            await self.answer_to(rid, expected)
        except FailedError as error:
            return str(error)
        return "success"

    async def read(self) -> None:
        """Hand answers on and serve `get_vpn_conf`, until the connection ends."""
        async for text in self.connection:
            message = json.loads(text)
            if "req" not in message:
                self._answers[message["rid"]].set_result(message)
                continue
            page.check(message, page.GET_VPN_CONF)
            self.vpn_requests += 1
            msg = {"result": "success", "conf_type": message["msg"]["conf_type"], "conf_data": VPN_CONF}
            await self.connection.send(json.dumps({"rid": message["rid"], "msg": msg}))


class SeedServer:
    """The server; used as an async context manager, which raises at its end what was off the page.

    `eager` are requests (`req`, `msg`) that follow directly on the answer to authenticate, before anything else is
    read; their answers are had from `SeedSession.answer_to` with rids from 65019 on.

    Attributes:
        faults: what was off the page so far.
        offered: the subprotocols that each connection offered; none of them is selected.
    """

    def __init__(
        self, host: str, port: int, username: str, password: str, eager: Sequence[tuple[str, Any]] = ()
    ) -> None:
        self._address = host, port
        self._credentials = {"username": username, "password": password}
        self._eager = eager
        self._expires: dict[str, float] = {}
        self._live: dict[str, SeedSession] = {}
        self._arrivals: asyncio.Queue[SeedSession] = asyncio.Queue()
        self._server: Server
        self.validity: float = VALIDITY
        self.faults: list[str] = []
        self.offered: list[str | None] = []

    async def __aenter__(self) -> Self:
        self._server = await serve(self._connected, *self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()
        if self.faults:
            raise page.OffThePageError("; ".join(self.faults))

    async def backend(self, patience: float | None = _PATIENCE) -> SeedSession:
        """Wait for the next backend that authenticates, for `patience` seconds at most, and return its session."""
        async with asyncio.timeout(patience):
            return await self._arrivals.get()

    def forget_tokens(self) -> None:
        """Lose every token; a backend that resumes is told `token_invalid`."""
        self._expires.clear()

    async def _connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.offered.append(connection.request.headers.get("Sec-WebSocket-Protocol"))
        try:
            session = await self._authenticated(connection)
            self._arrivals.put_nowait(session)
            await session.read()
        except page.OffThePageError as error:
            self.faults.append(str(error))
        except ConnectionClosed:
            return

    async def _authenticated(self, connection: ServerConnection) -> SeedSession:
        while True:
            message = json.loads(await connection.recv())
            token = message.get("auth")
            page.check(message, page.CREDENTIALS if token is None else page.TOKEN)
            msg = self._enrol(message["msg"]) if token is None else self._resume(token)
            if msg["success"] and token is not None:
                await self._destroy_older(token)
            await connection.send(json.dumps({"rid": message["rid"], "msg": msg}))
            if msg["success"]:
                session = SeedSession(connection, token or msg["token"], is_new=token is None)
                self._live[session.token] = session
                for req, request in self._eager:
                    await session.send(req, request)
                return session

    def _enrol(self, msg: dict[str, str]) -> dict[str, Any]:
        if msg != self._credentials:
            return {"success": False, "reason": "password_invalid"}
        token = secrets.token_hex(15)
        self._expires[token] = time.monotonic() + self.validity
        return {"success": True, "token": token, "validity": int(self.validity)}

    def _resume(self, token: str) -> dict[str, Any]:
        left = self._expires.get(token, 0) - time.monotonic()
        if left <= 0:
            return {"success": False, "reason": "token_invalid"}
        return {"success": True, "validity": int(left)}

    async def _destroy_older(self, token: str) -> None:
        older = self._live.pop(token, None)
        if older is not None:
            older.connection.transport.abort()


# -- as a program -------------------------------------------------------------------------------


def _say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


async def _round(session: SeedSession) -> None:
    pid = await session.execute(["sleep", "60"])
    _say("executed", pid=pid)
    _say("running", rows=await session.view_running())
    _say("telemetry", **await session.telemetry())
    await session.proc_signal(pid, "SIGTERM")
    _say("signalled", pid=pid)


async def _run(arguments: argparse.Namespace) -> None:
    host, _, port = arguments.address.rpartition(":")
    password = arguments.password_file.read_text().rstrip("\n")
    server = SeedServer(host, int(port), arguments.username, password)
    async with server:
        while not server.faults:
            session = await server.backend(patience=None)
            _say("authenticated", new=session.is_new)
            await _round(session)


def main() -> int:
    parser = argparse.ArgumentParser(description="A control server of the seed's page, and of nothing else.")
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("username")
    parser.add_argument("password_file", type=Path)
    try:
        asyncio.run(_run(parser.parse_args()))
    except page.OffThePageError as error:
        _say("off_the_page", error=str(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
