"""Migrations, on every kind of database."""

from __future__ import annotations

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from harness.store import OpenStore
from quix.store import Store
from quix.store.tables import metadata
from quix.store.users import Role


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_migrations_give_exactly_the_tables_of_this_build(store: Store) -> None:
    async with store._database.read() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == {*metadata.tables, "alembic_version"}


async def test_a_missing_table_would_be_noticed(store: Store) -> None:
    async with store._database.write() as connection:
        await connection.exec_driver_sql("DROP TABLE runs")
        await connection.exec_driver_sql("ALTER TABLE users DROP COLUMN created_at")
        found = await connection.run_sync(differences)
    assert len(found) == 3, "the table, its index, the column"


async def test_opening_again_migrates_nothing(open_store: OpenStore) -> None:
    first = await open_store()
    await first.users.add("ada", Role.ADMIN, "hash")
    second = await open_store()
    assert await second.users.get("ada") is not None


async def test_a_new_database_is_opened_by_several_at_once(open_store: OpenStore) -> None:
    stores = await asyncio.gather(*(open_store() for _ in range(4)))
    await stores[0].users.add("ada", Role.ADMIN, "hash")
    assert await stores[-1].users.get("ada") is not None
