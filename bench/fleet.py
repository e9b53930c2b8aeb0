"""Thousands of backends with tokens, written to the store at once instead of enrolled one by one."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import create_async_engine

from quix.store import Store
from quix.store.ids import new_id
from quix.store.tables import backends, tokens
from quix.wire.peer import token_digest


async def enroll(_store: Store, url: str, count: int) -> tuple[list[str], list[str]]:
    """Return ids and tokens of `count` new backends."""
    now = time.time()
    ids = [new_id(now) for _ in range(count)]
    secret = [secrets.token_urlsafe(32) for _ in range(count)]
    digests = [token_digest(token) for token in secret]
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                insert(backends),
                [
                    {"id": i, "name": i, "enrolled_by": "bench", "created_at": now, "last_seen": now, "address": ""}
                    for i in ids
                ],
            )
            await connection.execute(
                insert(tokens),
                [
                    {
                        "digest": digest,
                        "kind": "backend",
                        "subject": backend,
                        "lineage": digest,
                        "pending": False,
                        "expires_at": now + 86400,
                    }
                    for backend, digest in zip(ids, digests, strict=True)
                ],
            )
    finally:
        await engine.dispose()
    return ids, secret
