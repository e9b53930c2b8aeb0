"""Which handler answers which request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from quix.wire.codec import decoder, field_detail
from quix.wire.messages import Request
from quix.wire.reasons import Reason, Refusal

C = TypeVar("C")
R = TypeVar("R", bound=Request[Any])


class Route(Struct, Generic[C]):
    """A request type and its handler: `handler(context, request)` returns the answer or an awaitable of it,
    or raises `Refusal`."""

    kind: type[Request[Any]]
    handler: Callable[[C, Any], Any]

    def decode(self, msg: Raw) -> Request[Any]:
        """Decode the request; raise `Refusal(REQUEST_INVALID)` that names the field."""
        try:
            return decoder(self.kind).decode(msg)  # type: ignore[no-any-return]
        except (msgspec.DecodeError, RecursionError) as error:
            raise Refusal(Reason.REQUEST_INVALID, field_detail(error)) from error


class Router(Generic[C]):
    """The requests one side answers; `C` is the context its handlers are given, one a connection.

    `permit(req)` is asked before a handler is, and raises `Refusal` where that request is not to be answered.
    """

    def __init__(self, permit: Callable[[str], None] | None = None) -> None:
        self._permit = permit
        self._routes: dict[str, Route[C]] = {}
        self._extended: dict[str, Route[C]] = {}
        self._running: set[asyncio.Task[None]] = set()

    def add(self, kind: type[R], handler: Callable[[C, R], Awaitable[Any] | Any]) -> None:
        """Let `handler` answer requests of `kind`; where that is of an extension, those of peers that agreed on it.

        A request of the seed may have another kind for such peers.
        """
        routes = self._routes if kind.extension is None else self._extended
        if kind.req in routes:
            raise ValueError(f"{kind.req} has a handler already")
        routes[kind.req] = Route(kind, handler)

    def resolve(self, req: str, extensions: Mapping[str, int]) -> Route[C]:
        """Return the route of the request named `req`.

        Raises:
            Refusal: REQUEST_UNKNOWN, also where the request belongs to an extension that was not agreed; what
                `permit` raises.
        """
        route = self._extended.get(req)
        if route is None or route.kind.extension not in extensions:
            route = self._routes.get(req)
        if route is None:
            raise Refusal(Reason.REQUEST_UNKNOWN, f"req: this peer knows no {req[:64]!r}")
        if self._permit is not None:
            self._permit(req)
        return route

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a handler's coroutine run to its end, also where its connection ends before it."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def settle(self, seconds: float) -> None:
        """Wait until no handler runs any more; those that still do after `seconds` are cancelled."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        late = [*self._running]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
