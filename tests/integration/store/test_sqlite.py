"""What is SQLite's own: the file, its modes, and two processes that write to it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from quix.exits import Exit, QuixError
from quix.store import Store, database
from quix.store.database import BUSY_TIMEOUT
from quix.store.errors import StoreUnavailableError
from quix.store.users import Role


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


async def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        store = await Store.open(url_of(tmp_path / "quix.db"))
        await store.users.add("ada", Role.ADMIN, "hash")
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(umask)
    assert modes == {"quix.db": 0o600, "quix.db-wal": 0o600, "quix.db-shm": 0o600}
    await store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["quix.db"]


async def test_commits_are_durable_and_references_are_checked(tmp_path: Path) -> None:
    store = await Store.open(url_of(tmp_path / "quix.db"))
    async with store._database.read() as connection:
        found = [
            await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    await store.close()
    assert found == ["wal", 2, 1, BUSY_TIMEOUT * 1000]


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    url = url_of(tmp_path / "a % b.db")
    store = await Store.open(url)
    await store.users.add("ada", Role.ADMIN, "hash")
    await store.close()
    store = await Store.open(url)
    assert await store.users.password_hash("ada") == "hash"
    await store.close()


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = await Store.open(url_of(tmp_path / "quix.db"))
    with pytest.raises(ZeroDivisionError):
        async with store._database.write() as connection:
            columns = "name, role, password_hash, created_at"
            await connection.execute(text(f"INSERT INTO users ({columns}) VALUES ('ada', 'admin', 'hash', 0)"))
            raise ZeroDivisionError
    assert await store.users.get("ada") is None
    await store.close()


async def test_a_write_that_is_cancelled_leaves_the_store_usable(tmp_path: Path) -> None:
    store = await Store.open(url_of(tmp_path / "quix.db"))
    for number in range(20):
        task = asyncio.create_task(store.users.add(f"u{number}", Role.VIEWER, "hash"))
        await asyncio.sleep(0.0002 * number)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.users.add(f"v{number}", Role.VIEWER, "hash")
    assert len([user for user in await store.users.page(None, 99) if user.name.startswith("v")]) == 20
    await store.close()


WRITER = """
import asyncio, sys
from quix.store import Store
from quix.store.users import Role

async def main() -> None:
    for number in range(15):
        store = await Store.open(sys.argv[1])
        await store.users.add(f"theirs{number}", Role.VIEWER, "hash")
        await store.close()

asyncio.run(main())
"""


async def test_two_processes_write_at_once(tmp_path: Path) -> None:
    """As `quix user add` does beside `quix server`."""
    url = url_of(tmp_path / "quix.db")
    store = await Store.open(url)
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, url, stderr=subprocess.PIPE)
    number = 0
    while other.returncode is None:
        await store.users.add(f"ours{number}", Role.VIEWER, "hash")
        number += 1
        await asyncio.sleep(0)
    assert (await other.communicate())[1] == b""
    assert other.returncode == 0
    names = [user.name for user in await store.users.page(None, 100_000)]
    await store.close()
    assert len(names) == number + 15
    assert number > 15


async def test_a_database_that_stays_busy_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT", 0.5)
    store = await Store.open(url_of(tmp_path / "quix.db"))
    await store.users.add("ada", Role.VIEWER, "hash")
    other = sqlite3.connect(tmp_path / "quix.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailableError) as caught:
        await store.users.set_role("ada", Role.ADMIN)
    assert asyncio.get_running_loop().time() - started >= 0.4
    assert "locked" not in str(caught.value), "what the database said is not for everybody"
    assert await store.users.get("ada") is not None, "reading goes on"
    other.execute("COMMIT")
    other.close()
    assert await store.users.set_role("ada", Role.ADMIN) is True
    await store.close()


async def test_closing_lets_running_work_end(tmp_path: Path) -> None:
    store = await Store.open(url_of(tmp_path / "quix.db"))
    adds = [asyncio.create_task(store.users.add(f"u{number}", Role.VIEWER, "hash")) for number in range(20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*adds)
    with pytest.raises(StoreUnavailableError):
        await store.users.get("u1")
    store = await Store.open(url_of(tmp_path / "quix.db"))
    assert len(await store.users.page(None, 99)) == 20
    await store.close()


# -- what cannot be opened ------------------------------------------------------------------------


async def refused(url: str) -> str:
    with pytest.raises(QuixError) as caught:
        await Store.open(url)
    assert caught.value.code is Exit.CONFIG
    return str(caught.value)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "quix.db").write_text("no database, and long enough that nobody takes it for an empty one" * 20)
    assert await refused(url_of(tmp_path / "quix.db")) == "database: it cannot be opened: file is not a database"


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "none" / "quix.db"
    assert await refused(url_of(path)) == f"database: {path}: No such file or directory"


async def test_a_path_that_is_a_folder(tmp_path: Path) -> None:
    assert await refused(url_of(tmp_path)) == f"database: {tmp_path} is no file"


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:", "sqlite+aiosqlite:///file:x"])
async def test_a_database_in_memory(url: str) -> None:
    assert "must be a plain file" in await refused(url)


async def test_a_text_that_is_no_url() -> None:
    assert await refused("secret") == "database: this is no SQLAlchemy URL"


async def test_an_unknown_kind_of_database() -> None:
    assert "nosuch" in await refused("nosuch+driver://user:secret@host/db")
    assert "secret" not in await refused("nosuch+driver://user:secret@host/db")


async def test_a_driver_that_would_block(tmp_path: Path) -> None:
    assert "async" in await refused(f"sqlite:///{tmp_path / 'quix.db'}")


async def test_a_database_of_a_newer_build(tmp_path: Path) -> None:
    store = await Store.open(url_of(tmp_path / "quix.db"))
    await store.close()
    with sqlite3.connect(tmp_path / "quix.db") as other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    other.close()
    assert "revision 9999 is of a newer Quix" in await refused(url_of(tmp_path / "quix.db"))
