"""Messages in the form in which the protocol's page shows them, for tests of a peer without a connection."""

from __future__ import annotations

from typing import Any

import msgspec

from quix.wire.peer import Send

SECRET = "s3cret-Jq8wX"
TOKEN = "kM0dYy3RjPq1"


def request(req: str, rid: int = 1, msg: Any = None, **more: Any) -> bytes:
    """Return the bytes of a request; `more` are further fields of the envelope."""
    return msgspec.json.encode({**more, "req": req, "rid": rid, "msg": {} if msg is None else msg})


def sent(event: object) -> Any:
    """Return the message of an event that is nothing but bytes to send."""
    assert isinstance(event, Send)
    return msgspec.json.decode(event.data)


def failure(rid: int | None, reason: str, **more: str) -> Any:
    """Return a refusal as it travels."""
    return {"rid": rid, "msg": {"result": "failure", "reason": reason, **more}}
