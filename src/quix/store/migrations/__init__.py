"""Alembic's script folder. `quix.store.schema` runs it; nothing imports it."""
