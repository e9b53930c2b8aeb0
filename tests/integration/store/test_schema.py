"""Migrations, on every kind of database."""

from __future__ import annotations

import asyncio

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from harness.store import OpenStore
from quix.store import Store, schema
from quix.store.database import Database
from quix.store.sight import Sight
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
    assert len(found) == 5, "the table, its three indexes, the column"


def test_the_newest_revision_is_named() -> None:
    """Or every start would look for what it has to migrate, and find nothing."""
    assert ScriptDirectory(str(schema._MIGRATIONS)).get_heads() == [schema.NEWEST]


async def test_opening_again_migrates_nothing(open_store: OpenStore) -> None:
    first = await open_store()
    await first.users.add("ada", Role.ADMIN, "hash")
    second = await open_store()
    assert await second.users.get("ada") is not None


async def test_a_new_database_is_opened_by_several_at_once(open_store: OpenStore) -> None:
    stores = await asyncio.gather(*(open_store() for _ in range(4)))
    await stores[0].users.add("ada", Role.ADMIN, "hash")
    assert await stores[-1].users.get("ada") is not None


async def test_labels_that_agents_told_an_earlier_release_are_found(store_url: str, open_store: OpenStore) -> None:
    def first_release(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(schema._MIGRATIONS))
        command.upgrade(config, "0001")
        facts = '{"name": "web-1", "labels": {"site": "north"}}'
        connection.execute(
            text("INSERT INTO backends VALUES ('b1', 'web-1', 'ada', 1, 1, '192.0.2.1', :facts)"), {"facts": facts}
        )

    database = Database.connect(store_url)
    async with database.write() as connection:
        await connection.run_sync(first_release)
    await database.close()
    store = await open_store()
    assert await store.backends.visible(["b1"], Sight(labels=(("site", "north"),))) == {"b1"}
    assert await store.backends.visible(["b1"], Sight(labels=(("site", "south"),))) == set()
