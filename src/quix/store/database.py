"""Connections to the database, and the two ways to use one.

`read` is for one statement on its own, `write` for a transaction. On SQLite a write begins with BEGIN IMMEDIATE,
so that it waits for another process's write (`quix user add` beside `quix server`) at its start, where waiting is
possible, and not in its middle, where SQLite can only refuse (sqlite.org/lang_transaction.html, section 2.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from quix import logs
from quix.exits import Exit, QuixError
from quix.store.errors import StoreUnavailableError

log = logs.get(__name__)

BUSY_TIMEOUT: Final = 5.0
"""Seconds a write waits for another process to finish its own; half of what an agent allows for an answer."""

POOL_TIMEOUT: Final = 5.0
"""Seconds a request waits for a free connection."""

POOL_SIZE: Final = 4
"""Connections, and on SQLite as many threads: one that writes, and readers beside it."""

_WAL_ATTEMPTS: Final = 50
_WAL_PAUSE: Final = 0.02
"""Seconds between two attempts; only ever for a database that is just being made."""

_WRITES: Final = "quix_writes"


class Database:
    """The connections of one process to one database. Made by `connect`; `close` returns when all are closed."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        is_sqlite = engine.dialect.name == "sqlite"
        # SQLite's own queue of writers is a poll with growing sleeps; within the process this one is fair.
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if is_sqlite else nullcontext()
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()
        self._closed = False

    @classmethod
    def connect(cls, url: str) -> Database:
        """Prepare connections to the database at `url`; a SQLite file that is missing is created, mode 0600.

        Raises:
            QuixError: the URL is none, or names something that cannot be used.
        """
        try:
            return cls(_engine(make_url(url)))
        except NoSuchModuleError as error:
            raise QuixError(f"database: {error}", Exit.CONFIG) from error
        except ArgumentError as error:
            # The URL itself stays out of the text: it may hold a password.
            raise QuixError("database: this is no SQLAlchemy URL", Exit.CONFIG) from error
        except (SQLAlchemyError, ImportError) as error:
            raise QuixError(f"database: {error}", Exit.CONFIG) from error

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for one statement that changes nothing.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        async with self._in_use(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction: committed at the end, rolled back where the body raises.

        Raises:
            StoreUnavailableError: the database does not answer, or another process has kept it busy.
        """
        async with self._in_use(), self._turn, self._writer.begin() as connection:
            yield connection

    @asynccontextmanager
    async def _in_use(self) -> AsyncIterator[None]:
        if self._closed:
            raise StoreUnavailableError
        self._users += 1
        self._unused.clear()
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeoutError, OSError) as error:
            log.warning("database unavailable", error=str(getattr(error, "orig", None) or error))
            raise StoreUnavailableError from error
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def close(self) -> None:
        """Let what has begun come to its end, refuse what comes later, and close every connection."""
        self._closed = True
        await self._unused.wait()
        await self._engine.dispose()


def _engine(url: URL) -> AsyncEngine:
    is_sqlite = url.get_backend_name() == "sqlite"
    if is_sqlite:
        _create_private(url.database)
    engine = create_async_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT,
        pool_pre_ping=not is_sqlite,
        # Parameters are hashes and digests; an exception's text ends up in logs.
        hide_parameters=True,
    )
    if is_sqlite:
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _create_private(path: str | None) -> None:
    """Create the file for its owner alone; SQLite gives its companions (-wal, -shm) the same mode."""
    if not path or path == ":memory:" or path.startswith("file:"):
        raise QuixError("database: a SQLite database must be a plain file, sqlite+aiosqlite:///PATH", Exit.CONFIG)
    try:
        # Only ever a new file: closing a descriptor of one that is in use would drop SQLite's locks on it
        # (sqlite.org/howtocorrupt.html, section 2.2).
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not Path(path).is_file():
            raise QuixError(f"database: {path} is no file", Exit.CONFIG) from None
    except OSError as error:
        raise QuixError(f"database: {path}: {error.strerror}", Exit.CONFIG) from error


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # No BEGIN by the driver: `_begin_sqlite` alone decides what is a transaction.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {int(BUSY_TIMEOUT * 1000)}",
        # Not NORMAL: that may lose the last commits when power fails, and with them a token that an agent has
        # saved, the revocation of one, or a lease, whose address would then be given away a second time.
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    _use_wal(cursor)
    cursor.close()


def _use_wal(cursor: Any) -> None:
    """Have the database keep a write-ahead log, which it then does for good.

    The change itself wants the database alone and does not always wait for the busy timeout, so where several
    processes open a new database at once all but one of them have to try again.
    """
    for _ in range(_WAL_ATTEMPTS):
        with contextlib.suppress(OperationalError, sqlite3.OperationalError):
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        time.sleep(_WAL_PAUSE)
    cursor.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
